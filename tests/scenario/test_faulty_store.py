"""A store that fails, delays, loses replies or tears: every job ends, rightly or in a named error, in time.

The client's store is wrapped for the faults of the driver; workers get a URL with a script for theirs. No
outcome is taken for granted but these: a result that is given is the right one, what is raised has a name of
its own, and nothing waits for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import neg
from pathlib import Path
from typing import Any

import pytest
from ledger import Ledger, Stopwatch, until

import wrens
from wrens.clock import VirtualClock
from wrens.errors import JobFailed, StoreError, WrensError
from wrens.store import Fault, FaultyStore, RetryingStore, Store, open_store
from wrens.testing.store_faults import faulty_url

pytestmark = pytest.mark.timeout(60)

BOUND_S = 20.0
KINDS: list[Any] = ["error", "lost_reply", "torn", "delay"]


@pytest.fixture(autouse=True)
def _less_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a driver break a job after four failures at once, instead of eleven seconds."""
    monkeypatch.setattr("wrens.core.driver.TROUBLE", 4)
    monkeypatch.setattr("wrens.core.driver.AGAIN_S", 0.005)


# --- what a program does; with functions that need no module to be shipped, so that it is quick -----------


def by_map(ex: wrens.Executor) -> None:
    assert list(ex.map(neg, range(20))) == [-x for x in range(20)]


def by_lazy_map(ex: wrens.Executor) -> None:
    assert list(ex.map(neg, iter(range(20)))) == [-x for x in range(20)]


def by_job(ex: wrens.Executor) -> None:
    assert ex.map_async(neg, iter(range(20))).results(BOUND_S) == [-x for x in range(20)]


def by_failing_job(ex: wrens.Executor) -> None:
    failed = _error_of(lambda: ex.map_async(int, ["0", "one", "2"]).results(BOUND_S))
    if isinstance(failed, JobFailed):
        assert failed.results == {0: 0, 2: 2}
        assert isinstance(failed.failures[1], ValueError)
    else:
        assert failed is not None
        raise failed


def by_submit(ex: wrens.Executor) -> None:
    futures = [ex.submit(neg, x) for x in range(6)]
    outcomes = [future.exception(BOUND_S) or future.result() for future in futures]
    wrong = [outcome for x, outcome in enumerate(outcomes) if outcome != -x]
    assert all(isinstance(outcome, WrensError) for outcome in wrong)
    # Whatever went wrong has gone by: the executor can still be used.
    if wrong:
        assert ex.submit(neg, 7).result(BOUND_S) == -7


def by_shared_value(ex: wrens.Executor) -> None:
    shared = ex.put([1, 2, 3])
    assert ex.submit(sum, shared).result(BOUND_S) == 6


PROGRAMS = [by_map, by_lazy_map, by_job, by_failing_job, by_submit, by_shared_value]


def survive(backend: str, store: Store, program: Callable[[wrens.Executor], None]) -> WrensError | None:
    """Run a program and see that it ends in time; returns the named error in which it did."""

    def run() -> None:
        with wrens.Executor(backend, store=store, max_workers=2) as ex:
            program(ex)

    watch = Stopwatch()
    found = _error_of(run)
    assert watch.seconds < BOUND_S
    assert found is None or str(found)
    return found


def _error_of(call: Callable[[], Any]) -> WrensError | None:
    try:
        call()
    except WrensError as error:
        return error
    return None


def calls_of(program: Callable[[wrens.Executor], None], folder: Path) -> int:
    """Return how many calls of the store the client makes when all goes well."""
    calls = 0

    def script(*_: Any) -> None:
        nonlocal calls
        calls += 1

    assert survive("inline", FaultyStore(open_store(folder), script), program) is None
    return calls


# --- faults of the client's store -----------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", [*KINDS, "full"])
def test_a_fault_at_every_step_of_the_client(tmp_path: Path, program: Any, kind: Any) -> None:
    for nth in range(1, calls_of(program, tmp_path / "0") + 1):
        inner = open_store(tmp_path / str(nth))
        survive("inline", FaultyStore(inner, [Fault(nth=nth, kind=kind, seconds=0.02)]), program)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["error", "lost_reply", "torn"])
