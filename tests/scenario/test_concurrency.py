"""Many threads, several executors, an event loop: futures behave as those of the standard library."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger import Ledger, Stopwatch, doze, until

import wrens
from wrens import events
from wrens.errors import JobFailed

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    with wrens.Executor(store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


def double(x: int) -> int:
    return 2 * x


def uneven(x: int) -> int:
    doze(0.2 if x == 0 else 0.0)
    return x


def in_threads(n: int, work: Any) -> list[Any]:
    """Call ``work(i)`` in n threads at once and return the results in order."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        barrier = threading.Barrier(n)

        def begin(i: int) -> Any:
            barrier.wait(20)
            return work(i)

        return list(pool.map(begin, range(n), timeout=50))


# --- threads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["local", "inline"])
def test_eight_threads_submit_at_once(tmp_path: Path, backend: str) -> None:
    with wrens.Executor(backend, store=tmp_path / "store", max_workers=2) as ex:
        each = 1250 if backend == "local" else 200

        def work(thread: int) -> bool:
            futures = [ex.submit(double, thread * each + i) for i in range(each)]
            return [f.result(40) for f in futures] == [2 * (thread * each + i) for i in range(each)]

        assert in_threads(8, work) == [True] * 8


@pytest.mark.parametrize("backend", ["local", "inline"])
def test_threads_map_at_once(tmp_path: Path, backend: str) -> None:
    with wrens.Executor(backend, store=tmp_path / "store", max_workers=2) as ex:

        def work(thread: int) -> bool:
            inputs = range(1000 * thread, 1000 * thread + 300)
            lazily = list(ex.map(double, iter(inputs)))
            return lazily == list(ex.map(double, inputs)) == ex.map_async(double, inputs).results(40)

        assert in_threads(6, work) == [True] * 6


def test_jobs_of_one_executor_do_not_mix(ex: wrens.Executor, ledger: Ledger) -> None:
    def task(x: tuple[int, int]) -> tuple[int, int]:
        ledger.note(*x)
        doze(0.01)
        return x

    small = ex.options(packing=wrens.Packing(size=2))
    jobs = [small.map_async(task, [(n, x) for x in range(30)]) for n in range(6)]
    for n, job in enumerate(jobs):
        assert job.results(40) == [(n, x) for x in range(30)]
    assert set(ledger.counts().values()) == {1}
    assert len(ledger.lines()) == 180


def test_two_executors_at_once(tmp_path: Path) -> None:
    with (
        wrens.Executor(store=tmp_path / "store", max_workers=1) as one,
        wrens.Executor(store=tmp_path / "store", max_workers=1) as two,
    ):
        jobs = [ex.map_async(double, range(100)) for ex in (one, two, one, two)]
        assert all(job.results(40) == [2 * x for x in range(100)] for job in jobs)
        assert two.submit(double, one.submit(double, 1)).result(30) == 4


def test_work_is_begun_in_the_order_in_which_it_was_asked_for(tmp_path: Path, ledger: Ledger) -> None:
    noted = ledger.noted(lambda _: doze(0.03))
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as pool:
        ex = pool.options(packing=wrens.Packing(size=1))
        ex.submit(doze, 0.5)
        calls = [ex.submit(noted, f"first {i}") for i in range(5)]
        job = ex.map_async(noted, [f"second {i}" for i in range(5)])
        late = [ex.submit(noted, f"third {i}") for i in range(5)]
        concurrent.futures.wait([*calls, *job, *late], 40)
    assert ledger.lines() == [f"{when} {i}" for when in ("first", "second", "third") for i in range(5)]


