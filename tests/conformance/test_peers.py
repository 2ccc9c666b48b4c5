"""What other systems were seen to get wrong, as tests of what wrens does.

Each test is a wrong answer or a trap that a user of a comparable library has met: dropped ``None`` results,
an empty map that answered with the job before it, tuples unpacked without being asked, a crash reported as
too little memory, and so on. Three more belong to reading text in partitions, which is an issue of its own:
lines of 200 kB and of 400 kB must come through whole, and an object of one byte is one partition.
"""

from __future__ import annotations

import concurrent.futures
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import wrens
from wrens.errors import JobFailed, TaskTimeout, WorkerLost

LONG_S = 60
"""Longer than any test waits: a task of this length has to be cancelled, killed or left behind."""


@pytest.fixture(scope="module")
def ex() -> Iterator[wrens.Executor]:
    with wrens.Executor(max_workers=2) as executor:
        yield executor


def odd_or_none(x: int) -> int | None:
    return x if x % 2 else None


def double(x: int) -> int:
    return 2 * x


def same(x: object) -> object:
    return x


def nothing(_: object) -> None:
    return None


def add(x: int, y: int) -> int:
    return x + y


def with_usual_names(id: int, fn: int, timeout: int, self: int, chunksize: int = 0) -> list[int]:  # noqa: A002
    return [id, fn, timeout, self, chunksize]


def takes_id(id: int) -> int:  # noqa: A002
    return id + 1


def fails_at_three(x: int) -> int:
    if x == 3:
        raise ValueError(f"no {x}")
    return x


def ends_by_signal(_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(code: int) -> None:
    os._exit(code)


def ends_the_worker_at_three(x: int) -> int:
    if x == 3:
        os._exit(0)
    return x


def interpreter(_: object) -> tuple[str, str]:
    return sys.executable, sys.prefix


def last_for(seconds: float) -> float:
    time.sleep(seconds)  # noqa: TID251 - it has to run for so long, or until it is ended
    return seconds


def say_begun_and_await_end(folder: str) -> str:
    """Run until the test lets it end; both sides speak through empty files."""
    Path(folder, "begun").touch()
    await_file(Path(folder, "end"))
    return "ended"


def await_file(path: Path) -> None:
    until = time.monotonic() + LONG_S  # noqa: TID251
    while not path.exists():
        assert time.monotonic() < until, f"no {path.name}"  # noqa: TID251
        time.sleep(0.005)  # noqa: TID251


def three_then_an_error() -> Iterator[int]:
    yield from (1, 2, 3)
    raise RuntimeError("the input ends badly")


# --- every result, in order ----------------------------------------------------------------------------


def test_none_is_a_result_like_any_other(ex: wrens.Executor) -> None:
    assert list(ex.map(odd_or_none, [1, 2, 3, 4, 5])) == [1, None, 3, None, 5]
    assert ex.map_async(odd_or_none, [1, 2, 3, 4, 5]).results() == [1, None, 3, None, 5]


def test_results_may_all_be_none(ex: wrens.Executor) -> None:
    assert list(ex.map(nothing, range(5))) == [None] * 5
    assert ex.submit(nothing, 0).result() is None


def test_an_empty_map_is_empty_also_after_a_full_one(ex: wrens.Executor) -> None:
    assert list(ex.map(double, [1, 2])) == [2, 4]
    assert list(ex.map(double, [])) == []
    job = ex.map_async(double, [])
    assert (job.results(), len(job), list(job), list(job.as_completed())) == ([], 0, [], [])


def test_an_empty_generator_makes_an_empty_map(ex: wrens.Executor) -> None:
    assert list(ex.map(double, (x for x in ()))) == []
    assert ex.map_async(double, (x for x in ())).results() == []


def test_1000_tasks_finish(ex: wrens.Executor) -> None:
    assert list(ex.map(double, range(1000))) == [2 * x for x in range(1000)]
    futures = [ex.submit(double, x) for x in range(1000)]
    assert [future.result() for future in futures] == [2 * x for x in range(1000)]


# --- inputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs",
    [[1, 2, 3], (1, 2, 3), {1: "a", 2: "b", 3: "c"}, range(1, 4), np.array([1, 2, 3]), bytes([1, 2, 3])],
    ids=["list", "tuple", "dict", "range", "ndarray", "bytes"],
)
def test_any_iterable_is_an_input(ex: wrens.Executor, inputs: object) -> None:
    assert list(ex.map(double, inputs)) == [2, 4, 6]
    assert ex.map_async(double, inputs).results() == [2, 4, 6]


