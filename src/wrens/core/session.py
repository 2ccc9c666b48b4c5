"""What an executor and all its views share: one store, one backend, one driver, and what has to be tidied up.

Decides the life of these: opened at once so that bad options are refused at once, started when first needed,
closed so that no process and no unwanted data stays. Does not decide what the user may call
(:mod:`wrens.core.executor`).
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from wrens import events
from wrens.backends.base import Backend
from wrens.clock import Clock, SystemClock
from wrens.core import fitting
from wrens.core import packing as pack
from wrens.core.asking import Driving
from wrens.core.chaining import any_input_with_future
from wrens.core.driver import Driver
from wrens.core.inputs import Feed, gather
from wrens.core.job import Job
from wrens.core.packages import Packages, check_python
from wrens.core.planning import Chunk, JobWriter, named, upload
from wrens.core.policy import Options
from wrens.core.submitted import SubmitQueue
from wrens.errors import StoreError
from wrens.serialize import Shipment, Shipper
from wrens.store.port import Store
from wrens.wire import keys
from wrens.wire.records import Call, ResultRef


class Session(Driving):
    """One driver with its store and backend.

    Args:
        backend: An opened backend.
        store: An opened store.
        clock: Tells the time.
        initializer: Called by each worker before its first task, with its arguments.
        observers: Called with every event.

    Raises:
        BadOption: if workers of this backend cannot see this store.
        CannotShip: if the initializer cannot be pickled.
        WrongPython: if the workers could not run what this Python pickles.
    """

    def __init__(
        self,
        backend: Backend,
        store: Store,
        *,
        clock: Clock | None = None,
        initializer: tuple[Callable[..., object], tuple[Any, ...]] | None = None,
        observers: Sequence[events.Observer] = (),
    ) -> None:
        self.clock = clock or SystemClock()
        self.store = store
        self.backend = backend
        self.in_process = backend.limits.in_process
        fitting.check_store(store.url, backend.limits, backend.name)
        check_python(backend)
        driver_id = keys.new_id().rpartition("-")[2]
        self.shipper = Shipper(owner=driver_id)
        first = Shipment("", "") if initializer is None else self._ship_first(*initializer)
        self.driver = Driver(
            store,
            backend,
            clock=self.clock,
            driver_id=driver_id,
            initializer=first.digest,
            observers=observers,
        )
        self._packages = Packages(backend, store, clock=self.clock, tell=self.driver.signs.tell)
        self._packages.always(first.modules)
        self.driver.untidy = lambda: len(self._trash)
        self.driver.tidy = self._tidy
        self.driver.on_exit = self._clean_up
        self.driver.signs.accounts.kept = lambda job_id: self._made.get(job_id, False)
        self.driver.more_may_come = lambda: any(not feed.over.is_set() for feed in self._feeders)
        self.on_closed: Callable[[], None] = lambda: None
        self.closing = False
        self._lock = threading.Lock()
        self._stepping = threading.RLock()
        """Held by the thread that works, on a backend that has no other place to work."""
        self._queues: dict[Options, SubmitQueue] = {}
        self._feeds: weakref.WeakValueDictionary[str, Feed] = weakref.WeakValueDictionary()
        self._feeders: list[Feed] = []
        """Those that read in a thread of their own."""
        self._made: dict[str, bool] = {}
        self._trash: deque[str] = deque()
        self._values: list[str] = []

    def _ship_first(self, fn: Callable[..., object], args: tuple[Any, ...]) -> Shipment:
        """Store the initializer at once, so that it is refused at once if it cannot be pickled."""
        shipment = self.shipper.function(_Bound(fn, args), what=f"the initializer {named(fn)}")
        upload(self.store, self.shipper)
        return shipment

    # --- functions ---

    def ship(self, fn: Callable[..., Any]) -> Shipment:
        """Pickle a function, or find that what it was pickled to still stands for it."""
        return self.shipper.function(fn, what=f"the function {named(fn)}")

    def prepare(self, fn: Callable[..., Any], options: Options) -> None:
        """Put the packages into the store that a submitted function needs, so that errors reach the caller.

        Raises:
            BadEnvironment: if they cannot be had.
            CannotShip: if the function cannot be pickled, which is found on the way.
        """
        if self._packages.needed:
            self._packages.environment(options, self.ship(fn))

    # --- jobs ---

    def queue(self, options: Options) -> SubmitQueue:
        """Return the queue for calls of ``submit`` under these options.

        Raises:
            BadOption: if they ask for what the backend cannot give.
        """
        with self._lock:
            if options not in self._queues:
                fitting.check_options(options, self.backend.limits, self.backend.name)
                self._queues[options] = self._new_queue(options)
            return self._queues[options]

    def _new_queue(self, options: Options) -> SubmitQueue:
        queue = SubmitQueue(
            self.driver,
            options,
            ship=self.ship,
            open_job=lambda shipment: self._open(options, kind="submit", shipment=shipment, transient=True),
            wake=self.wake,
        )
        self.driver.add_queue(queue)
        return queue

    def wake(self) -> None:
        """Have the driver look around: a call was put into a queue, or the first content is to be stored."""
        self.driver.post(_nothing)
        self.work_off()

    def map(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        call: Call,
        options: Options,
        *,
        in_background: bool,
    ) -> Job[Any]:
        """Make a job of one map call and start it.

        Args:
            fn: The function.
            iterables: The inputs, one object each or joined as ``map`` does.
            call: How an input becomes a call.
            options: The job's options.
            in_background: Read an input of unknown length in a thread; else whoever consumes the results
                reads it.
        """
        inputs, finite = gather(iterables)
        transient = not in_background
        shipment = self.ship(fn)
        values = list(inputs) if finite and options.buffersize is None else None
        if values is not None and any_input_with_future(values, star=call == "star"):
            # Somebody has to wait for them, and that is not the caller.
            inputs, values, in_background = iter(values), None, True
        job, writer = self._open(options, shipment=shipment, transient=transient)
        try:
            if values is not None:
                self._plan_all(job, writer, shipment, call, values, options)
            else:
                self._feed(job, writer, shipment, call, inputs, options, in_background=in_background)
        except BaseException as error:
            # After Ctrl-C what has been stored stays, as when the client is killed.
            if isinstance(error, Exception) or not job.progress.planned:
                self._undo(job)
            raise
        return job

    def _feed(
        self,
        job: Job[Any],
        writer: JobWriter,
        shipment: Shipment,
        call: Call,
        inputs: Iterator[Any],
        options: Options,
        *,
        in_background: bool,
    ) -> None:
        feed = Feed(
            inputs,
            job=job,
            writer=writer,
            driver=self.driver,
            shipment=shipment,
            call=call,
            options=options,
            clock=self.clock,
        )
        self._feeds[job.id] = feed
        self.driver.signs.reading_inputs(job.id, going_on=True)
        if not in_background:
            job.feed = feed
            feed.consumed = 0
            feed.top_up()
        elif self.in_process:
            while not feed.ended:
                feed.top_up()
                self.work_off()
        else:
            thread = threading.Thread(target=feed.run, name=f"wrens-inputs-{job.id}", daemon=True)
            self._feeders = [other for other in self._feeders if not other.over.is_set()] + [feed]
            thread.start()

    def _plan_all(
        self,
        job: Job[Any],
        writer: JobWriter,
        shipment: Shipment,
        call: Call,
        values: list[Any],
        options: Options,
    ) -> None:
        limits = self.backend.limits
        counts = pack.sizes(
            len(values),
            packing=options.packing,
            workers=limits.parallelism,
            per_task_s=self.driver.machine.pace.per_task(shipment.digest),
            target_s=pack.batch_seconds(options.packing, limits.launch_s),
        )
        chunks: list[Chunk] = []
        start = 0
        for count in counts:
            chunks.append(Chunk(shipment, call, values[start : start + count]))
            start += count
        batches = writer.write(chunks)
        job.planned(len(values))
        self.driver.signs.tell(lambda at: events.TasksPlanned(job.id, len(values), len(batches), at))
        if batches:
            self.driver.track(job, batches)
        writer.end()
        self.driver.signs.tell(lambda at: events.InputsEnded(job.id, len(values), at))
        job.ended()
        if not batches:
            self.driver.signs.tell(lambda at: events.JobEnded(job.id, 0, 0, at))
        self.work_off()

    def _open(
        self, options: Options, *, shipment: Shipment, transient: bool, kind: Literal["map", "submit"] = "map"
    ) -> tuple[Job[Any], JobWriter]:
        fitting.check_options(options, self.backend.limits, self.backend.name)
        job_id = options.name or keys.new_id()
        writer = JobWriter(
            self.store,
            job_id,
            shipper=self.shipper,
            options=options,
            payload_bytes=self.backend.limits.payload_bytes,
            driver=self.driver.id,
            clock=self.clock,
            initializer=self.driver.initializer,
            environment=lambda shipment, modules: self._packages.environment(options, shipment, modules),
        )
        writer.open(kind=kind, shipment=shipment, backend=self.backend.name)
        self._made[job_id] = options.keep or options.name is not None
        self.driver.signs.tell(lambda at: events.JobStarted(job_id, shipment.name, at))
        job: Job[Any] = Job(
            job_id,
            home=ResultRef(self.store.url, job_id, "", -1, writer.made),
            driving=self,
            clock=self.clock,
            transient=transient,
            fail_fast=options.fail_fast and kind == "map",
        )
        return job, writer

    # --- what jobs ask ---

    def step(self) -> None:
        """Work in the calling thread, on a backend that has no other place to work."""
        with self._stepping:
            self.driver.step()

    def withdraw(self, job_id: str, tasks: Sequence[int] | None) -> None:
        """Cancel tasks of a job; all that are left when ``tasks`` is ``None``."""
        if tasks is None and (feed := self._feeds.get(job_id)) is not None:
            feed.stop()
        with contextlib.suppress(RuntimeError):  # it has ended, and there is nothing left to cancel
            self.driver.cancel(job_id, tasks)
            self.work_off()

    def leave(self, job: Job[Any]) -> None:
        """Run no more of a job whose results nobody will consume, and delete it in an idle moment."""

        def forget() -> None:
            self.driver.leave(job.id)
            self.discard(job.id)

        if (feed := self._feeds.get(job.id)) is not None:
            feed.leave()
        if not self.closing:
            with contextlib.suppress(RuntimeError):  # closed at this moment, and deleted with everything
                self.driver.post(forget)
                self.work_off()

    def _undo(self, job: Job[Any]) -> None:
        """Delete a job that could not be planned: nobody holds it, and its name shall be free."""
        self._made[job.id] = False
        if job.progress.planned:
            self.leave(job)
        else:
            self._delete(job.id)

    def discard(self, job_id: str) -> None:
        """Delete a job that nobody will ask for, unless it is kept, in an idle moment."""
        if not self._made.get(job_id, True):
            self._trash.append(job_id)

    def let_go(self, job_id: str) -> None:
        """Keep a job no longer than this session, even if it has a name."""
        self._made[job_id] = False

    def adopt(self, job_id: str) -> None:
        """Count a job of another client among those whose data stays."""
        self._made[job_id] = True

    def has_data(self, job_id: str) -> bool:
        """Return whether a job's data is still in the store."""
        return job_id in self._made

    def work_off(self) -> None:
        """On a backend without processes, do all that can be done before returning to the caller."""
        if self.in_process:
            with self._stepping:
                self.driver.step(wait=False)
                while not self.driver.machine.idle or any(queue.waiting for queue in self._queues.values()):
                    self.driver.step()

    # --- shared values ---

    def remember_value(self, key: str, modules: frozenset[str]) -> None:
        """Note a shared value, to be deleted with the session's jobs, and have the driver say that it is alive.

        Whoever takes the value needs the ``modules`` that it refers to.
        """
        self._values.append(key)
        self._packages.always(modules)
        self.wake()

    # --- closing ---

    def close(self, *, wait: bool, cancel: bool) -> None:
        """Take no more work; finish or cancel what there is; then stop the workers and delete the data.

        In a process that was forked from the one that made the session this does nothing.
        """
        if self.driver.made_in != os.getpid():
            return
        self.closing = True
        with self._lock:
            queues, feeds = list(self._queues.values()), list(self._feeds.values())
        for feed in feeds:
            if cancel or feed not in self._feeders:
                # Its inputs are read as results are consumed, and nobody will run what comes now.
                error = None if cancel else RuntimeError("cannot read more inputs after shutdown")
                with contextlib.suppress(StoreError):
                    feed.stop(error)
        if cancel:
            for queue in queues:
                queue.cancel()
            with contextlib.suppress(RuntimeError):  # it has ended already
                self.driver.post(self.driver.cancel_waiting)
        self.driver.drain()
        if wait:
            self.driver.wait_closed()

    def abandon(self) -> None:
        """Stop at once: workers are ended, nothing more is settled, named jobs stay to be resumed."""
        if self.driver.made_in != os.getpid():
            return
        self.closing = True
        for feed in list(self._feeds.values()):
            feed.leave()
        self.driver.abandon()

    def _tidy(self) -> None:
        """Delete one job that is done with."""
        for _ in range(len(self._trash)):
            job_id = self._trash.popleft()
            if not self.driver.machine.attempts_of(job_id):
                self._delete(job_id)
                return
            self._trash.append(job_id)

    def _clean_up(self) -> None:
        self.driver.signs.accounts.close(job_id for job_id, keep in self._made.items() if keep)
        self.driver.signs.remove()
        with self._lock:
            queues = list(self._queues.values())
        for queue in queues:
            queue.end()
        for job_id, keep in list(self._made.items()):
            if not keep:
                self._delete(job_id)
        contents = [*self.shipper.made, *self._values]
        if contents and not any(self._made.values()):
            # They have this driver's id in their names, so nobody else's work depends on them.
            with contextlib.suppress(StoreError):  # left for 'wrens clean'
                self.store.delete(contents)
        self.on_closed()

    def _delete(self, job_id: str) -> None:
        self._made.pop(job_id, None)
        manifest = keys.manifest(job_id)
        # What a failure leaves behind is found by 'wrens clean': the manifest goes last, so that it is known
        # for what it is.
        with contextlib.suppress(StoreError):
            self.store.delete([key for key in self.store.list(keys.job(job_id)) if key != manifest])
            self.store.delete([manifest])
        self.driver.signs.accounts.forget(job_id)


class _Bound:
    """A function with its arguments, as one callable without any."""

    def __init__(self, fn: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.fn, self.args = fn, args
        self.__qualname__ = named(fn)

    def __call__(self) -> object:
        return self.fn(*self.args)


def _nothing() -> None:
    """Wake the driver."""
