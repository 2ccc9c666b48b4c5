"""Spark, Polars, DuckDB and plain processes, each with two processors and started as its documentation advises.

Decides how they are started, and what "as fast as" and "the same answer" mean among them; what they are asked is in the
scripts.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import Bar, Medians

PROCESSORS = 2
MEMORY_GB = 8
os.environ.setdefault("POLARS_MAX_THREADS", str(PROCESSORS))


@contextmanager
def spark(scratch: Path) -> Iterator[Any]:
    """Give a session on two threads of this computer; it has made one small query."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.memory": f"{MEMORY_GB}g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(scratch),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Its default of 200 is for clusters; a few for each processor is what its tuning guide advises.
        "spark.sql.shuffle.partitions": str(4 * PROCESSORS),
    }
    building = SparkSession.builder.master(f"local[{PROCESSORS}]")
    for name, value in settings.items():
        building = building.config(name, value)
    session = building.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.range(1000).count()
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def duckdb(scratch: Path) -> Iterator[Any]:
    """Give a connection with two threads."""
    import duckdb as engine

    with engine.connect() as session:
        session.sql(f"set threads to {PROCESSORS}")
        session.sql(f"set memory_limit = '{MEMORY_GB}GB'")
        session.sql(f"set temp_directory = '{scratch}'")
        yield session


def lines_in(files: list[Path]) -> str:
    """Return the words with which DuckDB reads files as a column of lines."""
    named = ", ".join(f"'{file}'" for file in files)
    return (
        f"read_csv([{named}], columns={{'line': 'VARCHAR'}}, delim='\x01', quote='', escape='', header=false)"
    )


@contextmanager
def two_processes() -> Iterator[ProcessPoolExecutor]:
    """Give two processes that have begun."""
    with ProcessPoolExecutor(PROCESSORS) as pool:
        list(pool.map(abs, range(PROCESSORS)))
        yield pool


def read_file(path: str) -> int:
    """Read a file in pieces, and return how many bytes it has."""
    piece, size = bytearray(1 << 20), 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while count := file.readinto(piece):
            size += count
    return size


def faster_than(text: str, ours: str, peer: str, wanted: float) -> Bar:
    """Promise to take so many times less time than a peer."""
    return Bar(text, lambda medians: medians[peer]["seconds"] / medians[ours]["seconds"], wanted)


def near_the_fastest(text: str, *peers: str) -> Bar:
    """Promise at most 1.5 times the time of the fastest of some peers."""

    def measured(medians: Medians) -> float:
        return medians["wrens"]["seconds"] / min(medians[peer]["seconds"] for peer in peers)

    return Bar(text, measured, 1.5, "at most", "{:.2f}×")


def one_answer(text: str, *metrics: str) -> Bar:
    """Promise that all but the floor, which computes nothing, have the same of some metrics."""

    def measured(medians: Medians) -> float:
        return len({tuple(row[each] for each in metrics) for name, row in medians.items() if name != "floor"})

    return Bar(text, measured, 1, "at most", "{:.0f} answer")


def example(name: str) -> Any:
    """Import a program of the examples."""
    place = Path(__file__).parents[1] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_example", place)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
