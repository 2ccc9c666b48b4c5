"""A job as the user holds it: a durable sequence of futures.

Decides how verdicts become results, futures and errors in the user's process. Results stay packed, and on
a directory store mapped from their file, until somebody asks for them. Does not decide what runs: the
driver calls :meth:`Job.settle`, and the methods that change anything ask the driver.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

from wrens.clock import Clock, SystemClock
from wrens.core.future import Future
from wrens.errors import Cancelled, JobFailed, JobIncomplete
from wrens.serialize import Pack, rebuild_failure
from wrens.wire.records import Failure, Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. ``total`` is ``None`` as long as its inputs have not ended.

    ``planned`` counts the tasks that are stored, ``ok``, ``failed`` and ``cancelled`` those that are settled.
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


class Feeding(Protocol):
    """A lazily read input, as the consumer of the results sees it."""

    consumed: int | None

    def room(self) -> int:
        """Return how many tasks may be read now."""
        ...

    def top_up(self) -> None:
        """Read that many."""
        ...

    def stop(self) -> None:
        """Read no more."""
        ...


class Driving:
    """What a job asks of whoever drives it; the default drives nothing."""

    in_process = False

    def step(self) -> None:
        """Do some work in the calling thread, when that is where work is done."""

    def withdraw(self, job: Job[Any], tasks: Sequence[int] | None) -> None:
        """Cancel tasks that have not begun, or the whole job."""


class Job(Sequence[Future[T]], Generic[T]):
    """One map call: a sequence of futures that outlives the process that made it.

    Its id, printed or saved, is all that :func:`wrens.attach` needs to get the job back, from this or another
    machine. Iterating yields the futures in the order of the inputs.

    Attributes:
        id: The job's id.

    >>> from wrens import Executor
    >>> with Executor("inline") as ex:
    ...     job = ex.map_async(pow, [2, 3], [5, 2])
    ...     len(job), job[1].result(), job.results()
    (2, 9, [32, 9])
    """

    def __init__(
        self,
        job_id: str,
        *,
        store_url: str = "",
        driving: Driving | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.id = job_id
        self._store_url = store_url
        self._driving = driving or Driving()
        self.feed: Feeding | None = None
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._planned = 0
        self._total: int | None = None
        self._counts = {"ok": 0, "user": 0, "system": 0, "cancelled": 0}
        self._starts: list[int] = []
        self._segments: dict[int, Segment] = {}
        self._failures: dict[int, tuple[Failure, str]] = {}
        self._futures: dict[int, Future[T]] = {}
        self._begun: list[tuple[int, int]] = []
        self._broken: BaseException | None = None
        self._input_error: BaseException | None = None
        self._cut_short = False
        self._listeners: list[deque[tuple[int, int]]] = []
        self._finished: list[Callable[[], None]] = []

    # --- what the user asks ---

    def __repr__(self) -> str:
        p = self.progress
        total = "?" if p.total is None else p.total
        return f"<Job {self.id}: {p.ok} ok, {p.failed} failed, {p.cancelled} cancelled of {total}>"

    def __len__(self) -> int:
        """Return the number of tasks; of a job whose inputs have not ended, of those stored so far."""
        return self._planned if self._total is None else self._total

    @overload
    def __getitem__(self, index: int) -> Future[T]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Future[T]]: ...

    def __getitem__(self, index: int | slice) -> Future[T] | list[Future[T]]:
        """Return the future of one task, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self._future(task) for task in range(*index.indices(len(self)))]
        task = index + len(self) if index < 0 else index
        if not 0 <= task < len(self):
            raise IndexError(f"job {self.id} has {len(self)} tasks; there is no task {index}")
        return self._future(task)

    def __iter__(self) -> Iterator[Future[T]]:
        """Yield the futures in order; waits for tasks of an input that is still being read."""
        task = 0
        while self._exists(task):
            yield self._future(task)
            task += 1

    @property
    def progress(self) -> Progress:
        """How many tasks are planned and settled now."""
        with self._changed:
            c = self._counts
            return Progress(self._planned, c["ok"], c["user"] + c["system"], c["cancelled"], self._total)

    def done(self) -> bool:
        """Return whether every task is settled and no more will come."""
        return self._broken is not None or self.progress.done

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every task is settled.

        Args:
            timeout: Seconds to wait; ``None`` for as long as it takes.

        Returns:
            Whether every task is settled. Works in any thread.
        """
        return self._await(self.done, timeout)

    def results(self, timeout: float | None = None) -> list[T]:
        """Return every result, in the order of the inputs.

        Args:
            timeout: Seconds to wait for the job; ``None`` for as long as it takes.

        Raises:
            JobFailed: if tasks failed; it carries the results of the others and every failure.
            JobIncomplete: if the client that made the job died before it had stored every input.
            TimeoutError: if the job has not ended in time; nothing is lost by that.
        """
        if not self.wait(timeout):
            p = self.progress
            raise TimeoutError(
                f"job {self.id} has not ended after {timeout:g} s: {p.settled} of {p.total or p.planned} tasks "
                "are settled. It goes on; ask again, or iterate over job.as_completed()."
            )
        self._raise_if_broken()
        kept, failures = self._collect()
        if self._input_error is not None:
            self._input_error.add_note(f"raised by the input of job {self.id} after {self._planned} tasks")
            raise self._input_error
        if failures:
            raise JobFailed(self.id, failures, kept)
        if self._cut_short:
            raise JobIncomplete(self.id, self._planned, kept)
        return list(kept.values())

    def as_completed(self, timeout: float | None = None) -> Iterator[Future[T]]:
        """Yield the futures as they are settled, those first that already are.

        Raises:
            TimeoutError: if ``timeout`` seconds after the call not all were yielded.
        """
        end = None if timeout is None else self._clock.now() + timeout
        news: deque[tuple[int, int]] = deque()
        with self._changed:
            settled = [(s.start, s.count) for s in self._segments.values()]
            settled += [(task, 1) for task in self._failures]
            news.extend(sorted(settled))
            self._listeners.append(news)
        given = 0
        try:
            while True:
                while news:
                    start, count = news.popleft()
                    given += count
                    yield from (self._future(task) for task in range(start, start + count))
                if self.done() and not news:
                    self._raise_if_broken()
                    return
                rest = None if end is None else end - self._clock.now()
                if not self._await(lambda: bool(news) or self.done(), rest):
                    raise TimeoutError(f"{given} of {len(self)} tasks of job {self.id} are settled")
        finally:
            self._listeners.remove(news)

    def cancel(self) -> None:
        """Cancel every task that has no result yet, running ones included; results are kept."""
        self._driving.withdraw(self, None)

    # --- for the driver ---

    def planned(self, count: int) -> None:
        """More tasks are stored."""
        with self._changed:
            self._planned += count
            self._changed.notify_all()

    def ended(self, *, error: BaseException | None = None, cut_short: bool = False) -> bool:
        """No more tasks will come; returns whether all are settled."""
        with self._changed:
            if self._total is None:
                self._total = self._planned
                self._input_error, self._cut_short = error, cut_short
            self._changed.notify_all()
        return self._finish_if_done()

    def begin(self, start: int, count: int) -> list[int]:
        """Mark tasks as handed to a worker; returns those that were cancelled before."""
        if not self._futures:
            with self._changed:
                self._begun.append((start, count))
            return []
        with self._changed:
            self._begun.append((start, count))
            mine = [self._futures[t] for t in range(start, start + count) if t in self._futures]
        return [future.task for future in mine if not future.begin()]

    def settle(self, verdict: Verdict, body: memoryview) -> bool:
        """Take up a verdict that was found in the store; returns whether the job has ended by it."""
        pack = Pack(body) if verdict.ok else None
        fresh: list[tuple[int, int]] = []
        with self._changed:
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
            for news in self._listeners:
                news.extend(fresh)
            futures = self._waiting_futures(fresh)
            self._changed.notify_all()
        for future in futures:
            self._resolve(future)
        return self._finish_if_done()

    def await_change(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, looking whenever something of the job changes."""
        self._await(lambda: condition() or self._broken is not None, None)

    def fail(self, tasks: Sequence[int], error: BaseException) -> None:
        """Give these tasks' futures an error that is in no verdict, because the store could not be written."""
        with self._changed:
            self._counts["system"] += len(tasks)
            futures = [self._futures[task] for task in tasks if task in self._futures]
            self._changed.notify_all()
        for future in futures:
            future.settle("", None, error)
        self._finish_if_done()

    def break_(self, error: BaseException) -> None:
        """Give every future without a result this error: the job cannot go on."""
        with self._changed:
            self._broken = error
            futures = [future for future in self._futures.values() if not future.done()]
            self._changed.notify_all()
        for future in futures:
            future.settle("", None, error)
        self._finish_if_done()

    def register(self, task: int, future: Future[T]) -> None:
        """Let a future that exists already be the one of this task."""
        future.bind(self.id, task, self._store_url, self._withdraw)
        with self._changed:
            self._futures[task] = future

    def on_finished(self, call: Callable[[], None]) -> None:
        """Call this once when the job has ended, at once if it has."""
        with self._changed:
            if not (self._broken is not None or self._is_done()):
                self._finished.append(call)
                return
        call()

    def drop(self, task: int) -> None:
        """Let go of a settled future that nobody asks for through the job."""
        self._futures.pop(task, None)

    # --- streaming, for Executor.map ---

    def stream(self, timeout: float | None = None) -> Iterator[T]:
        """Yield the results in order, each as soon as it and all before it are there.

        What was yielded is let go of, so an endless job can be consumed in bounded memory. A task that
        failed raises its exception in its turn.
        """
        end = None if timeout is None else self._clock.now() + timeout
        task = 0
        while True:
            if not self._await_result(task, end):
                raise TimeoutError(f"task {task} of job {self.id} has no result after {timeout:g} s")
            self._raise_if_broken()
            with self._changed:
                segment = self._segments.pop(task, None)
                if segment is not None:
                    self._starts.remove(task)
                elif task not in self._failures:
                    break
            if segment is None:
                raise self._error(task)
            task += segment.count
            if self.feed is not None:
                self.feed.consumed = task
                self.feed.top_up()
            yield from _unpacked(segment)
            segment = None
        if self._input_error is not None:
            raise self._input_error

    # --- inside ---

    def _await_result(self, task: int, end: float | None) -> bool:
        """Wait until a task is settled, reading inputs in the meantime as far as there is room."""
        feed = self.feed
        while True:
            if feed is not None and not self._known(task):
                feed.top_up()
            rest = None if end is None else end - self._clock.now()
            if feed is None:
                return self._await(lambda: self._known(task), rest)
            if not self._await(lambda: self._known(task) or feed.room() > 0, rest):
                return False
            if self._known(task):
                return True

    def _known(self, task: int) -> bool:
        return (
            task in self._segments
            or task in self._failures
            or self._broken is not None
            or (self._total is not None and task >= self._total)
        )

    def _exists(self, task: int) -> bool:
        def known() -> bool:
            return task < self._planned or self._total is not None or self._broken is not None

        self._await(known, None)
        self._raise_if_broken()
        return task < self._planned

    def _await(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        if self._driving.in_process:
            while not condition():
                self._driving.step()
            return True
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _future(self, task: int) -> Future[T]:
        with self._changed:
            future = self._futures.get(task)
            if future is not None:
                return future
            future = self._futures[task] = Future()
            future.bind(self.id, task, self._store_url, self._withdraw)
            settled = task in self._failures or self._segment(task) is not None
            begun = settled or any(start <= task < start + count for start, count in self._begun)
        if begun:
            future.begin()
        if settled:
            self._resolve(future)
        elif self._broken is not None:
            future.settle("", None, self._broken)
        return future

    def _withdraw(self, future: Future[Any]) -> None:
        self._driving.withdraw(self, [future.task])

    def _segment(self, task: int) -> Segment | None:
        place = bisect_right(self._starts, task) - 1
        if place < 0:
            return None
        segment = self._segments[self._starts[place]]
        return segment if task < segment.start + segment.count else None

    def _waiting_futures(self, settled: list[tuple[int, int]]) -> list[Future[T]]:
        if not self._futures:
            return []
        if sum(count for _, count in settled) > len(self._futures):
            wanted = [t for t in self._futures if any(s <= t < s + n for s, n in settled)]
        else:
            wanted = [t for s, n in settled for t in range(s, s + n) if t in self._futures]
        return [self._futures[task] for task in wanted]

    def _resolve(self, future: Future[T]) -> None:
        if future.task in self._failures:
            failure, batch = self._failures[future.task]
            if failure.kind == "cancelled":
                future.settle_cancelled()
            else:
                future.settle(batch, None, rebuild_failure(failure))
            return
        with self._changed:
            segment = self._segment(future.task)
        if segment is None:
            return
        try:
            value = segment.item(future.task)
        except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
            error.add_note(f"raised here while unpickling the result of task {future.task} of job {self.id}")
            future.settle(segment.batch, None, error)
        else:
            future.settle(segment.batch, value, None)

    def _error(self, task: int) -> BaseException:
        failure, _ = self._failures[task]
        if failure.kind == "cancelled":
            return Cancelled(self.id, task)
        return rebuild_failure(failure)

    def _collect(self) -> tuple[dict[int, T], dict[int, Exception]]:
        kept: dict[int, T] = {}
        failures: dict[int, Exception] = {}
        for start in list(self._starts):
            segment = self._segments[start]
            tasks = range(start, start + segment.count)
            try:
                kept.update(zip(tasks, segment.items(), strict=True))
            except Exception:  # noqa: BLE001 - unpickling runs the user's code; then each result for itself
                for task in tasks:
                    try:
                        kept[task] = segment.item(task)
                    except Exception as error:  # noqa: BLE001
                        failures[task] = error
        for task in self._failures:
            failure = self._error(task)
            failures[task] = failure if isinstance(failure, Exception) else _as_exception(failure)
        return kept, dict(sorted(failures.items()))

    def _is_done(self) -> bool:
        return self._total is not None and sum(self._counts.values()) >= self._total

    def _finish_if_done(self) -> bool:
        with self._changed:
            if not (self._broken is not None or self._is_done()):
                return False
            calls, self._finished = self._finished, []
        for call in calls:
            call()
        return True

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken


def _unpacked(segment: Segment) -> Iterator[Any]:
    try:
        values = segment.items()
    except Exception:  # noqa: BLE001 - one result does not unpickle: those before it are still due
        yield from (segment.item(task) for task in range(segment.start, segment.start + segment.count))
        return
    del segment
    values.reverse()
    while values:
        # Popping lets go of each value, so that the consumer holds the only reference.
        yield values.pop()


def _as_exception(error: BaseException) -> Exception:
    """Wrap what an ExceptionGroup may not hold, such as SystemExit, so that a group can."""
    from wrens.errors import RemoteError

    wrapped = RemoteError(f"{type(error).__module__}.{type(error).__qualname__}", str(error))
    wrapped.__cause__ = error
    return wrapped
