"""What the user may ask for: found from imports, said in so many words, locked, or nothing at all.

Decides the forms and refuses those that contradict each other. What is in them is looked at when it is needed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from wrens.errors import BadOption


@dataclass(frozen=True, slots=True)
class Environment:
    """Which packages workers get that have none, such as those of a cloud's functions.

    By default the packages that the function and the user's modules import are found, and pinned to the
    versions that are installed here. On backends whose workers run on this installation nothing is done.

    Args:
        also: Further requirements, such as ``"pyarrow"``, for what is imported in ways that cannot be seen.
            One without a version is pinned to the version that is installed here, if there is one.
        requirements: Exactly these, with what they need, in the place of what is imported.
        lock: Exactly what this file says: ``requirements.txt``, ``pylock.toml`` or ``uv.lock``.
        provided: The workers have all that is needed, as in a container image of the user's own.

    Raises:
        BadOption: if forms contradict each other, or there is no such file.

    >>> Environment(requirements=("numpy==2.*",)).requirements
    ('numpy==2.*',)
    """

    also: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    lock: str | os.PathLike[str] | None = None
    provided: bool = False

    def __post_init__(self) -> None:
        for name in ("also", "requirements"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(each, str) and each.strip() for each in value):
                advice = f'Write {name}=("numpy==2.*",), with the comma.'
                raise BadOption(
                    f"Environment.{name}", f"must be a tuple of requirements, not {value!r}", advice
                )
            object.__setattr__(self, name, tuple(value))
        if self.lock is not None:
            object.__setattr__(self, "lock", os.fspath(self.lock))
            if not Path(self.lock).is_file():
                raise BadOption("Environment.lock", f"must be a file; there is none at {self.lock!r}")
        if not isinstance(self.provided, bool):
            raise BadOption("Environment.provided", f"must be True or False, not {self.provided!r}")
        given = [name for name in ("requirements", "lock", "provided") if getattr(self, name)]
        if len(given) > 1:
            advice = "Each says by itself what there is."
            raise BadOption("Environment", f"cannot have both {given[0]}= and {given[1]}=", advice)
        if self.also and (self.lock or self.provided):
            advice = f"{given[0]}= says by itself what there is."
            raise BadOption("Environment", f"cannot have both also= and {given[0]}=", advice)

    @property
    def found(self) -> bool:
        """Whether packages are found from imports."""
        return not (self.requirements or self.lock or self.provided)
