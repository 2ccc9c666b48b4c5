"""A store that takes no more in the middle of a job: no space, no permission.

Workers find it out, with results in their hands that they cannot leave. The job stops with the store's error,
what is in the store stays, and once the store takes objects again whoever attaches completes the job, without
running again what has a verdict.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest
from ledger import Ledger, Stopwatch

import wrens
from wrens.core import reading
from wrens.errors import StoreDenied, StoreError, StoreFull
from wrens.store import Fault, FaultyStore, Store, open_store
from wrens.testing.store_faults import faulty_url
from wrens.wire import keys

pytestmark = pytest.mark.timeout(60)

TASKS = 24
BOUND_S = 20.0


def refusing(folder: Path, fault: Fault) -> Store:
    """Return a store that is well for the client, and refuses in each worker as the fault says."""
    store = FaultyStore(open_store(folder), [])
    store.url = faulty_url(folder, [fault])
    return store


def settled(folder: Path) -> set[int]:
    """Return the tasks that a verdict in the store settles, all of them with a result."""
    store = open_store(folder)
    found: list[int] = []
    for key in store.list(keys.verdicts("job")):
        verdict, _ = reading.read_verdict(store, "job", keys.basename(key))
        assert not verdict.failures, "a refusal of the store must not be held against a task"
        found += [task for start, count in verdict.ok for task in range(start, start + count)]
    assert len(found) == len(set(found))
    return set(found)


def complete(folder: Path, ledger: Ledger, expected: list[Any]) -> None:
    """Attach when the store takes objects again, and check every result and what was run for it."""
    before, done = ledger.counts(), settled(folder)
    assert 0 < len(done) < TASKS
    assert wrens.attach("job", store=folder, max_workers=2).results(BOUND_S) == expected
    again = ledger.counts() - before
    assert {int(x) for x in again} == set(range(TASKS)) - done, "what has a verdict is not run again"
    assert set(again.values()) == {1}


@pytest.mark.parametrize(("kind", "error"), [("full", StoreFull), ("denied", StoreDenied)])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("nth", [2, 4])
def test_a_store_that_refuses_in_mid_job(
    tmp_path: Path, ledger: Ledger, kind: Any, error: type[StoreError], workers: int, nth: int
) -> None:
    fault = Fault("put", nth=nth, key_contains="verdicts/", kind=kind, times=None)
    store, watch = refusing(tmp_path / "store", fault), Stopwatch()
    with wrens.Executor(store=store, max_workers=workers) as ex:
        # One try only: were the refusal taken for the loss of a worker, it would settle the task.
        named = ex.options(name="job", packing=wrens.Packing(size=2), retry=wrens.Retry(lost=1))
        job = named.map_async(ledger.noted(abs), range(TASKS))
        with pytest.raises(error, match=f"injected {kind}") as caught:
            job.results(BOUND_S)
        kept = {t for t in range(TASKS) if job[t].done() and job[t].exception() is None}
        # Another worker may have left results that nobody had read yet when the job stopped.
        there = settled(tmp_path / "store")
        assert kept == there if workers == 1 else kept <= there
        assert [job[t].result() for t in sorted(kept)] == sorted(kept)
    assert watch.seconds < BOUND_S
    told = "\n".join([str(caught.value), *caught.value.__notes__])
    assert f"{len(kept)} of {TASKS} tasks of job job" in told
    assert "attach" in told
    assert str(tmp_path / "store") in told
    complete(tmp_path / "store", ledger, [*range(TASKS)])


@pytest.mark.parametrize("key", ["functions/", "pages/"])
def test_workers_that_may_not_read(tmp_path: Path, ledger: Ledger, key: str) -> None:
    big = [
        bytes([x]) * 1_000_000 for x in range(TASKS)
    ]  # too large for an invocation, so that pages are read
    store = refusing(tmp_path / "store", Fault("get", key_contains=key, kind="denied", times=None))
    with wrens.Executor(store=store, max_workers=2) as ex:
        job = ex.options(name="job", retry=wrens.Retry(lost=1)).map_async(len, big)
        with pytest.raises(StoreDenied, match="injected denied"):
            job.results(BOUND_S)
    assert settled(tmp_path / "store") == set()
    assert (
        wrens.attach("job", store=tmp_path / "store", max_workers=2).results(BOUND_S) == [1_000_000] * TASKS
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_the_executor_serves_other_jobs_after_a_refusal(tmp_path: Path, ledger: Ledger, workers: int) -> None:
    store = refusing(
        tmp_path / "store", Fault("put", key_contains="refused/verdicts/", kind="full", times=None)
    )
    with wrens.Executor(store=store, max_workers=workers) as ex:
        fine = ex.options(name="fine").map_async(ledger.noted(abs), range(TASKS))
        with pytest.raises(StoreFull):
            ex.options(name="refused").map_async(abs, range(TASKS)).results(BOUND_S)
        assert fine.results(BOUND_S) == [*range(TASKS)]
        assert list(ex.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


def test_in_this_process_too(tmp_path: Path, ledger: Ledger) -> None:
    fault = Fault("put", nth=3, key_contains="verdicts/", kind="full", times=None)
    store = refusing(tmp_path / "store", fault)
    with wrens.Executor("inline", store=store) as ex:
        named = ex.options(name="job", packing=wrens.Packing(size=2), retry=wrens.Retry(lost=1))
        with pytest.raises(StoreFull, match="injected full"):
            named.map_async(ledger.noted(abs), range(TASKS)).results()
    complete(tmp_path / "store", ledger, [*range(TASKS)])


# --- without a script -----------------------------------------------------------------------------------


def no_more_than(nbytes: int) -> None:
    """Let this process write no larger file, as a quota would."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, nbytes))


