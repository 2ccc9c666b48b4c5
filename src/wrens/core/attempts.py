"""The life of a batch, as a pure machine.

    ready ──launch──▶ running ──verdict found──▶ settled (children become ready)
      ▲                 │  │
      │◀──lost, alone───┘  └──slow──▶ running twice ──first verdict──▶ settled
      │
      └── lost with neighbours, cancelled, given up: a verdict of the driver's own settles it

Given what has happened and what time it is, the machine says what to do next, as commands. It does none of
it: no store, backend, clock or random number is reached from here, so the property tests and a simulator run
the very same decisions.

Invariants, each held by ``tests/property/test_attempts.py``: a batch leaves the machine only by a verdict
that is in the store; every task is in exactly one batch that is ready or running, or settled; whatever the
order of events, the number of launches is bounded by the policy; whenever nothing is running, nothing to be
launched is left out but what waits for its back-off.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from wrens.core import deadlines
from wrens.core import packing as pack
from wrens.core.batches import Batch, Command, GiveUp, HandOn, Key, Launch, Read, Rules, Running, Stop
from wrens.core.losses import UNSEEN, isolate, overdue, was_overdue
from wrens.core.policy import Backup
from wrens.core.stragglers import Stragglers
from wrens.core.unsettled import Unsettled
from wrens.core.waiting import Waiting
from wrens.wire import keys
from wrens.wire.handing_on import runs
from wrens.wire.records import Child, Loss, Verdict

REMEMBERED = 1000
"""How many ends of unknown attempts are remembered; notices come late by moments, not by a thousand."""
NEVER_BEGUN = 10
"""How often an attempt may be lost before a worker has begun it, until that is the task's failure."""


