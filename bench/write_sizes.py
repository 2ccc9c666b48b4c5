"""How many bytes to hand to the system at once, when a long file is written.

A directory store writes objects in pieces (``wrens.store.files``). This measures which pieces: each process writes a gigabyte to a new
file in the directory for temporary files, some seconds after the one before has deleted its own, when a virtual machine has
given that memory back. Does not measure the disk: nothing is waited for but the system's own memory.

    python bench/write_sizes.py [--quick]
"""

from __future__ import annotations

import os
import tempfile
from time import perf_counter

import inputs
from harness import Bar, Bench, Entrant, Metric, Reading, main

PAUSE_S = 3.0


def measure(system: str, piece: int, megabytes: int) -> list[Reading]:
    from wrens.clock import SystemClock

    assert system == "wrens"
    data, written = memoryview(bytes(b"x" * piece)), 0
    SystemClock().sleep(PAUSE_S)  # nobody can be asked whether the memory has been given back
    with tempfile.NamedTemporaryFile(dir=inputs.home(), buffering=0) as file:
        began = perf_counter()
        while written < megabytes * 10**6:
            written += os.write(file.fileno(), data)
        took = perf_counter() - began
    return [{"rate": written / took / 1e6}]


def entrants(quick: bool) -> list[Entrant]:
    from wrens.store.files import WRITTEN

    sizes = {"64 kB": 1 << 16, "1 MB": 1 << 20, "16 MB": 1 << 24, "64 MB": 1 << 26}
    return [
        Entrant(name, "wrens", {"piece": size, "megabytes": 64 if quick else 1000}, note)
        for name, size, note in (
            ("wrens", WRITTEN, "what a directory store writes at once"),
            *((name, size, "") for name, size in sizes.items()),
        )
    ]


BENCH = Bench(
    what="a long file written piece by piece",
    metrics=[Metric("rate", "MB/s")],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "as fast as the best of the other sizes, or nearly",
            lambda m: m["wrens"]["rate"] / max(row["rate"] for name, row in m.items() if name != "wrens"),
            0.8,
        )
    ],
    rounds=5,
    limit_s=120.0,
)

if __name__ == "__main__":
    main(BENCH)
