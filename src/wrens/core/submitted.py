"""Calls of ``submit`` that wait for a worker.

Decides how single calls become tasks of one open-ended job: they wait in memory while every worker is busy,
and those that wait together share a page. Futures among their arguments are waited for first. Does not
decide how many make a batch (:mod:`wrens.core.packing`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wrens import events
from wrens.core import packing as pack
from wrens.core.chaining import any_future, failure_in, futures_in, settled
from wrens.core.driver import Driver
from wrens.core.future import NOWHERE, Future
from wrens.core.job import Job
from wrens.core.planning import Chunk, Draft, JobWriter
from wrens.core.policy import Options
from wrens.errors import StoreError, WrensError
from wrens.serialize import Shipment


@dataclass(slots=True)
class _Call:
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any]
    turn: int


class SubmitQueue:
    """What was submitted under one set of options and has not been stored yet.

    Args:
        driver: Asks for tasks when a worker is free.
        options: The options of these calls.
        ship: Pickles a function, or finds that it has been.
        open_job: Makes the job, when the first task is stored.
        wake: Called, in any thread, when a call that waited for a future may be stored.
    """

    def __init__(
        self,
        driver: Driver,
        options: Options,
        *,
        ship: Callable[[Callable[..., Any]], Shipment],
        open_job: Callable[[Shipment], tuple[Job[Any], JobWriter]],
        wake: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._options = options
        self._ship = ship
        self._open_job = open_job
        self._wake = wake
        self._target_s = pack.batch_seconds(options.packing, driver.backend.limits.launch_s)
        self._calls: dict[int, deque[_Call]] = {}
        self._lock = threading.Lock()
        self._blocked: set[Future[Any]] = set()
        self._made: tuple[Job[Any], JobWriter] | None = None
        self.waiting = 0

    @property
    def job_id(self) -> str:
        """The job that these calls become tasks of; empty before the first of them."""
        return self._made[0].id if self._made else ""

    def add(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Take up one call; it is stored when a worker is free and the futures that it needs are done."""
        future: Future[Any] = Future()
        future.bind(NOWHERE, -1, self._cancelled)
        call = _Call(fn, args, kwargs, future, self._driver.next_turn())
        arguments = (*args, *kwargs.values())
        if any_future(arguments) and (needed := {f for f in futures_in(arguments) if not f.done()}):
            self._block(call, needed)
        else:
            self._enqueue(call)
        return future

    def plan(self, free: int) -> None:
        """Store up to ``free`` batches of what waits, and start them; in the driver's thread."""
        chunks: list[Chunk] = []
        taken: list[_Call] = []
        while self.waiting and free > 0:
            calls, shipment = self._next_calls(free)
            free -= 1
            if shipment is not None and calls:
                chunks.append(Chunk(shipment, "apply", [(call.args, call.kwargs) for call in calls]))
                taken.extend(calls)
        if chunks:
            self._store(chunks, taken)

    def fail(self, error: BaseException) -> None:
        """Give this error to every call that waits."""
        with self._lock:
            calls = [call for group in self._calls.values() for call in group]
            self._calls.clear()
            self.waiting = 0
            futures = [call.future for call in calls] + list(self._blocked)
            self._blocked.clear()
        for future in futures:
            future.settle("", None, error)

    def cancel(self) -> None:
        """Cancel every call that waits."""
        with self._lock:
            futures = [call.future for group in self._calls.values() for call in group]
            futures += list(self._blocked)
            self._blocked.clear()
        for future in futures:
            future.cancel()

    def busy(self) -> bool:
        """Whether calls wait, for a worker or for a future."""
        return bool(self.waiting or self._blocked)

    def end(self) -> None:
        """Say in the store that no more calls will come."""
        if self._made is None:
            return
        job, writer = self._made
        self._made = None
        job.ended()
        self._driver.signs.tell(lambda at: events.InputsEnded(job.id, len(job), at))
        if writer.kept:
            with contextlib.suppress(StoreError):
                writer.end()

    # --- inside ---

    def _cancelled(self, future: Future[Any]) -> None:
        """Tell those who wait for it that a call will not be made, and wait no longer for what it needs."""
        future.begin()
        with self._lock:
            self._blocked.discard(future)
        with contextlib.suppress(RuntimeError):  # the driver has ended
            self._wake()

    def _enqueue(self, call: _Call) -> None:
        with self._lock:
            self._calls.setdefault(id(call.fn), deque()).append(call)
            self.waiting += 1

    def _block(self, call: _Call, needed: set[concurrent.futures.Future[Any]]) -> None:
        remaining = len(needed)
        with self._lock:
            self._blocked.add(call.future)

        def one_done(_: concurrent.futures.Future[Any]) -> None:
            nonlocal remaining
            with self._lock:
                remaining -= 1
                if remaining:
                    return
                self._blocked.discard(call.future)
            if call.future.cancelled():
                return
            self._enqueue(call)
            self._wake()

        for future in needed:
            future.add_done_callback(one_done)

    def _next_calls(self, free: int) -> tuple[list[_Call], Shipment | None]:
        with self._lock:
            key, group = next(iter(self._calls.items()))
            fn = group[0].fn
        try:
            shipment = self._ship(fn)
        except Exception as error:  # noqa: BLE001 - pickling runs the user's code
            self._take(key, len(group), error)
            return [], None
        count = pack.queued(
            len(group),
            free,
            packing=self._options.packing,
            per_task_s=self._driver.machine.pace.per_task(shipment.digest),
            target_s=self._target_s,
        )
        calls = [call for call in self._take(key, count) if call.future.begin()]
        return [call for call in calls if self._resolve(call)], shipment

    def _take(self, key: int, count: int, error: BaseException | None = None) -> list[_Call]:
        with self._lock:
            group = self._calls[key]
            calls = [group.popleft() for _ in range(min(count, len(group)))]
            self.waiting -= len(calls)
            if not group:
                del self._calls[key]
            else:
                # The group goes to the back, so that no function starves another.
                self._calls[key] = self._calls.pop(key)
        if error is not None:
            _fail(calls, error)
        return calls

    def _resolve(self, call: _Call) -> bool:
        """Replace futures by what can be sent; a failed one fails the call."""
        arguments = (*call.args, *call.kwargs.values())
        if not any_future(arguments):
            return True
        if (error := failure_in(arguments)) is not None:
            call.future.settle("", None, error)
            return False
        url = self._driver.store.url
        call.args = tuple(settled(each, url) for each in call.args)
        call.kwargs = {key: settled(each, url) for key, each in call.kwargs.items()}
        return True

    def _store(self, chunks: list[Chunk], taken: list[_Call]) -> None:
        try:
            if self._made is None:
                self._made = self._open_job(chunks[0].shipment)
            job, writer = self._made
            self._driver.know(job)
            first = writer.tasks
            drafts = list(writer.drafts(chunks))
            writer.upload()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, these futures must learn of it
            _fail(taken, error)
            return
        for task, call in enumerate(taken, first):
            job.register(task, call.future)
        job.planned(len(taken))
        self._driver.signs.tell(lambda at: events.TasksPlanned(job.id, len(taken), len(chunks), at))
        turn = min(call.turn for call in taken)
        for draft in drafts:
            self._start(job, writer, draft, turn)

    def _start(self, job: Job[Any], writer: JobWriter, draft: Draft, turn: int) -> None:
        """Store a page and run its batches; in the other order when no worker will read the page.

        A worker that has all it needs may begin while the page is being written. Should the client die in
        between, there is a verdict of a batch in no page, which nobody will ever look at; should the page
        not be written, its futures fail and the verdicts do not count.
        """
        if draft.carried:
            self._driver.take_up(draft.batches, turn)
            self._driver.launch()
        try:
            writer.store(draft)
        except WrensError as error:
            self._driver.give_back(draft.batches)
            job.fail([task for b in draft.batches for task in range(b.start, b.start + b.count)], error)
            return
        if not draft.carried:
            self._driver.take_up(draft.batches, turn)


def _fail(calls: list[_Call], error: BaseException) -> None:
    for call in calls:
        call.future.settle("", None, error)
