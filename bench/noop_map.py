"""10,000 tasks that do nothing, through ``map``: what a task costs beside its work.

Warm workers, default settings. Systems that need seconds for so many get fewer, and the rates are compared.
"""

from __future__ import annotations

from time import perf_counter

from harness import Bar, Bench, Entrant, Metric, Reading, main, times_better
from systems import WORKERS, open_system
from tasks import noop


def measure(system: str, n: int, repeats: int, chunksize: int = 1) -> list[Reading]:
    readings = []
    with open_system(system, chunksize=chunksize) as opened:
        # Twice: the first call starts workers, the second finds what the first taught an adaptive system.
        for _ in range(2):
            opened.map(noop, range(min(n, 1000)))
        for _ in range(repeats):
            began = perf_counter()
            results = opened.map(noop, range(n))
            took = perf_counter() - began
            assert results == list(range(n)), "wrong results"
            readings.append({"rate": n / took, "seconds": took})
    return readings


def entrants(quick: bool) -> list[Entrant]:
    n, slow = (2_000, 500) if quick else (10_000, 10_000)
    few = 20 if quick else 100
    return [
        Entrant("wrens", "wrens", {"n": n, "repeats": 5}),
        Entrant("joblib", "joblib", {"n": n, "repeats": 3}),
        Entrant("ProcessPoolExecutor", "ProcessPoolExecutor", {"n": n, "repeats": 2}),
        Entrant(
            "ProcessPoolExecutor, chunks",
            "ProcessPoolExecutor",
            {"n": n, "repeats": 3, "chunksize": -(-n // (4 * WORKERS))},
            f"chunksize chosen by hand: {-(-n // (4 * WORKERS))}",
        ),
        Entrant("loky", "loky", {"n": n, "repeats": 2}),
        Entrant("Dask", "Dask", {"n": slow, "repeats": 1}, f"rate at {slow:,} tasks"),
        Entrant("Ray", "Ray", {"n": slow, "repeats": 1}, f"rate at {slow:,} tasks"),
        Entrant("Lithops", "Lithops", {"n": few, "repeats": 1}, f"rate at {few} tasks"),
    ]


BENCH = Bench(
    what="10,000 no-op tasks with map, default settings, warm, 2 workers",
    metrics=[Metric("rate", "tasks/s"), Metric("seconds", "seconds", "{:.4f}", "lower")],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("≥ 5× joblib", times_better("rate", "joblib"), 5),
        Bar("≥ 80× ProcessPoolExecutor's default", times_better("rate", "ProcessPoolExecutor"), 80),
        Bar("≥ 500× Dask", times_better("rate", "Dask"), 500),
        Bar("≥ 500× Ray", times_better("rate", "Ray"), 500),
    ],
)

if __name__ == "__main__":
    main(BENCH)
