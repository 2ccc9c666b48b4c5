"""Any iterable is an input: empty, endless, lazy, or one that raises in the middle."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from ledger import Ledger, Stopwatch, doze, until

import wrens
from wrens.errors import CannotShip, JobFailed

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    with wrens.Executor(store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


def same(x: Any) -> Any:
    return x


class Counted:
    """An input that counts how far it has been read."""

    def __init__(self, inputs: Any) -> None:
        self.inputs, self.read = iter(inputs), 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        value = next(self.inputs)
        self.read += 1
        return value


class Broken(Exception):
    pass


def breaks_after(n: int) -> Iterator[int]:
    yield from range(n)
    raise Broken(n)


# --- shapes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100, 1001])
def test_as_many_results_as_inputs_in_order(ex: wrens.Executor, n: int) -> None:
    assert list(ex.map(same, range(n))) == list(range(n))
    assert list(ex.map(same, iter(range(n)))) == list(range(n))
    assert ex.map_async(same, range(n)).results(30) == list(range(n))
    assert ex.map_async(same, iter(range(n))).results(30) == list(range(n))


def test_none_is_a_result_like_any_other(ex: wrens.Executor) -> None:
    assert list(ex.map(same, [None, 1, None])) == [None, 1, None]
    assert ex.map_async(same, [None] * 50).results(30) == [None] * 50
    assert ex.submit(same, None).result(30) is None


def test_an_empty_job_is_done_at_once(ex: wrens.Executor) -> None:
    job = ex.map_async(same, [])
    assert job.done()
    assert (len(job), job.results(), list(job), job[:], list(job.as_completed())) == (0, [], [], [], [])
    assert job.progress.total == 0


def test_several_iterables_end_with_the_shortest(ex: wrens.Executor) -> None:
    assert list(ex.map(pow, [2, 3, 4], [5, 2])) == [32, 9]
    assert list(ex.map(pow, [2, 3], itertools.count(1))) == [2, 9]
    assert list(ex.starmap(pow, [(2, 5), (3, 2)])) == [32, 9]


def test_a_tuple_is_one_argument_of_map(ex: wrens.Executor) -> None:
    assert list(ex.map(same, [(1, 2), (3,)])) == [(1, 2), (3,)]


@pytest.mark.parametrize(
    "inputs", ["abc", b"abc", {"k": 1, "l": 2}, (1, 2), {5}, np.arange(4), np.ones((2, 3))], ids=type
)
def test_any_iterable_is_an_input(ex: wrens.Executor, inputs: Any) -> None:
    for got, expected in zip(ex.map(same, inputs), inputs, strict=True):
        assert np.array_equal(got, expected)


def test_large_and_small_inputs_mix(ex: wrens.Executor) -> None:
    inputs = [b"x" * size for size in (0, 10, 100_000, 3, 5_000_000, 1)]
    assert list(ex.map(len, inputs)) == [len(x) for x in inputs]


def test_what_is_not_iterable_is_refused_at_once(ex: wrens.Executor) -> None:
    with pytest.raises(TypeError, match="iterable"):
        ex.map(same, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="at least one"):
        ex.map(same)


def test_an_input_that_cannot_be_pickled_fails_alone(ex: wrens.Executor) -> None:
    inputs = [1, threading.Lock(), 3]
    with pytest.raises(JobFailed) as caught:
        ex.map_async(type, inputs).results(30)
    assert set(caught.value.failures) == {1}
    assert isinstance(caught.value.failures[1], CannotShip)
    assert "lock" in str(caught.value.failures[1])
    assert set(caught.value.results) == {0, 2}


def test_a_submitted_argument_that_cannot_be_pickled_fails_its_future_only(ex: wrens.Executor) -> None:
    bad, good = ex.submit(same, threading.Lock()), ex.submit(same, 2)
    assert isinstance(bad.exception(30), CannotShip)
    assert good.result(30) == 2


# --- generators -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 3, 500])
def test_a_generator_that_raises_costs_no_earlier_result_of_map(ex: wrens.Executor, n: int) -> None:
    results = ex.map(same, breaks_after(n))
    got: list[int] = []
    with pytest.raises(Broken) as caught:
        got.extend(iter(lambda: next(results), object()))
    assert caught.value.args == (n,)
    assert got == list(range(n))


@pytest.mark.parametrize("n", [0, 1, 3, 500])
def test_a_generator_that_raises_costs_no_earlier_result_of_a_job(ex: wrens.Executor, n: int) -> None:
    job = ex.map_async(same, breaks_after(n))
    with pytest.raises(Broken):
        job.results(30)
    assert [future.result(30) for future in job] == list(range(n))


def test_an_endless_input_is_read_a_little_ahead(ex: wrens.Executor) -> None:
    inputs = Counted(itertools.count())
    results = ex.map(same, inputs)
    assert list(itertools.islice(results, 100)) == list(range(100))
    results.close()  # type: ignore[attr-defined]
    read = inputs.read
    assert list(ex.map(same, range(5))) == list(range(5))
    assert inputs.read == read


@pytest.mark.parametrize("buffersize", [1, 2, 5, 64])
def test_no_more_than_buffersize_is_read_ahead(ex: wrens.Executor, buffersize: int) -> None:
    inputs = Counted(range(200))
    results = ex.map(same, inputs, buffersize=buffersize)
    for taken in range(200):
        # What is yielded counts as consumed, as in the standard library.
        assert inputs.read - taken <= buffersize
        assert next(results) == taken
        assert inputs.read - (taken + 1) <= buffersize
    assert next(results, "end") == "end"


def test_buffersize_bounds_lists_too(ex: wrens.Executor) -> None:
    inputs = list(range(50))
    assert list(ex.map(same, inputs, buffersize=3)) == inputs


def test_inputs_are_read_in_the_thread_that_consumes_and_in_order(ex: wrens.Executor) -> None:
    threads: set[int] = set()

    def inputs() -> Iterator[int]:
        for x in range(300):
            threads.add(threading.get_ident())
            yield x

    assert list(ex.map(same, inputs())) == list(range(300))
    assert threads == {threading.get_ident()}


@pytest.mark.this_computer("elsewhere more is gathered for a batch, and may wait for the next input")
def test_a_slow_generator_delivers_early_results_early(ex: wrens.Executor) -> None:
    gate = threading.Event()

    def inputs() -> Iterator[int]:
        for x in range(3):
            doze(0.1)
            yield x
        assert gate.wait(30)
        yield 3

    job = ex.map_async(same, inputs())
    until(lambda: len(job) == 3)
    assert [job[x].result(30) for x in range(3)] == [0, 1, 2]
    assert not job.done()
    gate.set()
    assert job.results(30) == [0, 1, 2, 3]


def test_cancelling_a_job_stops_reading_its_endless_input(ex: wrens.Executor) -> None:
    inputs = Counted(itertools.count())
    job = ex.map_async(same, inputs)
    until(lambda: job.progress.ok > 100)
    job.cancel()
    assert job.wait(20)
    read = inputs.read
    assert list(ex.map(same, range(5))) == list(range(5))
    assert inputs.read == read
    assert job.progress.total is not None


def test_cancelling_a_job_does_not_wait_for_an_input_that_never_comes(ex: wrens.Executor) -> None:
    gate = threading.Event()

    def inputs() -> Iterator[int]:
        yield 1
        gate.wait(60)

    job = ex.map_async(same, inputs())
    watch = Stopwatch()
    job.cancel()
    assert job.wait(20)
    assert watch.seconds < 10
    gate.set()


def test_an_abandoned_map_runs_no_more(ex: wrens.Executor, ledger: Ledger) -> None:
    def slow(x: int) -> int:
        ledger.note(x)
        doze(0.05)
        return x

    results = ex.options(packing=wrens.Packing(size=1)).map(slow, range(2000))
    assert next(results) == 0
    del results
    watch = Stopwatch()
    assert ex.submit(same, 1).result(30) == 1
    assert watch.seconds < 10
    assert len(ledger.lines()) < 500


# --- timeouts -------------------------------------------------------------------------------------------


def test_the_timeout_of_map_counts_from_the_call(ex: wrens.Executor) -> None:
    results = ex.map(doze, [0.0, 5.0], timeout=2.0)
    watch = Stopwatch()
    doze(1.8)
    with pytest.raises(TimeoutError):
        list(results)
    assert watch.seconds < 3.5


def test_a_timeout_of_results_loses_nothing(ex: wrens.Executor) -> None:
    job = ex.map_async(lambda x: doze(0.7) or x, [1, 2])
    with pytest.raises(TimeoutError):
        job.results(timeout=0.05)
    assert not job.wait(0.01)
    assert job.results(30) == [1, 2]
