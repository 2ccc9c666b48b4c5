"""Retry, timeout, backup, packing and cancel hold together, not only one by one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from ledger import Ledger, Stopwatch, doze, hold, until

import wrens
from wrens import events
from wrens.errors import JobFailed, TaskTimeout, WorkerLost

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def seen() -> list[events.Event]:
    return []


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory, seen: list[events.Event]) -> Iterator[wrens.Executor]:
    store = tmp_path_factory.mktemp("store")
    with wrens.Executor(store=store, max_workers=3, observers=[seen.append]) as executor:
        yield executor


class Straggler:
    """A task that takes long the first time it is run, and only then."""

    def __init__(self, ledger: Ledger, slow: int, seconds: float) -> None:
        self.ledger, self.slow, self.seconds = ledger, slow, seconds

    def __call__(self, x: int) -> int:
        self.ledger.note(x)
        doze(self.seconds if x == self.slow and self.ledger.counts()[str(x)] == 1 else 0.02)
        return x


@pytest.mark.parametrize("size", [1, None])
def test_a_straggler_gets_a_copy_and_the_job_ends_early(
    ex: wrens.Executor, ledger: Ledger, size: int | None
) -> None:
    patient = ex.options(backup=wrens.Backup(slowness=3, after=0.5), packing=wrens.Packing(size=size))
    watch = Stopwatch()
    assert patient.map_async(Straggler(ledger, 11, 25.0), range(12)).results(40) == list(range(12))
    assert watch.seconds < 10
    assert ledger.counts()["11"] == 2
    assert max(ledger.counts().values()) == 2


def test_without_backup_nobody_is_run_twice(ex: wrens.Executor, ledger: Ledger) -> None:
    ones = ex.options(packing=wrens.Packing(size=1))
    assert ones.map_async(Straggler(ledger, 11, 1.5), range(12)).results(40) == list(range(12))
    assert set(ledger.counts().values()) == {1}


def test_a_copy_that_is_slow_too_gets_no_third(
    ex: wrens.Executor, ledger: Ledger, seen: list[events.Event]
) -> None:
    def task(x: int) -> int:
        ledger.note(x)
        doze(1.5 if x == 5 else 0.02)
        return x

    ones = ex.options(backup=wrens.Backup(), packing=wrens.Packing(size=1))
    job = ones.map_async(task, range(6))
    assert job.results(40) == list(range(6))
    assert ledger.counts()["5"] == 2
    launched = [e for e in seen if isinstance(e, events.AttemptLaunched) and e.job == job.id and e.backup]
    assert [e.start for e in launched].count(5) == 1


# --- the product ----------------------------------------------------------------------------------------


class Hard:
    """Fails, dies, hangs or is slow at its first call, as the number says; succeeds at its second."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __call__(self, x: int) -> int:
        self.ledger.note(x)
        if self.ledger.counts()[str(x)] == 1:
            if x == 3:
                raise ConnectionError("try again")
            if x == 7:
                os._exit(1)
            if x == 13:
                hold(40)
            if x == 17:
                doze(0.5)
        return x


@pytest.mark.parametrize(
    ("size", "timeout", "backup", "attempts"),
    list(itertools.product([None, 1, 7], [1.0], [None, wrens.Backup()], [1, 2])),
)
def test_retry_timeout_backup_and_packing_together(
    ex: wrens.Executor,
    ledger: Ledger,
    size: int | None,
    timeout: float,
    backup: wrens.Backup | None,
    attempts: int,
) -> None:
    retry = wrens.Retry(attempts=attempts, on=(ConnectionError, TaskTimeout))
    view = ex.options(retry=retry, timeout=timeout, backup=backup, packing=wrens.Packing(size=size))
    job = view.map_async(Hard(ledger), range(20))
    assert job.wait(40)
    outcomes = {future.task: future.exception(0) or future.result(0) for future in job}
    # A copy may succeed where the first try would have been late; all else has one outcome only.
    if attempts == 1:
        assert isinstance(outcomes.pop(3), ConnectionError)
        late = outcomes.pop(13)
        assert isinstance(late, TaskTimeout) or (backup is not None and late == 13)
    assert outcomes == {x: x for x in outcomes}
    most = 2 if backup is None else 3
    assert max(ledger.counts().values()) <= most
    assert ledger.counts()["7"] >= 2


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("backup", [None, wrens.Backup(after=0.0)])
def test_cancel_with_everything_else(
    ex: wrens.Executor, ledger: Ledger, size: int | None, backup: wrens.Backup | None, stops_s: float
) -> None:
    retry = wrens.Retry(attempts=3, on=ConnectionError, backoff_s=0.05)

    def task(x: int) -> int:
        ledger.note(x)
        doze(0.02)
        if x % 4 == 1:
            raise ConnectionError
        if x % 16 == 6:
            os._exit(1)
        return x

    view = ex.options(retry=retry, timeout=5.0, backup=backup, packing=wrens.Packing(size=size))
    job = view.map_async(task, range(64))
    until(lambda: len(ledger.lines()) > 15)
    job.cancel()
    assert job.wait(15)
    progress = job.progress
    assert progress.settled == progress.total == 64
    with pytest.raises(JobFailed) as caught:
        job.results(0)
    assert all(x == y for x, y in caught.value.results.items())
    allowed = (wrens.errors.Cancelled, ConnectionError, WorkerLost)
    assert all(isinstance(error, allowed) for error in caught.value.failures.values())
    doze(stops_s)
    ran = len(ledger.lines())
    assert ex.submit(abs, -1).result(20) == 1
    doze(0.3)
    assert len(ledger.lines()) == ran