class Machine:
    """Says what to do next about every batch of one driver.

    Args:
        capacity: How many attempts may run at a time.
        driver: Id of the driver, which makes its attempts' names unique; without a dot.
        launch_s: Seconds that the backend takes to launch, for the length of batches.
        worker_s: Seconds after which the platform ends a worker; ``None`` for no limit.

    A batch is added, launched, and gone when its verdict was found:

    >>> from wrens.core.batches import Source
    >>> from wrens.core.policy import Packing
    >>> from wrens.wire.records import Policy
    >>> machine = Machine(capacity=1, driver="d", launch_s=0.001)
    >>> rules = Rules(policy=Policy(), packing=Packing())
    >>> source = Source(function="f", call="one", page=0, offset=0, length=0, origin=0)
    >>> machine.add([Batch("job", "00000000", 0, 1, source, rules)])
    >>> [launch] = machine.launches(now=0.0)
    >>> machine.committed(launch.attempt, "", now=1.0)
    [Read(key=('job', '00000000'))]
    >>> verdict = Verdict(1, "job", "00000000", launch.attempt, 0, 1, ok=((0, 1),))
    >>> machine.found(("job", "00000000"), verdict, now=1.0), machine.idle
    ([], True)
    """

    def __init__(self, *, capacity: int, driver: str, launch_s: float, worker_s: float | None = None) -> None:
        self.capacity = capacity
        self.pace = pack.Pace()
        self._driver = driver
        self._launch_s = launch_s
        self._worker_s = worker_s
        self._batches = Unsettled()
        self._waiting = Waiting()
        self._running: dict[str, Running] = {}
        self._deadlines = deadlines.Deadlines(self._running)
        self._early: dict[Key, list[Loss]] = {}
        self._stragglers = Stragglers()
        self._gone: OrderedDict[str, Loss | None] = OrderedDict()
        self._winding_up = False
        self._launched = 0

    # --- what there is ---

    @property
    def idle(self) -> bool:
        """No batch is without a verdict."""
        return not self._batches

    @property
    def free(self) -> int:
        """How many more attempts could run now."""
        return max(0, self.capacity - len(self._running))

    def waiting_of(self, job: str) -> int:
        """Return how many batches of this job are ready to be launched, about."""
        return self._waiting.of(job)

    @property
    def running(self) -> int:
        """How many attempts are running."""
        return len(self._running)

    def unsettled(self, job: str) -> list[Key]:
        """Return the batches of ``job`` that have no verdict."""
        return self._batches.of(job)

    def jobs(self) -> set[str]:
        """Return the jobs that have batches without a verdict."""
        return self._batches.jobs()

    def batch(self, key: Key) -> Batch | None:
        """Return a batch that has no verdict, or ``None``."""
        return self._batches.get(key)

    def key_of(self, attempt: str) -> Key | None:
        """Return the batch that a running attempt works at, or ``None`` when it is not running."""
        running = self._running.get(attempt)
        return None if running is None else running.key

    # --- events ---

    def add(self, batches: Iterable[Batch]) -> None:
        """Take up batches that are in the store; root batches of a page, or what a verdict handed on."""
        for batch in batches:
            if batch.key in self._batches:
                continue
            self._batches.add(batch)
            self._waiting.add(batch)

    def committed(self, attempt: str, goes_on_as: str, now: float) -> list[Command]:
        """Take the backend's word that a verdict may be there, and that the worker is free or goes on."""
        running = self._running.pop(attempt, None)
        if running is None:
            return self._unheard_of(attempt, None)
        batch = self._batches.get(running.key)
        if batch is not None:
            batch.live.discard(attempt)
        if goes_on_as:
            self._go_on(running, goes_on_as, now)
        if batch is None:
            return []
        # Should there be no verdict in spite of what was said, the attempt counts as lost.
        batch.undecided = Loss(reason="it was reported as done, but left no verdict", attempt=attempt)
        return [Read(running.key)]

    def lost(self, attempt: str, loss: Loss, now: float) -> list[Command]:
        """Take the backend's word that an attempt is over; whether it had committed is to be looked up."""
        running = self._running.pop(attempt, None)
        if running is None:
            return self._unheard_of(attempt, loss)
        if running.overdue:
            loss = overdue(loss, now - running.launched_at)
        batch = self._batches.get(running.key)
        if batch is None:
            # Its parent's verdict, in which it is named, has not been read yet.
            self._early.setdefault(running.key, []).append(loss)
            return []
        batch.live.discard(attempt)
        batch.evidence.append(loss)
        batch.undecided = loss
        return [Read(running.key)]

    def interrupted(self, attempt: str) -> list[Command]:
        """Settle as cancelled what an attempt was at when the user stopped it."""
        running = self._running.pop(attempt, None)
        batch = None if running is None else self._batches.get(running.key)
        if batch is None:
            return []
        batch.live.discard(attempt)
        batch.cancelled.update(range(batch.start, batch.start + batch.count))
        return self._hand_on_cancelled(batch)

    def found(self, key: Key, verdict: Verdict | None, now: float) -> list[Command]:
        """Tell what a look into the store showed: the batch's verdict, or that there is none yet."""
        batch = self._batches.get(key)
        if batch is None:
            return []
        if verdict is None:
            return self._decide(batch, now)
        self._batches.pop(key)
        self._learn(batch, verdict)
        winner = verdict.attempt if verdict.attempt in batch.live else ""
        commands: list[Command] = [self._stop(attempt) for attempt in sorted(batch.live - {winner})]
        if winner:
            self._leave_to_its_notice(winner, verdict, now)
        for index, child in enumerate(verdict.children):
            commands.extend(self._add_child(batch, Batch.child_of(batch, index, child), child, now))
        return commands

    def tick(self, now: float) -> list[Command]:
        """Say what has become due: attempts past their deadline are to be ended.

        One of which the backend then says no word, because there is none to be had or it got lost, is taken
        for lost a little later, or its place would stay taken for ever.
        """
        commands: list[Command] = []
        while (attempt := self._deadlines.pop(now)) is not None:
            running = self._running[attempt]
            if running.overdue:
                commands.extend(self.lost(attempt, Loss(reason="no word of it", attempt=attempt), now))
            else:
                running.overdue = True
                self._expect(attempt, running, now + deadlines.GRACE_S)
                commands.append(Stop(attempt, lost=True))
        return commands

    def cancel(self, job: str, tasks: Iterable[int] | None) -> list[Command]:
        """Settle tasks of a job as cancelled: some that have not begun, or (``None``) all that is left.

        Tasks of a batch that is running are cancelled only with the whole job.
        """
        commands: list[Command] = []
        if tasks is None:
            for key in self.unsettled(job):
                batch = self._batches[key]
                batch.cancelled.update(range(batch.start, batch.start + batch.count))
                commands.extend(self._hand_on_cancelled(batch))
            return commands
        wanted = set(tasks)
        if not wanted:
            return commands
        for key in self.unsettled(job):
            batch = self._batches[key]
            mine = wanted.intersection(range(batch.start, batch.start + batch.count))
            if mine and not batch.live:
                batch.cancelled |= mine
                commands.extend(self._hand_on_cancelled(batch))
        return commands

    def cancel_waiting(self) -> list[Command]:
        """Settle as cancelled every batch that is not running, of all jobs, and what the others hand on."""
        self._winding_up = True
        commands: list[Command] = []
        for batch in self._batches.all():
            if not batch.live:
                batch.cancelled.update(range(batch.start, batch.start + batch.count))
                commands.extend(self._hand_on_cancelled(batch))
        return commands

    def drop(self, key: Key) -> list[str]:
        """Forget one batch; returns its attempts that are running, which should be ended."""
        batch = self._batches.pop(key)
        return [] if batch is None else sorted(batch.live)

    def forget(self, job: str) -> None:
        """Drop a job without settling it: its data is being deleted, or this driver leaves it."""
        for key in self.unsettled(job):
            self._batches.pop(key)
        self._stragglers.forget(job)

    # --- decisions ---

    def withdraw(self, attempt: str) -> None:
        """Take back a launch that was not carried out."""
        running = self._running.pop(attempt, None)
        if running is not None and (batch := self._batches.get(running.key)) is not None:
            batch.live.discard(attempt)
            self._waiting.add(batch)

    def attempts_of(self, job: str) -> list[str]:
        """Return the attempts of this job that are running."""
        return [attempt for attempt, running in self._running.items() if running.key[0] == job]

    def launches(self, now: float) -> list[Launch]:
        """Say which attempts to launch now: what is ready, in order of task; then backups."""
        self._waiting.come_due(now)
        found: list[Launch] = []
        while self._waiting and self.free > 0:
            batch = self._batches.get(self._waiting.pop())
            if batch is None or batch.live or batch.settling:
                continue
            found.append(self._launch(batch, now, backup=False))
        if self.free > 0 and not self._waiting and self._batches.any_backup:
            found.extend(self._backups(now))
        return found

    def next_due(self, now: float) -> float | None:
        """Return when something becomes due by itself, or ``None`` when nothing will."""
        looking = now + 0.25 if self._running and self._batches.any_backup else None
        times = (self._deadlines.next(), self._waiting.next_due(), looking)
        return min((at for at in times if at is not None), default=None)

    def _launch(self, batch: Batch, now: float, *, backup: bool) -> Launch:
        # Batches of two jobs have the same names, so the number is what tells their attempts apart.
        attempt = f"{batch.name}.{self._launched}-{self._driver}"
        self._launched += 1
        look_first = batch.adopted or batch.launches > 0
        batch.launches += 1
        batch.live.add(attempt)
        batch.undecided = None
        per_task = self.pace.per_task(batch.source.function)
        target_s = pack.batch_seconds(batch.rules.packing, self._launch_s)
        sharing = pack.sharing(
            batch.count,
            packing=batch.rules.packing,
            workers=self.capacity,
            per_task_s=per_task,
            target_s=target_s,
        )
        limit = deadlines.task_limit(batch.rules.policy, self._worker_s)
        deadline = now + deadlines.allowance_s(batch, sharing, limit, self._worker_s)
        self._expect(attempt, Running(batch.key, now, deadline, limit), deadline)
        return Launch(batch, attempt, sharing, look_first, backup)

    def _decide(self, batch: Batch, now: float) -> list[Command]:
        loss = batch.undecided
        if loss is None or batch.live or batch.settling:
            return []
        batch.undecided = None
        late = was_overdue(loss)
        if not loss.started:
            never = sum(not each.started for each in batch.evidence)
            if never < NEVER_BEGUN:
                batch.not_before = now + 0.05 * 2**never
                self._waiting.add(batch)
                return []
        elif batch.count > 1:
            children = isolate(batch, loss)
            for index, child in enumerate(children):
                if child.losses:
                    self._early[batch.job, keys.child(batch.name, index)] = [loss]
            batch.settling = True
            return [HandOn(batch, (), children)]
        else:
            batch.losses += 1
            if batch.losses < batch.rules.lost and not (late and batch.rules.policy.timeout_s):
                batch.not_before = now + batch.rules.backoff_s * 2 ** (batch.losses - 1)
                self._waiting.add(batch)
                return []
        batch.settling = True
        return [GiveUp(batch, tuple(batch.evidence or [loss]), late)]

    def _hand_on_cancelled(self, batch: Batch) -> list[Command]:
        if batch.settling:
            return []
        batch.settling = True
        cancelled = tuple(sorted(batch.cancelled))
        rest = runs(
            (t for t in range(batch.start, batch.start + batch.count) if t not in batch.cancelled), 0.0, 1.0
        )
        children = tuple(Child(start, count, batch.tries, batch.losses) for start, count in rest)
        return [HandOn(batch, cancelled, children)]

    def _add_child(self, parent: Batch, batch: Batch, child: Child, now: float) -> list[Command]:
        evidence = self._early.pop(batch.key, [])
        batch.evidence.extend(evidence)
        batch.not_before = now + self._backoff(parent.rules, child)
        running = self._running.get(child.running_in)
        if running is not None and running.key == batch.key:
            batch.live.add(child.running_in)
            batch.launches = 1
            self._batches.add(batch)
            return self._inherit(parent, batch)
        if child.running_in and not evidence:
            # The attempt that went on with it is another driver's, or was lost unseen.
            batch.adopted = True
        late = bool(evidence) and was_overdue(evidence[-1]) and batch.rules.policy.timeout_s is not None
        if child.count == 1 and child.losses and (child.losses >= batch.rules.lost or late):
            # It is alone only because it has taken its worker with it, and that was its last time.
            batch.settling = True
            self._batches.add(batch)
            return [GiveUp(batch, tuple(evidence or [UNSEEN]), late)]
        self.add([batch])
        return self._inherit(parent, batch)

    def _inherit(self, parent: Batch, batch: Batch) -> list[Command]:
        """Cancel what was to be cancelled in the parent, had its own verdict not come first."""
        tasks = range(batch.start, batch.start + batch.count)
        batch.cancelled.update(
            tasks if self._winding_up and not batch.live else parent.cancelled.intersection(tasks)
        )
        return self._hand_on_cancelled(batch) if batch.cancelled else []

    @staticmethod
    def _backoff(rules: Rules, child: Child) -> float:
        again = max(child.tries, child.losses)
        return rules.backoff_s * 2 ** (again - 1) if again else 0.0

    def _backups(self, now: float) -> list[Launch]:
        found: list[Launch] = []
        for attempt, running in list(self._running.items()):
            batch = self._batches.get(running.key)
            if batch is None or batch.rules.backup is None or batch.settling or self.free == 0:
                continue
            ran_s = now - running.launched_at
            if batch.live == {attempt} and self._slow(batch, batch.rules.backup, ran_s):
                found.append(self._launch(batch, now, backup=True))
        return found

    def _slow(self, batch: Batch, backup: Backup, ran_s: float) -> bool:
        left = self._batches.tasks(batch.job)
        return self._stragglers.is_slow(batch.job, backup, ran_s=ran_s, tasks=batch.count, left=left)

    def _learn(self, batch: Batch, verdict: Verdict) -> None:
        ended = sum(count for _, count in verdict.ok) + len(verdict.failures)
        seconds = max(0.0, verdict.usage.wall_s - verdict.usage.setup_s)
        self._stragglers.learn(batch.job, seconds, ended)
        if verdict.usage.wall_s:
            self.pace.learn(batch.source.function, seconds, ended)

    def _leave_to_its_notice(self, attempt: str, verdict: Verdict, now: float) -> None:
        """Leave an attempt alone that has committed, and whose notice of that is still on its way."""
        running = self._running[attempt]
        for child in verdict.children:
            if child.running_in:
                del self._running[attempt]
                self._go_on(running, child.running_in, now)
                return
        self._expect(attempt, running, min(running.deadline, now + deadlines.GRACE_S))

    def _go_on(self, running: Running, attempt: str, now: float) -> None:
        """Note that a worker goes on under another name, unless it is known to have ended under that."""
        key = (running.key[0], attempt.rpartition(".")[0])
        if attempt not in self._gone:
            limit = running.task_limit + deadlines.GRACE_S
            self._expect(attempt, Running(key, now, now + limit, running.task_limit), now + limit)
        elif (loss := self._gone.pop(attempt)) is not None:
            self._early.setdefault(key, []).append(loss)

    def _unheard_of(self, attempt: str, loss: Loss | None) -> list[Command]:
        """Remember the end of an attempt that is not known, should a late notice tell of its beginning."""
        self._gone[attempt] = loss
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)
        return []

    def _stop(self, attempt: str) -> Stop:
        self._running.pop(attempt, None)
        return Stop(attempt, lost=False)

    def _expect(self, attempt: str, running: Running, deadline: float) -> None:
        """Count with this attempt as running, until its deadline."""
        running.deadline = deadline
        self._running[attempt] = running
        self._deadlines.note(attempt)
