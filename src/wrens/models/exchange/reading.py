"""Slices read back: ranges of objects and values of shards, in their order, several requests at a time.

Decides what is read ahead, and that nothing is handed out that is not what was written.
"""

from __future__ import annotations

import mmap
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from typing import TypeVar

from wrens.errors import BadSignature
from wrens.kv import servers
from wrens.models.exchange import compression, nesting, shards
from wrens.models.exchange.index import Slice
from wrens.models.exchange.storing import digest, is_near, store_of
from wrens.store.port import Buffer, raw_range

AT_ONCE = 16
"""Requests that are under way at a time, to what is behind a network."""
AHEAD = 64 * 2**20
"""Bytes that may have been read before they are asked for."""
BATCH = 8 * 2**20
"""Bytes of values that are asked for together."""

Ask = TypeVar("Ask")
Got = TypeVar("Got")


def read(slices: Sequence[Slice], *, ahead: int = AHEAD) -> Iterator[memoryview]:
    """Yield what slices hold, in their order; from behind a network several are read at a time.

    Args:
        slices: What to read.
        ahead: How many bytes may be in memory beside what was yielded last.

    Raises:
        ObjectMissing: if an object is gone.
        ExchangeLost: if a value is gone.
        BadSignature: if it is not what was written.
    """
    if all(is_near(one.store) for one in slices):
        for one in slices:
            yield from _opened(one, fetched(one))
        return
    for found in in_order(_batches(slices), _fetch, lambda batch: sum(one.nbytes for one in batch), ahead):
        yield from found


def spooled(slices: Sequence[Slice], budget: int) -> list[memoryview]:
    """Return what slices hold all at once; what is more than fits into memory lies in a file without a name.

    Args:
        slices: What to read.
        budget: Bytes that may be in memory.
    """
    slices = list(slices)
    if all(is_near(one.store) for one in slices) or sum(one.nbytes for one in slices) <= budget:
        return list(read(slices))
    with tempfile.TemporaryFile() as file:
        lengths = [file.write(data) for data in read(slices)]
        file.flush()
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    ends = list(accumulate(lengths))
    return [whole[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def in_order(
    asked: Iterable[Ask], fetch: Callable[[Ask], Got], cost: Callable[[Ask], int], ahead: int = AHEAD
) -> Iterator[Got]:
    """Yield what is fetched for each, in order, fetching ahead within a budget.

    Args:
        asked: What to fetch.
        fetch: Called in threads.
        cost: How many bytes it will be.
        ahead: How many bytes may have been fetched before they are taken; one at least is fetched.
    """
    rest, waiting, held = deque(asked), deque[tuple[int, Future[Got]]](), 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wrens-exchange") as pool:
        try:
            while rest or waiting:
                while rest and (not waiting or (len(waiting) < AT_ONCE and held + cost(rest[0]) <= ahead)):
                    one = rest.popleft()
                    nbytes = cost(one)
                    held += nbytes
                    waiting.append((nbytes, pool.submit(fetch, one)))
                nbytes, due = waiting.popleft()
                yield due.result()
                held -= nbytes
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def fetched(one: Slice) -> memoryview:
    """Return what the store has for a slice, as it is there."""
    return raw_range(store_of(one.store), one.key, one.start, one.length)


def checked(one: Slice, found: memoryview) -> Iterator[memoryview]:
    """Yield the parts of a slice as they are stored, each compared with its digest.

    Raises:
        BadSignature: if a part is not what was written.
    """
    at = 0
    for i, length in enumerate(one.lengths):
        part = found[at : at + length]
        at += length
        if one.digests and digest([part]) != one.digests[i]:
            raise BadSignature(
                one.key, one.store, "a part of it is not what the task that wrote it has signed"
            )
        yield part


def _batches(slices: Iterable[Slice]) -> Iterator[list[Slice]]:
    """Yield slices as they are fetched: one that is in an object by itself, values together."""
    batch: list[Slice] = []
    held = 0
    for one in slices:
        if servers.is_server(one.store) and (not batch or held + one.nbytes <= BATCH):
            batch.append(one)
            held += one.nbytes
            continue
        if batch:
            yield batch
        batch, held = [], 0
        if servers.is_server(one.store):
            batch, held = [one], one.nbytes
        else:
            yield [one]
    if batch:
        yield batch


def _fetch(batch: list[Slice]) -> list[memoryview]:
    """Return what the slices of a batch hold."""
    if not servers.is_server(batch[0].store):
        return list(_opened(batch[0], fetched(batch[0])))
    names: dict[str, list[str]] = {}
    for one in batch:
        names.setdefault(one.store, []).append(one.key)
    values = {name: value for url, some in names.items() for name, value in shards.take(url, some).items()}
    return [data for one in batch for data in _opened(one, memoryview(values[one.key]))]


def _opened(one: Slice, found: memoryview) -> Iterator[memoryview]:
    """Yield what a slice holds, unpacked: one buffer, or as many as tasks have written."""
    if one.nested:
        for part in checked(one, found):
            yield from nesting.unnested(part)
    elif not one.sizes and not one.digests:
        yield found
    else:
        parts = list(checked(one, found))
        whole: list[Buffer] = list(parts)
        if one.sizes:
            whole = [compression.decompress(part, n) for part, n in zip(parts, one.sizes, strict=True)]
        yield memoryview(whole[0] if len(whole) == 1 else b"".join(whole))
