"""A job as the user holds it: a durable sequence of futures.

Decides how outcomes become futures, results and errors in the user's process, and who waits for what. Does
not decide what runs: the driver calls the methods under "for the driver", and those of the user that change
anything ask the driver.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from wrens.clock import Clock, SystemClock
from wrens.core.asking import Driving, Feeding
from wrens.core.future import NOWHERE, Future
from wrens.core.outcomes import HARMFUL, Outcomes, Progress, among
from wrens.errors import JobFailed, JobIncomplete
from wrens.wire.records import JobRef, ResultRef, Verdict

T = TypeVar("T")


class Job(Sequence[Future[T]], Generic[T]):
    """One map call: a sequence of futures that outlives the process that made it.

    Its id, printed or saved, is all that :func:`wrens.attach` needs to get the job back, from this or another
    machine. Iterating yields the futures in the order of the inputs.

    Args:
        job_id: The job's id.
        home: Where it is stored, and which making of it this is; of a reference without batch and task.
        driving: Who drives it.
        clock: Tells the time.
        fail_fast: Cancel what is left when a task has failed.
        transient: Nobody asks this job for a task twice: outcomes are let go of once they were delivered.

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
        home: ResultRef = NOWHERE,
        driving: Driving | None = None,
        clock: Clock | None = None,
        transient: bool = False,
        fail_fast: bool = False,
    ) -> None:
        self.id = job_id
        self.feed: Feeding | None = None
        self._home = home
        self._driving = driving or Driving()
        self._clock = clock or SystemClock()
        self._transient = transient
        self._fail_fast = fail_fast
        self._stopped_by: int | None = None
        """The task whose failure has cancelled the rest."""
        self._changed = threading.Condition()
        self._outcomes = Outcomes(job_id)
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
        total = self._outcomes.total
        return self._outcomes.planned if total is None else total

    @overload
    def __getitem__(self, index: int) -> Future[T]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Future[T]]: ...

    def __getitem__(self, index: int | slice) -> Future[T] | list[Future[T]]:
        """Return the future of one task, or a list of those that there are now for a slice.

        A task whose input is still being read is waited for.
        """
        if isinstance(index, slice):
            return [self._future(task) for task in range(*index.indices(len(self)))]
        task = index + len(self) if index < 0 else index
        if task < 0 or not self._exists(task):
            raise IndexError(f"job {self.id} has {len(self)} tasks; there is no task {index}")
        return self._future(task)

    def __iter__(self) -> Iterator[Future[T]]:
        """Yield the futures in order; waits for tasks of an input that is still being read."""
        task = 0
        while self._exists(task):
            yield self._future(task)
            task += 1

    @property
    def store(self) -> str:
        """URL of its store."""
        return self._home.store

    @property
    def progress(self) -> Progress:
        """How many tasks are planned and settled now."""
        with self._changed:
            return self._outcomes.progress

    @property
    def broken(self) -> bool:
        """Whether the job cannot go on; :meth:`results` says why."""
        return self._broken is not None

    def done(self) -> bool:
        """Return whether every task is settled and no more will come."""
        return self._broken is not None or self._outcomes.done

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every task is settled.

        Args:
            timeout: Seconds to wait; ``None`` for as long as it takes.

        Returns:
            Whether every task is settled. Works in any thread.
        """
        return self._await(self.done, timeout)

    @overload
    def results(self, timeout: float | None = None) -> list[T]: ...

    @overload
    def results(
        self, timeout: float | None = None, *, return_exceptions: bool
    ) -> list[T | BaseException]: ...

    def results(
        self, timeout: float | None = None, *, return_exceptions: bool = False
    ) -> list[T] | list[T | BaseException]:
        """Return every result, in the order of the inputs.

        Args:
            timeout: Seconds to wait for the job; ``None`` for as long as it takes.
            return_exceptions: Put the exception of a task that failed in the place of its result, instead of
                raising, as ``asyncio.gather`` does.

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
        if not (self._outcomes.any_failed or self._input_error or self._cut_short):
            # Should a result not unpickle, it is named below.
            with contextlib.suppress(*HARMFUL):
                return self._outcomes.results()
        if self._input_error is not None:
            self._input_error.add_note(f"raised by the input of job {self.id} after {len(self)} tasks")
            raise self._input_error
        kept, failures = self._outcomes.collect()
        if return_exceptions and not self._cut_short:
            return [kept[task] if task in kept else failures[task] for task in range(len(self))]
        if failures:
            raise JobFailed(self.id, failures, kept)
        raise JobIncomplete(self.id, len(self), kept)

    def as_completed(self, timeout: float | None = None) -> Iterator[Future[T]]:
        """Yield the futures as they are settled, those first that already are.

        Raises:
            TimeoutError: if ``timeout`` seconds after the call not all were yielded.
        """
        end = None if timeout is None else self._clock.now() + timeout
        news: deque[tuple[int, int]] = deque()
        with self._changed:
            news.extend(self._outcomes.known())
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
                if not self._await(lambda: bool(news) or self.done(), self._rest(end)):
                    raise TimeoutError(f"{given} of {len(self)} tasks of job {self.id} are settled")
        finally:
            # By identity: two that wait for news are equal as long as neither has any.
            with self._changed:
                self._listeners = [other for other in self._listeners if other is not news]

    def cancel(self) -> None:
        """Cancel every task that has no result yet, running ones included; results are kept."""
        self._driving.withdraw(self.id, None)

    def reference(self) -> JobRef:
        """Return where all results are, once they are there, or raise as :meth:`results`; nothing is unpickled."""
        if self._broken is not None or self._outcomes.any_failed or self._input_error or self._cut_short:
            self.results()
        return JobRef(self._home.store, self.id, self._home.made, self._outcomes.runs())

    # --- for the driver ---

    def planned(self, count: int) -> None:
        """More tasks are stored."""
        with self._changed:
            self._outcomes.planned += count
            self._changed.notify_all()

    def ended(self, *, error: BaseException | None = None, cut_short: bool = False) -> bool:
        """No more tasks will come; returns whether all are settled."""
        with self._changed:
            if self._outcomes.total is None:
                self._outcomes.total = self._outcomes.planned
                self._input_error, self._cut_short = error, cut_short
            self._changed.notify_all()
        return self._finish_if_done()

    def begin(self, start: int, count: int) -> list[int]:
        """Mark tasks as handed to a worker; returns those that were cancelled before."""
        with self._changed:
            if not self._transient:
                self._begun.append((start, count))
            if not self._futures:
                return []
            mine = [self._futures[t] for t in range(start, start + count) if t in self._futures]
        return [future.task for future in mine if not future.begin()]

    def settle(self, verdict: Verdict, body: memoryview) -> bool:
        """Take up a verdict that was found in the store; returns whether the job has ended by it."""
        with self._changed:
            fresh = self._outcomes.add(verdict, body)
            for news in self._listeners:
                news.extend(fresh)
            futures = [self._futures[task] for task in among(self._futures, fresh)]
            culprit = self._outcomes.culprit(fresh) if self._fail_fast else None
            if culprit is not None:
                self._fail_fast, self._stopped_by = False, culprit
            self._changed.notify_all()
        for future in futures:
            self._resolve(future)
        if culprit is not None:
            self.cancel()
        if self._transient and futures:
            with self._changed:
                for future in futures:
                    self._futures.pop(future.task, None)
                for start, _ in fresh:
                    self._outcomes.forget(start)
        return self._finish_if_done()

    def fail(self, tasks: Sequence[int], error: BaseException) -> None:
        """Give these tasks' futures an error that is in no verdict, because the store could not be written."""
        with self._changed:
            self._outcomes.count_failed(len(tasks))
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
        future.bind(self._home, task, self._withdraw, self._driving.has_data)
        with self._changed:
            self._futures[task] = future

    def on_finished(self, call: Callable[[], None]) -> None:
        """Call this once when the job has ended, at once if it has."""
        with self._changed:
            if not self.done():
                self._finished.append(call)
                return
        call()

    def await_change(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, looking whenever something of the job changes."""
        self._await(lambda: condition() or self._broken is not None, None)

    # --- streaming, for Executor.map ---

    def stream(self, timeout: float | None = None) -> Iterator[T]:
        """Yield the results in order, each as soon as it and all before it are there.

        What was yielded is let go of, so an endless job needs bounded memory. A failed task raises in its turn.

        Args:
            timeout: Seconds from this call after which waiting raises ``TimeoutError``.
        """
        return self._stream(timeout, None if timeout is None else self._clock.now() + timeout)

    # --- inside ---

    def _stream(self, timeout: float | None, end: float | None) -> Iterator[T]:
        task = 0
        while True:
            if not self._await_result(task, end):
                raise TimeoutError(f"task {task} of job {self.id} has no result after {timeout:g} s")
            self._raise_if_broken()
            with self._changed:
                segment = self._outcomes.take(task)
                if segment is None and not self._outcomes.failed(task):
                    break
            if segment is None:
                # What was cancelled because another task had failed tells of that one.
                cause = self._stopped_by if self._outcomes.cancelled(task) else None
                raise self._outcomes.error(task if cause is None else cause)
            values, count = segment.values(), segment.count
            segment = None
            if self.feed is not None and self.feed.counts_each:
                for _ in range(count):
                    task += 1
                    self.feed.taken(task)
                    yield next(values)
                continue
            task += count
            if self.feed is not None:
                self.feed.taken(task)
            yield from values
        if self._input_error is not None:
            raise self._input_error

    def _await_result(self, task: int, end: float | None) -> bool:
        """Wait until a task is settled, reading inputs in the meantime as far as there is room."""
        feed = self.feed
        if feed is None:
            return self._await(lambda: self._decided(task), self._rest(end))
        while True:
            if not self._decided(task):
                feed.top_up()
            if not self._await(lambda: self._decided(task) or feed.room() > 0, self._rest(end)):
                return False
            if self._decided(task):
                return True

    def _decided(self, task: int) -> bool:
        outcomes = self._outcomes
        over = outcomes.total is not None and task >= outcomes.total
        return over or self._broken is not None or outcomes.begins(task)

    def _exists(self, task: int) -> bool:
        outcomes = self._outcomes
        self._await(
            lambda: task < outcomes.planned or outcomes.total is not None or self._broken is not None, None
        )
        if task >= outcomes.planned and outcomes.total is None:
            self._raise_if_broken()
        return task < outcomes.planned

    def _rest(self, end: float | None) -> float | None:
        return None if end is None else end - self._clock.now()

    def _await(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        if self._driving.in_process:
            end = None if timeout is None else self._clock.now() + timeout
            while not condition():
                if end is not None and self._clock.now() >= end:
                    return False
                self._driving.step()
            return True
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _future(self, task: int) -> Future[T]:
        with self._changed:
            if (future := self._futures.get(task)) is not None:
                return future
            future = self._futures[task] = Future()
            future.bind(self._home, task, self._withdraw, self._driving.has_data)
            settled = bool(self._outcomes.batch_of(task))
            begun = settled or any(start <= task < start + count for start, count in self._begun)
        if begun:
            future.begin()
        if settled:
            self._resolve(future)
        elif self._broken is not None:
            future.settle("", None, self._broken)
        return future

    def _withdraw(self, future: Future[Any]) -> None:
        future.begin()  # which tells those who wait that it will not
        self._driving.withdraw(self.id, [future.task])

    def _resolve(self, future: Future[T]) -> None:
        """Give a future the outcome of its task, which is known."""
        with self._changed:
            task, outcomes = future.task, self._outcomes
            segment = None if outcomes.failed(task) else outcomes.segment(task)
        if segment is not None:
            try:
                value = segment.item(task)
            except HARMFUL as error:
                error.add_note(f"raised here while unpickling the result of task {task} of job {self.id}")
                future.settle(segment.batch, None, error)
            else:
                future.settle(segment.batch, value, None)
        elif outcomes.cancelled(task):
            future.settle_cancelled()
        else:
            future.settle(outcomes.batch_of(task), None, outcomes.error(task))

    def _finish_if_done(self) -> bool:
        with self._changed:
            if not self.done():
                return False
            calls, self._finished = self._finished, []
        for call in calls:
            call()
        return True

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken
