"""What the last stage leaves in the store: one part for each of its tasks, which a next stage or the client reads.

    Pairs    keys and results, to iterate over
    Rows     rows of a table, as Arrow batches

A part is a small value that says where its contents are, so that they go from worker to store to worker and not through
the client; contents of some kilobytes travel in the part itself. They are deleted with their job. Decides when
contents get an object of their own, and their layout.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrens.models import exchange
from wrens.models.exchange import Slice
from wrens.models.mapreduce.grouping import pickled
from wrens.models.mapreduce.sizing import footprint
from wrens.serialize import Pack
from wrens.store.naming import as_buffers, total
from wrens.store.port import Buffer
from wrens.wire import keys
from wrens.worker.context import current_task

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = 64 * 1024
"""Bytes up to which contents travel in the part."""
PAIRS, CHUNK = 4096, 2**20
"""Pairs that are pickled together at most, and about how many bytes."""
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """Contents in the store, or here.

    Args:
        count: How many pairs or rows it has.
        nbytes: How many bytes they are.
        data: They themselves, when they are few.
        place: Where they are otherwise.
    """

    count: int
    nbytes: int
    data: bytes = b""
    place: Slice | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.count:,} in {self.nbytes:,} bytes>"

    def __len__(self) -> int:
        """Return how many pairs or rows it has."""
        return self.count

    @property
    def key(self) -> str:
        """The key of its object; empty when it has none."""
        return self.place.key if self.place else ""

    @property
    def planned(self) -> int:
        """How many bytes a task has to read that gets it as its input."""
        return self.nbytes

    def read(self) -> memoryview:
        """Return the bytes."""
        return next(exchange.read([self.place])) if self.place else memoryview(self.data)


class Pairs(Part):
    """Pairs of key and result, in the order in which the reducer made them.

    >>> part = pairs_of([("a", 1), ("b", 2)])
    >>> len(part), list(part)
    (2, [('a', 1), ('b', 2)])
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[Hashable, Any]]:
        """Yield the pairs; some thousands are in memory at a time, beside the bytes."""
        data, at = self.read(), 0
        while at < len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            yield from zip(*Pack(data[at : at + length]).items(0, 2), strict=True)
            at += length


class Rows(Part):
    """Rows of a table."""

    __slots__ = ()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as Arrow batches."""
        for table in self._tables():
            yield from table.to_batches()

    def table(self) -> pa.Table | None:
        """Return the rows as one table; ``None`` when there is none, and so no column is known."""
        return next(self._tables(), None)

    def _tables(self) -> Iterator[Any]:
        from wrens.models.partitions import tables

        yield from tables.unspread(self.read())


def pairs_of(pairs: Iterable[tuple[Hashable, Any]]) -> Pairs:
    """Keep pairs in the store, in the order in which they come.

    Raises:
        CannotShip: if one cannot be pickled.
    """
    buffers: list[Buffer] = []
    some: list[tuple[Hashable, Any]] = []
    count = held = 0
    for pair in pairs:
        some.append(pair)
        held += footprint(pair[1]) if len(some) % 16 == 1 else 0
        if len(some) == PAIRS or held * 16 >= CHUNK:
            buffers += _chunk(some)
            count, some, held = count + len(some), [], 0
    if some:
        buffers += _chunk(some)
    flat = as_buffers(buffers)
    return Pairs(count + len(some), total(flat), *_kept(flat))


def rows_of(table: Any) -> Rows:
    """Keep a table in the store."""
    from wrens.models.partitions import tables

    data = tables.as_stream(table)
    return Rows(table.num_rows, len(data), *_kept([data]))


def _chunk(pairs: list[tuple[Hashable, Any]]) -> list[Buffer]:
    packed = pickled([list(column) for column in zip(*pairs, strict=True)], ("the keys", "the results"))
    return [_LENGTH.pack(packed.nbytes), *packed.buffers]


def _kept(buffers: Sequence[bytes | memoryview]) -> tuple[bytes, Slice | None]:
    task = current_task()
    if task is None or total(buffers) <= SMALL:
        return b"".join(buffers), None
    written = exchange.write([buffers], store=task.store, folder=keys.results(task.job))
    return b"", exchange.columns([written])[0][0]
