"""Deadlines of attempts that begin, end and get other deadlines, beside a search through all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wrens.core.batches import Running
from wrens.core.deadlines import SPARE, Deadlines

NAMES = st.sampled_from("abcdefgh")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("note"), NAMES, st.integers(0, 9)),
        st.tuples(st.just("end"), NAMES, st.just(0)),
        st.tuples(st.just("pop"), st.just(""), st.integers(0, 9)),
    )
)


def running_until(deadline: float) -> Running:
    return Running(("job", "00000000"), 0.0, deadline, 1.0)


@given(STEPS)
def test_what_is_due_is_what_a_search_would_find(steps: list[tuple[str, str, int]]) -> None:
    running: dict[str, Running] = {}
    deadlines = Deadlines(running)
    for what, name, at in steps:
        if what == "note":
            running[name] = running_until(at)
            deadlines.note(name)
        elif what == "end":
            running.pop(name, None)
        else:
            due = {name for name, each in running.items() if each.deadline <= at}
            found = set[str]()
            while (attempt := deadlines.pop(at)) is not None:
                found.add(attempt)
                del running[attempt]
            assert found == due
        assert deadlines.next() == min((each.deadline for each in running.values()), default=None)


def test_a_later_deadline_takes_the_place_of_an_earlier_one() -> None:
    running = {"a": running_until(1.0)}
    deadlines = Deadlines(running)
    deadlines.note("a")
    running["a"].deadline = 5.0
    deadlines.note("a")
    assert deadlines.pop(now=4.0) is None
    assert deadlines.pop(now=5.0) == "a"


def test_many_short_attempts_leave_nothing_behind() -> None:
    running = {"long": running_until(1e9)}
    deadlines = Deadlines(running)
    deadlines.note("long")
    for i in range(10_000):
        running[f"{i}"] = running_until(1e6 + i)
        deadlines.note(f"{i}")
        assert len(deadlines) <= SPARE + 2 * len(running) + 1
        del running[f"{i}"]
    assert deadlines.next() == 1e9
