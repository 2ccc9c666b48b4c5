"""What work costs as it grows: larger data at a fixed number of workers, and more partitions of the same data.

First, records of 100 bytes are sorted, and words counted, at 0.1, 1 and 10 GB with two workers and the default size of a
partition. The ten gigabytes of text are the files of one, read ten times. Data and store are directories, where reads are
mapped and cost no round trip; the requests are those that a bucket would have been sent, as the stages tell them: by the
client and by workers, for data, parts, inputs and verdicts together.

Second, one gigabyte goes through the exchange from 8, 32, 128 and 512 tasks to as many others, packed and two-level, with
the store on an emulated S3. There only what is asked for parts is counted, request by request where each process hands it
to the adapter, and compared with what `wrens.models.exchange.choosing` reckons with: beyond that there shall be none.

    pip install -e '.[bench]' && python tests/servers/install.py
    python bench/exchange_growth.py [--quick]         # needs 32 GB below the directory for temporary files
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import inputs
from harness import Bar, Bench, Entrant, Medians, Metric, Reading, main
from systems import WORKERS

if TYPE_CHECKING:
    from wrens.models.stages import Stage

TEXT_MB = 1000
"""Of text no more is made; beyond, the same files are read again."""


def measure(system: str, program: str, megabytes: int, partitions: int = 0, way: str = "") -> list[Reading]:
    assert system == "wrens"
    if program == "exchange":
        return [_crossed(megabytes, partitions, way)]
    folder = (inputs.records if program == "sort" else inputs.text)(min(megabytes, _most(program)))
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        return [_grown(program, folder, megabytes, Path(scratch))]


def _most(program: str) -> int:
    return TEXT_MB if program == "words" else sys.maxsize


def _grown(program: str, folder: Path, megabytes: int, scratch: Path) -> Reading:
    import wrens

    times = max(1, megabytes // _most(program))
    with wrens.Executor(store=scratch / "store", max_workers=WORKERS) as ex:
        list(ex.map(abs, range(WORKERS)))  # so that the workers are there
        began = perf_counter()
        stages = (_sort if program == "sort" else _words)(ex, folder, times, scratch)
        took = perf_counter() - began
    asked = [stage.requests for stage in stages]
    nbytes = inputs.size_of(folder) * times
    return {
        "seconds": took,
        "rate": nbytes / took / 1e6,
        "tasks": sum(stage.tasks for stage in stages),
        "writes": sum(one.puts for one in asked),
        "reads": sum(one.gets for one in asked),
        "lists": sum(one.lists for one in asked),
        "written": sum(one.bytes_written for one in asked) / 1e6,
        "read": sum(one.bytes_read for one in asked) / 1e6,
    }


def _sort(ex: Any, folder: Path, _times: int, scratch: Path) -> Sequence[Stage]:
    import wrens

    done = wrens.sort(ex, folder, scratch / "sorted", border=100, key=slice(0, 10))
    assert done.records * 100 == inputs.size_of(folder), "records are missing"
    return done.stages


def _words(ex: Any, folder: Path, times: int, _scratch: Path) -> Sequence[Stage]:
    import pyarrow.compute as pc

    import wrens
    from wrens.models.partitions import words

    parts = wrens.partition(sorted(folder.iterdir()) * times)
    done = wrens.group_by(ex, parts, "word", {"count": ("count", "sum")}, prepare=words.counted)
    assert pc.sum(done.table()["count"]).as_py() % times == 0, "words are missing"
    return done.stages


def _crossed(megabytes: int, partitions: int, way: str) -> Reading:
    """Let as many tasks write parts as read them, through an exchange in an emulated S3."""
    import logged_store

    import wrens
    from wrens.models.exchange import choosing

    with logged_store.emulated_s3() as requests:
        with wrens.Executor(store=logged_store.ADDRESS, max_workers=WORKERS) as ex:
            list(ex.map(abs, range(WORKERS)))
            began = perf_counter()
            _pass(ex, megabytes * 10**6, partitions, way)
            took = perf_counter() - began
        log = [one for one in logged_store.read_log(requests) if "/exchange/" in one.key]
    expected = choosing.requests("two-level" if way == "two-level" else "packed", partitions, partitions)
    seen = {verb: [one for one in log if one.verb == verb] for verb in ("put", "get", "list")}
    writes, reads = len(seen["put"]), len(seen["get"])
    return {
        "seconds": took,
        "rate": megabytes / took,
        "tasks": 2 * partitions,
        "writes": writes,
        "reads": reads,
        "lists": len(seen["list"]),
        "formula_writes": expected[0],
        "formula_reads": expected[1],
        "off": abs(writes - expected[0]) + abs(reads - expected[1]),
        "written": sum(one.size for one in seen["put"]) / 1e6,
        "read": sum(one.size for one in seen["get"]) / 1e6,
    }


def _pass(ex: Any, nbytes: int, n: int, way: str) -> None:
    import wrens
    from wrens.models import exchange

    each = nbytes // (n * n)
    policy = wrens.TwoLevel() if way == "two-level" else wrens.Packed()
    with exchange.crossing(policy, ex, writers=n, readers=n, nbytes=nbytes) as step:
        written = ex.map_async(_writer(step.way, n, each), range(n)).results()
        shares = [exchange.joined([column]) for column in exchange.columns(written)]
        slices = step.delivered(written, shares)
        got = ex.map_async(_read, slices).results()
    assert sum(got) == each * n * n, "bytes are missing"


def _writer(way: Any, n: int, each: int) -> Callable[[int], Any]:
    def write(_number: int) -> Any:
        return way.write([os.urandom(each) for _ in range(n)])

    return write


def _read(slices: Any) -> int:
    from wrens.models import exchange

    return sum(len(memoryview(one)) for one in exchange.read(slices))


def entrants(quick: bool) -> list[Entrant]:
    unit, counts = (8, (8, 32)) if quick else (1000, (8, 32, 128, 512))
    sizes = [unit] if quick else [unit // 10, unit, unit * 10]
    rows = [
        Entrant(
            f"{program}, {size / 1000:g} GB",
            "wrens",
            {"program": program, "megabytes": size},
            "directory, all requests",
        )
        for program in ("sort", "words")
        for size in sizes
    ]
    rows += [
        Entrant(
            f"{way}, {unit / 1000:g} GB, {count} × {count}",
            "wrens",
            {"program": "exchange", "megabytes": unit, "partitions": count, "way": way},
            "emulated S3, requests for parts",
        )
        for way in ("packed", "two-level")
        for count in counts
    ]
    return rows


def _beyond(medians: Medians) -> float:
    return sum(row["off"] for row in medians.values() if "off" in row)


BENCH = Bench(
    what="what work costs as it grows, with two workers",
    metrics=[
        Metric("seconds", "seconds", "{:.2f}", "lower"),
        Metric("writes", "writes", "{:,.0f}", "lower"),
        Metric("formula_writes", "writes by formula", "{:,.0f}", "lower"),
        Metric("reads", "reads", "{:,.0f}", "lower"),
        Metric("formula_reads", "reads by formula", "{:,.0f}", "lower"),
        Metric("off", "beside it", "{:,.0f}", "lower"),
        Metric("written", "MB written", "{:,.0f}", "lower"),
        Metric("read", "MB read", "{:,.0f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[Bar("requests for parts are those of the formula", _beyond, 0, "at most", "{:.0f} more or less")],
    rounds=1,
    limit_s=900.0,
)

if __name__ == "__main__":
    main(BENCH)
