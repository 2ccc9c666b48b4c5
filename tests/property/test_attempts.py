"""The attempt machine in a world where anything may happen, in any order.

The world is a dict of verdicts, in which a key is set once, and attempts in flight that finish, hand on, die
before or after their commit, report late, twice or never begin. One or two machines work on the same job.
What a task does is fixed beforehand: it returns, raises some times, or takes its worker with it whenever it
is run. Whatever happened, in the end all is quiet and each task is settled once; and when nothing but the
tasks themselves went wrong, it is known how each of them ends.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from wrens.core import attempts as machines
from wrens.core import verdicts
from wrens.core.attempts import Machine
from wrens.core.batches import Batch, Command, GiveUp, HandOn, Key, Launch, Read, Rules, Source, Stop
from wrens.core.policy import Backup, Packing
from wrens.wire import keys
from wrens.wire.handing_on import cut
from wrens.wire.records import Child, Failure, Loss, Policy, Sharing, Usage, Verdict

JOB = "job"
SOURCE = Source(function="f", call="one", page=0, offset=0, length=1, origin=0)
LONG_S = 10 * 24 * 3600.0
"""Longer than any deadline."""


@dataclass
class Flight:
    """An attempt as its worker sees it."""

    attempt: str
    key: Key
    start: int
    count: int
    tries: int
    losses: int
    over: bool = False
    """Nothing more is run or written."""
    notices: deque[tuple[str, str, Loss | None]] = field(default_factory=deque)


@dataclass
class Site:
    """A driver: its machine, its flights, and commands that a store in trouble has put off."""

    machine: Machine
    flights: list[Flight] = field(default_factory=list)
    put_off: deque[Command] = field(default_factory=deque)
    settled: set[Key] = field(default_factory=set)
    launches: Counter[Key] = field(default_factory=Counter)
    cancelled: bool = False
    """The whole job was."""


def root(number: int, start: int, count: int, rules: Rules, *, adopted: bool) -> Batch:
    return Batch(JOB, keys.batch(number), start, count, SOURCE, rules, adopted=adopted)


def tasks_of(verdict: Verdict) -> list[int]:
    """Return every task that a verdict speaks of, as often as it does."""
    found = [t for start, count in verdict.ok for t in range(start, start + count)]
    found += [task for task, _ in verdict.failures]
    return found + [t for child in verdict.children for t in range(child.start, child.start + child.count)]


class World(RuleBasedStateMachine):
    """Faults of every kind; the calm world below has none but the tasks' own."""

    faults = True
    machines_at_work = (1, 2)

    # --- the beginning ---

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        draw = data.draw
        self.rules = Rules(
            policy=Policy(
                timeout_s=draw(st.sampled_from([None, 5.0])),
                retry_on=("builtins:ValueError",),
                tries=draw(st.integers(1, 3)),
            ),
            packing=Packing(size=draw(st.sampled_from([None, 3]))),
            lost=draw(st.integers(1, 3)),
            backoff_s=draw(st.sampled_from([0.0, 1.0])),
            backup=draw(st.sampled_from([None, Backup(slowness=1.0, after=0.0)])),
        )
        counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
        self.tasks = sum(counts)
        every = st.sets(st.integers(0, self.tasks - 1), max_size=2)
        self.poisoned = draw(every)
        self.raises = dict.fromkeys(draw(every), 1) | dict.fromkeys(draw(every), 99)
        self.calls: Counter[int] = Counter()
        self.losses_of_tasks: Counter[int] = Counter()
        self.cancelled: set[int] = set()
        self.store: dict[Key, Verdict] = {}
        self.now = 1.0
        self.sites = []
        for name in "ab"[: draw(st.sampled_from(self.machines_at_work))]:
            site = Site(Machine(capacity=draw(st.integers(1, 4)), driver=name, launch_s=0.001))
            starts = [sum(counts[:i]) for i in range(len(counts))]
            site.machine.add(
                root(i, start, count, self.rules, adopted=name == "b")
                for i, (start, count) in enumerate(zip(starts, counts, strict=True))
            )
            self.sites.append(site)
        self.roots = len(counts)

    # --- what drivers do ---

    @rule(data=st.data())
    def launch(self, data: st.DataObject) -> None:
        self.launch_at(data.draw(st.sampled_from(self.sites)))

    def launch_at(self, site: Site, *, withdraw: bool = False) -> None:
        for launch in site.machine.launches(self.now):
            self.check_launch(site, launch)
            if withdraw:
                task = launch.batch.start
                self.cancelled.add(task)
                site.machine.withdraw(launch.attempt)
                self.perform(site, site.machine.cancel(JOB, [task]))
                continue
            site.launches[launch.batch.key] += 1
            batch = launch.batch
            flight = Flight(launch.attempt, batch.key, batch.start, batch.count, batch.tries, batch.losses)
            site.flights.append(flight)
            if launch.look_first and batch.key in self.store:
                self.report(flight)

    def check_launch(self, site: Site, launch: Launch) -> None:
        batch = launch.batch
        assert not site.cancelled, "nothing of a cancelled job is launched"
        assert batch.key not in site.settled, "a batch that is known to be settled is never launched again"
        assert not batch.settling
        others = batch.live - {launch.attempt}
        assert len(others) <= 1, "a batch runs twice at most"
        assert launch.backup == bool(others)
        assert not launch.backup or self.rules.backup is not None

    @rule(data=st.data(), late=st.booleans())
    def deliver(self, data: st.DataObject, late: bool) -> None:
        waiting = [(site, f) for site in self.sites for f in site.flights if f.notices]
        if waiting:
            site, flight = data.draw(st.sampled_from(waiting), label="notice")
            self.deliver_one(site, flight, twice=late and self.faults)

    def deliver_one(self, site: Site, flight: Flight, *, twice: bool = False) -> None:
        attempt, goes_on_as, loss = flight.notices.popleft()
        for _ in range(1 + twice):
            if loss is None:
                self.perform(site, site.machine.committed(attempt, goes_on_as, self.now))
            else:
                self.perform(site, site.machine.lost(attempt, loss, self.now))

    @rule(data=st.data())
    def sweep(self, data: st.DataObject) -> None:
        self.sweep_at(data.draw(st.sampled_from(self.sites)))

    def sweep_at(self, site: Site) -> None:
        for key in sorted(self.store):
            if site.machine.batch(key) is not None:
                self.perform(site, self.read(site, key))

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 60.0, 90.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.let_pass(seconds)

    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        for site in self.sites:
            self.perform(site, site.machine.tick(self.now))

    @rule(data=st.data())
    def catch_up(self, data: st.DataObject) -> None:
        site = data.draw(st.sampled_from(self.sites))
        todo, site.put_off = list(site.put_off), deque()
        self.perform(site, todo)

    def perform(self, site: Site, commands: Iterable[Command]) -> None:
        todo = deque(commands)
        while todo:
            command = todo.popleft()
            if isinstance(command, Read):
                todo.extend(self.read(site, command.key))
            elif isinstance(command, Stop):
                self.stop(site, command.attempt)
            elif isinstance(command, HandOn | GiveUp):
                assert command.batch.key not in site.settled
                make: Any = verdicts.hand_on if isinstance(command, HandOn) else verdicts.give_up
                self.put(make(command, "driver"))
                todo.extend(self.read(site, command.batch.key))

    def read(self, site: Site, key: Key) -> list[Command]:
        verdict = self.store.get(key)
        if verdict is not None:
            if site.machine.batch(key) is None:
                return []
            site.settled.add(key)
        return site.machine.found(key, verdict, self.now)

    def put(self, verdict: Verdict) -> bool:
        """Create a verdict unless there is one; returns whether it was created."""
        expected = list(range(verdict.start, verdict.start + verdict.count))
        assert sorted(tasks_of(verdict)) == expected, "a verdict speaks of each task of its batch once"
        key = (verdict.job, verdict.batch)
        if key in self.store:
            return False
        self.store[key] = verdict
        return True

    def stop(self, site: Site, attempt: str) -> None:
        for flight in site.flights:
            if flight.attempt == attempt and not flight.over:
                self.report(flight, Loss("cancelled", attempt=attempt, task=-1))

    # --- what workers do ---

    def flying(self) -> list[Flight]:
        return [f for site in self.sites for f in site.flights if not f.over]

    @precondition(lambda self: self.flying())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.finish_one(
            data.draw(st.sampled_from(self.flying()), label="flight"), told=data.draw(st.booleans())
        )

    def finish_one(self, flight: Flight, *, told: bool = True) -> None:
        end = flight.start + flight.count
        bad = [t for t in range(flight.start, end) if t in self.poisoned]
        if bad:
            for task in range(flight.start, bad[0] + 1):
                self.calls[task] += 1
            self.losses_of_tasks[bad[0]] += 1
            loss = Loss("it died", attempt=flight.attempt, signal=9, task=bad[0] if told else -1)
            self.report(flight, loss)
            return
        self.commit(flight, flight.count)
        self.report(flight)

    @precondition(lambda self: self.flying())
    @rule(data=st.data(), busy=st.booleans())
    def hand_on(self, data: st.DataObject, busy: bool) -> None:
        flight = data.draw(st.sampled_from(self.flying()), label="flight")
        safe = [t for t in range(flight.start, flight.start + flight.count) if t in self.poisoned]
        most = min(flight.count - 1, safe[0] - flight.start if safe else flight.count)
        if most >= 1 or (busy and flight.count > 1):
            over = data.draw(st.integers(0 if busy else 1, max(most, 0)), label="over")
            self.hand_on_at(flight, over, busy=busy)

    def hand_on_at(self, flight: Flight, over: int, *, busy: bool) -> None:
        at = flight.start + over
        rest = flight.count - over - busy
        children = [
            Child(*piece, flight.tries, flight.losses) for piece in cut(at + busy, rest, 1.0, Sharing(ways=2))
        ]
        key, before = flight.key, flight.attempt
        if busy:
            name = keys.child(key[1], 0)
            flight_as = f"{name}.{before.rpartition('.')[2]}"
            children.insert(0, Child(at, 1, flight.tries, flight.losses, flight_as))
        if not self.commit(flight, over, children):
            self.report(flight)
        elif busy:
            flight.attempt, flight.key = flight_as, (JOB, name)
            flight.start, flight.count = at, 1
            flight.notices.append((before, flight_as, None))
        else:
            self.report(flight)

    def commit(self, flight: Flight, over: int, children: Iterable[Child] = ()) -> bool:
        """Run the first tasks of a flight and write the verdict."""
        ok, failures, again = [], [], []
        for task in range(flight.start, flight.start + over):
            self.calls[task] += 1
            if self.calls[task] > self.raises.get(task, 0):
                ok.append((task, 1))
            elif flight.tries + 1 < self.rules.policy.tries:
                again.append(Child(task, 1, flight.tries + 1, flight.losses))
            else:
                failures.append((task, Failure("user", "ValueError", "no")))
        return self.put(
            Verdict(
                1,
                JOB,
                flight.key[1],
                flight.attempt,
                flight.start,
                flight.count,
                ok=tuple(ok),
                failures=tuple(failures),
                children=(*children, *again),
                usage=Usage(wall_s=0.1 * max(1, over)),
            )
        )

    def report(self, flight: Flight, loss: Loss | None = None) -> None:
        flight.over = True
        flight.notices.append((flight.attempt, "", loss))

    # --- faults ---

    @precondition(lambda self: self.faults and self.flying())
    @rule(data=st.data(), committed=st.booleans(), started=st.booleans(), told=st.booleans())
    def lose(self, data: st.DataObject, committed: bool, started: bool, told: bool) -> None:
        flight = data.draw(st.sampled_from(self.flying()), label="flight")
        tasks = range(flight.start, flight.start + flight.count)
        if committed and not self.poisoned.intersection(tasks):
            self.commit(flight, flight.count)
        task = data.draw(st.sampled_from(tasks)) if told and started else -1
        self.report(flight, Loss("it went away", attempt=flight.attempt, task=task, started=started))

    @precondition(lambda self: self.faults and self.flying())
    @rule(data=st.data())
    def lie(self, data: st.DataObject) -> None:
        """Report as done what has left no verdict."""
        self.report(data.draw(st.sampled_from(self.flying()), label="flight"))

    @precondition(lambda self: self.faults)
    @rule(data=st.data())
    def withdraw_launches(self, data: st.DataObject) -> None:
        self.launch_at(data.draw(st.sampled_from(self.sites)), withdraw=True)

    @precondition(lambda self: self.faults)
    @rule(data=st.data())
    def trouble(self, data: st.DataObject) -> None:
        """A store in trouble puts off what a notice has led to."""
        waiting = [(site, f) for site in self.sites for f in site.flights if f.notices]
        if waiting:
            site, flight = data.draw(st.sampled_from(waiting), label="notice")
            attempt, goes_on_as, loss = flight.notices.popleft()
            if loss is None:
                site.put_off.extend(site.machine.committed(attempt, goes_on_as, self.now))
            else:
                site.put_off.extend(site.machine.lost(attempt, loss, self.now))

    @precondition(lambda self: self.faults)
    @rule(data=st.data(), how=st.sampled_from(["job", "some", "waiting"]))
    def cancel(self, data: st.DataObject, how: str) -> None:
        site = data.draw(st.sampled_from(self.sites))
        if how == "job":
            self.cancelled.update(range(self.tasks))
            site.cancelled = True
            self.perform(site, site.machine.cancel(JOB, None))
        elif how == "waiting":
            self.cancelled.update(range(self.tasks))
            self.perform(site, site.machine.cancel_waiting())
        else:
            some = data.draw(st.sets(st.integers(0, self.tasks - 1), max_size=3))
            self.cancelled |= some
            self.perform(site, site.machine.cancel(JOB, some))

    # --- what always holds ---

    @invariant()
    def capacity_is_kept(self) -> None:
        for site in getattr(self, "sites", ()):
            assert site.machine.running <= site.machine.capacity
            assert site.machine.free == site.machine.capacity - site.machine.running

    @invariant()
    def launches_are_bounded(self) -> None:
        for site in getattr(self, "sites", ()):
            bound = (self.rules.lost + machines.NEVER_BEGUN) * (1 if self.rules.backup is None else 2)
            assert all(n <= bound for n in site.launches.values())

    @invariant()
    def no_task_is_settled_twice(self) -> None:
        if hasattr(self, "store"):
            assert max(self.outcomes()[1].values(), default=0) <= 1

    @invariant()
    def no_task_is_in_two_places(self) -> None:
        """A machine has each task in one open batch at most."""
        for site in getattr(self, "sites", ()):
            batches = [site.machine.batch(key) for key in site.machine.unsettled(JOB)]
            tasks = [t for b in batches if b is not None for t in range(b.start, b.start + b.count)]
            assert len(tasks) == len(set(tasks))

    def outcomes(self) -> tuple[dict[int, str], Counter[int]]:
        """Walk the tree of verdicts; return how each task has ended and how often it is settled."""
        how: dict[int, str] = {}
        times: Counter[int] = Counter()
        todo = [keys.batch(i) for i in range(self.roots)]
        while todo:
            name = todo.pop()
            verdict = self.store.get((JOB, name))
            if verdict is None:
                continue
            for start, count in verdict.ok:
                how.update(dict.fromkeys(range(start, start + count), "ok"))
                times.update(range(start, start + count))
            for task, failure in verdict.failures:
                how[task] = failure.kind
                times[task] += 1
            todo += [keys.child(name, i) for i in range(len(verdict.children))]
        return how, times

    # --- the end ---

    def teardown(self) -> None:
        if not hasattr(self, "sites"):
            return
        self.run_dry()
        how, times = self.outcomes()
        note(f"outcomes: {how}")
        assert times == dict.fromkeys(range(self.tasks), 1), "every task is settled, and once"
        for site in self.sites:
            assert site.machine.unsettled(JOB) == []
        self.check_outcomes(how)

    def run_dry(self) -> None:
        """Let everything happen that is to happen, without further faults."""
        for _ in range(400 * self.tasks):
            for site in self.sites:
                todo, site.put_off = list(site.put_off), deque()
                self.perform(site, todo)
                self.launch_at(site)
                for flight in list(site.flights):
                    while flight.notices:
                        self.deliver_one(site, flight)
            for flight in self.flying()[:1]:
                self.finish_one(flight)
            if all(site.machine.idle for site in self.sites):
                return
            if not self.flying() and not any(f.notices for site in self.sites for f in site.flights):
                # Nothing runs: a back-off has to pass, or one site has to notice what the other did.
                self.let_pass(LONG_S if any(site.machine.running for site in self.sites) else 700.0)
                for site in self.sites:
                    self.sweep_at(site)
        raise AssertionError("it never becomes quiet")

    def check_outcomes(self, how: dict[int, str]) -> None:
        for task, kind in how.items():
            if kind == "cancelled":
                assert task in self.cancelled
            if kind == "ok":
                assert task not in self.poisoned
            if kind == "user":
                assert task in self.raises


