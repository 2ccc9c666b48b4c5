"""A job and its futures as the driver fills them, without any driver: verdicts in, outcomes out."""

from __future__ import annotations

import concurrent.futures
import itertools
import pickle  # noqa: TID251 - futures travel among arguments
import threading
from typing import Any

import pytest

import wrens
from wrens.clock import SystemClock
from wrens.core.chaining import futures_in
from wrens.core.future import Future
from wrens.core.job import Job
from wrens.errors import Cancelled, CannotShip, JobFailed, JobIncomplete, RemoteError
from wrens.serialize import describe_failure, pack
from wrens.wire.records import Failure, ResultRef, Verdict

FAILED = describe_failure(LookupError("gone"))
CANCELLED = Failure("cancelled", "wrens.errors.Cancelled", "")


def verdict(
    start: int, values: list[Any], failures: dict[int, Failure] | None = None, batch: str = "00000000"
) -> tuple[Verdict, memoryview]:
    """Return a verdict in which the values come first and the failures follow."""
    packed = pack(values, what=str)
    failures = failures or {}
    record = Verdict(
        1,
        "job",
        batch,
        f"{batch}.0",
        start,
        len(values) + len(failures),
        ok=((start, len(values)),) if values else (),
        failures=tuple(failures.items()),
    )
    return record, memoryview(b"".join(map(bytes, packed.buffers)))


def job_of(total: int, *settled: tuple[Verdict, memoryview]) -> Job[Any]:
    job: Job[Any] = Job("job", home=ResultRef("file:///s", "job", "", -1))
    job.planned(total)
    for each in settled:
        job.settle(*each)
    job.ended()
    return job


# --- results --------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_inputs() -> None:
    job = job_of(5, verdict(3, ["d", "e"]), verdict(0, ["a"]), verdict(1, ["b", None]))
    assert job.done()
    assert job.results() == ["a", "b", None, "d", "e"]
    assert job.results() == job.results()
    assert [future.result() for future in job] == ["a", "b", None, "d", "e"]


def test_a_verdict_that_is_told_twice_counts_once() -> None:
    one = verdict(0, [1, 2], {2: FAILED})
    job = job_of(4, one, one)
    assert job.progress.settled == 3
    assert not job.done()
    job.settle(*verdict(3, [4]))
    assert job.done()


def test_a_job_is_a_sequence() -> None:
    job = job_of(10, verdict(0, list(range(10))))
    assert len(job) == 10
    assert job[3] is job[3]
    assert (job[-1].result(), job[9].task) == (9, 9)
    assert [f.result() for f in job[2:8:3]] == [2, 5]
    assert job[20:] == []
    assert [f.result() for f in job[::-1]] == list(range(9, -1, -1))
    assert job.index(job[4]) == 4
    for index in (10, -11):
        with pytest.raises(IndexError, match="has 10 tasks"):
            job[index]
    assert repr(job) == "<Job job: 10 ok, 0 failed, 0 cancelled of 10>"


def test_failures_carry_the_results_of_the_others() -> None:
    job = job_of(5, verdict(0, ["a", "b"], {2: FAILED, 3: CANCELLED}), verdict(4, ["e"]))
    with pytest.raises(JobFailed) as caught:
        job.results()
    assert caught.value.results == {0: "a", 1: "b", 4: "e"}
    assert isinstance(caught.value.failures[2], LookupError)
    assert isinstance(caught.value.failures[3], Cancelled)
    assert job[3].cancelled()
    assert isinstance(job[2].exception(), LookupError)
    progress = job.progress
    assert (progress.ok, progress.failed, progress.cancelled, progress.total) == (3, 1, 1, 5)


def test_what_no_group_may_hold_is_wrapped() -> None:
    job = job_of(1, verdict(0, [], {0: describe_failure(SystemExit(3))}))
    with pytest.raises(JobFailed) as caught:
        job.results()
    assert isinstance(caught.value.failures[0], RemoteError)
    assert isinstance(caught.value.failures[0].__cause__, SystemExit)
    assert isinstance(job[0].exception(), SystemExit)


def test_a_result_that_does_not_unpickle_is_a_failure_of_its_own() -> None:
    job = job_of(3, verdict(0, [1, Trap(), 3]))
    with pytest.raises(JobFailed) as caught:
        job.results()
    assert caught.value.results == {0: 1, 2: 3}
    assert isinstance(job[1].exception(), ZeroDivisionError)
    assert any("unpickling the result of task 1" in note for note in job[1].exception().__notes__)  # type: ignore[union-attr]


class Trap:
    def __reduce__(self) -> Any:
        return (divmod, (1, 0))


def test_an_input_that_raised_comes_after_the_results() -> None:
    job: Job[Any] = Job("job")
    job.planned(2)
    job.settle(*verdict(0, [1, 2]))
    job.ended(error=OSError("no more pages"))
    with pytest.raises(OSError, match="no more pages"):
        job.results()
    stream = job.stream()
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(OSError, match="no more pages"):
        next(stream)


def test_a_job_that_was_cut_short_says_so_and_keeps_its_results() -> None:
    job: Job[Any] = Job("job")
    job.planned(2)
    job.settle(*verdict(0, [1, 2]))
    job.ended(cut_short=True)
    with pytest.raises(JobIncomplete) as caught:
        job.results()
    assert caught.value.results == {0: 1, 1: 2}


# --- waiting --------------------------------------------------------------------------------------------


