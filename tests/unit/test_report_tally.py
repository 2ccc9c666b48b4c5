"""The line of progress: events in, text out, with the clock turned by hand."""

from __future__ import annotations

import pytest

from wrens import events
from wrens.clock import VirtualClock
from wrens.report.tally import Tally, line


class Run:
    """A job whose events are made by hand."""

    def __init__(self, job: str = "j", name: str = "mymod.resize") -> None:
        self.clock = VirtualClock()
        self.tally = Tally(job, 0.0)
        self.job = job
        self.tally.take(events.JobStarted(job, name, 0.0))

    def plan(self, count: int, *, ended: bool = True) -> None:
        self.tally.take(events.TasksPlanned(self.job, count, 1, self.clock.now()))
        if ended:
            self.tally.take(events.InputsEnded(self.job, count, self.clock.now()))

    def settle(self, ok: int, failed: int = 0, after_s: float = 1.0) -> None:
        self.clock.advance(after_s)
        at = self.clock.now()
        self.tally.take(events.BatchSettled(self.job, "0", "0.a", ok, failed, 0, 1.0, at))

    def lose(self) -> None:
        self.tally.take(events.AttemptLost(self.job, "0", "0.a", "gone", self.clock.now()))

    @property
    def line(self) -> str:
        return line([self.tally], self.clock.now())


def test_counts_rate_and_time_left():
    run = Run()
    run.plan(1000)
    for _ in range(5):
        run.settle(40)
    assert run.line == "wrens: resize 200/1,000 tasks · 40/s · about 20 s left"


def test_no_time_left_before_it_is_known():
    run = Run()
    run.plan(1000)
    assert run.line == "wrens: resize 0/1,000 tasks"
    run.settle(10)
    run.settle(10)
    assert "left" not in run.line


def test_a_handful_of_batches_that_are_a_crumb_of_the_job_tell_nothing():
    run = Run()
    run.plan(100_000)
    for _ in range(10):
        run.settle(10)
    assert "left" not in run.line


def test_an_endless_input_has_no_total_and_no_time_left():
    run = Run()
    run.plan(100, ended=False)
    for _ in range(5):
        run.settle(10)
    assert run.line == "wrens: resize 50/? tasks · 10/s"


def test_a_pace_that_changed_gives_a_range():
    run = Run()
    run.plan(1000)
    for _ in range(20):
        run.settle(20)
    for _ in range(20):
        run.settle(5)
    low, high = run.tally.left_s(run.clock.now()) or (0, 0)
    assert low < 0.6 * high
    assert run.line.endswith("40 s to 1 min 40 s left") or " to " in run.line


def test_the_pace_does_not_fall_between_two_batches():
    run = Run()
    run.plan(1000)
    for _ in range(5):
        run.settle(40)
    run.clock.advance(0.9)
    assert run.tally.pace(run.clock.now())[0] == pytest.approx(40)


def test_a_job_that_has_stalled_looks_slower_and_slower():
    run = Run()
    run.plan(1000)
    for _ in range(5):
        run.settle(40)
    run.clock.advance(600)
    recent, _ = run.tally.pace(run.clock.now())
    assert recent < 1


def test_failed_tasks_and_lost_attempts_are_said():
    run = Run()
    run.plan(100)
    run.lose()
    run.settle(5, failed=2)
    run.tally.take(events.AttemptLaunched("j", "0", "0.b", 0, 5, backup=True, at=1.0))
    assert run.line.endswith("2 failed · 1 attempt lost · 1 backup copy")


def test_several_jobs_are_one_sum():
    first, second = Run("a"), Run("b")
    first.plan(100)
    second.plan(50)
    for _ in range(4):
        first.settle(10)
        second.settle(10)
    assert line([first.tally, second.tally], 4.0) == "wrens: 2 jobs 80/150 tasks · 20/s · about 6 s left"


def test_tasks_that_nobody_planned_are_known_from_their_launch():
    tally = Tally("j", 0.0)
    tally.take(events.AttemptLaunched("j", "0", "0.a", 10, 5, backup=False, at=0.0))
    assert tally.open == 15


def test_a_job_that_is_over_has_no_open_tasks():
    run = Run()
    run.plan(10)
    run.tally.take(events.JobEnded("j", 4, 0, 1.0))
    assert run.tally.ended
    assert run.tally.open == 0


def test_a_slow_input_does_not_make_the_line_come_and_go():
    run = Run()
    run.plan(1, ended=False)
    run.settle(1)
    assert run.tally.open == 0
    assert run.tally.at_work(run.clock.now() + 0.1)
    assert not run.tally.at_work(run.clock.now() + 5)


def test_nothing_is_said_of_nothing():
    assert line([], 0.0) == ""
