"""64 tasks that each take and return an 8 MB array: what moving data costs.

Every repeat has inputs of its own, so that nothing can be answered from what was sent before.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from harness import Bar, Bench, Entrant, Metric, Reading, main, times_better
from systems import open_system
from tasks import raise_level

LENGTH = 1_000_000  # float64, so 8 MB


def measure(system: str, n: int, repeats: int) -> list[Reading]:
    readings = []
    random = np.random.default_rng(7)
    with open_system(system) as opened:
        opened.map(raise_level, [random.random(LENGTH) for _ in range(4)])
        for _ in range(repeats):
            inputs = [random.random(LENGTH) for _ in range(n)]
            began = perf_counter()
            results = opened.map(raise_level, inputs)
            took = perf_counter() - began
            assert len(results) == n, "results are missing"
            assert all(np.array_equal(r, i + 1.0) for r, i in zip(results, inputs, strict=True)), (
                "wrong results"
            )
            moved_mb = 2 * n * LENGTH * 8 / 1e6
            readings.append({"rate": moved_mb / took, "seconds": took})
            del inputs, results
    return readings


def entrants(quick: bool) -> list[Entrant]:
    n = 16 if quick else 64
    return [
        *(
            Entrant(name, name, {"n": n, "repeats": 3})
            for name in ("wrens", "joblib", "ProcessPoolExecutor", "loky", "Ray")
        ),
        Entrant("Dask", "Dask", {"n": n, "repeats": 2}, "inputs scattered first"),
        Entrant("Lithops", "Lithops", {"n": 8, "repeats": 1}, "rate at 8 tasks"),
    ]


BENCH = Bench(
    what="64 tasks that each take and return an 8 MB array",
    metrics=[Metric("rate", "MB/s in and out"), Metric("seconds", "seconds", "{:.2f}", "lower")],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "faster than ProcessPoolExecutor", times_better("rate", "ProcessPoolExecutor"), 1, show="{:.2f}×"
        ),
        Bar("faster than joblib", times_better("rate", "joblib"), 1, show="{:.2f}×"),
    ],
)

if __name__ == "__main__":
    main(BENCH)
