"""10,000 ``submit`` calls and their results: what a call costs when nobody packs them by hand.

Timed from the first ``submit`` to the last result. The second column is the part until ``submit`` had
returned for all, which is what the caller waits for.
"""

from __future__ import annotations

from time import perf_counter

from harness import Bar, Bench, Entrant, Metric, Reading, main, times_better
from systems import open_system
from tasks import noop


def measure(system: str, n: int, repeats: int) -> list[Reading]:
    readings = []
    with open_system(system) as opened:
        for _ in range(2):
            list(opened.submit_all(noop, range(min(n, 500))))
        for _ in range(repeats):
            began = perf_counter()
            calls = opened.submit_all(noop, range(n))
            next(calls)
            submitted = perf_counter() - began
            results = list(calls)
            took = perf_counter() - began
            assert results == list(range(n)), "wrong results"
            readings.append({"rate": n / took, "submitted": submitted})
    return readings


def entrants(quick: bool) -> list[Entrant]:
    n = 2_000 if quick else 10_000
    few = 5 if quick else 20
    return [
        Entrant("wrens", "wrens", {"n": n, "repeats": 3}),
        Entrant("ProcessPoolExecutor", "ProcessPoolExecutor", {"n": n, "repeats": 2}),
        Entrant("loky", "loky", {"n": n, "repeats": 2}),
        Entrant("Dask", "Dask", {"n": n, "repeats": 1}),
        Entrant("Ray", "Ray", {"n": n, "repeats": 1}),
        Entrant("Lithops", "Lithops", {"n": few, "repeats": 1}, f"rate at {few} calls"),
    ]


BENCH = Bench(
    what="10,000 submit calls",
    metrics=[Metric("rate", "calls/s"), Metric("submitted", "seconds to submit", "{:.3f}", "lower")],
    measure=measure,
    entrants=entrants,
    bars=[Bar("≥ 3× ProcessPoolExecutor", times_better("rate", "ProcessPoolExecutor"), 3)],
)

if __name__ == "__main__":
    main(BENCH)