@pytest.mark.parametrize("size", [None, 1, 3, 1000])
def test_packing_changes_no_result(ex: wrens.Executor, ledger: Ledger, size: int | None) -> None:
    view = ex.options(packing=wrens.Packing(size=size))
    assert view.map_async(ledger.noted(_square), range(200)).results(40) == [x * x for x in range(200)]
    assert set(ledger.counts().values()) == {1}
    assert list(view.map(_square, iter(range(50)))) == [x * x for x in range(50)]
    assert [f.result(30) for f in [view.submit(_square, x) for x in range(20)]] == [x * x for x in range(20)]


def _square(x: int) -> int:
    return x * x


@pytest.mark.this_computer("its bound is below what handing on takes elsewhere")
def test_long_tasks_of_one_batch_are_shared_among_the_workers(ex: wrens.Executor) -> None:
    watch = Stopwatch()

    def task(x: int) -> Any:
        doze(1.0 if x < 6 else 0.0)
        return os.getpid()

    pids = ex.map_async(task, range(60)).results(40)
    # Six seconds of work for three workers, although the first batches held several long ones.
    assert watch.seconds < 4.5
    assert len(set(pids[:6])) == 3


# --- fail fast ------------------------------------------------------------------------------------------


def fails_at_5(ledger: Ledger) -> Any:
    def task(x: int) -> int:
        ledger.note(x)
        if x == 5:
            raise LookupError(x)
        doze(0.05)
        return x

    return task


def test_fail_fast_cancels_what_is_left_and_keeps_what_is_there(ex: wrens.Executor, ledger: Ledger) -> None:
    watch = Stopwatch()
    job = ex.options(fail_fast=True, packing=wrens.Packing(size=2)).map_async(fails_at_5(ledger), range(500))
    with pytest.raises(JobFailed) as caught:
        job.results(20)
    assert watch.seconds < 6
    assert isinstance(caught.value.failures[5], LookupError)
    assert len(caught.value.failures) + len(caught.value.results) == 500
    assert len(ledger.lines()) < 100
    assert all(x == y for x, y in caught.value.results.items())


def test_fail_fast_stops_an_endless_input(ex: wrens.Executor, ledger: Ledger) -> None:
    fast = ex.options(fail_fast=True)
    with pytest.raises(JobFailed) as caught:
        fast.map_async(fails_at_5(ledger), itertools.count()).results(20)
    assert isinstance(caught.value.failures[5], LookupError)
    with pytest.raises(LookupError):
        list(fast.map(fails_at_5(ledger), itertools.count()))


def test_fail_fast_finishes_when_nothing_fails(ex: wrens.Executor) -> None:
    fast = ex.options(fail_fast=True)
    assert fast.map_async(_square, range(50)).results(20) == [x * x for x in range(50)]
    assert fast.submit(_square, 3).result(20) == 9


def test_a_cancelled_task_is_no_failure_to_stop_for(ex: wrens.Executor, ledger: Ledger) -> None:
    def task(x: int) -> int:
        ledger.note(x)
        doze(0.1)
        return x

    job = ex.options(fail_fast=True, packing=wrens.Packing(size=1)).map_async(task, range(12))
    until(ledger.lines)
    assert job[11].cancel()
    with pytest.raises(JobFailed) as caught:
        job.results(20)
    assert set(caught.value.failures) == {11}
