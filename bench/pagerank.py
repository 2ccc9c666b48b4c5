"""PageRank of a graph with a million vertices and 17 million edges: wrens beside SciPy and Spark, on two processors.

Everybody makes 20 iterations with the same damping, and shares what vertices without edges have among all. `seconds` is the
iterations alone, with the graph where each system wants it: SciPy has its sparse matrix in memory, Spark has the edges in memory,
by source and sorted, and wrens has its partitions in the store, so that what its workers need to fetch them counts. `whole` is
everything from Parquet files with edges to an array of ranks. Sessions and workers are warm: each has ranked a small graph
before. `off` is how far ranks are from SciPy's.

Spark joins the table of edges with what each source gives, and groups by target, with DataFrames, as its own example of PageRank
does with RDDs. It merges sorted edges with the ranks, which took less than half the time of hashed and broadcast joins, and the
ranks are checkpointed, or the plan would grow.

    pip install -e '.[bench]'      # Spark needs a Java of version 17 or newer
    python bench/pagerank.py [--quick]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import engines
import inputs
import numpy as np
from harness import Bar, Bench, Entrant, Medians, Metric, Reading, main

DAMPING = 0.85
SMALL = 12
"""Scale of the graph for warming up."""
Ranking = tuple[np.ndarray[Any, Any], float]
"""Ranks, and the seconds that the iterations took."""
Rank = Callable[[Path, int, int], Ranking]
"""Ranks the graph of a directory; the other arguments are how many vertices there are, and how many iterations."""


def measure(system: str, scale: int, iterations: int, **params: Any) -> list[Reading]:
    folder, small = inputs.graph(scale), inputs.graph(SMALL)
    expected = _expected(scale, iterations)
    began = perf_counter()
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        ranking = {"wrens": _wrens, "SciPy": _scipy, "Spark": _spark}[system](Path(scratch), **params)
        rank = next(ranking)
        rank(small, 1 << SMALL, iterations)
        ready = perf_counter()
        ranks, took = rank(folder, 1 << scale, iterations)
        whole = perf_counter() - ready
        next(ranking, None)
    off = float(np.abs(ranks - expected).max())
    return [{"seconds": took, "whole": whole, "off": off, "cold": ready - began}]


def _expected(scale: int, iterations: int) -> np.ndarray[Any, Any]:
    """Return SciPy's ranks, computed once."""
    kept = inputs.home() / f"graph-{scale}-ranks-{iterations}.npy"
    if not kept.exists():
        rank = next(_scipy(kept.parent))
        np.save(kept, rank(inputs.graph(scale), 1 << scale, iterations)[0])
    found: np.ndarray[Any, Any] = np.load(kept)
    return found


def _edges(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder)
    return table["source"].to_numpy(), table["target"].to_numpy()


def _scipy(_scratch: Path) -> Iterator[Rank]:
    from scipy import sparse

    def rank(folder: Path, vertices: int, iterations: int) -> Ranking:
        # Shorter indices than the files have, or the product would take half as long again.
        sources, targets = (ends.astype(np.int32) for ends in _edges(folder))
        degree = np.bincount(sources, minlength=vertices)
        matrix = sparse.csr_array((1 / degree[sources], (targets, sources)), shape=(vertices, vertices))
        nowhere = np.flatnonzero(degree == 0)
        ranks = np.full(vertices, 1 / vertices)
        began = perf_counter()
        for _ in range(iterations):
            ranks = (1 - DAMPING) / vertices + DAMPING * (matrix @ ranks + ranks[nowhere].sum() / vertices)
        return ranks, perf_counter() - began

    yield rank


def without_scipy() -> None:
    """Make a worker one that has no SciPy."""
    sys.modules["scipy"] = None  # type: ignore[assignment]


