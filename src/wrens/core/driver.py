"""The driver: carries out what the machine decides.

One thread per executor runs :meth:`Driver.run`; on a backend that works in the driver's own process there is
no thread, and the callers step it. Decides nothing about attempts (:mod:`wrens.core.attempts` does) and
nothing about inputs (:mod:`wrens.core.planning` does). All state of the machine is touched by this thread
only; others leave requests.

What the store says is the only truth here: a notice of the backend makes the driver look, and what it finds
is told to the machine and the job.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from wrens import events
from wrens.backends.base import Backend, Committed, Notice
from wrens.clock import Clock
from wrens.core import losses, reading, verdicts
from wrens.core.asking import Queue
from wrens.core.attempts import Machine
from wrens.core.batches import Batch, Command, GiveUp, HandOn, Key, Launch, Read, Stop
from wrens.core.fetching import Fetcher
from wrens.core.job import Job
from wrens.core.loop import Loop
from wrens.core.signs import Signs
from wrens.errors import AlreadyExists, ObjectMissing, StoreError, WrensError
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import VERSION, Invocation, Verdict

SWEEP_S = 5.0
"""How often verdicts are listed although no hint came; a lost hint costs no more than this."""
SHARED_SWEEP_S = 0.5
"""The same for a job that another driver may be working on."""
TROUBLE = 8
"""How often in a row a job's object may fail to be read or written, until the job is broken."""
AGAIN_S = 0.1
"""So long the first wait after a failure takes; it doubles with each, up to five seconds."""
IDLE_S = 0.5
"""After this long without anything to do, the driver tidies up."""
UNTIDY = 100
"""How many jobs may wait to be deleted; beyond that it tidies up while there is work, too."""