def test_a_patient_store_hides_a_fault_at_every_step(tmp_path: Path, program: Any, kind: Any) -> None:
    for nth in range(1, calls_of(program, tmp_path / "0") + 1):
        inner = FaultyStore(open_store(tmp_path / str(nth)), [Fault(nth=nth, kind=kind)])
        assert survive("inline", RetryingStore(inner, clock=VirtualClock()), program) is None


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("kind", ["error", "full", "denied"])
def test_a_store_that_is_gone_from_some_step_on(tmp_path: Path, program: Any, kind: Any) -> None:
    last = calls_of(program, tmp_path / "0")
    for nth in sorted({1, 2, 3, last // 2, last - 1}):
        inner = open_store(tmp_path / str(nth))
        survive("inline", FaultyStore(inner, [Fault(nth=nth, kind=kind, times=None)]), program)


@pytest.mark.parametrize("action", ["put", "get"])
@pytest.mark.parametrize("key", ["manifest", "functions/", "pages/", "verdicts/"])
def test_a_store_that_never_recovers_in_the_client(tmp_path: Path, action: Any, key: str) -> None:
    fault = Fault(action, key_contains=key, times=None)
    store = FaultyStore(open_store(tmp_path / "store"), [fault])
    error = survive("local", store, by_map)
    # What only workers do does not fail in the client.
    others = {("get", "manifest"), ("get", "functions/"), ("get", "pages/"), ("put", "verdicts/")}
    assert (error is None) == ((action, key) in others)


def test_a_driver_that_cannot_give_up_for_want_of_a_store_breaks_the_job(tmp_path: Path) -> None:
    fault = Fault("put", key_contains="verdicts/", times=None)
    store = FaultyStore(open_store(tmp_path / "store"), [fault])

    def program(ex: wrens.Executor) -> None:
        ex.options(retry=wrens.Retry(lost=1)).submit(os._exit, 1).result(BOUND_S)

    assert isinstance(survive("local", store, program), StoreError)


@pytest.mark.parametrize("kind", ["error", "lost_reply", "torn"])
@pytest.mark.parametrize("key", ["pages/", "verdicts/", ""])
def test_a_store_with_every_third_call_failing_under_local_workers(
    tmp_path: Path, key: str, kind: Any
) -> None:
    calls = 0

    def script(_: str, where: str, __: int) -> Fault | None:
        nonlocal calls
        if key not in where or "manifest" in where:
            return None
        calls += 1
        return Fault(kind=kind) if calls % 3 == 0 else None

    patient = RetryingStore(FaultyStore(open_store(tmp_path / "store"), script), clock=VirtualClock())
    with wrens.Executor(store=patient, max_workers=2) as ex:
        for program in PROGRAMS:
            program(ex)


# --- faults of the workers' stores ----------------------------------------------------------------------


@pytest.mark.parametrize("action", ["put", "get"])
@pytest.mark.parametrize("key", ["functions/", "pages/", "verdicts/"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_in_each_worker(tmp_path: Path, action: Any, key: str, kind: Any, ledger: Ledger) -> None:
    faults = [Fault(action, key_contains=key, kind=kind, seconds=0.2)]
    watch = Stopwatch()
    # The client's own faults are the business of the tests above.
    store = _with_url(open_store(tmp_path / "store"), faulty_url(tmp_path / "store", faults))
    big = [b"x" * 1_000_000] * 12  # too large for an invocation, so that workers read the page
    with wrens.Executor(store=store, max_workers=2) as ex:
        job = ex.options(packing=wrens.Packing(size=4)).map_async(len, big)
        assert job.results(BOUND_S) == [1_000_000] * 12
        assert ex.map_async(ledger.noted(neg), range(12)).results(BOUND_S) == [-x for x in range(12)]
    assert watch.seconds < BOUND_S
    # A verdict that could not be written costs another try, and never a result.
    assert max(ledger.counts().values()) <= 3


@pytest.mark.parametrize(("action", "key"), [("put", "verdicts/"), ("get", "functions/"), ("get", "pages/")])
def test_workers_whose_store_never_recovers_end_in_a_named_error(
    tmp_path: Path, action: Any, key: str
) -> None:
    faults = [Fault(action, key_contains=key, times=None)]
    store = _with_url(open_store(tmp_path / "store"), faulty_url(tmp_path / "store", faults))
    watch = Stopwatch()
    with wrens.Executor(store=store, max_workers=2) as ex, pytest.raises(JobFailed) as caught:
        ex.options(retry=wrens.Retry(lost=2)).map_async(len, [b"x" * 1_000_000] * 3).results(40)
    assert watch.seconds < BOUND_S
    assert set(caught.value.failures) == {0, 1, 2}
    assert all("injected error" in str(error) for error in caught.value.failures.values())


def _with_url(store: Store, url: str) -> Store:
    """Let workers open another store than the client's."""
    wrapped = FaultyStore(store, [])
    wrapped.url = url
    return wrapped


@pytest.mark.parametrize("key", ["functions/", "pages/", "/end", "lazily functions/", "lazily pages/"])
def test_a_job_that_could_not_be_planned_leaves_its_name_free(tmp_path: Path, key: str) -> None:
    inputs: Any = iter(range(20)) if "lazily" in key else range(20)
    inner = open_store(tmp_path / "store")
    store = FaultyStore(inner, [Fault("put", key_contains=key.removeprefix("lazily "))])
    with wrens.Executor(store=store, max_workers=1) as pool:
        ex = pool.options(name="mine")
        with pytest.raises(StoreError):
            list(ex.map(neg, inputs))
        until(lambda: not list(inner.list("jobs/mine/")), what="the end of what was begun")
        assert list(ex.map(neg, range(20))) == [-x for x in range(20)]
