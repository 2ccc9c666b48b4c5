"""What the parts of the core ask of each other, so that none has to know the other's class.

    a job        asks whoever drives it to work or to cancel, and its lazily read input for more
    the driver   asks the queues of submitted calls for tasks

Decides these three small interfaces and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Feeding(Protocol):
    """A lazily read input, as the consumer of the results sees it."""

    counts_each: bool
    """Whether each result counts when it is taken, and not when the run that it is in is."""

    def room(self) -> int:
        """Return how many tasks may be read now."""
        ...

    def top_up(self) -> None:
        """Read that many."""
        ...

    def taken(self, tasks: int) -> None:
        """Note how many results the consumer has taken, and read on when that makes room."""
        ...


class Driving:
    """What a job asks of whoever drives it; the default drives nothing."""

    in_process = False

    def step(self) -> None:
        """Do some work in the calling thread, when that is where work is done."""

    def has_data(self, job_id: str) -> bool:  # noqa: ARG002
        """Return whether a job's data is still in the store."""
        return True

    def withdraw(self, job_id: str, tasks: Sequence[int] | None) -> None:
        """Cancel tasks that have not begun, or the whole job."""


class Queue(Protocol):
    """Tasks that wait to be planned when a worker is free; asked by the driver's thread."""

    waiting: int

    @property
    def job_id(self) -> str:
        """The job that its tasks become part of; empty before the first of them."""
        ...

    def busy(self) -> bool:
        """Whether anything waits, for a worker or for something else."""
        ...

    def plan(self, free: int) -> None:
        """Turn up to ``free`` batches of what waits into tasks of a job."""
        ...

    def fail(self, error: BaseException) -> None:
        """Give this error to everything that waits."""
        ...
