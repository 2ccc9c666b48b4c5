"""How inputs are read: at once when their number is known, else a little ahead of what is consumed.

Decides when a lazily read input is asked for more, in which thread, and what happens when it raises. Does
not decide how many tasks make a batch (:mod:`wrens.core.packing`).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from wrens import events
from wrens.clock import Clock
from wrens.core import packing as pack
from wrens.core.chaining import awaited
from wrens.core.driver import Driver
from wrens.core.job import Job
from wrens.core.planning import Chunk, JobWriter
from wrens.core.policy import Options
from wrens.serialize import Shipment
from wrens.wire.records import Call

AHEAD = 3
"""Batches per worker that are kept stored and not yet settled."""
UNCONSUMED = 100_000
"""Tasks that may be stored and not consumed, when no buffersize is given."""
UNCONSUMED_BYTES = 256 * 2**20
"""And how much their inputs may take up in the store."""


def gather(iterables: tuple[Iterable[Any], ...]) -> tuple[Iterator[Any], bool]:
    """Join iterables as the built-in ``map`` does.

    Returns:
        The inputs, one object each when there is one iterable and tuples otherwise, and whether their number
        is known to be finite, so that they may be read at once.

    >>> inputs, finite = gather(([1, 2],))
    >>> list(inputs), finite
    ([1, 2], True)
    >>> gather((itertools.count(),))[1]
    False
    """
    finite = any(isinstance(iterable, Sized) for iterable in iterables)
    if len(iterables) == 1:
        return iter(iterables[0]), finite
    return zip(*iterables, strict=False), finite


class Feed:
    """Reads an input a little ahead of the workers and writes it to the store, page by page.

    Args:
        inputs: The user's iterator; it is only ever called from the thread that calls :meth:`top_up`.
        job: The job that gets the tasks.
        writer: Writes its pages.
        driver: Runs its batches.
        shipment: The function.
        call: How an input becomes a call.
        options: The job's options.
        clock: Tells when an input comes slowly.
    """

    def __init__(
        self,
        inputs: Iterator[Any],
        *,
        job: Job[Any],
        writer: JobWriter,
        driver: Driver,
        shipment: Shipment,
        call: Call,
        options: Options,
        clock: Clock,
    ) -> None:
        self._inputs = inputs
        self._job = job
        self._clock = clock
        self._writer = writer
        self._driver = driver
        self._shipment = shipment
        self._call = call
        self._options = options
        self._last = 1
        self._workers = driver.backend.limits.parallelism
        self._target_s = pack.batch_seconds(options.packing, driver.backend.limits.launch_s)
        self.consumed: int | None = None
        self.counts_each = options.buffersize is not None
        self.ended = False
        self.over = threading.Event()
        """Set when nothing more will be stored."""
        self._reading = threading.Lock()
        """Held while the user's iterator is asked, which may take any time."""
        self._storing = threading.Lock()

    def room(self) -> int:
        """Return how many tasks may be read now."""
        if self.ended:
            return 0
        progress = self._job.progress
        per_task = self._driver.machine.pace.per_task(self._shipment.digest)
        batches = AHEAD * self._workers if per_task is not None else 2 * self._workers
        room = batches * self._size(per_task) - (progress.planned - progress.settled)
        unconsumed = progress.planned - (progress.settled if self.consumed is None else self.consumed)
        return min(room, (self._options.buffersize or self._ahead()) - unconsumed)

    def top_up(self) -> None:
        """Read, store and start as many tasks as there is room for."""
        with self._reading:
            # Workers may make room as fast as it is filled, and the caller wants to go on: so much, not more.
            budget = self.room()
            while budget > 0 and (room := min(budget, self.room())) > 0:
                per_task = self._driver.machine.pace.per_task(self._shipment.digest)
                size = min(room, self._size(per_task))
                before = self._job.progress.planned
                if not self._read(size):
                    return
                budget -= self._job.progress.planned - before

    def taken(self, tasks: int) -> None:
        """Note how many results the consumer has taken, and read on when that makes room."""
        self.consumed = tasks
        # Of a buffer at least half is read at a time, so that there is something to make batches of.
        if self.room() >= max(1, (self._options.buffersize or 1) // 2):
            self.top_up()

    def stop(self, error: Exception | None = None) -> None:
        """Read no more; the job ends with the tasks that it has, and with this error after them."""
        with self._storing:
            self._end(error)

    def leave(self) -> None:
        """Read no more, without ending the job: nobody wants it, or it is left for another client."""
        self.ended = True
        self.over.set()
        self._driver.signs.reading_inputs(self._job.id, going_on=False)

    def run(self) -> None:
        """Read the whole input, waiting whenever there is no room; for a thread of its own."""
        try:
            while not (self.ended or self._job.broken):
                self.top_up()
                self._job.await_change(lambda: self.ended or self.room() > 0)
            self.leave()
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody else would learn of it
            with self._storing:
                self.ended = True
                self._driver.signs.reading_inputs(self._job.id, going_on=False)
            self._job.break_(error)
        finally:
            self.over.set()
            with contextlib.suppress(RuntimeError):  # the driver has ended
                self._driver.post(_look_up)

    def _ahead(self) -> int:
        """Return how many tasks may be stored and not consumed, when the user has not said it."""
        if not self._writer.tasks:
            return UNCONSUMED
        mean = max(1, self._writer.nbytes // self._writer.tasks)
        return max(2 * self._workers, min(UNCONSUMED, UNCONSUMED_BYTES // mean))

    def _size(self, per_task: float | None) -> int:
        return pack.lazily(
            packing=self._options.packing, last=self._last, per_task_s=per_task, target_s=self._target_s
        )

    def _read(self, size: int) -> bool:
        """Read and store up to ``size`` tasks, fewer when they come slowly; returns whether there may be more."""
        values: list[Any] = []
        failure: Exception | None = None
        late = self._clock.now() + self._target_s
        try:
            for value in itertools.islice(self._inputs, size):
                values.append(value)
                if self._clock.now() > late:
                    # The next may take as long, and these need not wait for it.
                    size = len(values)
                    break
        except Exception as error:  # noqa: BLE001 - the user's generator may raise anything
            failure = error
        self._last = max(1, len(values))
        values = awaited(values, star=self._call == "star", store_url=self._driver.store.url)
        with self._storing:
            if self.ended:
                return False
            self._store(values)
            if failure is not None or len(values) < size:
                self._end(failure)
            return not self.ended

    def _store(self, values: list[Any]) -> None:
        if values:
            batches = self._writer.write([Chunk(self._shipment, self._call, values)])
            self._job.planned(len(values))
            self._driver.signs.tell(
                lambda at: events.TasksPlanned(self._job.id, len(values), len(batches), at)
            )
            self._driver.track(self._job, batches)

    def _end(self, error: Exception | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.over.set()
        self._driver.signs.reading_inputs(self._job.id, going_on=False)
        try:
            self._writer.end(error)
        finally:
            self._job.ended(error=error)
            self._driver.signs.tell(lambda at: events.InputsEnded(self._job.id, len(self._job), at))


def _look_up() -> None:
    """Wake the driver, which may have been waiting for the end of an input."""
