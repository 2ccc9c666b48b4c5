"""Sorting two gigabytes of records of 100 bytes: wrens beside Spark, GNU sort, Polars and DuckDB, on two processors.

The records are lines of 99 letters, of which the first ten are a random key, so that every system can read them. Every
one reads the same 16 files and writes the sorted lines to the same disk, in one file or in many; a digest over what was
written, in the order of the files, must be the same for all. wrens reads records of a fixed width and compares the first
ten bytes; the others compare the line. The floor is the time in which two processes read the files and write as much
twice: once for what goes between the stages, once for the result.

    pip install -e '.[bench]'      # Spark needs a Java of version 17 or newer
    python bench/sort_records.py [--quick]
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import engines
import inputs
from harness import Bench, Entrant, Metric, Reading, main

SPACED = {"has_header": False, "separator": "\x01", "quote_char": None, "new_columns": ["line"]}
Sort = Callable[[Path, Path], None]
"""Sorts the files of one directory into another, which is not there yet."""


def measure(system: str, megabytes: int) -> list[Reading]:
    folder, small = inputs.records(megabytes), inputs.records(16)
    began = perf_counter()
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        sorting = {
            "wrens": _wrens,
            "Spark": _spark,
            "Polars": _polars,
            "DuckDB": _duckdb,
            "GNU sort": _gnu,
            "floor": _floor,
        }[system](scratch)
        sort = next(sorting)
        sort(small, scratch / "small")
        ready = perf_counter()
        sort(folder, scratch / "sorted")
        took = perf_counter() - ready
        next(sorting, None)
        digest = 0 if system == "floor" else _digest(scratch / "sorted")
    nbytes = inputs.size_of(folder)
    return [{"seconds": took, "rate": nbytes / took / 1e6, "digest": digest, "cold": ready - began}]


def _digest(folder: Path) -> int:
    """Return a number that tells what files hold, one after the other."""
    state = hashlib.blake2b(digest_size=6)
    for file in sorted(folder.rglob("part*")):
        with file.open("rb") as data:
            while piece := data.read(1 << 20):
                state.update(piece)
    return int.from_bytes(state.digest(), "big")


def _wrens(scratch: Path) -> Iterator[Sort]:
    import wrens

    with wrens.Executor(store=scratch / "store", max_workers=engines.PROCESSORS) as ex:

        def sort(source: Path, target: Path) -> None:
            wrens.sort(ex, source, target, border=100, key=slice(0, 10))

        yield sort


def _spark(scratch: Path) -> Iterator[Sort]:
    with engines.spark(scratch) as session:

        def sort(source: Path, target: Path) -> None:
            session.read.text(str(source)).orderBy("value").write.text(str(target))

        yield sort


def _polars(_scratch: Path) -> Iterator[Sort]:
    import polars as pl

    def sort(source: Path, target: Path) -> None:
        target.mkdir()
        lines = pl.scan_csv(sorted(source.iterdir()), **SPACED).sort("line")
        lines.sink_csv(target / "part.txt", include_header=False, quote_style="never", engine="streaming")

    yield sort


def _duckdb(scratch: Path) -> Iterator[Sort]:
    with engines.duckdb(scratch) as session:

        def sort(source: Path, target: Path) -> None:
            target.mkdir()
            lines = f"select line from {engines.lines_in(sorted(source.iterdir()))} order by line"
            session.sql(
                f"copy ({lines}) to '{target}/part.txt' (format csv, header false, quote '', delim '\x01')"
            )

        yield sort


def _gnu(scratch: Path) -> Iterator[Sort]:
    def sort(source: Path, target: Path) -> None:
        target.mkdir()
        options = [
            f"--parallel={engines.PROCESSORS}",
            f"--buffer-size={engines.MEMORY_GB}G",
            "-T",
            str(scratch),
        ]
        subprocess.run(
            ["sort", *options, "-o", str(target / "part.txt"), *map(str, sorted(source.iterdir()))],
            env={**os.environ, "LC_ALL": "C"},
            check=True,
        )

    yield sort


def _floor(_scratch: Path) -> Iterator[Sort]:
    with engines.two_processes() as pool:

        def sort(source: Path, target: Path) -> None:
            target.mkdir()
            files = sorted(source.iterdir())
            list(pool.map(shutil.copyfile, files, [target / f"between-{file.name}" for file in files]))
            list(pool.map(shutil.copyfile, files, [target / file.name for file in files]))

        yield sort


def entrants(quick: bool) -> list[Entrant]:
    size = {"megabytes": 64 if quick else 2_000}
    return [
        Entrant("wrens", "wrens", size, "records of 100 bytes"),
        Entrant("Spark", "Spark", size, "DataFrame, local[2]"),
        Entrant("GNU sort", "GNU sort", size, "LC_ALL=C, --parallel=2, 8 GB"),
        Entrant("Polars", "Polars", size, "streaming engine"),
        Entrant("DuckDB", "DuckDB", size, "2 threads"),
        Entrant("floor", "floor", size, "read once and written twice by two processes"),
    ]


BENCH = Bench(
    what="2 GB of records of 100 bytes in 16 files, sorted on two processors",
    metrics=[
        Metric("seconds", "seconds", "{:.2f}", "lower"),
        Metric("rate", "MB/s"),
        Metric("cold", "seconds until warm", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        engines.faster_than("≥ 3× Spark", "wrens", "Spark", 3),
        engines.near_the_fastest(
            "at most 1.5× the time of the fastest of GNU sort, Polars and DuckDB",
            "GNU sort",
            "Polars",
            "DuckDB",
        ),
        engines.one_answer("all write the same", "digest"),
    ],
    rounds=3,
    limit_s=900.0,
)

if __name__ == "__main__":
    main(BENCH)
