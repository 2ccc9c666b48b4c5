"""What the user's function raises is the user's: type, notes, traceback, retries, and the others' results."""

from __future__ import annotations

import pickle  # noqa: TID251 - what a job raises has to travel
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from ledger import Ledger, Stopwatch

import wrens
from wrens.errors import CannotShip, JobFailed, RemoteError

pytestmark = pytest.mark.timeout(60)


class Refused(Exception):
    """An exception with arguments of its own, which plain pickle cannot rebuild."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"refused with {code}: {why}")
        self.code, self.why = code, why


class Unpicklable(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.generator = (x for x in (1, 2))


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    with wrens.Executor(store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


def odd_is_refused(x: int) -> int:
    if x % 2:
        raise Refused(x, why="odd")
    return x


# --- the exception itself -------------------------------------------------------------------------------


def test_an_exception_keeps_its_type_and_attributes(ex: wrens.Executor) -> None:
    with pytest.raises(Refused) as caught:
        ex.submit(odd_is_refused, 3).result(30)
    assert (caught.value.code, caught.value.why) == (3, "odd")
    assert str(caught.value) == "refused with 3: odd"


def test_an_exception_says_where_it_was_raised(ex: wrens.Executor) -> None:
    job = ex.map_async(odd_is_refused, range(40))
    error = job[17].exception(30)
    text = "".join(traceback.format_exception(error))
    assert f"odd_is_refused(17) in task 17 of job {job.id}, attempt 1" in text
    assert 'raise Refused(x, why="odd")' in text
    assert "in odd_is_refused" in text


def test_a_long_input_is_shortened_in_the_note(ex: wrens.Executor) -> None:
    error = ex.submit(int, "x" * 10_000).exception(30)
    assert error is not None
    note = next(note for note in error.__notes__ if "in task" in note)
    assert len(note) < 500


def test_cause_and_context_come_along(ex: wrens.Executor) -> None:
    def chain(_: int) -> None:
        try:
            {}["key"]
        except KeyError as error:
            raise Refused(1, why="no key") from error

    error = ex.submit(chain, 0).exception(30)
    assert isinstance(error, Refused)
    assert isinstance(error.__cause__, KeyError)


def test_an_exception_that_cannot_be_pickled_still_has_its_type_or_name(ex: wrens.Executor) -> None:
    def fails() -> None:
        raise Unpicklable("with a generator inside")

    error = ex.submit(fails).exception(30)
    assert isinstance(error, (Unpicklable, RemoteError))
    assert "with a generator inside" in str(error)


def test_an_exception_whose_str_raises_is_still_reported(ex: wrens.Executor) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    def fails() -> None:
        raise Mute

    assert type(ex.submit(fails).exception(30)).__name__ in {"Mute", "RemoteError"}


def test_an_exception_group_comes_back_whole(ex: wrens.Executor) -> None:
    def fails() -> None:
        raise ExceptionGroup("two", [ValueError("a"), Refused(2, why="b")])

    error = ex.submit(fails).exception(30)
    assert isinstance(error, ExceptionGroup)
    assert [type(e) for e in error.exceptions] == [ValueError, Refused]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, SystemExit, StopIteration, BaseException])
def test_odd_exceptions_are_answers_too(ex: wrens.Executor, kind: type[BaseException]) -> None:
    def fails(x: int) -> int:
        if x == 1:
            raise kind("odd")
        return x

    job = ex.map_async(fails, range(3))
    assert job.wait(30)
    error = job[1].exception(30)
    assert type(error) is kind
    assert (job[0].result(), job[2].result()) == (0, 2)
    with pytest.raises(JobFailed):
        job.results()


# --- JobFailed ------------------------------------------------------------------------------------------


def test_job_failed_carries_the_results_of_the_others(ex: wrens.Executor) -> None:
    with pytest.raises(JobFailed) as caught:
        ex.map_async(odd_is_refused, range(100)).results(30)
    error = caught.value
    assert error.results == {x: x for x in range(0, 100, 2)}
    assert set(error.failures) == set(range(1, 100, 2))
    assert all(f.code == x for x, f in error.failures.items())  # type: ignore[attr-defined]
    assert "50 of 100 tasks" in str(error)
    assert "50 × Refused" in str(error)


def test_job_failed_can_be_pickled(ex: wrens.Executor) -> None:
    with pytest.raises(JobFailed) as caught:
        ex.map_async(int, ["1", "two", "3"]).results(30)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.results == {0: 1, 2: 3}
    assert isinstance(again.failures[1], ValueError)


def test_except_star_picks_the_users_exceptions(ex: wrens.Executor) -> None:
    seen: list[int] = []
    try:
        ex.map_async(odd_is_refused, range(6)).results(30)
    except* Refused as group:
        seen = [e.code for e in group.exceptions]  # type: ignore[union-attr]
    assert seen == [1, 3, 5]


def test_map_yields_what_comes_before_the_failure(ex: wrens.Executor) -> None:
    results = ex.map(odd_is_refused, [0, 2, 4, 5, 6])
    assert [next(results), next(results), next(results)] == [0, 2, 4]
    with pytest.raises(Refused):
        next(results)


def test_results_may_be_asked_for_again(ex: wrens.Executor) -> None:
    job = ex.map_async(odd_is_refused, range(4))
    for _ in range(2):
        with pytest.raises(JobFailed) as caught:
            job.results(30)
        assert caught.value.results == {0: 0, 2: 2}


# --- results that do not travel -------------------------------------------------------------------------


def test_a_result_that_cannot_be_pickled_fails_alone_and_names_it(ex: wrens.Executor) -> None:
    def opens(x: int) -> Any:
        return {"at": [1, (y for y in "ab")]} if x == 3 else x

    with pytest.raises(JobFailed) as caught:
        ex.map_async(opens, range(8)).results(30)
    assert set(caught.value.failures) == {3}
    assert isinstance(caught.value.failures[3], CannotShip)
    assert "generator" in str(caught.value.failures[3])


class BreaksAtUnpickle:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return (_raise, (self.error,))


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_a_result_that_cannot_be_unpickled_fails_alone(ex: wrens.Executor, kind: type[BaseException]) -> None:
    def makes(x: int) -> Any:
        return BreaksAtUnpickle(kind("no way back")) if x == 2 else x

    job = ex.map_async(makes, range(5))
    assert job.wait(30)
    error = job[2].exception(30)
    assert isinstance(error, kind)
    assert [job[x].result(30) for x in (0, 1, 3, 4)] == [0, 1, 3, 4]
    # The executor's own thread was not harmed by it.
    future = ex.submit(makes, 2)
    assert isinstance(future.exception(30), kind)
    assert ex.submit(makes, 1).result(30) == 1


# --- retries --------------------------------------------------------------------------------------------


def test_a_listed_exception_is_retried_exactly_as_often_as_asked(ex: wrens.Executor, ledger: Ledger) -> None:
    retry = wrens.Retry(attempts=3, on=(ConnectionError, KeyError))

    def task(x: int) -> int:
        ledger.note(x)
        if x == 1:
            raise ConnectionResetError("always")
        if x == 2:
            raise ValueError("not listed")
        if x == 3 and ledger.counts()["3"] < 3:
            raise KeyError("twice")
        return x

    with pytest.raises(JobFailed) as caught:
        ex.options(retry=retry).map_async(task, range(6)).results(30)
    assert {x: type(e) for x, e in caught.value.failures.items()} == {1: ConnectionResetError, 2: ValueError}
    assert caught.value.results == {0: 0, 3: 3, 4: 4, 5: 5}
    assert ledger.counts() == {"0": 1, "1": 3, "2": 1, "3": 3, "4": 1, "5": 1}


def test_nothing_is_retried_by_default(ex: wrens.Executor, ledger: Ledger) -> None:
    with pytest.raises(JobFailed):
        ex.map_async(ledger.noted(odd_is_refused), range(20)).results(30)
    assert ledger.counts() == {str(x): 1 for x in range(20)}


def test_the_last_attempt_says_its_number(ex: wrens.Executor) -> None:
    error = ex.options(retry=wrens.Retry(attempts=3, on=Refused)).submit(odd_is_refused, 1).exception(30)
    assert error is not None
    assert "attempt 3" in "".join(error.__notes__)


def test_back_off_waits_longer_each_time(ex: wrens.Executor, ledger: Ledger) -> None:
    patient = ex.options(retry=wrens.Retry(attempts=3, on=Refused, backoff_s=0.3))
    watch = Stopwatch()
    with pytest.raises(Refused):
        patient.submit(ledger.noted(odd_is_refused), 1).result(30)
    assert 0.3 + 0.6 <= watch.seconds < 10
    assert ledger.counts() == {"1": 3}


def test_while_one_task_backs_off_others_run(ex: wrens.Executor, ledger: Ledger) -> None:
    patient = ex.options(retry=wrens.Retry(attempts=2, on=Refused, backoff_s=2.5))
    watch = Stopwatch()
    waits = patient.submit(odd_is_refused, 1)
    assert [ex.submit(odd_is_refused, 2 * x).result(30) for x in range(10)] == list(range(0, 20, 2))
    assert watch.seconds < 2.5
    assert not waits.done()
    assert isinstance(waits.exception(30), Refused)
