"""One attempt in this process: inputs that will not load, references, failures of the set-up."""

from __future__ import annotations

import sys

import msgspec
import pytest

from wrens.clock import VirtualClock
from wrens.errors import ObjectMissing, StoreUnavailable, TaskTimeout, VersionMismatch
from wrens.serialize import Pack, pack, resolving
from wrens.store import MeteredStore, open_store
from wrens.testing.small_jobs import SmallJob
from wrens.wire import keys
from wrens.wire.records import Policy, ResultRef, ValueRef
from wrens.worker import attempt, load
from wrens.worker.host import Host
from wrens.worker.refs import Refs


@pytest.fixture
def store(request):
    return open_store(f"memory://{request.node.name}")


@pytest.fixture
def host():
    return Host("test", "here")


class Picky:
    """Cannot be unpickled when its number is odd."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self):
        return (make, (self.number,))


def make(number: int) -> Picky:
    if number % 2:
        raise ValueError(f"odd: {number}")
    return Picky(number)


def number(picky: Picky) -> int:
    return picky.number


@pytest.mark.parametrize("inline", [True, False])
def test_an_input_that_cannot_be_read_costs_its_own_task_only(store, host, inline):
    job = SmallJob(store, number, [Picky(n) for n in range(5)], inline=inline)
    for invocation in job.invocations():
        assert attempt.run(invocation, host) == attempt.Report("00000000.a")
    results = job.results()
    assert [results[n] for n in (0, 2, 4)] == [0, 2, 4]
    assert [str(results[n]) for n in (1, 3)] == ["odd: 1", "odd: 3"]
    assert "raised by number(...) in task 1" in results[1].__notes__[-1]


def test_large_inputs_are_loaded_one_by_one(store, host, monkeypatch):
    asked = []
    items = Pack.items
    monkeypatch.setattr(Pack, "items", lambda self, a, b: asked.append(b - a) or items(self, a, b))
    job = SmallJob(store, len, [[b"x" * 20_000] for _ in range(4)], inline=False)
    attempt.run(job.invocations()[0], host)
    assert asked == [1] * 4
    assert job.results() == {0: 1, 1: 1, 2: 1, 3: 1}


def test_a_child_reads_its_own_part_of_the_pack(store, host):
    job = SmallJob(store, abs, [-n for n in range(10)], inline=False)
    (whole,) = job.invocations()
    child = msgspec.structs.replace(whole, batch="00000000.1", attempt="00000000.1.b", start=4, count=3)
    attempt.run(child, host)
    assert job.results() == {4: 4, 5: 5, 6: 6}
    verdict, _ = job.verdict("00000000.1")
    assert (verdict.start, verdict.count, verdict.ok) == (4, 3, ((4, 3),))


def test_other_records_settle_nothing_and_are_named(store, host):
    job = SmallJob(store, abs, [1, 2])
    report = attempt.run(msgspec.structs.replace(job.invocations()[0], v=99), host)
    assert job.settled() == []
    assert report.refused.error == "VersionMismatch"
    assert "version 99" in str(VersionMismatch(*report.refused.facts))
    assert host.where in report.refused.facts


def _another_python(store, key):
    """Make a function, or a bundle of modules, look as if it came from another Python."""
    data = bytes(store.get(key))
    here = f"{sys.version_info.major}.{sys.version_info.minor}".encode()
    assert here in data
    store.put(key, [data.replace(here, b"2.77"[: len(here)], 1)], mode="replace")


def test_a_function_from_another_python_settles_nothing_and_is_named(store, host):
    job = SmallJob(store, abs, [1, 2])
    (invocation,) = job.invocations()
    _another_python(store, keys.function(invocation.function))
    report = attempt.run(invocation, host)
    assert (job.settled(), report.refused.error) == ([], "VersionMismatch")


def test_an_initializer_from_another_python_settles_nothing_and_is_named(store, host):
    job = SmallJob(store, abs, [1, 2], initializer=_note)
    (invocation,) = job.invocations()
    _another_python(store, keys.function(invocation.initializer))
    report = attempt.run(invocation, host)
    assert (job.settled(), report.refused.error) == ([], "VersionMismatch")


def test_a_version_mismatch_that_a_task_raises_is_the_tasks_failure(store, host):
    def attaching(x):
        raise VersionMismatch("Python", "3.1", "3.2", "job of old")

    job = SmallJob(store, attaching, [1])
    assert not attempt.run(job.invocations()[0], host).lost
    assert [type(error) for error in job.results().values()] == [VersionMismatch]


def test_a_function_that_is_gone_fails_every_task_by_name(store, host):
    job = SmallJob(store, abs, [1, 2])
    attempt.run(msgspec.structs.replace(job.invocations()[0], function="0" * 32), host)
    assert [type(error) for error in job.results().values()] == [ObjectMissing] * 2


def test_an_initializer_runs_once_in_a_process(store, host):
    CALLS.clear()
    job = SmallJob(store, abs, [1, 2], batches=2, initializer=_note)
    for invocation in job.invocations():
        attempt.run(invocation, host)
    assert CALLS == [1]


CALLS: list[int] = []


def _note() -> None:
    CALLS.append(1)


def test_a_store_that_does_not_answer_leaves_no_verdict(store, host):
    job = SmallJob(store, abs, [1])
    host._stores[store.url] = _Mute(store)
    report = attempt.run(job.invocations()[0], host)
    assert "did not answer" in report.lost
    assert job.settled() == []


class _Mute:
    """A store that can be read only."""

    def __init__(self, store) -> None:
        self.url, self.get = store.url, store.get

    def put(self, key, *_args, **_kw):
        raise StoreUnavailable("put", key)


def test_one_put_and_no_get_for_a_batch(store, host):
    job = SmallJob(store, abs, [1, 2], batches=2)
    first, second = job.invocations()
    attempt.run(first, host)
    host._stores[store.url] = metered = MeteredStore(store)
    attempt.run(second, host)
    reading = metered.reading()
    assert (reading.puts, reading.gets, reading.lists) == (1, 0, 0)


def test_shared_values_and_results_are_resolved(store, host):
    store.put(keys.value("d" * 32), pack([[1, 2]], what=str).buffers)
    named = ("builtins:ZeroDivisionError",)
    job = SmallJob(store, _inverse, [1, 0, 4])
    (whole,) = job.invocations(policy=Policy(retry_on=named, tries=2))
    attempt.run(whole, host)
    again = msgspec.structs.replace(
        whole, batch="00000000.0", attempt="00000000.0.a", start=1, count=1, tries=1
    )
    attempt.run(again, host)
    refs = Refs(host)
    assert refs(ValueRef(store.url, "d" * 32)) == [1, 2]
    assert refs(ResultRef(store.url, job.id, "00000000", 2)) == 0.25
    with resolving(refs), pytest.raises(ZeroDivisionError):
        refs(ResultRef(store.url, job.id, "00000000", 1))


def _inverse(x: float) -> float:
    return 1 / x


def test_durations_are_kept_of_long_tasks_only(store):
    clock = VirtualClock()
    host = Host("test", "here", clock)
    CLOCKS[:] = [clock]
    job = SmallJob(store, _takes, [0.5, 0.25, 0, 0.0], batches=2)
    for invocation in job.invocations():
        attempt.run(invocation, host)
    assert job.verdict("00000000")[0].usage.task_s == (0.5, 0.25)
    assert job.verdict("00000001")[0].usage.task_s == ()


CLOCKS: list[VirtualClock] = []


def _takes(seconds: float) -> None:
    CLOCKS[0].advance(seconds)


def test_a_timeout_is_noticed_afterwards_where_nothing_can_be_stopped(store):
    clock = VirtualClock()
    CLOCKS[:] = [clock]
    job = SmallJob(store, _takes, [0.0, 2.0, 0.0])
    attempt.run(job.invocations(policy=Policy(timeout_s=1))[0], Host("test", "here", clock))
    results = job.results()
    assert isinstance(results[1], TaskTimeout)
    assert (results[0], results[2]) == (None, None)


def test_a_worker_that_was_lost_before_loads_inputs_one_by_one(store, host, monkeypatch):
    seen = []
    monkeypatch.setattr(load, "LARGE", 1 << 40)
    monkeypatch.setattr(attempt, "sweep", lambda call, feed, page, keep: seen.extend(feed))
    monkeypatch.setattr(attempt, "sweep_timed", lambda call, feed, *rest, **kw: seen.extend(feed) or True)
    job = SmallJob(store, abs, [-5, -6])
    attempt.run(msgspec.structs.replace(job.invocations()[0], losses=1), host)
    assert seen == [(0, 0), (1, 1)]


BEGUN: list[int] = []


@pytest.mark.parametrize(("late_at", "calls"), [(9.0, 1), (10.0, 1), (11.0, 2)])
def test_what_begins_late_runs_nothing_that_is_settled(store, late_at, calls):
    BEGUN.clear()
    job = SmallJob(store, _counts, [7])
    (first,) = job.invocations()
    twin = msgspec.structs.replace(first, attempt="00000000.b", late_at=late_at)
    for invocation in (first, twin):
        report = attempt.run(invocation, Host("test", "here", VirtualClock(start=10.0)))
        assert not report.lost
    assert [7] * calls == BEGUN


def _counts(n: int) -> int:
    BEGUN.append(n)
    return n
