"""Any program comes to the same as a plain loop over its partitions."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wrens
from wrens.models.exchange import Exchange

Sends = dict[tuple[int, int], list[tuple[int, int]]]
"""For superstep and partition: to whom, and what."""
WAYS: dict[str | None, Any] = {"sum": operator.add, "min": min, "max": max, None: None}


def reference(
    partitions: int, sends: Sends, votes: set[tuple[int, int]], combine: str | None, most: int
) -> Any:
    """Run the program in this process."""
    states: list[list[Any]] = [[] for _ in range(partitions)]
    halted, inboxes, told, number = [False] * partitions, [[] for _ in range(partitions)], {}, 0
    while number < most and not (all(halted) and not any(inboxes)):
        new: list[list[int]] = [[] for _ in range(partitions)]
        now: dict[str, int] = {}
        for p in range(partitions):
            if halted[p] and not inboxes[p]:
                continue
            found = [reduce(WAYS[combine], inboxes[p])] if combine and inboxes[p] else inboxes[p]
            states[p].append((number, found, told.get("sum")))
            for to, what in sends.get((number, p), []):
                new[to % partitions].append(what)
            now["sum"] = now.get("sum", 0) + p + number
            halted[p] = (number, p) in votes
        inboxes, told, number = new, now, number + 1
    return states, number, told


steps_and_partitions = st.tuples(st.integers(0, 4), st.integers(0, 4))


def step(at: wrens.Superstep, state: list[Any], inbox: wrens.Inbox) -> list[Any]:
    """Do what the data say."""
    sends, votes = at.data
    for to, what in sends.get(at.number, []):
        at.send(to % at.partitions, what)
    at.aggregate("sum", at.partition + at.number)
    if (at.number, at.partition) in votes:
        at.halt()
    return [*state, (at.number, list(inbox), at.aggregated.get("sum"))]


@pytest.fixture(scope="module")
def executor() -> Iterator[wrens.Executor]:
    with wrens.Executor("inline", store="memory://bsp") as ex:
        yield ex


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5),
    st.dictionaries(
        steps_and_partitions, st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9)), max_size=3)
    ),
    st.sets(steps_and_partitions),
    st.sampled_from([None, "sum", "min", "max"]),
    st.integers(1, 6),
    st.sampled_from([None, wrens.Packed(), wrens.TwoLevel()]),
)
def test_a_program_comes_to_the_same_as_a_plain_loop(
    executor: wrens.Executor,
    partitions: int,
    sends: Sends,
    votes: set[tuple[int, int]],
    combine: str | None,
    most: int,
    way: Exchange | None,
) -> None:
    data = [({n: sent for (n, q), sent in sends.items() if q == p}, votes) for p in range(partitions)]
    run = wrens.bsp(
        executor,
        step,
        [[]] * partitions,
        data=data,
        combine=combine,
        aggregate={"sum": "sum"},
        supersteps=most,
        exchange=way,
    )
    assert (list(run.states()), run.supersteps, run.aggregated) == reference(
        partitions, sends, votes, combine, most
    )
