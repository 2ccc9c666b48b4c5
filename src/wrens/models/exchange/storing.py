"""Parts as objects of the store: packed, compressed when that wins, with digests where others may write too.

Decides the layout of an object and when compression wins; where each part lies is told in a
:class:`~wrens.models.exchange.index.Written`.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from wrens.errors import StoreError
from wrens.models.exchange import compression, shards
from wrens.models.exchange.index import DIGEST, Written
from wrens.store import open_store
from wrens.store.naming import as_buffers, total
from wrens.store.port import Buffer, Store, is_signed, put_raw
from wrens.wire import keys
from wrens.worker.context import current_task

WINS = 0.8
"""Compression is worth its time when samples shrink to less than this."""
SAMPLE = 64 * 1024
"""Bytes of a sample; one is taken from the beginning and one from the middle of the largest part."""

Part = Buffer | Sequence[Buffer]


@lru_cache(maxsize=8)
def store_of(url: str) -> Store:
    """Return a store, opened once for the whole process."""
    return open_store(url, decided=True)


def words(numbers: Iterable[int]) -> bytes:
    """Return numbers as unsigned 64-bit integers, as a :class:`Written` has them."""
    return array("Q", numbers).tobytes()


def is_near(url: str) -> bool:
    """Tell whether a store is on this computer, where reading costs no round trip."""
    return url.startswith(("file:", "memory:"))


def here(store: str, folder: str) -> tuple[str, str]:
    """Return the store to write to and what keys begin with there: as given, or those of the running task."""
    task = current_task()
    return (task.store, keys.exchange(task.job)) if task is not None and not store else (store, folder)


def digest(buffers: Iterable[Buffer]) -> bytes:
    """Return the digest of a part."""
    state = hashlib.sha256()
    for buffer in buffers:
        state.update(buffer)
    return state.digest()[:DIGEST]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Parts as they will be stored.

    Args:
        parts: Each as buffers; an empty part has none.
        lengths: How long each is.
        sizes: How large each is in memory; empty when nothing is compressed.
        digests: Of each, when asked for.
    """

    parts: list[list[bytes | memoryview]]
    lengths: array[int]
    sizes: bytes
    digests: bytes


def prepared(parts: Iterable[Part], *, squeeze: bool, checked: bool) -> Prepared:
    """Return parts as they will be stored.

    Args:
        parts: Each one buffer or several.
        squeeze: Compress them, if samples say that this wins.
        checked: Keep a digest of each.
    """
    flat = [as_buffers(part) for part in parts]
    lengths = array("Q", map(total, flat))
    sizes = b""
    if squeeze and _wins(flat, lengths):
        sizes = lengths.tobytes()
        flat = [
            [compression.compress(part)] if size else [] for part, size in zip(flat, lengths, strict=True)
        ]
        lengths = array("Q", map(total, flat))
    return Prepared(flat, lengths, sizes, b"".join(map(digest, flat)) if checked else b"")


def write(parts: Iterable[Part], *, note: Any = None, store: str = "", folder: str = "") -> Written:
    """Write what a task has for the next stage, one part after the other, as one object.

    Args:
        parts: One for each task of the next stage, each one buffer or several; empty ones take no room.
        note: What else the client should know.
        store: URL of the store to write to; by default that of the task that is running.
        folder: What the object's key begins with there; by default it lies below the task's job.

    Raises:
        StoreError: if it could not be written.

    >>> from wrens.models import exchange
    >>> from wrens.store import open_store
    >>> _ = open_store("memory://exchanges")
    >>> written = write([b"ab", [b"c", b"d"], b""], store="memory://exchanges", folder="jobs/j/exchange")
    >>> [bytes(data) for column in exchange.columns([written]) for data in exchange.read(column)]
    [b'ab', b'cd']
    """
    store, folder = here(store, folder)
    ready = prepared(parts, squeeze=not is_near(store), checked=is_signed(store_of(store)))
    key = put(store, folder, ready.parts)
    return Written(store, key, ready.lengths.tobytes(), ready.sizes, ready.digests, note)


def put(store: str, folder: str, parts: Sequence[Sequence[bytes | memoryview]]) -> str:
    """Write parts as one object under a new name; return its key, or nothing when there is nothing to write."""
    if not any(map(total, parts)):
        return ""
    key = f"{folder}/{keys.new_id()}"
    put_raw(store_of(store), key, list(chain.from_iterable(parts)))
    return key


def forget(written: Iterable[Written]) -> None:
    """Delete what nobody will read any more; what this does not reach is deleted with its job, or expires."""
    objects: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for one in written:
        if one.key:
            objects.setdefault(one.store, []).append(one.key)
        for shard, name in one.values():
            values.setdefault(shard, []).append(name)
    for url, found in objects.items():
        with suppress(StoreError):
            store_of(url).delete(found)
    for url, found in values.items():
        shards.forget(url, found)


def _wins(flat: Sequence[Sequence[bytes | memoryview]], lengths: array[int]) -> bool:
    """Tell whether compression is worth its time, by samples of the largest part."""
    largest = max(range(len(lengths)), key=lengths.__getitem__, default=0)
    if not lengths or not lengths[largest] or not compression.available():
        return False
    samples = [_cut(flat[largest], 0), _cut(flat[largest], lengths[largest] // 2)]
    return len(compression.compress(samples)) < WINS * sum(map(len, samples))


def _cut(buffers: Sequence[bytes | memoryview], start: int) -> bytes:
    """Return a sample of joined buffers from a place on."""
    found, wanted = [], SAMPLE
    for buffer in buffers:
        if start < len(buffer) and wanted:
            found.append(bytes(buffer[start : start + wanted]))
            wanted -= len(found[-1])
        start = max(0, start - len(buffer))
    return b"".join(found)