class CalmWorld(World):
    """Nothing goes wrong but what the tasks do, so it is known how each of them ends."""

    faults = False
    machines_at_work = (1,)

    def check_outcomes(self, how: dict[int, str]) -> None:
        tries = self.rules.policy.tries
        for task in range(self.tasks):
            if task in self.poisoned:
                assert how[task] == "system"
            elif self.raises.get(task, 0) >= tries:
                assert how[task] in {"user", "ok"}
            else:
                assert how[task] == "ok", f"task {task} has done nothing wrong"

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.let_pass(seconds)


@pytest.mark.parametrize("world", [World, CalmWorld])
def test_every_task_is_settled_once_whatever_happens(world: type[World]) -> None:
    run_state_machine_as_test(
        world,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# --- single decisions -----------------------------------------------------------------------------------


def machine_with(*batches: Batch, capacity: int = 2) -> Machine:
    machine = Machine(capacity=capacity, driver="d", launch_s=0.001)
    machine.add(batches)
    return machine


def plain(**changes: Any) -> Rules:
    return Rules(policy=Policy(), packing=Packing(), **changes)


@given(st.integers(2, 40), st.data())
def test_a_poisoned_task_is_alone_after_one_loss_when_it_is_known(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, count - 1))
    machine = machine_with(root(0, 0, count, plain(lost=1), adopted=False))
    (launch,) = machine.launches(0.0)
    (read,) = machine.lost(launch.attempt, Loss("it died", task=bad), 1.0)
    assert isinstance(read, Read)
    (command,) = machine.found(read.key, None, 1.0)
    assert isinstance(command, HandOn)
    assert [t for c in command.children for t in range(c.start, c.start + c.count)] == list(range(count))
    assert (bad, 1) in [(c.start, c.count) for c in command.children]
    follow = machine.found(read.key, verdicts.hand_on(command, "d"), 1.0)
    assert [c.batch.start for c in follow if isinstance(c, GiveUp)] == [bad]


