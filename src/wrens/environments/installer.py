"""The only module that speaks to uv: versions are resolved, and wheels unpacked into a folder.

uv resolves for another platform and Python than its own, and installs wheels for them without running any code of
theirs. Decides how it is asked, and what its complaints mean; knows no store.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from wrens.environments.indexes import passed_on
from wrens.environments.platform import Platform
from wrens.errors import BadEnvironment, CannotResolve, NoWheel

LIMIT_S = 900.0
"""Longer than this uv may not take."""
SAID = 1500
"""Characters of its words that are told."""
OLD = "manylinux_2_17"
"""The system of AWS Lambda's Python 3.11, for which fewer wheels are made than for those of later versions."""
NEWER = (
    "The workers' system is an old one. Those of Python 3.12 and later have a newer one on AWS Lambda: run this "
    "program with such a Python, and `wrens deploy aws` from it."
)
_NO_WHEEL = re.compile(r"([A-Za-z0-9][\w.-]*(?:==[\w.+!-]+)?) ha(?:s|ve) no (?:[\w./-]+ ){0,2}wheels")


class Installer:
    """Asks uv, for one platform.

    Args:
        platform: What the packages are for.

    Raises:
        BadEnvironment: if uv is not installed.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        program()  # so that it is missed at once
        self._for = (
            *("--python-platform", platform.tag, "--python-version", platform.python),
            *("--python", sys.executable, "--only-binary", ":all:", "--quiet", "--no-progress"),
        )

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str]) -> tuple[str, ...]:
        """Return ``name==version`` of everything that is needed, less what the workers have already.

        Args:
            requirements: What is asked for.
            constraints: Which versions it must be, if it is needed at all.

        Raises:
            NoWheel: if a package has none for the platform.
            CannotResolve: if no set of versions does, or the index does not answer.
        """
        with tempfile.TemporaryDirectory(prefix="wrens-resolve-") as folder:
            asked, limits = Path(folder, "requirements.in"), Path(folder, "constraints.txt")
            asked.write_text("\n".join(requirements), encoding="utf-8")
            limits.write_text("\n".join(constraints), encoding="utf-8")
            out = self._run(
                *("pip", "compile", *self._for, "--no-header", "--no-annotate"),
                *("--constraints", str(limits), *_each("--no-emit-package", self._platform.provided)),
                str(asked),
                wanted=requirements,
            )
        return tuple(line.partition(" ;")[0].strip() for line in out.splitlines() if line.strip())

    def install(self, pins: Sequence[str], folder: Path) -> None:
        """Unpack the wheels of exactly these versions into a folder.

        Raises:
            CannotResolve: if one cannot be had.
        """
        lock = folder.with_name(f"{folder.name}.txt")
        lock.write_text("\n".join(pins), encoding="utf-8")
        self.install_file(lock, folder, complete=True, wanted=pins)

    def install_file(
        self, file: Path, folder: Path, *, complete: bool = False, wanted: Sequence[str] = ()
    ) -> None:
        """Unpack what a file of requirements, or a ``pylock.toml``, names.

        Args:
            file: The file.
            folder: Where to.
            complete: The file names everything that is needed.
            wanted: How to call it in an error; by default by its name.

        Raises:
            CannotResolve: if something cannot be had.
        """
        extra = ("--no-deps",) if complete else ()
        command = ("pip", "install", *self._for, *extra, "--target", str(folder), "--requirements", str(file))
        self._run(*command, wanted=wanted or (file.name,))

    def exported(self, lock: Path, into: Path) -> Path:
        """Turn a ``uv.lock`` into a file of requirements, without the project itself, and return that.

        Raises:
            CannotResolve: if uv cannot read it.
        """
        out = self._run(
            *("export", "--frozen", "--no-dev", "--no-emit-local", "--no-header", "--no-annotate", "--quiet"),
            *("--directory", str(lock.resolve().parent)),
            wanted=(lock.name,),
        )
        file = into / "requirements.txt"
        file.write_text(out, encoding="utf-8")
        return file

    @cached_property
    def _index(self) -> Mapping[str, str]:
        """Which index is asked: the same for all that is asked together, and pip takes as long to tell as uv to resolve."""
        return passed_on(os.environ)

    def _run(self, *words: str, wanted: Sequence[str]) -> str:
        try:
            done = start(*words, index=self._index)
        except subprocess.TimeoutExpired:
            said = f"uv did not end within {LIMIT_S:g} s"
            raise CannotResolve(tuple(wanted), self._platform.tag, said) from None
        if done.returncode:
            self._complain(done.stderr, wanted)
        return done.stdout

    def _complain(self, stderr: str, wanted: Collection[str]) -> NoReturn:
        said = shortened(stderr)
        lacking = tuple(dict.fromkeys(_NO_WHEEL.findall(" ".join(stderr.split()))))
        if lacking:
            hint = NEWER if self._platform.libc == OLD else ""
            raise NoWheel(lacking, f"{self._platform.tag} and Python {self._platform.python}", said, hint)
        raise CannotResolve(tuple(wanted), self._platform.tag, said)


def program() -> str:
    """Return the path of uv.

    Raises:
        BadEnvironment: if it is not installed.
    """
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise BadEnvironment(
            "packages for workers are put together by uv, which is not installed: pip install 'wrens[aws]'"
        ) from None


def start(*words: str, index: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run uv with these words, and return how it ended and what it said.

    Args:
        words: What is given to it.
        index: The variables that tell it where packages are; by default those of the index that pip would ask.

    Raises:
        BadEnvironment: if it is not installed.
        subprocess.TimeoutExpired: if it takes longer than ``LIMIT_S``.
    """
    return subprocess.run(
        [program(), *words],
        env={**os.environ, **(passed_on(os.environ) if index is None else index)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def shortened(text: str) -> str:
    r"""Return the words of uv without its decoration, and not too many of them.

    >>> shortened("error: No solution found\n  cause: Because a needs b<2\n\nhint: try pre-releases")
    'No solution found\nBecause a needs b<2\nhint: try pre-releases'
    """
    lines = [re.sub(r"^\s*(?:error: |cause: |[×╰─▶│\s]+)+", "", line).rstrip() for line in text.splitlines()]
    said = "\n".join(line for line in lines if line)
    return said if len(said) <= SAID else f"{said[:SAID]} …"


def _each(option: str, values: Collection[str]) -> tuple[str, ...]:
    return tuple(word for value in sorted(values) for word in (option, value))
