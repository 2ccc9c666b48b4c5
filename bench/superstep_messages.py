"""What messages between supersteps take as the partitions grow, where all send to all: by each way, and by the one that is chosen.

Each partition sends each other one a kilobyte in every superstep. The store is an emulated S3. Counted are all requests for
what lies in the run's folder, messages and states, where each process hands them to the adapter; taken is the median time from one
superstep to the next.

    pip install -e '.[bench]' && python tests/servers/install.py
    python bench/superstep_messages.py [--quick]
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from harness import Bar, Bench, Entrant, Medians, Metric, Reading, main
from systems import WORKERS

MESSAGE = bytes(1000)
ROUNDS = 4
"""Supersteps that are counted, after a first one without messages."""


def measure(system: str, partitions: int, way: str) -> list[Reading]:
    assert system == "wrens"
    import logged_store

    import wrens

    with logged_store.emulated_s3() as requests:
        policy = {"packed": wrens.Packed(), "two-level": wrens.TwoLevel(), "chosen": None}[way]
        with wrens.Executor(store=logged_store.ADDRESS, max_workers=WORKERS) as ex:
            list(ex.map(abs, range(WORKERS)))
            states = [0] * partitions
            run = wrens.bsp(ex, all_to_all, states, supersteps=1 + ROUNDS, exchange=policy)
            assert sum(run.states()) == len(MESSAGE) * ROUNDS * partitions**2, "messages are missing"
        log = [one for one in logged_store.read_log(requests) if "/exchange/" in one.key]
    return [
        {
            "seconds": median(step.seconds for step in run.steps[1:]),
            "writes": sum(one.verb == "put" for one in log) / (1 + ROUNDS),
            "reads": sum(one.verb == "get" for one in log) / ROUNDS,
        }
    ]


def all_to_all(at: Any, state: int, inbox: Any) -> int:
    for to in range(at.partitions):
        at.send(to, MESSAGE)
    return state + sum(map(len, inbox))


def entrants(quick: bool) -> list[Entrant]:
    return [
        Entrant(f"{way}, {count} × {count}", "wrens", {"partitions": count, "way": way}, "emulated S3")
        for count in ((4, 16) if quick else (4, 16, 64))
        for way in ("packed", "two-level", "chosen")
    ]


def _of_packed(metric: str) -> Callable[[Medians], float]:
    """Return what tells how much of what the packed way takes the chosen one does, with the most partitions."""

    def share(medians: Medians) -> float:
        most = max((name.rpartition(", ")[2] for name in medians), key=lambda count: int(count.split()[0]))
        return medians[f"chosen, {most}"][metric] / medians[f"packed, {most}"][metric]

    return share


BENCH = Bench(
    what="messages of 1 kB from all to all between supersteps, two workers",
    metrics=[
        Metric("seconds", "s a superstep", "{:.2f}", "lower"),
        Metric("writes", "writes each", "{:,.0f}", "lower"),
        Metric("reads", "reads each", "{:,.0f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "with the most partitions at most half of the reads",
            _of_packed("reads"),
            0.5,
            "at most",
            "{:.2f}×",
        ),
        Bar("and no more time", _of_packed("seconds"), 1.0, "at most", "{:.2f}×"),
    ],
    rounds=1,
    limit_s=300.0,
)

if __name__ == "__main__":
    main(BENCH)