@given(st.integers(1, 64), st.data())
def test_an_unknown_culprit_is_found_by_halving(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, count - 1))
    machine = machine_with(root(0, 0, count, plain(lost=2), adopted=False), capacity=1)
    given_up: list[int] = []
    launches, now = 0, 0.0
    while not machine.idle:
        now += 1.0
        (launch,) = machine.launches(now)
        launches += 1
        batch = launch.batch
        todo: deque[Command]
        if bad in range(batch.start, batch.start + batch.count):
            todo = deque(machine.lost(launch.attempt, Loss("it died"), now))
            verdict = None
        else:
            todo = deque(machine.committed(launch.attempt, "", now))
            verdict = Verdict(
                1, JOB, batch.name, launch.attempt, batch.start, batch.count, ok=((batch.start, batch.count),)
            )
        while todo:
            command = todo.popleft()
            if isinstance(command, Read):
                todo.extend(machine.found(command.key, verdict, now))
            elif isinstance(command, HandOn):
                todo.extend(machine.found(command.batch.key, verdicts.hand_on(command, "d"), now))
            elif isinstance(command, GiveUp):
                given_up += range(command.batch.start, command.batch.start + command.batch.count)
                todo.extend(machine.found(command.batch.key, verdicts.give_up(command, "d"), now))
    assert given_up == [bad]
    # One loss and one good half for each halving, and its own second loss.
    assert launches <= 2 * count.bit_length() + 2


