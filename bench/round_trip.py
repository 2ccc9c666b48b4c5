"""One ``submit(...).result()`` at a time, warm: how long a caller waits for one small call.

A reading is the median of many round trips made one after the other; the 95th percentile stands beside it.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from statistics import quantiles
from time import perf_counter

from harness import Bar, Bench, Entrant, Medians, Metric, Reading, main
from systems import open_system
from tasks import noop


def measure(system: str, n: int, memory: bool = False) -> list[Reading]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if memory else None) as folder, ExitStack() as stack:
        if memory:
            os.environ["WRENS_STORE"] = folder
        opened = stack.enter_context(open_system(system))
        for i in range(min(n, 20)):
            opened.round_trip(noop, i)
        took_ms = []
        for i in range(n):
            began = perf_counter()
            result = opened.round_trip(noop, i)
            took_ms.append((perf_counter() - began) * 1000)
            assert result == i, "wrong result"
    cuts = quantiles(took_ms, n=20)
    return [{"median": cuts[9], "p95": cuts[18]}]


def entrants(quick: bool) -> list[Entrant]:
    n = 100 if quick else 500
    return [
        Entrant("wrens", "wrens", {"n": n}),
        Entrant(
            "wrens, memory",
            "wrens",
            {"n": n, "memory": True},
            "store on a file system in memory: nothing durable",
        ),
        Entrant("ProcessPoolExecutor", "ProcessPoolExecutor", {"n": n}),
        Entrant("loky", "loky", {"n": n}),
        Entrant("Dask", "Dask", {"n": n}),
        Entrant("Ray", "Ray", {"n": n}),
        Entrant("joblib", "joblib", {"n": n}, "has no submit: a Parallel of one call"),
        Entrant("Lithops", "Lithops", {"n": 3 if quick else 5}, "3 or 5 round trips"),
    ]


def _times_as_long(medians: Medians, peer: str, label: str = "wrens") -> float:
    return medians[label]["median"] / medians[peer]["median"]


BENCH = Bench(
    what="one submit(...).result() round trip, warm",
    metrics=[
        Metric("median", "ms, median", "{:.2f}", "lower"),
        Metric("p95", "ms, 95th percentile", "{:.2f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("≤ 2.5× ProcessPoolExecutor", lambda m: _times_as_long(m, "ProcessPoolExecutor"), 2.5, "at most"),
        Bar(
            "the same without the cost of a disk's file system",
            lambda m: _times_as_long(m, "ProcessPoolExecutor", "wrens, memory"),
            2.5,
            "at most",
        ),
        Bar("below Dask", lambda m: _times_as_long(m, "Dask"), 1, "at most", "{:.2f}×"),
        Bar("below Ray", lambda m: _times_as_long(m, "Ray"), 1, "at most", "{:.2f}×"),
    ],
)

if __name__ == "__main__":
    main(BENCH)
