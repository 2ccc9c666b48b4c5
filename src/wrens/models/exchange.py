"""The step between two stages: what n tasks made, sorted out for m others.

    worker of stage 1      written = write([part 0, part 1, …])     one object, jobs/<job>/exchange/<id>
    client                 columns(m, [written, …])                 which ranges of which objects part j is
    worker of stage 2      for data in read(column): …              ranged reads, several at a time

A worker writes all that it has for the whole of the next stage as one object, so n tasks make n objects and not n × m.
The index (where each part lies) travels in the task's result, and so in its verdict: what an attempt wrote that lost is
named by nobody, read by nobody, and goes with its job. Decides the layout, the compression, and how ranges
are read; which kind of exchange is taken is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from wrens.errors import BadSignature, StoreError
from wrens.store import open_store
from wrens.store.naming import as_buffers, total
from wrens.store.port import Buffer, Store, is_signed, put_raw, raw_range
from wrens.wire import keys
from wrens.worker.context import current_task

AT_ONCE = 16
"""Ranges that are asked for at a time, from a store behind a network."""
AHEAD = 64 * 2**20
"""Bytes that may have been read before they are asked for."""
DIGEST = 16
"""Bytes of a part's digest."""
WINS = 0.8
"""Compression is worth its time when a sample shrinks to less than this."""
SAMPLE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """What one task has written for the next stage: an object and where each part lies in it.

    Args:
        store: URL of the store.
        key: The object's key; empty when there was nothing to write.
        ends: Where each part ends, as unsigned 64-bit integers; it begins where the one before ends.
        sizes: How large each part is when it is unpacked; empty when nothing is compressed.
        digests: Of each part as it is stored, where others may write too.
        note: What the task wants to tell besides.
    """

    store: str
    key: str
    ends: bytes
    sizes: bytes = b""
    digests: bytes = b""
    note: Any = None

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self.ends) // 8

    @property
    def nbytes(self) -> int:
        """How many bytes were written."""
        return array("Q", self.ends)[-1] if self.ends else 0


@dataclass(frozen=True, slots=True)
class Slice:
    """Parts that lie side by side in one object, and are read with one request.

    Args:
        store, key: The object.
        start: Where the first part begins.
        lengths: How long each is there, in bytes.
        sizes: How many bytes each is when unpacked; empty when nothing is compressed.
        digests: Of each as it is stored; empty where nobody else can write.
    """

    store: str
    key: str
    start: int
    lengths: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    digests: tuple[bytes, ...] = ()

    @property
    def length(self) -> int:
        """How many bytes it is in the store."""
        return sum(self.lengths)

    @property
    def nbytes(self) -> int:
        """How many bytes it is in memory."""
        return sum(self.sizes or self.lengths)


@lru_cache(maxsize=8)
def _store(url: str) -> Store:
    return open_store(url, decided=True)


def is_near(url: str) -> bool:
    """Tell whether a store is on this computer, where reading costs no round trip."""
    return url.startswith(("file:", "memory:"))


def write(
    parts: Iterable[Buffer | Sequence[Buffer]], *, note: Any = None, store: str = "", folder: str = ""
) -> Written:
    """Write what a task has for the next stage, one part after the other, as one object.

    Args:
        parts: One for each task of the next stage, each one buffer or several; empty ones take no room.
        note: What else the client should know.
        store: URL of the store to write to; by default that of the task that is running.
        folder: What the object's key begins with there; by default it lies below the task's job.

    Raises:
        StoreError: if it could not be written.

    >>> from wrens.store import open_store
    >>> _ = open_store("memory://exchanges")
    >>> written = write([b"ab", [b"c", b"d"], b""], store="memory://exchanges", folder="jobs/j/exchange")
    >>> [bytes(data) for j in range(3) for data in read(columns([written])[j])]
    [b'ab', b'cd']
    """
    task = current_task()
    if task is not None and not store:
        store, folder = task.store, keys.exchange(task.job)
    here = _store(store)
    flat = [as_buffers(part) for part in parts]
    sizes = array("Q", map(total, flat))
    packed = _compressed(flat, sizes) if not is_near(store) else None
    if packed is not None:
        flat = [as_buffers(part) for part in packed]
    ends, at = array("Q"), 0
    for part in flat:
        at += total(part)
        ends.append(at)
    digests = b"".join(map(_digest, flat)) if is_signed(here) else b""
    key = f"{folder}/{keys.new_id()}" if at else ""
    if at:
        put_raw(here, key, [buffer for part in flat for buffer in part])
    return Written(store, key, ends.tobytes(), sizes.tobytes() if packed is not None else b"", digests, note)