def test_an_endless_map_starves_nobody(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        endless = ex.map_async(lambda _: doze(0.01), itertools.count())
        until(lambda: endless.progress.settled > 20)
        calls = [ex.submit(double, i) for i in range(20)]
        assert [call.result(20) for call in calls] == [2 * i for i in range(20)]
        assert list(ex.map(double, range(20))) == [2 * i for i in range(20)]
        endless.cancel()


def test_results_can_be_awaited_in_many_threads(ex: wrens.Executor) -> None:
    job = ex.map_async(uneven, range(50))
    assert in_threads(8, lambda _: job.results(40)) == [list(range(50))] * 8


def test_two_iterators_over_what_is_completed_do_not_disturb_each_other(ex: wrens.Executor) -> None:
    job = ex.options(packing=wrens.Packing(size=1)).map_async(lambda x: doze(0.02) or x, range(20))

    def collect(_: int) -> list[int]:
        return sorted(future.result(0) for future in job.as_completed(40))

    assert in_threads(4, collect) == [list(range(20))] * 4
    one, two = job.as_completed(), job.as_completed()
    first = next(one)
    assert len(list(two)) == 20
    assert {first, *one} == set(job)


# --- the standard library's functions -------------------------------------------------------------------


def test_as_completed_and_wait_of_the_standard_library(ex: wrens.Executor) -> None:
    futures = [ex.submit(uneven, x) for x in range(6)]
    assert {f.result() for f in concurrent.futures.as_completed(futures, 30)} == set(range(6))
    job = ex.map_async(uneven, range(6))
    done, rest = concurrent.futures.wait(job, 30)
    assert (len(done), len(rest)) == (6, 0)
    futures = [ex.submit(uneven, 0), ex.submit(double, 1)]
    done, _ = concurrent.futures.wait(futures, 30, return_when=concurrent.futures.FIRST_COMPLETED)
    assert done


def test_futures_in_an_event_loop(ex: wrens.Executor) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        some = [asyncio.wrap_future(ex.submit(double, x)) for x in range(5)]
        other = [asyncio.wrap_future(f) for f in ex.map_async(double, range(5))]
        one = loop.run_in_executor(ex, double, 50)
        return await asyncio.wait_for(asyncio.gather(*some, *other, one), 30)

    assert asyncio.run(main()) == [0, 2, 4, 6, 8] * 2 + [100]


def test_callbacks_may_submit(ex: wrens.Executor) -> None:
    got: list[int] = []
    done = threading.Event()

    def again(future: concurrent.futures.Future[int]) -> None:
        got.append(future.result())
        if len(got) < 5:
            ex.submit(double, future.result()).add_done_callback(again)
        else:
            done.set()

    ex.submit(double, 1).add_done_callback(again)
    assert done.wait(30)
    assert got == [2, 4, 8, 16, 32]


@pytest.mark.filterwarnings("ignore")
def test_a_callback_that_raises_harms_nobody(ex: wrens.Executor) -> None:
    def fails(_: Any) -> None:
        raise RuntimeError("in the callback")

    future = ex.submit(double, 1)
    future.add_done_callback(fails)
    assert future.result(30) == 2
    assert ex.submit(double, 2).result(30) == 4


def test_cancelling_futures_of_a_job(ex: wrens.Executor, ledger: Ledger) -> None:
    def task(x: int) -> int:
        ledger.note(x)
        doze(0.05)
        return x

    job = ex.options(packing=wrens.Packing(size=4)).map_async(task, range(40))
    until(ledger.lines)
    cancelled = [future.task for future in job[20:30] if future.cancel()]
    assert cancelled == list(range(20, 30))
    assert job.wait(40)
    with pytest.raises(JobFailed) as caught:
        job.results(0)
    assert set(caught.value.failures) == set(cancelled)
    assert caught.value.results == {x: x for x in range(40) if x not in cancelled}
    assert ledger.counts() == {str(x): 1 for x in range(40) if x not in cancelled}


def test_cancelling_a_job_ends_what_is_running(ex: wrens.Executor, ledger: Ledger) -> None:
    def task(x: int) -> int:
        ledger.note(x)
        doze(0.0 if x < 5 else 20.0)
        return x

    job = ex.options(packing=wrens.Packing(size=1)).map_async(task, range(20))
    until(lambda: len(ledger.lines()) == 7)
    watch = Stopwatch()
    job.cancel()
    assert job.wait(15)
    assert watch.seconds < 10
    with pytest.raises(JobFailed) as caught:
        job.results(0)
    assert caught.value.results == {x: x for x in range(5)}
    assert ex.submit(double, 1).result(15) == 2


def test_a_cancel_races_with_workers_that_hand_on(ex: wrens.Executor) -> None:
    for _ in range(3):
        job = ex.map_async(lambda x: doze(0.005) or x, range(2000))
        until(lambda job=job: job.progress.ok > 5)
        watch = Stopwatch()
        job.cancel()
        assert job.wait(15)
        assert watch.seconds < 5
        assert job.progress.cancelled > 0
        assert job.progress.settled == 2000


# --- events ---------------------------------------------------------------------------------------------


def test_events_tell_the_story_of_a_job(tmp_path: Path) -> None:
    seen: list[events.Event] = []
    with wrens.Executor(store=tmp_path / "store", max_workers=2, observers=[seen.append]) as ex:
        for n in (0, 1, 100):
            job = ex.map_async(double, range(n))
            job.results(30)
            until(lambda job=job: any(isinstance(e, events.JobEnded) and e.job == job.id for e in seen))
            mine = [e for e in seen if e.job == job.id]
            assert isinstance(mine[0], events.JobStarted)
            assert sum(isinstance(e, events.JobEnded) for e in mine) == 1
            assert sum(e.ok for e in mine if isinstance(e, events.BatchSettled)) == n
            assert [e.total for e in mine if isinstance(e, events.InputsEnded)] == [n]
        ex.submit(os._exit, 3).exception(30)
        assert any(isinstance(e, events.AttemptLost) for e in seen)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_max_workers_bounds_what_runs_at_once(tmp_path: Path, ledger: Ledger, n: int) -> None:
    assert most_at_once(n, tmp_path, ledger) <= n


@pytest.mark.this_computer("elsewhere the platform starts its places when it likes")
@pytest.mark.parametrize("n", [1, 2, 5])
def test_each_of_max_workers_is_one_process_and_is_used(tmp_path: Path, ledger: Ledger, n: int) -> None:
    assert most_at_once(n, tmp_path, ledger) == n
    assert len({line.split()[1] for line in ledger.lines()}) == n


def most_at_once(n: int, tmp_path: Path, ledger: Ledger) -> int:
    """Run short tasks, and return how many ran at a time at most."""

    def task(_: int) -> None:
        ledger.note("in", os.getpid())
        doze(0.05)
        ledger.note("out", os.getpid())

    with wrens.Executor(store=tmp_path / "store", max_workers=n) as ex:
        ex.options(packing=wrens.Packing(size=1)).map_async(task, range(6 * n)).results(30)
    now = most = 0
    for line in ledger.lines():
        now += 1 if line.startswith("in") else -1
        most = max(most, now)
    return most