def test_a_generator_is_an_input(ex: wrens.Executor) -> None:
    assert list(ex.map(double, (x for x in (1, 2, 3)))) == [2, 4, 6]
    assert ex.map_async(double, (x for x in (1, 2, 3))).results() == [2, 4, 6]


def test_rows_of_an_array_are_inputs(ex: wrens.Executor) -> None:
    rows = np.arange(6).reshape(3, 2)
    assert [row.tolist() for row in ex.map(same, rows)] == rows.tolist()


def test_an_endless_generator_can_be_consumed_in_part(ex: wrens.Executor) -> None:
    def count() -> Iterator[int]:
        x = 0
        while True:
            yield x
            x += 1

    results = ex.map(double, count())
    assert [next(results) for _ in range(5)] == [0, 2, 4, 6, 8]


def test_an_input_that_raises_is_raised_after_the_results_before_it(ex: wrens.Executor) -> None:
    results = ex.map(double, three_then_an_error())
    assert [next(results) for _ in range(3)] == [2, 4, 6]
    with pytest.raises(RuntimeError, match="the input ends badly"):
        next(results)


@pytest.mark.parametrize("item", [(1, 2), [1, 2], {"x": 1}, (), None, (1,)], ids=repr)
def test_an_input_is_one_argument_whatever_it_is(ex: wrens.Executor, item: object) -> None:
    assert list(ex.map(same, [item, item])) == [item, item]


def test_starmap_unpacks_because_it_says_so(ex: wrens.Executor) -> None:
    pairs = [(1, 2), (3, 4)]
    assert list(ex.starmap(add, pairs)) == [3, 7]
    assert ex.starmap_async(add, pairs).results() == [3, 7]


def test_several_iterables_are_joined_as_the_built_in_does(ex: wrens.Executor) -> None:
    assert list(ex.map(add, [1, 2, 3], [10, 20])) == [11, 22]


def test_no_parameter_name_is_reserved(ex: wrens.Executor) -> None:
    future = ex.submit(with_usual_names, 1, fn=2, timeout=3, self=4, chunksize=5)
    assert future.result() == [1, 2, 3, 4, 5]
    assert ex.submit(takes_id, id=1).result() == 2
    assert list(ex.map(takes_id, [1, 2])) == [2, 3]


def test_names_of_the_caller_may_be_those_of_the_library(ex: wrens.Executor) -> None:
    def ibm_cos(storage: int, job: int) -> int:
        return storage + job

    assert ex.submit(ibm_cos, storage=1, job=2).result() == 3


# --- failures ------------------------------------------------------------------------------------------


def test_one_failure_of_eight_leaves_seven_results(ex: wrens.Executor) -> None:
    job = ex.map_async(fails_at_three, range(8))
    with pytest.raises(JobFailed) as caught:
        job.results()
    assert caught.value.results == {x: x for x in range(8) if x != 3}
    assert [(type(error), str(error)) for error in caught.value.failures.values()] == [(ValueError, "no 3")]
    assert list(caught.value.failures) == [3]
    for task, future in enumerate(job):
        if task == 3:
            with pytest.raises(ValueError, match="no 3"):
                future.result()
        else:
            assert future.result() == task


