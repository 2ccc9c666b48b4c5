"""What a job of a micro-benchmark has measured, task by task, and the three rates that follow.

    per worker   what each task did by its own clock: a distribution, never a product of a mean and a number
    aggregate    all that was done, over the time from the first task's beginning to the last one's end
    effective    all that was done, over the whole job: from the call to the results in the client's hands

The second leaves out launching and what comes after the last task; the third is what a user gets. Decides how readings
add up, and that a job has one task for each worker. Does not decide what a task does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.core.policy import Packing
from wrens.wire import keys

T = TypeVar("T")
_CLOCK = SystemClock()
_PROCESS = keys.new_mark()
"""Tells this process from others: a worker imports this module once."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one task has measured.

    Args:
        began_at: When the measured part began, in seconds since 1970 on the worker's clock.
        seconds: How long it took.
        amount: What was done in that time: operations or bytes.
        worker: Tells the worker's process from others.
        cpu_s: Processor time that the process used meanwhile, in all its threads.
        right: Whether what was done was found to be right.
    """

    began_at: float
    seconds: float
    amount: float
    worker: str
    cpu_s: float = 0.0
    right: bool = True

    @property
    def rate(self) -> float:
        """What was done each second."""
        return self.amount / self.seconds if self.seconds else 0.0


class Stopwatch(AbstractContextManager["Stopwatch"]):
    """Measures the part of a task that counts.

    >>> with Stopwatch() as watch:
    ...     _ = sum(range(1000))
    >>> reading = watch.reading(1000)
    >>> reading.amount, reading.seconds >= 0, len(reading.worker)
    (1000, True, 8)
    """

    def __enter__(self) -> Self:
        self._began_at, self._cpu_from, self._began = _CLOCK.wall(), time.process_time(), _CLOCK.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._seconds = _CLOCK.now() - self._began
        self._cpu_s = time.process_time() - self._cpu_from

    def reading(self, amount: float, *, right: bool = True) -> Reading:
        """Return what was measured, when ``amount`` was done."""
        return Reading(self._began_at, self._seconds, amount, _PROCESS, self._cpu_s, right)


@dataclass(frozen=True, slots=True)
class Run:
    """A job with one task for each worker.

    Args:
        workers: How many tasks there were.
        job_s: Seconds from the call to the results in the client's hands.
        readings: What each task has measured, in their order.

    >>> run = Run(2, 8.0, (Reading(100.0, 4.0, 40.0, "a"), Reading(101.0, 4.0, 20.0, "b")))
    >>> run.rates, run.aggregate, run.effective, run.processes
    ([10.0, 5.0], 12.0, 7.5, 2)
    """

    workers: int
    job_s: float
    readings: tuple[Reading, ...]

    @property
    def rates(self) -> list[float]:
        """What each worker did each second, one for each task."""
        return [reading.rate for reading in self.readings]

    @property
    def amount(self) -> float:
        """What was done in all."""
        return sum(reading.amount for reading in self.readings)

    @property
    def aggregate(self) -> float:
        """What all did each second, from the beginning of the first to the end of the last."""
        ends = [reading.began_at + reading.seconds for reading in self.readings]
        span = max(ends) - min(reading.began_at for reading in self.readings)
        return self.amount / span if span > 0 else 0.0

    @property
    def effective(self) -> float:
        """What the job did each second, launching and fetching results included."""
        return self.amount / self.job_s if self.job_s else 0.0

    @property
    def processes(self) -> int:
        """How many different processes the tasks ran in; fewer than workers where one took several tasks."""
        return len({reading.worker for reading in self.readings})

    @property
    def busy(self) -> float:
        """How many processors a task kept busy at most, as processor time over time."""
        return max((r.cpu_s / r.seconds for r in self.readings if r.seconds), default=0.0)

    @property
    def right(self) -> bool:
        """Whether every task found its work right."""
        return all(reading.right for reading in self.readings)


def timed(ex: Executor, fn: Callable[[Any], T], inputs: Sequence[Any]) -> tuple[list[T], float]:
    """Run a job with one task in each batch, so that no worker is given two while another has none.

    Returns:
        The results, and seconds from the call until they were there.

    >>> timed(Executor("inline"), abs, [-1, -2])[0]
    [1, 2]
    """
    began = _CLOCK.now()
    results = ex.options(packing=Packing(size=1)).map_async(fn, inputs).results()
    return results, _CLOCK.now() - began