def columns(written: Sequence[Written]) -> list[list[Slice]]:
    """Return for each task of the next stage the slices that it reads, in the order of the tasks that wrote them."""
    count = max((one.parts for one in written), default=0)
    found: list[list[Slice]] = [[] for _ in range(count)]
    for one in written:
        begin, sizes = 0, array("Q", one.sizes)
        for j, end in enumerate(array("Q", one.ends)):
            if end > begin:
                size = (sizes[j],) if sizes else ()
                digest = (one.digests[DIGEST * j : DIGEST * (j + 1)],) if one.digests else ()
                found[j].append(Slice(one.store, one.key, begin, (end - begin,), size, digest))
            begin = end
    return found


def joined(share: Iterable[Sequence[Slice]]) -> list[Slice]:
    """Return columns that lie side by side as one: what lies side by side in an object is read with one request.

    >>> joined([[Slice("s", "k", 0, (5,))], [Slice("s", "k", 5, (2,)), Slice("s", "l", 0, (1,))]])
    [Slice(store='s', key='k', start=0, lengths=(5, 2), sizes=(), digests=()), ...]
    """
    found: dict[tuple[str, str], list[Slice]] = {}
    for column in share:
        for one in column:
            parts = found.setdefault((one.store, one.key), [])
            last = parts[-1] if parts else None
            if last is not None and last.start + last.length == one.start:
                parts[-1] = Slice(
                    one.store,
                    one.key,
                    last.start,
                    last.lengths + one.lengths,
                    last.sizes + one.sizes,
                    last.digests + one.digests,
                )
            else:
                parts.append(one)
    return [one for parts in found.values() for one in parts]


def spooled(slices: Sequence[Slice], budget: int) -> list[memoryview]:
    """Return what slices hold all at once; what is more than fits into memory lies in a file without a name.

    Args:
        slices: What to read.
        budget: Bytes that may be in memory.
    """
    if all(is_near(one.store) for one in slices) or sum(one.nbytes for one in slices) <= budget:
        return list(read(slices))
    with tempfile.TemporaryFile() as file:
        lengths = [file.write(data) for data in read(slices)]
        file.flush()
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    ends = list(accumulate(lengths))
    return [whole[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def forget(written: Iterable[Written]) -> None:
    """Delete what nobody will read any more; what this does not reach is deleted with its job."""
    by_store: dict[str, list[str]] = {}
    for one in written:
        if one.key:
            by_store.setdefault(one.store, []).append(one.key)
    for url, found in by_store.items():
        with suppress(StoreError):
            _store(url).delete(found)


def read(slices: Sequence[Slice], *, ahead: int = AHEAD) -> Iterator[memoryview]:
    """Yield what slices hold, in their order; from a distant store several are read at a time.

    Args:
        slices: What to read.
        ahead: How many bytes may be in memory beside the one that was yielded last.

    Raises:
        ObjectMissing: if an object is gone.
        BadSignature: if it is not what was written.
    """
    if all(is_near(one.store) for one in slices):
        yield from map(_fetch, slices)
        return
    rest, waiting, held = deque(slices), deque[tuple[int, Future[memoryview]]](), 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wrens-exchange") as pool:
        try:
            while rest or waiting:
                while rest and (not waiting or (len(waiting) < AT_ONCE and held + rest[0].nbytes <= ahead)):
                    one = rest.popleft()
                    held += one.nbytes
                    waiting.append((one.nbytes, pool.submit(_fetch, one)))
                nbytes, due = waiting.popleft()
                yield due.result()
                held -= nbytes
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _fetch(one: Slice) -> memoryview:
    """Return what a slice holds, checked and unpacked.

    Raises:
        BadSignature: if a part is not what was written.
    """
    found = raw_range(_store(one.store), one.key, one.start, one.length)
    if not one.sizes and not one.digests:
        return found
    from wrens.models import compression

    whole, at = [], 0
    for i, length in enumerate(one.lengths):
        part = found[at : at + length]
        at += length
        if one.digests and _digest([part]) != one.digests[i]:
            raise BadSignature(
                one.key, one.store, "a part of it is not what the task that wrote it has signed"
            )
        whole.append(compression.decompress(part, one.sizes[i]) if one.sizes else part)
    return whole[0] if len(whole) == 1 else memoryview(b"".join(whole))


def _digest(buffers: Iterable[Buffer]) -> bytes:
    state = hashlib.sha256()
    for buffer in buffers:
        state.update(buffer)
    return state.digest()[:DIGEST]


def _compressed(flat: list[list[bytes | memoryview]], sizes: array[int]) -> list[bytes] | None:
    """Return the parts compressed, when that wins; ``None`` otherwise."""
    from wrens.models import compression

    biggest = max(range(len(sizes)), key=sizes.__getitem__, default=None)
    if biggest is None or not sizes[biggest] or not compression.available():
        return None
    sample = (
        b"".join(flat[biggest])[:SAMPLE] if sizes[biggest] <= SAMPLE else bytes(flat[biggest][0][:SAMPLE])
    )
    if len(compression.compress([sample])) > WINS * len(sample):
        return None
    return [compression.compress(part) if part else b"" for part in flat]