def test_attempts_of_two_jobs_have_different_names() -> None:
    one, two = (root(0, 0, 1, plain(), adopted=False) for _ in range(2))
    two.job = "other"
    names = [launch.attempt for launch in machine_with(one, two).launches(0.0)]
    assert len(set(names)) == 2


def test_what_was_asked_for_first_is_launched_first() -> None:
    batches = [root(i, i, 1, plain(), adopted=False) for i in range(6)]
    for i, batch in enumerate(batches):
        batch.job, batch.turn = ("early", 1) if i % 2 == 0 else ("late", 2)
    machine = machine_with(*batches, capacity=6)
    assert [launch.batch.start for launch in machine.launches(0.0)] == [0, 2, 4, 1, 3, 5]


def test_an_attempt_is_stopped_at_its_deadline_and_once() -> None:
    rules = Rules(policy=Policy(timeout_s=5.0), packing=Packing())
    machine = machine_with(root(0, 0, 1, rules, adopted=False))
    (launch,) = machine.launches(0.0)
    due = machine.next_due(0.0)
    assert due is not None
    assert machine.tick(due - 0.1) == []
    assert machine.tick(due) == [Stop(launch.attempt, lost=True)]
    assert machine.tick(due + 1) == []
    (read,) = machine.lost(launch.attempt, Loss("killed"), due + 1)
    assert isinstance(read, Read)
    (command,) = machine.found(read.key, None, due + 1)
    assert isinstance(command, GiveUp)
    assert command.overdue


