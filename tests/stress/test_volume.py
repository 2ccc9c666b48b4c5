"""Much of everything: tasks, submits, bytes. Run by ``make stress``."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

import numpy as np
import pytest
from clients import Clients
from ledger import Stopwatch

import wrens

MILLION = """
    import resource, sys, wrens

    lazily = sys.argv[2] == "lazily"
    inputs = range(1_000_000)
    with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
        list(ex.map(abs, range(2)))
        total = 0
        for value in ex.map(abs, iter(inputs) if lazily else inputs):
            total += value
    assert total == sum(inputs)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """


@pytest.mark.parametrize("how", ["lazily", "at_once"])
def test_a_million_tasks_in_bounded_memory(clients: Clients, tmp_path: Path, how: str) -> None:
    watch = Stopwatch()
    megabytes = int(clients.start(MILLION, tmp_path / "store", how).ok(600))
    print(f"{how}: {watch.seconds:.1f} s, {megabytes} MB")
    assert megabytes < 500


def test_a_result_of_two_gigabytes_as_an_array(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        result = ex.submit(np.full, 2**28, 7.5).result(600)
        assert result.nbytes == 2**31
        assert (result[0], result[-1]) == (7.5, 7.5)
        assert ex.submit(abs, -1).result(60) == 1


def test_a_result_and_an_input_of_two_gigabytes_as_bytes(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        result = ex.submit(bytes, 2**31 + 5).result(600)
        assert len(result) == 2**31 + 5
        assert ex.submit(len, result).result(600) == 2**31 + 5


def test_10_000_submits_from_8_threads(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:

        def work(thread: int) -> bool:
            futures = [ex.submit(pow, thread * 1250 + i, 2) for i in range(1250)]
            return [f.result(300) for f in futures] == [(thread * 1250 + i) ** 2 for i in range(1250)]

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            assert all(threads.map(work, range(8)))


def test_100_000_submits_of_one_thread_leave_little_behind(clients: Clients, tmp_path: Path) -> None:
    program = """
        import gc, resource, sys, wrens
        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            def turn():
                futures = [ex.submit(abs, -x) for x in range(10_000)]
                assert [f.result() for f in futures] == list(range(10_000))
            for _ in range(3):
                turn()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(7):
                turn()
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    assert int(clients.start(program, tmp_path / "store").ok(600)) < 30


def test_a_thousand_jobs_of_one_executor(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        jobs = [ex.map_async(abs, range(-n % 7, 0)) for n in range(1000)]
        for n, job in enumerate(jobs):
            assert job.results(300) == [abs(x) for x in range(-n % 7, 0)]


def test_outputs_of_many_megabytes(tmp_path: Path) -> None:
    arrays = [np.full(1_000_000, float(n)) for n in range(64)]
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        for n, result in enumerate(ex.map(np.negative, arrays)):
            assert result[0] == result[-1] == -n