def growing(x: int) -> bytes:
    return b"x" * (40_000 * x)


@pytest.mark.this_computer("limits the size of files")
def test_results_that_are_too_large_for_a_quota(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "store"
    with wrens.Executor(store=folder, max_workers=1, initializer=no_more_than, initargs=(500_000,)) as ex:
        named = ex.options(name="job", packing=wrens.Packing(size=1))
        with pytest.raises(StoreFull, match="EFBIG"):
            named.map_async(ledger.noted(growing), range(TASKS)).results(BOUND_S)
    assert settled(folder) == set(range(13))
    # The initializer belongs to the job, and its quota with it: the job stops at the same place again.
    before = ledger.counts()
    with pytest.raises(StoreFull, match="EFBIG"):
        wrens.attach("job", store=folder, max_workers=1).results(BOUND_S)
    assert ledger.counts() - before == {"13": 1}, "what has a verdict is not run again"


@pytest.mark.this_computer("changes the mode of a directory")
def test_a_directory_that_becomes_read_only(tmp_path: Path, ledger: Ledger) -> None:
    folder, lost = tmp_path / "store", tmp_path / "lost"
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)

    def task(x: int) -> int:
        ledger.note(x)
        if x == 7 and not lost.exists():
            lost.touch()
            lose_the_right(folder)
        return -x

    with wrens.Executor(store=folder, max_workers=1) as ex:
        folder.chmod(0o755)
        Path(ledger.path).touch()
        Path(ledger.path).chmod(0o666)
        job = ex.options(name="job", packing=wrens.Packing(size=3)).map_async(task, range(TASKS))
        with pytest.raises(StoreDenied, match="Permission denied"):
            job.results(BOUND_S)
    (folder / "jobs/job/verdicts").chmod(0o755)
    assert settled(folder) == set(range(6))
    complete(folder, ledger, [-x for x in range(TASKS)])


def lose_the_right(folder: Path) -> None:
    """Make the job's verdicts read-only; no mode stops the superuser, who gives up its own rights instead."""
    (folder / "jobs/job/verdicts").chmod(0o555)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
