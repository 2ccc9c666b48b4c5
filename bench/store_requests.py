"""What a batch costs in requests to the store, counted across the driver and the workers.

A job is run with few batches and another one with many; the difference of the requests, divided by the
difference of the batches, is what one more batch costs. What every job needs once (manifest, function, end,
clean-up) falls out, and stands in the column of its own.

The store is a directory behind a meter that counts as a service would bill: a directory answers at once, so
the number of listings on a real S3 depends on its latency as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from harness import Bar, Bench, Entrant, Metric, Reading, main
from systems import WORKERS
from tasks import noop

HERE = Path(__file__).parent
FEW, MANY, TASKS = 20, 120, 10


def measure(system: str, size: int) -> list[Reading]:
    assert system == "wrens"
    few, many = (_count(batches, size) for batches in (FEW, MANY))
    more = many["batches"] - few["batches"]
    reading = {verb: (many[verb] - few[verb]) / more for verb in ("put", "get", "list", "delete")}
    once = sum(few[verb] for verb in ("put", "get", "list", "delete"))
    once -= round(sum(reading.values()) * few["batches"])
    return [{**reading, "once": once}]


def _count(batches: int, size: int) -> Counter[str]:
    """Run one job on a store of its own and count its requests by verb, and its verdicts."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        sys.path[:0] = [folder, str(HERE)]
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, str(HERE), os.environ.get("PYTHONPATH", "")])
        import logged_store

        import wrens

        logged_store.offer(home)
        os.environ[logged_store.INNER] = str(home / "store")
        os.environ[logged_store.LOG] = str(home / "log")
        inputs = [os.urandom(size) for _ in range(batches * TASKS)]
        with wrens.Executor(store="logged://bench", max_workers=WORKERS) as ex:
            view = ex.options(packing=wrens.Packing(size=TASKS))
            assert list(view.map(noop, inputs)) == inputs, "wrong results"
        requests = logged_store.read_log(home / "log")
    counts = Counter(request.verb for request in requests)
    counts["batches"] = sum(one.verb == "put" and "/verdicts/" in one.key for one in requests)
    assert counts["batches"] >= batches, "the workers' requests were not counted"
    return counts


def entrants(quick: bool) -> list[Entrant]:
    return [
        Entrant("wrens", "wrens", {"size": 100}, "inputs and results of 1 kB per batch"),
        Entrant("wrens, larger", "wrens", {"size": 100_000}, "inputs and results of 1 MB per batch"),
    ]


BENCH = Bench(
    what="requests per batch on S3",
    metrics=[
        Metric("put", "PUT per batch", "{:.2f}", "lower"),
        Metric("get", "GET per batch", "{:.2f}", "lower"),
        Metric("list", "LIST per batch", "{:.2f}", "lower"),
        Metric("delete", "DELETE per batch", "{:.2f}", "lower"),
        Metric("once", "once per job", "{:.0f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("1 PUT", lambda m: m["wrens"]["put"], 1.05, "at most", "{:.2f}"),
        Bar("≤ 1 GET", lambda m: m["wrens"]["get"], 1.05, "at most", "{:.2f}"),
        Bar("shared LISTs: fewer than batches", lambda m: m["wrens"]["list"], 0.5, "at most", "{:.2f}"),
    ],
    rounds=3,
)

if __name__ == "__main__":
    main(BENCH)
