"""Counting the words of a gigabyte of text: wrens beside Spark, Polars and DuckDB, on two processors.

Every system reads the same 16 files from the same disk and hands over a table with each word and its count. Two rows
are for functions of Python: wrens's `map_reduce` and Spark's RDDs. Sessions and workers are warm: each has counted one
file before; what that took is listed apart. Beside them the floor: the time in which two processes read the files.

    pip install -e '.[bench]'      # Spark needs a Java of version 17 or newer
    python bench/word_count.py [--quick]
"""

from __future__ import annotations

import operator
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import engines
import inputs
from harness import Bench, Entrant, Metric, Reading, main

SPACED = {"has_header": False, "separator": "\x01", "quote_char": None, "new_columns": ["line"]}
Count = Callable[[list[Path]], tuple[int, int]]
"""Counts the words of files; returns how many different ones there are, and how many in all."""


def measure(system: str, megabytes: int, *, python: bool = False) -> list[Reading]:
    folder = inputs.text(megabytes)
    files = sorted(folder.iterdir())
    began = perf_counter()
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        counting = {
            "wrens": _wrens,
            "Spark": _spark,
            "Polars": _polars,
            "DuckDB": _duckdb,
            "floor": _floor,
        }[system](Path(scratch), python)
        count = next(counting)
        count(files[:1])
        ready = perf_counter()
        different, every = count(files)
        took = perf_counter() - ready
        next(counting, None)
    nbytes = inputs.size_of(folder)
    return [
        {
            "seconds": took,
            "rate": nbytes / took / 1e6,
            "different": different,
            "words": every,
            "cold": ready - began,
        }
    ]


def pairs(part: Any) -> Iterator[tuple[str, int]]:
    for line in part.lines():
        for word in line.split():
            yield word, 1


def _wrens(scratch: Path, python: bool) -> Iterator[Count]:
    import pyarrow.compute as pc

    import wrens
    from wrens.models.partitions import words

    with wrens.Executor(store=scratch, max_workers=engines.PROCESSORS) as ex:

        def by_function(files: list[Path]) -> tuple[int, int]:
            counts = wrens.map_reduce(ex, wrens.partition(files), pairs, combine=operator.add).collect()
            return len(counts), sum(counts.values())

        def by_table(files: list[Path]) -> tuple[int, int]:
            wanted = {"count": ("count", "sum")}
            found = wrens.group_by(ex, wrens.partition(files), "word", wanted, prepare=words.counted).table()
            return found.num_rows, pc.sum(found["count"]).as_py()

        yield by_function if python else by_table


def _spark(scratch: Path, python: bool) -> Iterator[Count]:
    with engines.spark(scratch) as session:
        from pyspark.sql import functions as do

        def by_function(files: list[Path]) -> tuple[int, int]:
            lines = session.sparkContext.textFile(",".join(map(str, files)))
            counts = lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(operator.add).collect()
            return len(counts), sum(count for _, count in counts)

        def by_table(files: list[Path]) -> tuple[int, int]:
            lines = session.read.text([str(file) for file in files])
            words = lines.select(do.explode(do.split("value", " ")).alias("word"))
            found = words.groupBy("word").count().toArrow()
            return found.num_rows, sum(found["count"].to_pylist())

        yield by_function if python else by_table


def _polars(_scratch: Path, _python: bool) -> Iterator[Count]:
    import polars as pl

    def count(files: list[Path]) -> tuple[int, int]:
        words = pl.scan_csv(files, **SPACED).select(pl.col("line").str.split(" ").explode().alias("word"))
        found = words.group_by("word").len().collect(engine="streaming")
        return found.height, int(found["len"].sum())

    yield count


def _duckdb(scratch: Path, _python: bool) -> Iterator[Count]:
    with engines.duckdb(scratch) as session:

        def count(files: list[Path]) -> tuple[int, int]:
            lines = engines.lines_in(files)
            words = f"select unnest(string_split(line, ' ')) as word from {lines}"
            found = session.sql(f"select word, count(*) as n from ({words}) group by word").to_arrow_table()
            return found.num_rows, sum(found["n"].to_pylist())

        yield count


def _floor(_scratch: Path, _python: bool) -> Iterator[Count]:
    with engines.two_processes() as pool:

        def count(files: list[Path]) -> tuple[int, int]:
            return 0, sum(pool.map(engines.read_file, map(os.fspath, files)))

        yield count


def entrants(quick: bool) -> list[Entrant]:
    size = {"megabytes": 64 if quick else 1_000}
    return [
        Entrant("wrens", "wrens", size, "group_by"),
        Entrant("Spark", "Spark", size, "DataFrame, local[2]"),
        Entrant("Polars", "Polars", size, "streaming engine"),
        Entrant("DuckDB", "DuckDB", size, "2 threads"),
        Entrant("wrens, Python", "wrens", {**size, "python": True}, "map_reduce, a generator of pairs"),
        Entrant("Spark, Python", "Spark", {**size, "python": True}, "RDD, local[2]"),
        Entrant("floor", "floor", size, "the files read by two processes"),
    ]


BENCH = Bench(
    what="words of 1 GB of text in 16 files, counted on two processors",
    metrics=[
        Metric("seconds", "seconds", "{:.2f}", "lower"),
        Metric("rate", "MB/s"),
        Metric("different", "different words"),
        Metric("words", "words"),
        Metric("cold", "seconds until warm", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        engines.faster_than("≥ 2× Spark", "wrens", "Spark", 2),
        engines.faster_than("Python functions: ≥ 2× Spark's RDDs", "wrens, Python", "Spark, Python", 2),
        engines.near_the_fastest(
            "at most 1.5× the time of the faster of Polars and DuckDB", "Polars", "DuckDB"
        ),
        engines.one_answer("all count the same", "different", "words"),
    ],
    rounds=3,
    limit_s=900.0,
)

if __name__ == "__main__":
    main(BENCH)
