"""Connected components of a graph with a million vertices and 17 million edges: wrens beside SciPy.

`seconds` is the work alone, with the graph where each wants it: SciPy has its sparse matrix in memory, wrens its partitions in
the store. `whole` is everything from Parquet files with edges to an array of labels. Workers are warm. SciPy takes each edge once, as its
documentation has it for undirected graphs, and visits it once, in one process. wrens has each edge both ways, and labels cross it whenever one
becomes smaller. `differing` counts the vertices whose label is not the smallest number of their component.

    pip install -e '.[bench]'
    python bench/components.py [--quick]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import engines
import inputs
import numpy as np
from harness import Bar, Bench, Entrant, Medians, Metric, Reading, main

SMALL = 12
"""Scale of the graph for warming up."""
Labels = np.ndarray[Any, Any]


def measure(system: str, scale: int) -> list[Reading]:
    folder, small = inputs.graph(scale), inputs.graph(SMALL)
    expected = _scipy(folder, 1 << scale)[0]
    if system == "SciPy":
        began = perf_counter()
        labels, took = _scipy(folder, 1 << scale)
        whole, supersteps = perf_counter() - began, 0
    else:
        import wrens

        with (
            tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
            wrens.Executor(store=Path(scratch, "store"), max_workers=engines.PROCESSORS) as ex,
        ):
            _wrens(ex, small, 1 << SMALL)
            began = perf_counter()
            labels, took, supersteps = _wrens(ex, folder, 1 << scale)
            whole = perf_counter() - began
    differing = int((labels != expected).sum())
    return [{"seconds": took, "whole": whole, "supersteps": supersteps, "differing": differing}]


def _edges(folder: Path) -> tuple[Labels, Labels]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder)
    return table["source"].to_numpy(), table["target"].to_numpy()


def _scipy(folder: Path, vertices: int) -> tuple[Labels, float]:
    from scipy import sparse
    from scipy.sparse import csgraph

    sources, targets = (ends.astype(np.int32) for ends in _edges(folder))
    matrix = sparse.csr_array(
        (np.ones(len(sources), np.int8), (sources, targets)), shape=(vertices, vertices)
    )
    began = perf_counter()
    _, found = csgraph.connected_components(matrix, directed=False)
    took = perf_counter() - began
    _, first = np.unique(found, return_index=True)
    return first[found], took


def _wrens(ex: Any, folder: Path, vertices: int) -> tuple[Labels, float, int]:
    from wrens.programs import graphs

    sources, targets = _edges(folder)
    both = np.concatenate((sources, targets)), np.concatenate((targets, sources))
    parts = graphs.cut(*both, vertices, engines.PROCESSORS)
    run = engines.example("components").components(ex, parts)
    seconds = sum(step.seconds for step in run.steps)
    return np.concatenate(list(run.states())), seconds, run.supersteps


def entrants(quick: bool) -> list[Entrant]:
    size = {"scale": 16 if quick else 20}
    return [
        Entrant("wrens", "wrens", size, "two workers, NumPy"),
        Entrant("SciPy", "SciPy", size, "one process"),
    ]


def _differing(medians: Medians) -> float:
    return sum(row["differing"] for row in medians.values())


BENCH = Bench(
    what="connected components of 1,048,576 vertices and 16,777,216 edges, two processors",
    metrics=[
        Metric("seconds", "seconds", "{:.2f}", "lower"),
        Metric("whole", "seconds, from files to labels", "{:.2f}", "lower"),
        Metric("supersteps", "supersteps", "{:.0f}", "lower"),
        Metric("differing", "labels that differ", "{:.0f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("the same components", _differing, 0, "at most", "{:.0f} labels differ"),
        Bar(
            "at most 3× the time of SciPy in one process",
            lambda medians: medians["wrens"]["seconds"] / medians["SciPy"]["seconds"],
            3,
            "at most",
            "{:.2f}×",
        ),
    ],
    rounds=3,
    limit_s=300.0,
)

if __name__ == "__main__":
    main(BENCH)
