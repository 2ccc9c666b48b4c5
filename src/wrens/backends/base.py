"""The backend's port: start attempts, say what was seen.

Decides the promises; every adapter passes :class:`wrens.testing.BackendContract`. Whatever a backend says
is a hint that makes the driver look into the store sooner. Two hints matter: that an attempt may have
committed, and that one is gone without having had the chance.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from wrens.environments.platform import Platform
from wrens.wire.records import Invocation, Loss


@dataclass(frozen=True, slots=True)
class Limits:
    """What a backend can take, known before anything is uploaded.

    Args:
        parallelism: How many attempts can run at a time.
        payload_bytes: How large an encoded invocation may be.
        time_s: Seconds after which the platform ends a worker; ``None`` for no limit.
        memory_mb: Megabytes that a worker may use; ``None`` when not known.
        launch_s: Typical seconds from launch to the worker's first step, when warm; packing aims at batches
            that are long beside it.
        in_process: The attempt runs in the driver's own process and thread, during ``poll``.
        sees_files: Workers see the folders of this computer.
        platform: What the workers are; ``None`` when they run on the client's own installation, so that
            nothing has to be shipped to them.
    """

    parallelism: int
    payload_bytes: int = 65_536
    time_s: float | None = None
    memory_mb: int | None = None
    launch_s: float = 0.001
    in_process: bool = False
    sees_files: bool = True
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """A verdict of this attempt's batch is there, as far as the backend knows.

    ``goes_on_as`` names the attempt as which the worker goes on, when it handed on a part of its batch
    while a task was running; it is empty when the worker is free.
    """

    attempt: str
    goes_on_as: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt is over and will commit nothing more; it may have committed before."""

    attempt: str
    loss: Loss
    interrupted: bool = False
    """The user has stopped it: it is not to be begun again."""


Notice = Committed | Lost


class Backend(Protocol):
    """Where workers run.

    All methods but :meth:`wake` are called from one thread at a time. What callers may rely on, each line
    being a test in :class:`wrens.testing.BackendContract`:

    * **Every launched attempt is reported** by exactly one :class:`Committed` with an empty ``goes_on_as``
      or one :class:`Lost`, under its own name or the last name that it went on as.
    * **A lost worker costs its own attempt only**, and the place that it leaves is filled again.
    * **cancel** ends the worker of an attempt that is still running, or withdraws one that has not begun,
      and reports it as ``Lost``; of an unknown attempt it does nothing.
    * **close** leaves no process behind; where idle workers are the platform's to keep, none that is busy.

    Not promised: that a notice comes soon, comes once for a duplicated delivery, or tells the truth about
    the store.
    """

    name: str
    """What :func:`wrens.backends.registry.open_backend` opens again to the same backend."""
    limits: Limits

    def launch(self, invocations: Sequence[Invocation]) -> None:
        """Start these attempts; returns without waiting for them.

        The caller keeps at most ``limits.parallelism`` in flight.
        """
        ...

    def poll(self, timeout_s: float) -> Sequence[Notice]:
        """Return what has been seen since, waiting up to ``timeout_s`` for something to be seen."""
        ...

    def wake(self) -> None:
        """Make a :meth:`poll` that waits return at once; callable from any thread."""
        ...

    def cancel(self, attempts: Collection[str]) -> None:
        """Stop these attempts at once."""
        ...

    def close(self) -> None:
        """Stop everything that was started and free it; a second call does nothing."""
        ...
