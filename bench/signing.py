"""What signatures cost: objects of three sizes put and read back, and a map of tasks that do nothing.

The same directory, signed and not, on a file system in memory, so that what a disk does is not taken for a difference.
The two last rows are digests alone, one for the put and one for the get, of the kinds that could have been chosen. What
is read is copied, because a directory maps a long object and reads it only when it is touched.
"""

from __future__ import annotations

import hmac
import os
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from statistics import median
from time import perf_counter

from harness import Bar, Bench, Entrant, Metric, Reading, main
from systems import WORKERS
from tasks import noop

SIZES = {"us_1k": (1_000, 1e6, 1000), "ms_1m": (1_000_000, 1e3, 100), "ms_64m": (64_000_000, 1e3, 5)}
"""Metric to bytes of an object, units in a second, and how often it is tried."""
KEY = bytes(range(32))


def measure(system: str, n: int, share: int = 1, signed: bool = False, digest: str = "") -> list[Reading]:
    if digest:
        return [_sizes(DIGESTS[digest], share)]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        url = Path(folder, "store").as_uri() + ("?signed=yes" if signed else "")
        return [{**_sizes(_put_and_get(url), share), **_map(url, n)}]


def _sizes(work: Callable[[bytes], None], share: int) -> Reading:
    reading: Reading = {}
    for name, (size, per_s, times) in SIZES.items():
        data = os.urandom(size)
        took = []
        for _ in range(max(2, times // share)):
            began = perf_counter()
            work(data)
            took.append(perf_counter() - began)
        reading[name] = median(took) * per_s
    return reading


def _put_and_get(url: str) -> Callable[[bytes], None]:
    from wrens.store import open_store

    store = open_store(url)
    assert store.url == url, "not signed as it should be"

    def work(data: bytes) -> None:
        store.put("k", data)
        assert len(bytes(store.get("k"))) == len(data)
        store.delete(["k"])

    return work


def _map(url: str, n: int) -> Reading:
    import wrens

    took = []
    with wrens.Executor(store=url, max_workers=WORKERS) as ex:
        for round_ in range(7):
            began = perf_counter()
            assert list(ex.map(noop, range(n))) == list(range(n)), "wrong results"
            if round_ > 1:
                took.append(perf_counter() - began)
    return {"rate": n / median(took)}


def _hmac(data: bytes) -> None:
    for _ in range(2):
        hmac.new(KEY, data, "sha256").digest()


def _blake(data: bytes) -> None:
    for _ in range(2):
        blake2b(data, key=KEY, digest_size=32).digest()


DIGESTS = {"HMAC-SHA256": _hmac, "BLAKE2b": _blake}


def entrants(quick: bool) -> list[Entrant]:
    n, share = (2_000, 10) if quick else (10_000, 1)
    digests = [
        Entrant(f"{name}, twice", "wrens", {"n": 0, "share": share, "digest": name}, "no store")
        for name in DIGESTS
    ]
    return [
        Entrant("wrens", "wrens", {"n": n, "share": share}),
        Entrant("wrens, signed", "wrens", {"n": n, "share": share, "signed": True}),
        *digests,
    ]


BENCH = Bench(
    what="signed and unsigned: put and get of one object, and a map of 10,000 no-op tasks",
    metrics=[
        Metric("us_1k", "1 kB, µs", "{:,.0f}", "lower"),
        Metric("ms_1m", "1 MB, ms", "{:,.2f}", "lower"),
        Metric("ms_64m", "64 MB, ms", "{:,.0f}", "lower"),
        Metric("rate", "tasks/s"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "10,000 tasks at ≥ 0.8× the rate",
            lambda m: m["wrens, signed"]["rate"] / m["wrens"]["rate"],
            0.8,
            show="{:.2f}×",
        ),
        Bar(
            "≤ 50 µs more for 1 kB",
            lambda m: m["wrens, signed"]["us_1k"] - m["wrens"]["us_1k"],
            50,
            "at most",
            "{:.0f} µs",
        ),
    ],
)

if __name__ == "__main__":
    main(BENCH)
