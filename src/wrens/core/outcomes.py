"""What is known of a job's tasks: which have a result, and where it is; which failed, and why.

Decides how verdicts add up to the outcomes of single tasks. Results stay packed, and on a directory store
mapped from their file, until one is asked for. Knows nothing of futures, threads or waiting.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.errors import Cancelled, RemoteError
from wrens.serialize import Pack, rebuild_failure
from wrens.wire.records import Failure, Verdict

HARMFUL = (Exception, SystemExit, GeneratorExit)
"""What unpickling a result may raise, because it runs the user's code; Ctrl-C passes."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tasks whose results are consecutive items of one pack."""

    start: int
    count: int
    first: int
    pack: Pack
    batch: str

    def item(self, task: int) -> Any:
        """Unpickle the result of one task."""
        return self.pack.item(self.first + task - self.start)

    def items(self) -> list[Any]:
        """Unpickle the results of all tasks."""
        return self.pack.items(self.first, self.first + self.count)

    def values(self) -> Iterator[Any]:
        """Return the results in order, each let go of as it is taken."""
        try:
            values = self.items()
        except HARMFUL:  # one result does not unpickle: those before it are still due
            return (self.item(task) for task in range(self.start, self.start + self.count))
        values.reverse()
        # Popping lets go of each value, so that the consumer holds the only reference.
        return map(list.pop, itertools.repeat(values, len(values)))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. ``total`` is ``None`` as long as its inputs have not ended.

    ``planned`` counts the tasks that are stored; ``ok``, ``failed`` and ``cancelled`` those that are settled.
    """

    planned: int
    ok: int
    failed: int
    cancelled: int
    total: int | None

    @property
    def settled(self) -> int:
        """Tasks that are settled, in whichever way."""
        return self.ok + self.failed + self.cancelled

    @property
    def done(self) -> bool:
        """Whether there are no more inputs and every task is settled."""
        return self.total is not None and self.settled >= self.total


class Outcomes:
    """The outcomes of a job's tasks, as far as they are known.

    Args:
        job: The job's id.
    """

    def __init__(self, job: str) -> None:
        self.planned = 0
        self.total: int | None = None
        self._job = job
        self._counts = {"ok": 0, "user": 0, "system": 0, "cancelled": 0}
        self._starts: list[int] = []
        self._segments: dict[int, Segment] = {}
        self._failures: dict[int, tuple[Failure, str]] = {}

    def add(self, verdict: Verdict, body: memoryview) -> list[tuple[int, int]]:
        """Take up a verdict; returns the runs of tasks ``(start, count)`` whose outcome is news.

        Raises:
            DamagedObject: if the results do not decode.
        """
        pack = Pack(body) if verdict.ok else None
        fresh: list[tuple[int, int]] = []
        first = 0
        for start, count in verdict.ok:
            if pack is not None and start not in self._segments:
                self._segments[start] = Segment(start, count, first, pack, verdict.batch)
                self._starts.insert(bisect_left(self._starts, start), start)
                self._counts["ok"] += count
                fresh.append((start, count))
            first += count
        for task, failure in verdict.failures:
            if task not in self._failures:
                self._failures[task] = (failure, verdict.batch)
                self._counts[failure.kind] += 1
                fresh.append((task, 1))
        return fresh

    def count_failed(self, count: int) -> None:
        """Note tasks that failed without a verdict, because none could be written."""
        self._counts["system"] += count

    @property
    def progress(self) -> Progress:
        """The counts."""
        c = self._counts
        return Progress(self.planned, c["ok"], c["user"] + c["system"], c["cancelled"], self.total)

    @property
    def done(self) -> bool:
        """Whether there are no more inputs and every task is settled."""
        return self.total is not None and sum(self._counts.values()) >= self.total

    def known(self) -> list[tuple[int, int]]:
        """Return the runs of tasks whose outcome is known, in order."""
        runs = [(segment.start, segment.count) for segment in self._segments.values()]
        return sorted(runs + [(task, 1) for task in self._failures])

    def runs(self) -> tuple[tuple[str, int, int], ...]:
        """Return the batch, first task and count of each run of results, in order."""
        found = (self._segments[start] for start in self._starts)
        return tuple((segment.batch, segment.start, segment.count) for segment in found)

    def begins(self, task: int) -> bool:
        """Whether a run of results begins with this task, or it has failed."""
        return task in self._segments or task in self._failures

    def failed(self, task: int) -> bool:
        """Whether this task is known to have failed."""
        return task in self._failures

    def cancelled(self, task: int) -> bool:
        """Whether this task is known to have been cancelled."""
        found = self._failures.get(task)
        return found is not None and found[0].kind == "cancelled"

    def culprit(self, runs: Sequence[tuple[int, int]]) -> int | None:
        """Return the first task of these runs that failed of its own, or ``None``."""
        return next((start for start, _ in runs if self.failed(start) and not self.cancelled(start)), None)

    def batch_of(self, task: int) -> str:
        """Return the batch whose verdict settled this task, or an empty text."""
        if task in self._failures:
            return self._failures[task][1]
        segment = self.segment(task)
        return "" if segment is None else segment.batch

    def segment(self, task: int) -> Segment | None:
        """Return the run that holds this task's result, or ``None``."""
        place = bisect_right(self._starts, task) - 1
        if place < 0:
            return None
        segment = self._segments[self._starts[place]]
        return segment if task < segment.start + segment.count else None

    def take(self, start: int) -> Segment | None:
        """Remove and return the run of results that begins here; ``None`` when there is none."""
        segment = self._segments.pop(start, None)
        if segment is not None:
            del self._starts[bisect_left(self._starts, start)]
        return segment

    def forget(self, start: int) -> None:
        """Let go of what is known of the run, or failure, that begins here; the counts stay."""
        if self.take(start) is None:
            self._failures.pop(start, None)

    def error(self, task: int) -> BaseException:
        """Rebuild the exception of a task that failed."""
        if self.cancelled(task):
            return Cancelled(self._job, task)
        return rebuild_failure(self._failures[task][0])

    def results(self) -> list[Any]:
        """Unpickle every result, in order; for a job in which nothing failed.

        Raises:
            Exception: what unpickling raises.
        """
        found: list[Any] = []
        for start in self._starts:
            found.extend(self._segments[start].items())
        return found

    def collect(self) -> tuple[dict[int, Any], dict[int, Exception]]:
        """Return what is there: results and failures, by task, in order.

        A result that does not unpickle is a failure.
        """
        kept: dict[int, Any] = {}
        failures: dict[int, Exception] = {}
        for start in self._starts:
            segment = self._segments[start]
            for task in range(segment.start, segment.start + segment.count):
                try:
                    kept[task] = segment.item(task)
                except HARMFUL as error:
                    failures[task] = _groupable(error)
        for task in self._failures:
            failures[task] = _groupable(self.error(task))
        return kept, dict(sorted(failures.items()))

    @property
    def any_failed(self) -> bool:
        """Whether a task failed or was cancelled."""
        return bool(self._failures)


def _groupable(error: BaseException) -> Exception:
    """Return what an ExceptionGroup may hold: the exception, or a stand-in for the likes of SystemExit."""
    if isinstance(error, Exception):
        return error
    wrapped = RemoteError(f"{type(error).__module__}.{type(error).__qualname__}", str(error))
    wrapped.__cause__ = error
    return wrapped


def among(known: Collection[int], ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Return which of the known tasks are in ranges, each a first task and a count; the fewer of both are gone through.

    >>> among({3, 70}, [(0, 4), (5, 1)])
    [3]
    """
    if sum(count for _, count in ranges) > len(known):
        return [task for task in known if any(start <= task < start + count for start, count in ranges)]
    return [task for start, count in ranges for task in range(start, start + count) if task in known]
