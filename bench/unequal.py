"""Tasks of very unequal length through ``map``: how well the work is spread.

The lengths are drawn once, from a Pareto distribution with a fixed seed, so that few tasks hold much of the
work. The makespan is compared with the best static packing that somebody who knew every length could
choose: longest task first, each to the worker with least to do. Two orders are measured: shuffled, and the
longest tasks last, which is the worst for whoever does not know the lengths. A row with large chunks shows
what those cost when they are chosen for speed.

The tasks sleep: with as many busy workers as processors, the client beside them would make this a
measurement of the operating system.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from harness import Bar, Bench, Entrant, Medians, Metric, Reading, main
from systems import WORKERS, open_system
from tasks import last_for, noop

SHORTEST_S, LONGEST_S, SHAPE, SEED = 0.002, 0.5, 1.1, 20


@cache
def lengths(n: int, order: str) -> tuple[float, ...]:
    """Return how many seconds each task takes."""
    random = np.random.default_rng(SEED)
    drawn = np.minimum(SHORTEST_S * (1 + random.pareto(SHAPE, n)), LONGEST_S)
    return tuple(float(s) for s in (np.sort(drawn) if order == "longest last" else drawn))


def best_static(seconds: tuple[float, ...]) -> float:
    """Return the makespan of longest-first packing, whose lengths are known to the packer."""
    loads = [0.0] * WORKERS
    for length in sorted(seconds, reverse=True):
        heapq.heappush(loads, heapq.heappop(loads) + length)
    return max(loads)


def lower_bound(seconds: tuple[float, ...]) -> float:
    """Return what no schedule can beat."""
    return max(sum(seconds) / WORKERS, *seconds)


def measure(system: str, n: int, order: str, chunksize: int = 1) -> list[Reading]:
    seconds = lengths(n, order)
    with open_system(system, chunksize=chunksize) as opened:
        # Warm workers, but another function: nothing may be known about these lengths.
        opened.map(noop, range(20))
        began = perf_counter()
        results = opened.map(last_for, seconds)
        took = perf_counter() - began
    assert results == list(seconds), "wrong results"
    return [
        {
            "over": took / best_static(seconds),
            "seconds": took,
            "best": best_static(seconds),
            "bound": lower_bound(seconds),
        }
    ]


def entrants(quick: bool) -> list[Entrant]:
    n = 300 if quick else 1500
    rows = []
    for order in ("shuffled", "longest last"):
        systems: list[tuple[str, str, dict[str, Any]]] = [
            ("wrens", "wrens", {}),
            ("joblib", "joblib", {}),
            ("ProcessPoolExecutor", "ProcessPoolExecutor", {}),
            ("ProcessPoolExecutor, chunks", "ProcessPoolExecutor", {"chunksize": -(-n // (4 * WORKERS))}),
            ("Dask", "Dask", {}),
            ("Ray", "Ray", {}),
        ]
        for label, system, more in systems:
            name = label if order == "shuffled" else f"{label}, {order}"
            rows.append(Entrant(name, system, {"n": n, "order": order, **more}, order))
    few = 40
    rows.append(Entrant("Lithops", "Lithops", {"n": few, "order": "shuffled"}, f"shuffled, {few} tasks"))
    return rows


def _over(label: str) -> Callable[[Medians], float]:
    return lambda medians: medians[label]["over"]


BENCH = Bench(
    what="tasks of very unequal length",
    metrics=[
        Metric("over", "makespan / best static", "{:.3f}", "lower"),
        Metric("seconds", "makespan in s", "{:.2f}", "lower"),
        Metric("best", "best static, s", "{:.2f}", "lower"),
        Metric("bound", "lower bound, s", "{:.2f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("makespan within 10 % of the best static packing", _over("wrens"), 1.1, "at most", "{:.3f}×"),
        Bar("the same with the longest last", _over("wrens, longest last"), 1.1, "at most", "{:.3f}×"),
    ],
    rounds=3,
)

if __name__ == "__main__":
    main(BENCH)
