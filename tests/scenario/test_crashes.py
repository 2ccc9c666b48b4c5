"""Workers that die, hang or run out of memory cost the task at fault and nobody else."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ledger import Ledger, Stopwatch, hold

import wrens
from wrens.core import deadlines
from wrens.errors import JobFailed, TaskTimeout, WorkerLost

pytestmark = pytest.mark.timeout(60)
BAD = 7
"""The task that misbehaves."""


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    with wrens.Executor(store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


def segfault() -> None:
    ctypes.string_at(0)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    hold()


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    hold()


def aborted() -> None:
    os.abort()


def exits_0() -> None:
    os._exit(0)


def exits_3() -> None:
    os._exit(3)


def c_exits_5() -> None:
    ctypes.CDLL(None).exit(5)


def hangs() -> None:
    hold()


def hangs_in_c() -> None:
    # One call that keeps the interpreter's lock until it ends, which is after some minutes.
    re.match(r"(a+)+$", "a" * 33 + "b")


def fate(how: Callable[[], None], ledger: Ledger | None = None) -> Callable[[int], int]:
    def task(x: int) -> int:
        if ledger is not None:
            ledger.note(x)
        if x == BAD:
            how()
        return 10 * x

    return task


def failure_of(job: wrens.Job[Any], total: int = 20) -> Exception:
    """Return the one failure of a job whose other results are all there."""
    with pytest.raises(JobFailed) as caught:
        job.results(timeout=45)
    assert set(caught.value.failures) == {BAD}
    assert caught.value.results == {x: 10 * x for x in range(total) if x != BAD}
    return caught.value.failures[BAD]


# --- the worker dies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "evidence"),
    [
        (segfault, "signal 11 (SIGSEGV)"),
        (killed, "signal 9 (SIGKILL)"),
        (terminated, "signal 15 (SIGTERM)"),
        (aborted, "signal 6 (SIGABRT)"),
        (exits_0, "exit code 0"),
        (exits_3, "exit code 3"),
        (c_exits_5, "exit code 5"),
    ],
)
def test_a_task_that_ends_its_worker_fails_alone_and_says_how(
    ex: wrens.Executor, ledger: Ledger, how: Callable[[], None], evidence: str
) -> None:
    twice = ex.options(retry=wrens.Retry(lost=2))
    error = failure_of(twice.map_async(fate(how, ledger), range(20)))
    assert isinstance(error, WorkerLost)
    assert evidence in str(error)
    assert f"task {BAD} " in str(error)
    assert len(error.attempts) == ledger.counts()[str(BAD)] == 2


def test_a_whole_batch_lost_again_and_again_costs_one_task_four_attempts(
    ex: wrens.Executor, ledger: Ledger
) -> None:
    job = ex.options(packing=wrens.Packing(size=20)).map_async(fate(killed, ledger), range(20))
    error = failure_of(job)
    assert isinstance(error, WorkerLost)
    assert len(error.attempts) == ledger.counts()[str(BAD)] == 4


def test_a_task_that_dies_once_succeeds_at_its_second_attempt(ex: wrens.Executor, ledger: Ledger) -> None:
    def dies_once(x: int) -> int:
        ledger.note(x)
        if x == BAD and ledger.counts()[str(x)] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
            hold()
        return 10 * x

    assert ex.map_async(dies_once, range(20)).results(45) == [10 * x for x in range(20)]
    assert ledger.counts()[str(BAD)] == 2


def test_lost_1_gives_up_at_the_first_loss(ex: wrens.Executor, ledger: Ledger) -> None:
    one = ex.options(retry=wrens.Retry(lost=1), packing=wrens.Packing(size=20))
    failure_of(one.map_async(fate(killed, ledger), range(20)))
    assert ledger.counts()[str(BAD)] == 1


def test_every_task_of_a_batch_that_kills_is_found(ex: wrens.Executor) -> None:
    def mine_field(x: int) -> int:
        if x % 5 == 2:
            os._exit(9)
        return x

    job = ex.options(packing=wrens.Packing(size=25), retry=wrens.Retry(lost=2)).map_async(
        mine_field, range(25)
    )
    with pytest.raises(JobFailed) as caught:
        job.results(timeout=45)
    assert set(caught.value.failures) == {2, 7, 12, 17, 22}
    assert set(caught.value.results) == {x for x in range(25) if x % 5 != 2}


def test_a_submitted_task_that_dies_does_not_break_the_executor(ex: wrens.Executor) -> None:
    bad = ex.submit(os._exit, 4)
    good = [ex.submit(abs, -x) for x in range(20)]
    assert [f.result(30) for f in good] == list(range(20))
    with pytest.raises(WorkerLost, match="exit code 4"):
        bad.result(30)
    assert ex.submit(abs, -3).result(30) == 3


def test_a_worker_killed_from_outside_while_idle_is_replaced(ex: wrens.Executor) -> None:
    pid = ex.submit(os.getpid).result(30)
    os.kill(pid, signal.SIGKILL)
    assert list(ex.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


def test_what_a_dead_worker_printed_is_in_the_error(ex: wrens.Executor) -> None:
    def last_words() -> None:
        print("the disc is on fire", flush=True)
        os._exit(2)

    with pytest.raises(WorkerLost, match="the disc is on fire"):
        ex.submit(last_words).result(30)


# --- sys.exit is an answer, not a death -----------------------------------------------------------------


def test_sys_exit_is_the_exception_of_its_task(ex: wrens.Executor) -> None:
    with pytest.raises(SystemExit, match="3"):
        ex.submit(sys.exit, 3).result(30)
    job = ex.map_async(fate(sys.exit), range(20))
    error = failure_of(job)
    assert isinstance(error.__cause__, SystemExit)


# --- the task takes too long ----------------------------------------------------------------------------


def test_a_task_past_its_timeout_fails_alone_in_bounded_time(ex: wrens.Executor) -> None:
    watch = Stopwatch()
    error = failure_of(ex.options(timeout=0.5).map_async(fate(hangs), range(20)))
    assert isinstance(error, TaskTimeout)
    assert "timeout of 0.5 s" in str(error)
    assert watch.seconds < 10


@pytest.mark.parametrize("size", [None, 1, 10])
@pytest.mark.usefixtures("impatient")
def test_a_task_that_lets_no_thread_run_is_ended_at_the_deadline_of_its_attempt(
    ex: wrens.Executor, ledger: Ledger, size: int | None
) -> None:
    watch = Stopwatch()
    patient = ex.options(timeout=0.3, packing=wrens.Packing(size=size))
    error = failure_of(patient.map_async(fate(hangs_in_c, ledger), range(10)), 10)
    assert isinstance(error, TaskTimeout)
    assert ledger.counts()[str(BAD)] == 1
    assert watch.seconds < 2 * (deadlines.START_S + deadlines.GRACE_S + 10 * 0.3) + 5.0


def test_a_timeout_shows_where_the_task_was(ex: wrens.Executor) -> None:
    with pytest.raises(TaskTimeout, match="in hangs") as caught:
        ex.options(timeout=0.3).submit(hangs).result(30)
    assert isinstance(caught.value, TimeoutError)


def test_a_timeout_is_not_retried_unless_asked(ex: wrens.Executor, ledger: Ledger) -> None:
    def slow(x: int) -> int:
        ledger.note(x)
        hold()
        return x

    listed = wrens.Retry(attempts=3, on=TaskTimeout)
    with pytest.raises(TaskTimeout):
        ex.options(timeout=0.2).submit(slow, 1).result(30)
    with pytest.raises(TaskTimeout):
        ex.options(timeout=0.2, retry=listed).submit(slow, 2).result(30)
    assert ledger.counts() == {"1": 1, "2": 3}


def test_many_hanging_tasks_all_time_out(ex: wrens.Executor) -> None:
    watch = Stopwatch()
    job = ex.options(timeout=0.3).map_async(lambda x: hangs() if x % 4 == 0 else x, range(16))
    with pytest.raises(JobFailed) as caught:
        job.results(timeout=45)
    assert set(caught.value.failures) == {0, 4, 8, 12}
    assert all(isinstance(e, TaskTimeout) for e in caught.value.failures.values())
    assert watch.seconds < 15


# --- memory ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds the limit")
def test_too_much_memory_is_a_memory_error_of_its_task(ex: wrens.Executor) -> None:
    small = ex.options(resources=wrens.Resources(memory_mb=300))
    error = failure_of(small.map_async(fate(lambda: bytearray(600_000_000)), range(20)))  # type: ignore[arg-type]
    assert isinstance(error, MemoryError)
    notes = "\n".join(error.__notes__)
    assert "(a guess): the limit of 300 MB" in notes
    assert "Resources(memory_mb=600)" in notes


def test_a_memory_error_without_a_limit_blames_none(ex: wrens.Executor) -> None:
    error = ex.submit(_forgetful).exception(30)
    assert isinstance(error, MemoryError)
    assert "limit" not in "\n".join(error.__notes__)


def _forgetful() -> None:
    raise MemoryError


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds the limit")
def test_a_memory_limit_ends_with_its_task(ex: wrens.Executor) -> None:
    small = ex.options(resources=wrens.Resources(memory_mb=300))
    assert list(small.map(abs, [-1, -2])) == [1, 2]
    assert list(ex.map(lambda n: len(bytearray(n)), [600_000_000] * 2)) == [600_000_000] * 2