def _wrens(scratch: Path, name: str | None = None, plain: bool = False) -> Iterator[Rank]:
    import wrens
    from wrens.programs import graphs

    example = engines.example("pagerank")
    at = {"store": scratch / "store", "max_workers": engines.PROCESSORS}
    with wrens.Executor(**at, initializer=without_scipy if plain else None) as ex:

        def rank(folder: Path, vertices: int, iterations: int) -> Ranking:
            parts = graphs.cut(*_edges(folder), vertices, engines.PROCESSORS)
            run = example.pagerank(ex, parts, iterations, name=name and f"{name}-{vertices}")
            return np.concatenate(list(run.states())), sum(step.seconds for step in run.steps)

        yield rank


def _spark(scratch: Path) -> Iterator[Rank]:
    with engines.spark(scratch) as session:
        from pyspark.sql import functions as do

        count = int(session.conf.get("spark.sql.shuffle.partitions"))

        def rank(folder: Path, vertices: int, iterations: int) -> Ranking:
            edges = session.read.parquet(str(folder))
            edges = edges.repartition(count, "source").sortWithinPartitions("source").cache()
            degrees = edges.groupBy("source").agg(do.count("*").alias("degree"))
            everyone = session.range(vertices).withColumnRenamed("id", "vertex")
            known = everyone.join(degrees, do.col("vertex") == do.col("source"), "left").drop("source")
            known = known.repartition(count, "vertex").cache()
            ranks = known.withColumn("rank", do.lit(1 / vertices))
            edges.count()
            known.count()
            began = perf_counter()
            for _ in range(iterations):
                lost = ranks.where("degree is null").agg(do.sum("rank")).first()[0] or 0.0
                given = ranks.where("degree is not null").select(
                    "vertex", (do.col("rank") / do.col("degree")).alias("share")
                )
                brought = (
                    edges.join(given, edges["source"] == given["vertex"])
                    .groupBy("target")
                    .agg(do.sum("share").alias("brought"))
                )
                new = do.lit((1 - DAMPING) / vertices) + DAMPING * (
                    do.coalesce("brought", do.lit(0.0)) + lost / vertices
                )
                joined = known.join(brought, known["vertex"] == brought["target"], "left")
                ranks = joined.select("vertex", "degree", new.alias("rank")).localCheckpoint()
            took = perf_counter() - began
            table = ranks.select("vertex", "rank").toArrow()
            found = np.empty(vertices)
            found[table["vertex"].to_numpy()] = table["rank"].to_numpy()
            session.catalog.clearCache()
            return found, took

        yield rank


def entrants(quick: bool) -> list[Entrant]:
    size = {"scale": 16 if quick else 20, "iterations": 20}
    return [
        Entrant("wrens", "wrens", size, "two workers, SciPy's product in each"),
        Entrant("wrens, named", "wrens", {**size, "name": "run"}, "each superstep can be resumed"),
        Entrant("wrens, NumPy", "wrens", {**size, "plain": True}, "workers without SciPy"),
        Entrant("SciPy", "SciPy", size, "one process"),
        Entrant("Spark", "Spark", size, "DataFrame, local[2]"),
    ]


def _furthest(medians: Medians) -> float:
    return max(row["off"] for row in medians.values())


BENCH = Bench(
    what="PageRank of 1,048,576 vertices and 16,777,216 edges, 20 iterations on two processors",
    metrics=[
        Metric("seconds", "seconds, iterations", "{:.2f}", "lower"),
        Metric("whole", "seconds, from files to ranks", "{:.2f}", "lower"),
        Metric("off", "off at most", "{:.0e}", "lower"),
        Metric("cold", "seconds until warm", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        engines.faster_than("≥ 5× Spark", "wrens", "Spark", 5),
        Bar(
            "at most 3× the time of SciPy in one process",
            lambda medians: medians["wrens"]["seconds"] / medians["SciPy"]["seconds"],
            3,
            "at most",
            "{:.2f}×",
        ),
        Bar("ranks differ by at most 1e-9", _furthest, 1e-9, "at most", "{:.0e}"),
    ],
    rounds=3,
    limit_s=900.0,
)

if __name__ == "__main__":
    main(BENCH)
