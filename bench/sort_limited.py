"""Sort ten gigabytes in two workers that are limited to 512 MB each.

It shows that a sort of ten times what all workers can hold ends, that the result is right (order, number of records,
checksum, as the sort benchmark's validator has them), and how much memory a worker has used at most, mapped files included. The
limit is one of the system (``RLIMIT_DATA``): a worker that wants more fails. Only on Linux. Does not compare with anything.

    python bench/sort_limited.py [--quick]         # needs 32 GB below the directory for temporary files
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import inputs
from harness import Bar, Bench, Entrant, Metric, Reading, main
from systems import WORKERS

LIMIT_MB = 512
LINES = 1_000_000
"""Lines of text in one object."""
LINE = 61
"""Bytes of a line, about."""


def measure(system: str, megabytes: int, *, lines: bool = False) -> list[Reading]:
    assert system == "wrens"
    import wrens
    from wrens.models.sort.records import KEY, WIDTH, write
    from wrens.models.sort.validating import summed, validate

    how: dict[str, Any] = {"border": "lines"} if lines else {"border": WIDTH, "key": slice(0, KEY)}
    with tempfile.TemporaryDirectory(dir=inputs.home()) as name:
        folder = Path(name)
        store, source, target = (str(folder / each) for each in ("store", "in", "out"))
        with wrens.Executor(store=store, max_workers=WORKERS) as ex:
            if lines:
                _write_lines(ex, source, megabytes * 10**6 // LINE)
            else:
                write(ex, source, megabytes * 10**6 // WIDTH)
            before = summed(ex, source, **how)
        limited = wrens.Resources(memory_mb=LIMIT_MB)
        with wrens.Executor(store=store, max_workers=WORKERS) as ex:
            began = perf_counter()
            done = wrens.sort(ex.options(resources=limited), source, target, **how)
            took = perf_counter() - began
            peak = max(map(_most_resident, _workers()))
        with wrens.Executor(store=store, max_workers=WORKERS) as ex:
            validate(ex, target, same_as=before, **how)
    nbytes = sum(size for _, size, _ in done.parts)
    return [
        {
            "seconds": took,
            "rate": nbytes / took / 1e6,
            "records": done.records,
            "objects": len(done.parts),
            "held": nbytes / 1e6 / (LIMIT_MB * WORKERS),
            "peak": peak / 1e6,
        }
    ]


def _workers() -> list[int]:
    """Return the workers of this process."""
    found: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        found += [pid for pid in path.read_text().split() if b"wrens.worker" in _read(pid, "cmdline")]
    return sorted(map(int, found))


def _most_resident(pid: int) -> int:
    """Return the most bytes that a process has had in memory so far, mapped files included."""
    lines = _read(pid, "status").decode().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _read(pid: int | str, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def _write_lines(ex: Any, folder: str, lines: int) -> None:
    """Write lines of text: the generated records' keys in hexadecimal, and letters, so that lengths differ."""
    from wrens.models.sort.records import KEY, generate
    from wrens.models.sort.target import target_of

    edges = [*range(0, lines, LINES), lines]

    def write_one(number: int) -> None:
        rows = generate(0, edges[number], edges[number + 1] - edges[number])
        found = [row[:KEY].hex() + " " + "x" * (row[0] % 80) for row in map(bytes, rows)]
        target_of(folder).put(f"part-{number:05}", [("\n".join(found) + "\n").encode()])

    ex.map_async(write_one, range(len(list(pairwise(edges))))).results()


def entrants(quick: bool) -> list[Entrant]:
    much, some = (128, 64) if quick else (10_000, 2_000)
    return [
        Entrant(f"records, {much / 1000:g} GB", "wrens", {"megabytes": much}, "100 bytes each, key of 10"),
        Entrant(
            f"lines, {some / 1000:g} GB", "wrens", {"megabytes": some, "lines": True}, "21 to 100 letters"
        ),
    ]


BENCH = Bench(
    what="10 GB sorted in two workers of 512 MB each, and validated",
    metrics=[
        Metric("seconds", "seconds", "{:.1f}", "lower"),
        Metric("rate", "MB/s"),
        Metric("records", "records"),
        Metric("objects", "objects"),
        Metric("held", "times all workers' memory", "{:.1f}"),
        Metric("peak", "MB of a worker at most", "{:,.0f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "no worker has more than 512 MB",
            lambda medians: max(row["peak"] for row in medians.values()),
            LIMIT_MB,
            "at most",
            "{:,.0f} MB",
        )
    ],
    rounds=1,
    limit_s=1800.0,
)

if __name__ == "__main__":
    main(BENCH)