def test_a_loss_before_the_worker_began_is_not_the_tasks_fault_for_long() -> None:
    machine = machine_with(root(0, 0, 3, plain(lost=1), adopted=False))
    for launched in range(1, 3 * machines.NEVER_BEGUN):
        (launch,) = machine.launches(1000.0 * launched)
        (read,) = machine.lost(launch.attempt, Loss("no room", started=False), 1000.0 * launched)
        assert isinstance(read, Read)
        if commands := machine.found(read.key, None, 1000.0 * launched):
            break
    assert launched == machines.NEVER_BEGUN
    assert isinstance(commands[0], GiveUp)
    assert len(commands[0].evidence) == launched


def test_a_committed_attempt_whose_notice_is_on_its_way_is_not_stopped() -> None:
    machine = machine_with(root(0, 0, 4, plain(), adopted=False), capacity=1)
    (launch,) = machine.launches(0.0)
    name = f"{keys.batch(0)}.0.{launch.attempt.rpartition('.')[2]}"
    children = (Child(1, 1, running_in=name), Child(2, 2))
    verdict = Verdict(1, JOB, keys.batch(0), launch.attempt, 0, 4, ok=((0, 1),), children=children)
    assert machine.found((JOB, keys.batch(0)), verdict, 1.0) == []
    assert machine.launches(1.0) == []
    assert machine.attempts_of(JOB) == [name]
    # The notice comes after all, and changes nothing.
    assert machine.committed(launch.attempt, name, 1.1) == []
    assert machine.attempts_of(JOB) == [name]
    assert machine.committed(name, "", 2.0) == [Read((JOB, f"{keys.batch(0)}.0"))]


def test_a_cancel_reaches_what_was_handed_on_in_the_meantime() -> None:
    machine = machine_with(root(0, 0, 4, plain(), adopted=False))
    (launch,) = machine.launches(0.0)
    (command,) = machine.cancel(JOB, None)
    assert isinstance(command, HandOn)
    children = (Child(1, 1), Child(2, 2))
    theirs = Verdict(1, JOB, keys.batch(0), launch.attempt, 0, 4, ok=((0, 1),), children=children)
    follow = machine.found((JOB, keys.batch(0)), theirs, 1.0)
    cancelled = [t for c in follow if isinstance(c, HandOn) for t in c.cancelled]
    assert cancelled == [1, 2, 3]
    assert machine.launches(1.0) == []
