"""A million no-op tasks through ``map``: the rate, and the client's largest memory.

The results are consumed as they come, and checked for value and order. Memory is the peak resident size of
the client's process from its start, so Python and the imports are in it; the size before the map stands
beside it. Systems that would need minutes get fewer tasks, and the rates are compared; their memory is then
that of the smaller job.
"""

from __future__ import annotations

import resource
import sys
from time import perf_counter

from harness import Bar, Bench, Entrant, Metric, Reading, main
from systems import WORKERS, open_system
from tasks import noop


def measure(system: str, n: int, chunksize: int = 1) -> list[Reading]:
    with open_system(system, chunksize=chunksize) as opened:
        opened.map(noop, range(20))
        before = _peak_mb()
        began = perf_counter()
        count = 0
        for expected, result in enumerate(opened.stream(noop, range(n))):
            assert result == expected, "wrong result"
            count += 1
        took = perf_counter() - began
        assert count == n, "results are missing"
        return [{"rate": n / took, "peak_mb": _peak_mb(), "before_mb": before}]


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def entrants(quick: bool) -> list[Entrant]:
    n = 100_000 if quick else 1_000_000
    slow = 1_000 if quick else 20_000
    few = 20 if quick else 100
    chunk = -(-n // (4 * WORKERS))
    return [
        Entrant("wrens", "wrens", {"n": n}),
        Entrant("joblib", "joblib", {"n": n}),
        Entrant(
            "ProcessPoolExecutor, chunks",
            "ProcessPoolExecutor",
            {"n": n, "chunksize": chunk},
            f"chunksize chosen by hand: {chunk:,}",
        ),
        *(
            Entrant(name, name, {"n": slow}, f"{slow:,} tasks")
            for name in ("ProcessPoolExecutor", "loky", "Dask", "Ray")
        ),
        Entrant("Lithops", "Lithops", {"n": few}, f"{few} tasks"),
    ]


BENCH = Bench(
    what="1,000,000 no-op tasks through map",
    metrics=[
        Metric("rate", "tasks/s"),
        Metric("peak_mb", "client's peak MB", better="lower"),
        Metric("before_mb", "MB before", better="lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("client below 500 MB", lambda m: m["wrens"]["peak_mb"], 500, "at most", "{:,.0f} MB"),
        Bar("above 1,000,000 tasks/s", lambda m: m["wrens"]["rate"], 1e6, "at least", "{:,.0f} tasks/s"),
    ],
    rounds=3,
)

if __name__ == "__main__":
    main(BENCH)
