"""What each way through an exchange takes, and which takes least. Pure: sizes and figures in, numbers and a sentence out.

    n × m objects    n·m writes                  n·m reads                  what the others are compared with
    packed           n writes                    n·m reads
    two-level        n + ⌈n/a⌉·⌈m/a⌉ writes      n·⌈m/a⌉ + m·⌈n/a⌉ reads    a = ⌈√m⌉: about 2n writes and 2·n·√m reads
    redis            none                        none                       n·m values, as long as memory does

A stage takes as long as the slowest of three: bytes through the workers' connections, requests at the rate that a prefix
takes, and round trips. What is least is told in dollars, and workers that wait are paid as well, so slow is dear.
Decides these formulas. Rates have their defaults here; prices that users replace are in :mod:`wrens.plan`, which is above.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Literal

Way = Literal["objects", "packed", "two-level", "redis"]
VALUE = 200
"""Bytes of a shard's memory for each value beside its own: name, digest of the name's place, time to live."""
ROOM = 1.1
"""How much of a shard's memory its values take up, since allocators round up."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates and prices to reckon with.

    Args:
        writes_per_s, reads_per_s: What one prefix of a bucket takes.
        write_bytes_per_s, read_bytes_per_s: Of one worker.
        request_s: One round trip to the store.
        at_once: Reads that a worker has under way.
        stage_s: What a stage more takes until its workers are at work.
        put_usd, get_usd: One request.
        gb_second_usd: A worker's memory and time.
        worker_gb: A worker's memory.
        shard_values_per_s, shard_bytes_per_s: What one Redis server takes.
        shard_gb: Memory of one such server.
        cache_gb_hour_usd: Its price.
    """

    writes_per_s: float = 3_500
    reads_per_s: float = 5_500
    write_bytes_per_s: float = 30e6
    read_bytes_per_s: float = 40e6
    request_s: float = 0.03
    at_once: int = 16
    stage_s: float = 5.0
    put_usd: float = 0.000005
    get_usd: float = 0.0000004
    gb_second_usd: float = 0.0000166667
    worker_gb: float = 1.5
    shard_values_per_s: float = 116_000
    shard_bytes_per_s: float = 1.2e9
    shard_gb: float = 154.64
    cache_gb_hour_usd: float = 0.0231


@dataclass(frozen=True, slots=True)
class Taken:
    """What a way takes.

    Args:
        way: Which.
        writes, reads: Requests to the store.
        moved: Bytes that are written and read.
        seconds: How long.
        usd: What requests, workers and shards cost in that time.
        memory: Bytes of memory in Redis.
        shards: How many servers that is.
    """

    way: Way
    writes: int
    reads: int
    moved: int
    seconds: float
    usd: float
    memory: int = 0
    shards: int = 0


def groups(n: int, m: int) -> tuple[int, int]:
    """Return how many of n objects, and of m readers, one task in the middle is for.

    >>> groups(100, 100), groups(2500, 2500), groups(3, 100)
    ((10, 10), (50, 50), (3, 10))
    """
    root = isqrt(max(m - 1, 0)) + 1
    return max(1, min(n, root)), root


def requests(way: Way, n: int, m: int) -> tuple[int, int]:
    """Return how many writes and reads of the store a way needs, if no part is empty.

    >>> requests("packed", 2500, 2500), requests("two-level", 2500, 2500), requests("objects", 2500, 2500)
    ((2500, 6250000), (5000, 250000), (6250000, 6250000))
    """
    if way == "objects":
        return n * m, n * m
    if way == "packed":
        return n, n * m
    if way == "redis":
        return 0, 0
    rows, wide = groups(n, m)
    down, across = -(-n // rows), -(-m // wide)
    return n + down * across, n * across + m * down


def memory(n: int, m: int, nbytes: int) -> int:
    """Return how much memory of Redis servers the values of an exchange take."""
    return ceil(nbytes * ROOM) + n * m * VALUE


def taken(
    way: Way,
    n: int,
    m: int,
    nbytes: int,
    workers: int,
    figures: Figures,
    *,
    shards: int = 0,
    parts: int | None = None,
) -> Taken:
    """Return what a way takes.

    Args:
        way: Which.
        n: Tasks that write.
        m: Tasks that read.
        nbytes: All that is passed on, as it is stored.
        workers: How many tasks run at a time.
        figures: Rates and prices.
        shards: Redis servers; by default as many as the memory needs.
        parts: How many of the n × m parts are not empty, where that is known; a reader asks for no others.
    """
    writes, reads = requests(way, n, m)
    if way == "packed" and parts is not None:
        reads = min(reads, parts)
    if way == "redis":
        needed = memory(n, m, nbytes)
        shards = shards or max(1, ceil(needed / (figures.shard_gb * 1e9)))
        each = max(
            n * m / (shards * figures.shard_values_per_s), nbytes / (shards * figures.shard_bytes_per_s)
        )
        writing, reading = (max(1, min(tasks, workers)) for tasks in (n, m))
        seconds = max(each, nbytes / (writing * figures.write_bytes_per_s)) + max(
            each, nbytes / (reading * figures.read_bytes_per_s)
        )
        usd = _labour(seconds, max(n, m), workers, figures)
        usd += shards * figures.shard_gb * figures.cache_gb_hour_usd * seconds / 3600
        return Taken(way, 0, 0, 2 * nbytes, seconds, usd, needed, shards)
    if way == "two-level":
        rows, wide = groups(n, m)
        between = -(-n // rows) * -(-m // wide)
        middle_reads = n * -(-m // wide)
        seconds = (
            _stage(n, 0, nbytes, n, workers, figures)
            + _stage(middle_reads, nbytes, 0, between, workers, figures, reading=True)
            + _stage(between, 0, nbytes, between, workers, figures)
            + _stage(reads - middle_reads, nbytes, 0, m, workers, figures, reading=True)
            + figures.stage_s
        )
        moved = 4 * nbytes
    else:
        seconds = _stage(writes, 0, nbytes, n, workers, figures)
        seconds += _stage(reads, nbytes, 0, m, workers, figures, reading=True)
        moved = 2 * nbytes
    usd = writes * figures.put_usd + reads * figures.get_usd + _labour(seconds, max(n, m), workers, figures)
    return Taken(way, writes, reads, moved, seconds, usd)


def _stage(
    requests: int, got: int, put: int, tasks: int, workers: int, figures: Figures, *, reading: bool = False
) -> float:
    """Return how long requests of one kind take: by bytes, by rate or by round trips, whichever is longest."""
    busy = max(1, min(tasks, workers))
    by_bytes = got / (busy * figures.read_bytes_per_s) + put / (busy * figures.write_bytes_per_s)
    by_rate = requests / (figures.reads_per_s if reading else figures.writes_per_s)
    by_trips = requests * figures.request_s / (busy * (figures.at_once if reading else 1))
    return max(by_bytes, by_rate, by_trips)


def _labour(seconds: float, tasks: int, workers: int, figures: Figures) -> float:
    return seconds * min(tasks, workers) * figures.worker_gb * figures.gb_second_usd


def least(found: Iterable[Taken]) -> Taken:
    """Return what costs least; among equals, what comes first."""
    return min(found, key=lambda one: one.usd)


def explained(chosen: Taken, others: Sequence[Taken], n: int, m: int) -> str:
    """Return the line that tells what was chosen, and why not the others.

    >>> ways = [taken(way, 2500, 2500, 10**12, 1000, Figures()) for way in ("two-level", "packed")]
    >>> explained(ways[0], ways[1:], 2500, 2500)
    'two-level: 2,500 × 2,500 parts with 5,000 writes and 250,000 reads, about ... s and $...; packed: ...'
    """
    rest = [f"{one.way}: {_told(one)}" for one in others if one.way != chosen.way]
    return "; ".join([f"{chosen.way}: {n:,} × {m:,} parts with {_told(chosen)}", *rest])


def _told(one: Taken) -> str:
    if one.way == "redis":
        what = f"{one.memory / 1e9:.1f} GB of memory in {one.shards} shard{'s' * (one.shards != 1)}"
    else:
        what = f"{one.writes:,} writes and {one.reads:,} reads"
    return f"{what}, about {one.seconds:.3g} s and ${one.usd:.3g}"
