"""What may be among the arguments: futures, shared values, executors; and what stands for it in the worker."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger import Ledger, doze, hold, until

import wrens
from wrens.errors import CannotShip, JobFailed

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module", params=["local", "inline"])
def ex(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    with wrens.Executor(request.param, store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


def add(*numbers: Any, **named: Any) -> Any:
    return sum(numbers) + sum(named.values())


def total(values: Any) -> Any:
    return sum(values.values() if isinstance(values, dict) else values)


def slowly(x: int) -> int:
    doze(0.05)
    return x


def fails(x: Any) -> Any:
    raise LookupError(x)


def foreign(value: Any = None, error: BaseException | None = None) -> concurrent.futures.Future[Any]:
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    if error is not None:
        future.set_exception(error)
    elif value is not None:
        future.set_result(value)
    return future


# --- futures --------------------------------------------------------------------------------------------


def test_a_chain_of_futures(ex: wrens.Executor) -> None:
    future: Any = 1
    for _ in range(20):
        future = ex.submit(add, future, 1)
    assert future.result(40) == 21


def test_a_tree_of_futures(ex: wrens.Executor) -> None:
    level = [ex.submit(add, x) for x in range(16)]
    while len(level) > 1:
        level = [ex.submit(add, a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    assert level[0].result(40) == sum(range(16))


def test_futures_in_a_list_a_tuple_a_dict_and_by_name(ex: wrens.Executor) -> None:
    one, two = ex.submit(add, 1), ex.submit(add, 2)
    assert ex.submit(total, [one, two, 3]).result(30) == 6
    assert ex.submit(total, (one, two)).result(30) == 3
    assert ex.submit(total, {"a": one, "b": two}).result(30) == 3
    assert ex.submit(add, x=one, y=two).result(30) == 3


def test_the_failure_of_a_future_is_that_of_its_dependents(ex: wrens.Executor) -> None:
    bad = ex.submit(fails, "first")
    chain = ex.submit(add, ex.submit(add, bad, 1), 1)
    assert isinstance(chain.exception(30), LookupError)
    assert chain.exception().args == ("first",)  # type: ignore[union-attr]


def test_a_cancelled_future_cancels_its_dependents_by_name(ex: wrens.Executor) -> None:
    cancelled = foreign()
    waits = ex.submit(add, cancelled, 1)
    assert cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        waits.result(30)


def test_futures_of_other_executors_are_waited_for(ex: wrens.Executor) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        slow = threads.submit(lambda: doze(0.3) or 5)
        assert ex.submit(add, slow, 1).result(30) == 6
    later = foreign()
    waits = ex.submit(add, later, foreign(2))
    assert not waits.done()
    threading.Timer(0.1, later.set_result, [3]).start()
    assert waits.result(30) == 5
    assert isinstance(ex.submit(add, foreign(error=KeyError("k"))).exception(30), KeyError)


def test_a_future_of_another_executor_of_wrens(ex: wrens.Executor, tmp_path: Path) -> None:
    with wrens.Executor("inline", store=tmp_path / "other") as other:
        assert ex.submit(add, other.submit(add, 1, 2), 4).result(30) == 7


def test_futures_among_the_inputs_of_map(ex: wrens.Executor) -> None:
    done = [ex.submit(add, x) for x in range(4)]
    concurrent.futures.wait(done, 30)
    assert list(ex.map(add, done)) == [0, 1, 2, 3]
    job = ex.map_async(add, [1, 2])
    assert job.wait(30)
    assert list(ex.map(add, job, [10, 10])) == [11, 12]


def test_a_job_is_the_input_of_another_before_it_has_ended(ex: wrens.Executor) -> None:
    first = ex.map_async(slowly, range(8))
    second = ex.map_async(add, first, [10] * 8)
    third = ex.map(total, [[second[0], second[7], 1], (second[1],), {"a": second[2]}])
    assert list(third) == [10 + 17 + 1, 11, 12]
    assert second.results(30) == list(range(10, 18))
    assert list(ex.map(add, (future for future in ex.map_async(slowly, range(3))))) == [0, 1, 2]
    assert list(ex.starmap(add, [(first[3], 1)])) == [4]


def test_a_failed_input_fails_its_own_task_alone(ex: wrens.Executor) -> None:
    cancelled = foreign()
    cancelled.cancel()
    inputs = [
        ex.submit(add, 1),
        ex.submit(fails, "first"),
        foreign(5),
        foreign(error=KeyError("k")),
        cancelled,
    ]
    job = ex.map_async(add, inputs, [1] * 5)
    with pytest.raises(JobFailed) as caught:
        job.results(30)
    assert caught.value.results == {0: 2, 2: 6}
    kinds = {task: type(error) for task, error in caught.value.failures.items()}
    assert kinds == {1: LookupError, 3: KeyError, 4: concurrent.futures.CancelledError}


def test_a_future_that_nobody_waits_for_is_refused_while_it_has_no_result(
    tmp_path: Path, ledger: Ledger
) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        gate = foreign()
        slow = ex.submit(add, gate)
        for hidden in (ex.submit(lambda: slow), ex.submit(len, {"deep": {"er": [slow]}})):
            error = hidden.exception(30)
            assert isinstance(error, CannotShip)
            assert "Future" in str(error)
        gate.set_result(1)
        assert slow.result(30) == 1
        assert ex.submit(lambda: slow).result(30) == 1


def test_a_large_result_goes_from_worker_to_worker(ex: wrens.Executor) -> None:
    import numpy as np

    array = ex.submit(np.arange, 1_000_000)
    assert ex.submit(np.sum, array).result(30) == 499_999_500_000


# --- shared values --------------------------------------------------------------------------------------


def test_a_shared_value_is_read_by_many(ex: wrens.Executor) -> None:
    import numpy as np

    big = ex.put(np.arange(100_000))
    assert list(ex.map(lambda i, a: int(a[i]), range(50), [big] * 50)) == list(range(50))
    assert ex.submit(add, ex.put(1), x=ex.put(2)).result(30) == 3


def test_a_shared_value_in_a_closure_or_inside_a_value(ex: wrens.Executor) -> None:
    table = ex.put({"a": 1, "b": 2})
    assert list(ex.map(lambda key: table[key], ["a", "b"])) == [1, 2]  # type: ignore[index]
    assert ex.submit(lambda d: d["deep"][0]["b"], {"deep": [table]}).result(30) == 2


def test_a_shared_value_that_cannot_be_pickled_is_refused_at_once(ex: wrens.Executor) -> None:
    with pytest.raises(CannotShip, match="shared value"):
        ex.put(threading.Lock())


def test_none_can_be_shared(ex: wrens.Executor) -> None:
    assert ex.submit(lambda x: x is None, ex.put(None)).result(30)


# --- executors inside tasks -----------------------------------------------------------------------------


def inner(n: int) -> int:
    with wrens.Executor(max_workers=2) as ex:
        return sum(ex.map(lambda x: x * x, range(n))) + ex.submit(add, 1).result(20)


def test_an_executor_inside_a_task(ex: wrens.Executor) -> None:
    assert list(ex.map(inner, [3, 4, 5])) == [6, 15, 31]


def test_an_executor_inside_a_task_inside_a_task(ex: wrens.Executor) -> None:
    def outer(n: int) -> int:
        with wrens.Executor() as again:
            return sum(again.map(inner, [n, n]))

    assert ex.submit(outer, 3).result(40) == 12


def test_failures_inside_reach_the_outside(ex: wrens.Executor) -> None:
    def outer() -> Any:
        with wrens.Executor() as again:
            return again.map_async(fails, [1, 2]).results(20)

    error = ex.submit(outer).exception(30)
    assert isinstance(error, wrens.errors.JobFailed)
    assert {type(e) for e in error.failures.values()} == {LookupError}


def test_a_job_made_in_a_task_can_be_attached_to(tmp_path: Path) -> None:
    def outer() -> str:
        with wrens.Executor(keep=True) as again:
            job = again.map_async(add, [1, 2, 3])
            job.wait(20)
            return job.id

    store = tmp_path / "store"
    with wrens.Executor(store=store, max_workers=1) as ex:
        job_id = ex.submit(outer).result(30)
    assert wrens.attach(job_id, store=store, backend="inline").results(20) == [1, 2, 3]


def test_a_task_knows_itself(ex: wrens.Executor) -> None:
    job = ex.map_async(lambda _: wrens.current_task(), range(3))
    tasks = job.results(30)
    assert [task.task for task in tasks] == [0, 1, 2]
    assert {task.job for task in tasks} == {job.id}
    assert wrens.current_task() is None


# --- order of things ------------------------------------------------------------------------------------


def test_a_call_that_waits_for_a_future_does_not_hold_up_others(tmp_path: Path, ledger: Ledger) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        gate = foreign()
        waits = ex.submit(add, gate, 1)
        assert [ex.submit(add, x).result(30) for x in range(3)] == [0, 1, 2]
        assert not waits.done()
        gate.set_result(1)
        assert waits.result(30) == 2


def test_a_waiting_call_can_be_cancelled(tmp_path: Path, ledger: Ledger) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        running = ex.submit(lambda: ledger.note("on") or hold(20))
        until(ledger.lines)
        queued, blocked = ex.submit(ledger.note, "never"), ex.submit(add, running)
        assert queued.cancel()
        assert blocked.cancel()
        assert not running.cancel()
        ex._session.abandon()
    assert ledger.lines() == ["on"]
