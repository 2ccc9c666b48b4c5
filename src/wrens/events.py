"""One typed stream of what happens; progress, traces, cost and tests are its consumers.

Decides the events and their fields. Does not decide who listens: an observer is any callable that takes an
event, called in the driver's thread, so it must return quickly and not raise. Times named ``at`` are seconds
on the driver's :class:`~wrens.clock.Clock`; a simulated run emits the same stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job has a manifest. ``name`` is its function's name for people."""

    job: str
    name: str
    at: float


@dataclass(frozen=True, slots=True)
class TasksPlanned:
    """``count`` more tasks of the job are stored and will run."""

    job: str
    count: int
    batches: int
    at: float


@dataclass(frozen=True, slots=True)
class InputsEnded:
    """The job will get no more tasks; ``total`` is how many it has."""

    job: str
    total: int
    at: float


@dataclass(frozen=True, slots=True)
class AttemptLaunched:
    """An attempt was handed to the backend. ``backup`` tells that another is running for the same batch."""

    job: str
    batch: str
    attempt: str
    start: int
    count: int
    backup: bool
    at: float


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """An attempt ended without a verdict; ``reason`` is what the backend saw."""

    job: str
    batch: str
    attempt: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class BatchSettled:
    """A verdict was read. ``ok``, ``failed``, ``handed_on`` count its tasks.

    Of those handed on, ``retried`` are to be run again because they failed or lost their worker; the others
    were not begun. ``noticed_at`` is when the driver learned that there may be a verdict, before it read it.
    """

    job: str
    batch: str
    attempt: str
    ok: int
    failed: int
    handed_on: int
    wall_s: float
    at: float
    retried: int = 0
    noticed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class JobEnded:
    """Every task of the job is settled, or this driver has left it."""

    job: str
    ok: int
    failed: int
    at: float


@dataclass(frozen=True, slots=True)
class EnvironmentWanted:
    """Packages for the workers are being put together; ``packages`` are those that were asked for."""

    packages: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class EnvironmentBuilt:
    """Packages for the workers are in the store, ``nbytes`` of them; ``cached`` tells that they were before."""

    digest: str
    packages: tuple[str, ...]
    nbytes: int
    seconds: float
    cached: bool
    at: float


@dataclass(frozen=True, slots=True)
class EnvironmentFailed:
    """Packages for the workers could not be put together; nothing was launched that needs them."""

    packages: tuple[str, ...]
    reason: str
    at: float


EnvironmentEvent = EnvironmentWanted | EnvironmentBuilt | EnvironmentFailed
JobEvent = JobStarted | TasksPlanned | InputsEnded | AttemptLaunched | AttemptLost | BatchSettled | JobEnded
Event = JobEvent | EnvironmentEvent
Observer = Callable[[Event], None]