class Driver(Loop):
    """Launches attempts on one backend and reads their verdicts from one store.

    Args:
        store: Where the jobs are.
        backend: Where attempts run.
        clock: Tells the time.
        driver_id: Names this driver in attempts and evidence; without a dot.
        initializer: Digest of a function for each worker to call first, or empty.
        observers: Called with every event.
    """

    def __init__(
        self,
        store: Store,
        backend: Backend,
        *,
        clock: Clock,
        driver_id: str,
        initializer: str = "",
        observers: Sequence[events.Observer] = (),
    ) -> None:
        self.store = store
        self.backend = backend
        self.id = driver_id
        self.initializer = initializer
        self.signs = Signs(store, driver_id, clock=clock, observers=observers)
        limits = backend.limits
        super().__init__(f"wrens-driver-{driver_id}", has_thread=not limits.in_process)
        # Work in this process may ask for more work while it runs, so it has no fixed number of places.
        capacity = 10_000 if limits.in_process else limits.parallelism
        self.machine = Machine(
            capacity=capacity, driver=driver_id, launch_s=limits.launch_s, worker_s=limits.time_s
        )
        self._fetcher = Fetcher(store)
        self._clock = clock
        self._jobs: dict[str, Job[Any]] = {}
        self._shared: set[str] = set()
        self._queues: list[Queue] = []
        self._turns = itertools.count(1)
        self._cancelled: deque[tuple[str, Sequence[int] | None]] = deque()
        self._trouble: dict[Key, int] = {}
        self._look_again: list[tuple[float, Callable[[], list[Command]]]] = []
        self._sweep_at = clock.now() + SWEEP_S
        self.watchers: list[Callable[[], None]] = []
        self.more_may_come: Callable[[], bool] = lambda: False
        self.untidy: Callable[[], int] = lambda: 0
        self.tidy: Callable[[], None] = lambda: None
        self.on_exit: Callable[[], None] = lambda: None

    # --- from any thread ---

    def track(self, job: Job[Any], batches: Iterable[Batch], *, shared: bool = False) -> None:
        """Run these batches, which are in the store, for this job."""
        batches, turn = list(batches), self.next_turn()

        def take_up() -> None:
            self.know(job)
            if shared:
                self._shared.add(job.id)
                self._sweep_at = 0.0
            self.take_up(batches, turn)

        self.post(take_up)

    def next_turn(self) -> int:
        """Return a number for what is asked for now; what has a smaller one is launched first."""
        return next(self._turns)

    def take_up(self, batches: Sequence[Batch], turn: int) -> None:
        """Run these batches when it is their turn; in the driver's thread."""
        for batch in batches:
            batch.turn = turn
        self.machine.add(batches)
        for batch in batches:
            if not batch.source.length:
                # Its input could not be pickled, and the planner has settled it already.
                self._perform(self._read(batch.key))

    def give_back(self, batches: Sequence[Batch]) -> None:
        """Forget batches whose page could not be stored; in the driver's thread."""
        for batch in batches:
            self.backend.cancel(self.machine.drop(batch.key))

    def know(self, job: Job[Any]) -> None:
        """Tell this job what is found of it; in the driver's thread."""
        if job.id not in self._jobs:
            self._jobs[job.id] = job
            job.on_finished(lambda: self._retire_soon(job))

    def open_tasks(self) -> int:
        """Return how many tasks have not ended, as far as is known; from any thread."""
        progress = [job.progress for job in list(self._jobs.values())]
        planned = sum(p.planned - p.ok - p.failed - p.cancelled for p in progress)
        return planned + sum(queue.waiting for queue in self._queues)

    def add_queue(self, queue: Queue) -> None:
        """Ask this queue for tasks whenever a worker is free."""
        self._queues.append(queue)

    # --- the driver's thread ---

    def has_work(self) -> bool:
        """Whether there is, or may come, something to work for."""
        return bool(
            self.watchers
            or not self.machine.idle
            or self.more_may_come()
            or any(queue.busy() for queue in self._queues)
        )

    def wake(self) -> None:
        """Make a step that waits return; from any thread."""
        self.backend.wake()

    def let_go(self, error: BaseException | None) -> None:
        """End the workers, tell everybody who still waits that nothing will come, and tidy up."""
        self.backend.close()
        self._fetcher.close()
        self.serve_requests()
        for job in list(self._jobs.values()):
            if error is not None:
                job.break_(error)
            self._retire(job)
        for queue in self._queues:
            if error is not None:
                queue.fail(error)
        self.on_exit()

    def step(self, *, wait: bool = True) -> None:
        """Do what is due, launch what is ready, and wait for the backend to see something."""
        self.serve_requests()
        now = self._clock.now()
        self._plan_submitted()
        self._perform(self.machine.tick(now))
        self.launch()
        if self.requested:
            return
        # What was asked for or planned just now, such as cancelled calls, may have been all there was to do.
        patience = self._patience() if wait and self.goes_on() else 0.0
        untidy = self.untidy()
        idle_at = self._clock.now() + min(patience, IDLE_S)
        notices = self.backend.poll(min(patience, IDLE_S) if untidy and self.machine.idle else patience)
        self.signs.noticed_at = self._clock.now()
        idle = self.machine.idle and not (notices or self.requested) and self._clock.now() >= idle_at
        if untidy > UNTIDY or (untidy and idle):
            self.tidy()
        for notice in self._fetcher.together(notices, self._verdict_of):
            self._hear(notice, self._clock.now())
        self._look_around(self._clock.now())

    def _verdict_of(self, notice: Notice) -> str | None:
        key = self.machine.key_of(notice.attempt)
        return None if key is None else keys.verdict(*key)

    def _hear(self, notice: Notice, now: float) -> None:
        """Tell the machine what the backend has seen."""
        if isinstance(notice, Committed):
            self._perform(self.machine.committed(notice.attempt, notice.goes_on_as, now))
            return
        key = self.machine.key_of(notice.attempt)
        if key is not None:
            self.signs.lost(key[0], notice.attempt, notice.loss)
            if (refusal := losses.refusal(notice.loss)) is not None:
                self._refused(key[0], refusal)
                self.machine.withdraw(notice.attempt)  # it is over, and its place is free
                return
        if notice.interrupted:
            self._perform(self.machine.interrupted(notice.attempt))
        else:
            self._perform(self.machine.lost(notice.attempt, notice.loss, now))

    def _plan_submitted(self) -> None:
        """Give the queues of submitted calls the free places, in turns.

        Each may have as many batches waiting as there are places: when it is their turn, they are there, and
        all other calls still wait together, to be packed when it is known how short they are.
        """
        planned = True
        while planned:
            planned = False
            for queue in self._queues:
                if queue.waiting and (free := self.machine.free - self.machine.waiting_of(queue.job_id)) > 0:
                    queue.plan(-(-free // 2) if len(self._queues) > 1 else free)
                    planned = True
            self._queues.append(self._queues.pop(0)) if self._queues else None

    def _patience(self) -> float:
        now = self._clock.now()
        due = [now + 60.0]
        if not self.machine.idle:
            due.append(max(self._sweep_at, now))
        due.append(max(self.signs.due_at, now))
        if self.watchers:
            due.append(max(self._sweep_at, now))
        if self._look_again:
            due.append(self._look_again[0][0])
        if (next_due := self.machine.next_due(now)) is not None:
            due.append(next_due)
        return max(0.0, min(due) - now)

    def launch(self) -> None:
        """Hand what is ready to the backend, as far as there is room; in the driver's thread."""
        while launches := self.machine.launches(self._clock.now()):
            ready: list[Invocation] = []
            for launch in launches:
                job = self._jobs[launch.batch.job]
                cancelled = job.begin(launch.batch.start, launch.batch.count)
                if cancelled:
                    self.machine.withdraw(launch.attempt)
                    self._perform(self.machine.cancel(job.id, cancelled))
                else:
                    ready.append(self._invocation(launch))
            if ready:
                self.backend.launch(ready)

    def _invocation(self, launch: Launch) -> Invocation:
        batch, source = launch.batch, launch.batch.source
        self.signs.launched(launch)
        return Invocation(
            v=VERSION,
            store=self.store.url,
            job=batch.job,
            batch=batch.name,
            attempt=launch.attempt,
            function=source.function,
            call=source.call,
            start=batch.start,
            count=batch.count,
            page=source.page,
            offset=source.offset,
            length=source.length,
            origin=source.origin,
            policy=batch.rules.policy,
            sharing=launch.sharing,
            inputs=source.inline,
            made=source.made,
            digest=source.digest,
            initializer=self.initializer,
            tries=batch.tries,
            losses=batch.losses,
            look_first=launch.look_first,
            environment=source.environment,
        )

    def _perform(self, commands: Iterable[Command]) -> None:
        todo = deque(commands)
        while todo:
            command = todo.popleft()
            if isinstance(command, Read):
                todo.extend(self._read(command.key))
            elif isinstance(command, Stop):
                self.backend.cancel([command.attempt])
            elif isinstance(command, HandOn):
                todo.extend(self._commit(command.batch.key, verdicts.hand_on(command, self.id)))
            elif isinstance(command, GiveUp):
                todo.extend(self._commit(command.batch.key, verdicts.give_up(command, self.id)))

    # --- the store ---

    def _read(self, key: Key) -> list[Command]:
        """Look whether there is a verdict; what is found is told to the machine and the job."""
        if (batch := self.machine.batch(key)) is None:
            return []
        try:
            data = self._fetcher.get(keys.verdict(*key))
            verdict, body = reading.verdict_in(data, *key, batch.source.made, self.store.url)
        except ObjectMissing:
            self._trouble.pop(key, None)
            return self.machine.found(key, None, self._clock.now())
        except WrensError as error:
            return self._in_trouble(key, error, lambda: self._read(key))
        self._trouble.pop(key, None)
        commands = self.machine.found(key, verdict, self._clock.now())
        # Ended before anybody learns of the verdict: what is cancelled begins nothing more.
        self.backend.cancel([command.attempt for command in commands if isinstance(command, Stop)])
        self._settle(verdict, body, batch)
        return [command for command in commands if not isinstance(command, Stop)]

    def _commit(self, key: Key, verdict: Verdict) -> list[Command]:
        """Create a verdict of our own; whoever's is there afterwards counts."""
        try:
            self.store.put(keys.verdict(*key), envelope.seal(verdict), mode="if_absent")
        except AlreadyExists:
            pass
        except StoreError as error:
            return self._in_trouble(key, error, lambda: self._commit(key, verdict))
        return self._read(key)

    def _in_trouble(self, key: Key, error: WrensError, again: Callable[[], list[Command]]) -> list[Command]:
        """Try again later after a failure of the store; after too many, the job is broken."""
        count = self._trouble[key] = self._trouble.get(key, 0) + 1
        if count >= TROUBLE or not isinstance(error, StoreError):
            self._refused(key[0], error)
            return []
        self._look_again.append((self._clock.now() + min(5.0, AGAIN_S * 2 ** (count - 1)), again))
        self._look_again.sort(key=lambda item: item[0])
        return []

    def _settle(self, verdict: Verdict, body: memoryview, batch: Batch) -> None:
        job = self._jobs.get(verdict.job)
        if job is None:
            return
        self.signs.settled(verdict, batch)
        try:
            job.settle(verdict, body)
        except WrensError as error:
            self._break(job.id, error)

    def _retire_soon(self, job: Job[Any]) -> None:
        """Follow a job no longer; from any thread, and when the driver has ended at once."""
        try:
            self.post(lambda: self._retire(job))
        except RuntimeError:
            self._retire(job)

    def _retire(self, job: Job[Any]) -> None:
        """Follow a job no longer: it has ended, or nobody wants it any more."""
        if self._jobs.pop(job.id, None) is None:
            return
        self._shared.discard(job.id)
        p = job.progress
        self.signs.ended(job.id, p.ok, p.failed + p.cancelled)

    # --- what becomes due by itself ---

    def _look_around(self, now: float) -> None:
        while self._look_again and self._look_again[0][0] <= now:
            _, again = self._look_again.pop(0)
            self._perform(again())
        if now >= self._sweep_at and (self.watchers or not self.machine.idle):
            self._sweep(now)
        if now >= self.signs.due_at:
            self.signs.beat(now, self._jobs)

    def _sweep(self, now: float) -> None:
        """List the verdicts of every job that has open batches, and read those that are news."""
        self._sweep_at = now + (SHARED_SWEEP_S if self._shared else SWEEP_S)
        for watcher in list(self.watchers):
            watcher()
        for job_id in self.machine.jobs():
            # A job of submitted calls may have had any number of verdicts before the first that is missing.
            first = min(name for _, name in self.machine.unsettled(job_id))
            listing = self.store.list(keys.verdicts(job_id), after=keys.verdict(job_id, first[:-1]))
            try:
                found = [keys.basename(key) for key in listing]
            except StoreError:
                continue  # it is looked at again with the next sweep, and each read counts its trouble
            news = [batch for batch in found if self.machine.batch((job_id, batch)) is not None]
            for batch in self._fetcher.together(news, partial(keys.verdict, job_id)):
                self._perform(self._read((job_id, batch)))

    # --- breaking ---

    def _refused(self, job_id: str, error: WrensError) -> None:
        """Stop a job that no worker can go on with: trying again would only use up its tries."""
        job = self._jobs.get(job_id)
        if job is not None:
            error.add_note(losses.what_is_kept(job_id, job.progress.ok, job.progress.planned))
        self._break(job_id, error)

    def _break(self, job_id: str, error: BaseException) -> None:
        self.backend.cancel(self.machine.attempts_of(job_id))
        self.machine.forget(job_id)
        job = self._jobs.get(job_id)
        if job is not None:
            job.break_(error)
            self._retire(job)

    def cancel(self, job_id: str, tasks: Sequence[int] | None) -> None:
        """Have tasks settled as cancelled, or with ``None`` a whole job; from any thread.

        What is cancelled in one go is looked up in one go: a program that cancels ten thousand futures must
        not cost ten thousand searches.
        """
        self._cancelled.append((job_id, tasks))
        self.post(self._carry_out_cancels)

    def _carry_out_cancels(self) -> None:
        wanted: dict[str, set[int] | None] = {}
        while self._cancelled:
            job_id, tasks = self._cancelled.popleft()
            before = wanted.setdefault(job_id, set())
            if tasks is None or before is None:
                wanted[job_id] = None
            else:
                before.update(tasks)
        for job_id, some in wanted.items():
            self._perform(self.machine.cancel(job_id, some))

    def cancel_waiting(self) -> None:
        """Settle as cancelled whatever no worker has been given; in the driver's thread."""
        self._perform(self.machine.cancel_waiting())

    def leave(self, job_id: str) -> None:
        """Forget a job's batches; what is running may finish. In the driver's thread."""
        self.machine.forget(job_id)
        if (job := self._jobs.get(job_id)) is not None:
            self._retire(job)
