"""What a superstep costs that does nothing: two partitions on two warm workers, no messages.

Once as a run without a name, and once with one, which writes a record for each superstep so that it can be resumed. Taken is
the whole time from one superstep to the next. Beside it the floor: two calls that do nothing, by two processes of the
standard library, which keep no results.

    python bench/barrier.py [--quick]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import engines
from harness import Bar, Bench, Entrant, Metric, Reading, main

WARM = 10
"""Supersteps before those that count."""


def measure(system: str, supersteps: int, *, name: str | None = None) -> list[Reading]:
    taken = _floor(supersteps) if system == "floor" else _wrens(supersteps, name)
    counted = [1000 * seconds for seconds in taken[WARM:]]
    return [{"median": median(counted), "p95": quantiles(counted, n=20)[-1], "most": max(counted)}]


def nothing(at: Any, state: Any, inbox: Any) -> None:
    """Neither send, tell nor halt."""


def _wrens(supersteps: int, name: str | None) -> list[float]:
    import wrens

    with (
        tempfile.TemporaryDirectory() as scratch,
        wrens.Executor(store=Path(scratch), max_workers=engines.PROCESSORS) as ex,
    ):
        run = wrens.bsp(ex, nothing, [None] * engines.PROCESSORS, supersteps=WARM + supersteps, name=name)
        return [step.seconds for step in run.steps]


def _floor(supersteps: int) -> list[float]:
    taken = []
    with engines.two_processes() as pool:
        for _ in range(WARM + supersteps):
            began = perf_counter()
            list(pool.map(abs, range(engines.PROCESSORS)))
            taken.append(perf_counter() - began)
    return taken


def entrants(quick: bool) -> list[Entrant]:
    count = {"supersteps": 20 if quick else 100}
    return [
        Entrant("wrens", "wrens", count, "without a name"),
        Entrant("wrens, named", "wrens", {**count, "name": "run"}, "a record for each superstep"),
        Entrant("floor", "floor", count, "two calls of a process pool, nothing kept"),
    ]


BENCH = Bench(
    what="an empty superstep, two partitions on two workers",
    metrics=[
        Metric("median", "ms, median", "{:.1f}", "lower"),
        Metric("p95", "ms, 95 of 100 below", "{:.1f}", "lower"),
        Metric("most", "ms at most", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("below 20 ms", lambda medians: medians["wrens"]["median"], 20, "at most", "{:.1f} ms"),
        Bar(
            "below 20 ms with a name",
            lambda medians: medians["wrens, named"]["median"],
            20,
            "at most",
            "{:.1f} ms",
        ),
    ],
    limit_s=60.0,
)

if __name__ == "__main__":
    main(BENCH)