def test_waiting_ends_at_its_timeout_and_loses_nothing() -> None:
    job = job_of(2, verdict(0, [1]))
    assert not job.wait(0.01)
    with pytest.raises(TimeoutError, match="1 of 2 tasks are settled"):
        job.results(timeout=0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        job[1].result(timeout=0.01)
    job.settle(*verdict(1, [2]))
    assert job.wait(0)
    assert job.results(0) == [1, 2]


def test_waiting_ends_when_another_thread_settles() -> None:
    job = job_of(1)
    threading.Timer(0.05, job.settle, verdict(0, ["late"])).start()
    assert job.results(10) == ["late"]


def test_a_broken_job_tells_everybody_who_waits() -> None:
    job = job_of(3, verdict(0, ["a"]))
    waiting = job[1]
    seen: list[int] = []
    job.on_finished(lambda: seen.append(1))
    threading.Timer(0.05, job.break_, [OSError("no store")]).start()
    with pytest.raises(OSError, match="no store"):
        job.results(10)
    assert isinstance(waiting.exception(0), OSError)
    assert isinstance(job[2].exception(0), OSError)
    assert job[0].result(0) == "a"
    with pytest.raises(OSError, match="no store"):
        list(job.as_completed())
    with pytest.raises(OSError, match="no store"):
        list(job.stream())
    assert seen == [1]


def test_futures_are_resolved_as_verdicts_come() -> None:
    job = job_of(4)
    futures = list(job)
    assert not any(future.done() for future in futures)
    job.begin(0, 2)
    assert [future.running() for future in futures] == [True, True, False, False]
    job.settle(*verdict(1, ["b"], {2: FAILED}))
    assert [future.done() for future in futures] == [False, True, True, False]
    assert futures[1].result() == "b"


def test_as_completed_yields_the_settled_first_and_each_once() -> None:
    job = job_of(4, verdict(2, ["c"]))
    found = job.as_completed(10)
    assert next(found).task == 2
    job.settle(*verdict(0, ["a"], {1: FAILED}))
    assert sorted([next(found).task, next(found).task]) == [0, 1]
    job.settle(*verdict(3, ["d"]))
    assert [future.task for future in found] == [3]
    with pytest.raises(TimeoutError, match="0 of 1 tasks"):
        list(job_of(1).as_completed(0.01))


def test_two_who_follow_the_same_job_get_everything() -> None:
    job = job_of(3)
    one, two = job.as_completed(10), job.as_completed(10)
    job.settle(*verdict(0, [0]))
    assert (next(one).task, next(two).task) == (0, 0)
    one.close()  # type: ignore[attr-defined]
    job.settle(*verdict(1, [1, 2]))
    assert [future.task for future in two] == [1, 2]


def test_iterating_waits_for_inputs_that_are_still_read() -> None:
    job: Job[Any] = Job("job")
    job.planned(1)
    found = iter(job)
    assert next(found).task == 0
    threading.Timer(0.05, lambda: (job.planned(1), job.ended())).start()
    assert [future.task for future in found] == [1]
    assert (len(job), job.progress.total) == (2, 2)


def test_a_stream_lets_go_of_what_it_yielded() -> None:
    job = job_of(3, verdict(0, ["a", "b"]), verdict(2, ["c"]))
    assert list(job.stream()) == ["a", "b", "c"]
    assert job.progress.ok == 3


def test_the_timeout_of_a_stream_counts_from_the_call() -> None:
    job = job_of(1)
    clock = SystemClock()
    stream = job.stream(timeout=0.4)
    clock.sleep(0.4)
    before = clock.now()
    with pytest.raises(TimeoutError):
        next(stream)
    assert clock.now() - before < 0.3


def test_what_is_to_be_called_at_the_end_is_called_once() -> None:
    job = job_of(1)
    calls = itertools.count()
    job.on_finished(lambda: next(calls))
    job.settle(*verdict(0, [1]))
    job.ended()
    job.on_finished(lambda: next(calls))
    assert next(calls) == 2


# --- futures --------------------------------------------------------------------------------------------


def test_a_future_is_one_of_the_standard_library() -> None:
    future: Future[int] = Future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.begin()
    assert future.begin()
    future.settle("00000000", 5, None)
    future.settle("00000000", 6, None)
    assert future.result() == 5
    assert not future.begin()


def test_a_cancelled_future_stays_cancelled() -> None:
    asked: list[Any] = []
    future: Future[int] = Future()
    future.bind(ResultRef("file:///s", "job", "", -1), 3, asked.append)
    assert future.cancel()
    assert asked == [future]
    assert not future.begin()
    future.settle("00000000", 5, None)
    assert future.cancelled()


def test_a_running_future_is_cancelled_by_its_job_only() -> None:
    future: Future[int] = Future()
    future.begin()
    assert not future.cancel()
    future.settle_cancelled()
    assert future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(0)
    future.settle_cancelled()


def test_a_future_without_a_result_cannot_travel() -> None:
    with pytest.raises(CannotShip, match="no result yet"):
        pickle.dumps(Future())


def test_a_done_future_travels_as_its_result(tmp_path: Any) -> None:
    with wrens.Executor("inline", store=tmp_path, keep=True) as ex:
        job = ex.map_async(divmod, [7, 8], [2, 2])
        job.results()
        text = pickle.dumps(job[1])
        assert len(text) < 500
        assert ex.submit(pickle.loads, text).result() == (4, 0)


def test_futures_are_found_where_they_are_waited_for() -> None:
    one: Any
    one, two, three, deep = (Future() for _ in range(4))
    found = futures_in((one, [two, 1], {"k": three, deep: 1}, ([deep],), {deep}))
    assert list(found) == [one, two, three]