def test_a_worker_that_dies_takes_only_the_task_that_killed_it(ex: wrens.Executor) -> None:
    job = ex.map_async(ends_the_worker_at_three, range(8))
    with pytest.raises(JobFailed) as caught:
        job.results()
    assert caught.value.results == {x: x for x in range(8) if x != 3}
    assert {task: type(error) for task, error in caught.value.failures.items()} == {3: WorkerLost}


def test_death_by_signal_is_named_as_such(ex: wrens.Executor) -> None:
    error = ex.submit(ends_by_signal, None).exception(timeout=60)
    assert isinstance(error, WorkerLost)
    assert not isinstance(error, MemoryError)
    assert "SIGSEGV" in str(error)
    assert "memory" not in error.likely.lower()


@pytest.mark.parametrize("code", [0, 7])
def test_leaving_with_an_exit_code_is_named_as_such(ex: wrens.Executor, code: int) -> None:
    error = ex.submit(leaves, code).exception(timeout=60)
    assert isinstance(error, WorkerLost)
    assert not isinstance(error, MemoryError)
    assert f"exit code {code}" in str(error)
    assert "memory" not in error.likely.lower()


# --- waiting and cancelling ----------------------------------------------------------------------------


def test_waiting_with_a_timeout_works_in_any_thread(ex: wrens.Executor, tmp_path: Path) -> None:
    future = ex.submit(say_begun_and_await_end, str(tmp_path))
    job = ex.map_async(say_begun_and_await_end, [str(tmp_path)])
    seen: list[object] = []

    def wait() -> None:
        for call in (future.result, future.exception, job[0].result, job.results):
            try:
                seen.append(call(timeout=0.05))
            except BaseException as error:
                seen.append(type(error))
        seen.append(job.wait(timeout=0.05))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(timeout=20)
    (tmp_path / "end").touch()
    assert seen == [TimeoutError, TimeoutError, TimeoutError, TimeoutError, False]
    assert (future.result(timeout=20), job.results(timeout=20)) == ("ended", ["ended"])


def test_a_map_with_a_timeout_says_so_and_goes_on_with_other_work(ex: wrens.Executor, tmp_path: Path) -> None:
    results = ex.map(say_begun_and_await_end, [str(tmp_path)], timeout=0.2)
    with pytest.raises(TimeoutError):
        next(results)
    assert ex.submit(double, 4).result(timeout=20) == 8
    (tmp_path / "end").touch()


def test_a_task_with_a_timeout_is_stopped(ex: wrens.Executor) -> None:
    error = ex.options(timeout=0.2).submit(last_for, LONG_S).exception(timeout=30)
    assert isinstance(error, TaskTimeout)
    assert isinstance(error, TimeoutError)


def test_a_future_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    with wrens.Executor(max_workers=1) as ex:
        running = ex.submit(say_begun_and_await_end, str(tmp_path))
        await_file(tmp_path / "begun")
        waiting = ex.submit(double, 4)
        assert waiting.cancel()
        assert waiting.cancelled()
        assert not running.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            waiting.result()
        (tmp_path / "end").touch()
        assert running.result(timeout=20) == "ended"
        assert concurrent.futures.wait([waiting], timeout=20).done == {waiting}


def test_a_job_that_runs_can_be_cancelled(tmp_path: Path) -> None:
    with wrens.Executor(max_workers=1) as ex:
        job = ex.map_async(say_begun_and_await_end, [str(tmp_path), str(tmp_path)])
        await_file(tmp_path / "begun")
        job.cancel()
        assert job.wait(timeout=20)
        assert all(future.cancelled() for future in job)
        assert ex.submit(double, 4).result(timeout=20) == 8


# --- the worker ----------------------------------------------------------------------------------------


def test_a_worker_runs_on_this_very_interpreter(ex: wrens.Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing called python can be found, as in a virtual environment that is not activated.
    monkeypatch.setenv("PATH", "/nowhere")
    with wrens.Executor(max_workers=1) as fresh:
        assert fresh.submit(interpreter, None).result() == (sys.executable, sys.prefix)
