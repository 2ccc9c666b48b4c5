"""Sort more than all workers' memory holds, in workers that are limited to 512 MB each.

It shows that the sort ends, that the result is right (order, count, checksum), and how much memory each worker has used at
most. The limit is one of the system (``RLIMIT_DATA``): a worker that wants more fails. Only on Linux. Does not compare with
anything.

    python bench/sort_limited.py --gigabytes 10 --folder /data/scratch
"""

from __future__ import annotations

import argparse
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import wrens
from wrens.clock import SystemClock
from wrens.models.sort.records import KEY, WIDTH, generate, write
from wrens.models.sort.target import target_of
from wrens.models.sort.validating import summed, validate
from wrens.report.texts import size

LINES = 1_000_000
"""Lines of text in one object."""


def workers() -> list[int]:
    """Return the workers of this process."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        found += [pid for pid in path.read_text().split() if b"wrens.worker" in _read(pid, "cmdline")]
    return sorted(map(int, found))


def most_resident(pid: int) -> int:
    """Return the most bytes that a process has had in memory so far, mapped files included."""
    lines = _read(pid, "status").decode().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _read(pid: int | str, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def write_lines(folder: str, lines: int) -> None:
    """Write lines of text: the generated records' keys, numbers and letters in hexadecimal and of several lengths."""
    edges = [*range(0, lines, LINES), lines]

    def write_one(number: int) -> None:
        first, last = edges[number], edges[number + 1]
        rows = generate(0, first, last - first)
        found = [row[:KEY].hex() + " " + "x" * (row[0] % 80) for row in map(bytes, rows)]
        target_of(folder).put(f"part-{number:05}", [("\n".join(found) + "\n").encode()])

    with wrens.Executor() as ex:
        ex.map_async(write_one, range(len(list(pairwise(edges))))).results()


def main() -> None:
    parser = argparse.ArgumentParser(description="Sort in workers with little memory.")
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--part-mb", type=float, default=0, help="bytes of a part, in MiB; by default the library's"
    )
    parser.add_argument("--lines", action="store_true", help="sort lines of text instead of records")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to put the data; they are deleted after"
    )
    chosen = parser.parse_args()
    clock = SystemClock()
    how = {"border": "lines"} if chosen.lines else {"border": WIDTH, "key": slice(0, KEY)}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        began = clock.now()
        if chosen.lines:
            write_lines(f"{folder}/in", int(chosen.gigabytes * 1e9 / 61))
        else:
            with wrens.Executor(store=f"{folder}/store") as ex:
                write(ex, f"{folder}/in", int(chosen.gigabytes * 1e9 / WIDTH))
        with wrens.Executor(store=f"{folder}/store") as ex:
            before = summed(ex, f"{folder}/in", **how)
        print(f"{before.records:,} records written in {clock.now() - began:.1f} s")
        limited = wrens.Resources(memory_mb=chosen.memory_mb)
        part = int(chosen.part_mb * 2**20) or None
        with wrens.Executor(store=f"{folder}/store", max_workers=chosen.workers) as ex:
            began = clock.now()
            done = wrens.sort(
                ex.options(resources=limited), f"{folder}/in", f"{folder}/out", size=part, **how
            )
            seconds = clock.now() - began
            peaks = {pid: most_resident(pid) for pid in workers()}
        for stage in done.stages:
            print(
                f"  {stage.name:8}{stage.tasks:6} tasks {stage.seconds:8.1f} s  {size(stage.bytes_out)} written"
            )
        nbytes = sum(n for _, n, _ in done.parts)
        print(
            f"sorted {size(nbytes)} into {len(done.parts)} objects in {seconds:.1f} s, {size(nbytes / seconds)}/s"
        )
        for pid, peak in peaks.items():
            print(f"worker {pid}: {peak / 1e6:.0f} MB at most, of {chosen.memory_mb} MB allowed")
        with wrens.Executor(store=f"{folder}/store") as ex:
            began = clock.now()
            validate(ex, f"{folder}/out", same_as=before, **how)
            print(
                f"valid: in order, {before.records:,} records, checksum {before.checksum:016x} "
                f"({clock.now() - began:.1f} s; {os.cpu_count()} processors)"
            )


if __name__ == "__main__":
    main()
