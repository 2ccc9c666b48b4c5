"""The user's options, as small frozen objects that refuse what cannot be.

Decides which options exist, their defaults and their limits. Does not decide what follows from them: that
is :mod:`wrens.core.attempts` and :mod:`wrens.core.packing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Self

from wrens.environments.wanted import Environment
from wrens.errors import BadOption
from wrens.wire import keys
from wrens.wire.records import Policy


@dataclass(frozen=True, slots=True)
class Retry:
    """What is run again, and how often.

    A failure of the system (a worker killed, crashed, out of memory, silent) is nobody's wish, so it is
    retried by default. An exception of the user's function is an answer, so it is retried only when its
    type is listed.

    Args:
        attempts: How often a task may be called in all when it raises one of ``on``.
        on: Exception types whose failures are retried, one or a tuple; subclasses count.
        lost: How often a task may be begun in all when its worker is lost each time.
        backoff_s: Seconds before the second try; doubled for each further one.

    Raises:
        BadOption: if a count is below 1, a time is negative or ``on`` has something else than exceptions.

    >>> Retry(attempts=3, on=(ConnectionError,)).attempts
    3
    """

    attempts: int = 3
    on: type[BaseException] | tuple[type[BaseException], ...] = ()
    lost: int = 4
    backoff_s: float = 0.0

    def __post_init__(self) -> None:
        whole("Retry.attempts", self.attempts)
        whole("Retry.lost", self.lost)
        number("Retry.backoff_s", self.backoff_s)
        _check(self.backoff_s >= 0, "Retry.backoff_s", f"must not be negative, not {self.backoff_s}")
        for kind in self._types():
            good = isinstance(kind, type) and issubclass(kind, BaseException)
            _check(good, "Retry.on", f"must list exception types, not {kind!r}", "Write on=(ValueError,).")

    def names(self) -> tuple[str, ...]:
        """Return the listed types as the worker compares them: ``module:qualname``."""
        return tuple(f"{kind.__module__}:{kind.__qualname__}" for kind in self._types())

    def _types(self) -> tuple[type[BaseException], ...]:
        return self.on if isinstance(self.on, tuple) else (self.on,)


@dataclass(frozen=True, slots=True)
class Packing:
    """How tasks are put together into batches.

    By default the first batches are coarse and a worker that finds its tasks long hands on what it has not
    begun; later batches are sized from what the tasks took. So short tasks are cheap and long ones are
    spread, and no number has to be chosen.

    Args:
        size: Tasks per batch, fixed; ``None`` adapts.
        target_s: Seconds that a batch of short tasks should take at least. A backend that is slow to
            launch raises it.
        most: Tasks per batch at most.

    Raises:
        BadOption: if a number is not positive.

    >>> Packing(size=1)
    Packing(size=1, target_s=0.05, most=16384)
    """

    size: int | None = None
    target_s: float = 0.05
    most: int = 16_384

    def __post_init__(self) -> None:
        if self.size is not None:
            whole("Packing.size", self.size)
        number("Packing.target_s", self.target_s)
        _check(self.target_s > 0, "Packing.target_s", f"must be positive, not {self.target_s}")
        whole("Packing.most", self.most)


@dataclass(frozen=True, slots=True)
class Backup:
    """When a slow attempt gets a second copy of itself; the first verdict counts.

    Args:
        slowness: How many times the median duration is too slow.
        after: Share of the job's tasks that must be settled before anything is called slow.

    Raises:
        BadOption: if ``slowness`` is below 1 or ``after`` is no share.

    >>> Backup().slowness
    3.0
    """

    slowness: float = 3.0
    after: float = 0.5

    def __post_init__(self) -> None:
        number("Backup.slowness", self.slowness)
        number("Backup.after", self.after)
        _check(self.slowness >= 1, "Backup.slowness", f"must be at least 1, not {self.slowness}")
        _check(0 <= self.after <= 1, "Backup.after", f"must be between 0 and 1, not {self.after}")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker may use.

    Args:
        memory_mb: Megabytes (10**6 bytes); more ends in a ``MemoryError`` of the task, where the backend
            can hold the limit. ``None`` for the backend's own.

    Raises:
        BadOption: if the amount is below 64 MB, in which Python itself hardly starts.

    >>> Resources(memory_mb=512)
    Resources(memory_mb=512)
    """

    memory_mb: int | None = None

    def __post_init__(self) -> None:
        if self.memory_mb is not None:
            whole("Resources.memory_mb", self.memory_mb, least=64)


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that may be said about a job beside its function and inputs.

    Args:
        retry: What is run again.
        timeout: Seconds that one task may take; ``None`` for no limit but the backend's.
        packing: How tasks become batches.
        backup: When a straggler gets a second copy; ``None`` for never.
        resources: What a worker may use.
        name: The job's id, chosen by you; a named job is kept when the executor closes.
        keep: Keep the data of unnamed jobs, too.
        buffersize: How many tasks of a lazily read input may be read ahead of what was consumed; ``None``
            lets the packing decide.
        fail_fast: Cancel the rest of a map when one of its tasks has failed; by default it is finished, and
            the results of the others are kept.
        environment: Which packages workers get that have none.

    Raises:
        BadOption: if a value cannot be.
    """

    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    packing: Packing = field(default_factory=Packing)
    backup: Backup | None = None
    resources: Resources = field(default_factory=Resources)
    name: str | None = None
    keep: bool = False
    buffersize: int | None = None
    fail_fast: bool = False
    environment: Environment = field(default_factory=Environment)

    def __post_init__(self) -> None:
        for name, kind in (
            ("retry", Retry),
            ("packing", Packing),
            ("resources", Resources),
            ("environment", Environment),
        ):
            value = getattr(self, name)
            advice = f"Write {name}=wrens.{kind.__name__}(...)."
            _check(isinstance(value, kind), name, f"must be a {kind.__name__}, not {value!r}", advice)
        good = self.backup is None or isinstance(self.backup, Backup)
        _check(
            good, "backup", f"must be a Backup or None, not {self.backup!r}", "Write backup=wrens.Backup()."
        )
        if self.timeout is not None:
            advice = "It is in seconds; None for no limit."
            number("timeout", self.timeout, advice)
            _check(self.timeout > 0, "timeout", f"must be positive, not {self.timeout}", advice)
        if self.buffersize is not None:
            whole("buffersize", self.buffersize)
        for name in ("keep", "fail_fast"):
            value = getattr(self, name)
            _check(isinstance(value, bool), name, f"must be True or False, not {value!r}")
        if self.name is not None:
            _check(isinstance(self.name, str), "name", f"must be text, not {self.name!r}")
            keys.check_name(self.name)

    def changed(self, changes: dict[str, Any]) -> Self:
        """Return these options with some replaced.

        Raises:
            BadOption: if one does not exist or cannot be.
        """
        known = [f.name for f in fields(self)]
        for name in changes:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise BadOption(f"{name}=", "is not an option", f"Options are: {', '.join(known)}.{hint}")
        return replace(self, **changes)

    def policy(self) -> Policy:
        """Return the part of the options that a worker has to know."""
        return Policy(
            timeout_s=self.timeout,
            retry_on=self.retry.names(),
            tries=self.retry.attempts,
            memory_mb=self.resources.memory_mb,
        )


def whole(option: str, value: object, *, least: int = 1) -> None:
    """Refuse what is not a whole number of at least ``least``.

    Raises:
        BadOption: naming the option.

    >>> whole("attempts", 3)
    """
    good = isinstance(value, int) and not isinstance(value, bool)
    _check(good, option, f"must be a whole number, not {value!r}")
    _check(isinstance(value, int) and value >= least, option, f"must be at least {least}, not {value}")


def number(option: str, value: object, advice: str = "") -> None:
    """Refuse what is not a number.

    Raises:
        BadOption: naming the option.

    >>> number("timeout", 1.5)
    """
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    _check(good, option, f"must be a number, not {value!r}", advice)


def _check(good: bool, option: str, problem: str, advice: str = "") -> None:  # noqa: FBT001 - a predicate
    if not good:
        raise BadOption(option, problem, advice)


Initializer = tuple[Callable[..., object], tuple[Any, ...]]
