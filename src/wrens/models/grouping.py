"""Pairs brought together by key, in bounded memory: the inside of both stages of :mod:`wrens.models.mapreduce`.

    Table       a task's pairs in memory, combined while they come
    segments    a table as one part for each reducer: pairs in the order of their keys' numbers
    merged      many such parts as one sequence of (key, values), read in pieces

Parts are sorted by the key's number (:mod:`wrens.models.keying`), so a reducer can go through parts that together are
larger than its memory side by side. The order of results does not depend on memory: it is that of the numbers, and
among values of one key that of the inputs.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator
from heapq import merge
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

from wrens.errors import CannotShip
from wrens.models.keying import number_of
from wrens.serialize import Pack, pack
from wrens.store.port import Buffer

Pair = tuple[Hashable, Any]
Numbered = tuple[int, Hashable, Any]
"""A key's number, the key, and a list of values or the one that they were combined to."""
CHUNK = 4096
"""Pairs that are pickled together; a reducer holds this many of each part."""
_LENGTH = struct.Struct("<Q")
_MISSING = object()


class Table:
    """Pairs by key.

    Args:
        combine: Makes one value of two, as soon as there are two; without it all are kept.

    >>> table = Table(lambda a, b: a + b)
    >>> table.take(iter([("a", 1), ("b", 1), ("a", 1)]), limit=10), table.pairs
    (True, {'a': 2, 'b': 1})
    """

    def __init__(self, combine: Callable[[Any, Any], Any] | None) -> None:
        self.combine = combine
        self.pairs: dict[Any, Any] = {}
        self.held = 0
        """How many values are in it."""
        self.taken = 0
        """How many pairs have come."""

    def take(self, pairs: Iterator[Pair], *, limit: int) -> bool:
        """Take pairs until there are no more, which is told, or until the table holds ``limit`` values."""
        table, combine, held, taken = self.pairs, self.combine, self.held, self.taken
        get = table.get
        try:
            if combine is None:
                for key, value in pairs:
                    taken += 1
                    values = get(key)
                    if values is None:
                        table[key] = [value]
                    else:
                        values.append(value)
                    held += 1
                    if held >= limit:
                        return False
                return True
            for key, value in pairs:
                taken += 1
                old = get(key, _MISSING)
                if old is not _MISSING:
                    table[key] = combine(old, value)
                    continue
                table[key] = value
                held += 1
                if held >= limit:
                    return False
            return True
        finally:
            self.held, self.taken = held, taken

    def numbered(self) -> list[Numbered]:
        """Return what is in it, in the order of the keys' numbers."""
        found = [(number_of(key), key, value) for key, value in self.pairs.items()]
        found.sort(key=itemgetter(0))
        return found

    def clear(self) -> None:
        """Forget everything but the counts."""
        self.pairs.clear()
        self.held = 0


def segments(numbered: list[Numbered], count: int) -> list[list[Buffer]]:
    """Return ``count`` parts with the pairs that belong to each, as buffers.

    A part is a range of numbers, so parts that lie side by side are one sorted part.

    Raises:
        CannotShip: if a key or value cannot be pickled.
    """
    edges = [bisect_left(numbered, -(-(i << 64) // count), key=itemgetter(0)) for i in range(count)]
    return [_packed(numbered[a:b]) for a, b in pairwise([*edges, len(numbered)])]


def _packed(pairs: list[Numbered]) -> list[Buffer]:
    buffers: list[Buffer] = []
    for at in range(0, len(pairs), CHUNK):
        numbers, keys, values = (list(column) for column in zip(*pairs[at : at + CHUNK], strict=True))
        packed = pack([numbers, keys, values], what=("numbers", "keys", "values").__getitem__)
        for failure in packed.failures.values():
            raise CannotShip(str(failure)) from failure
        buffers += [_LENGTH.pack(packed.nbytes), *packed.buffers]
    return buffers


def chunks(part: memoryview) -> Iterator[list[Numbered]]:
    """Yield the pairs of a part, some thousand at a time."""
    at = 0
    while at < len(part):
        (length,) = _LENGTH.unpack_from(part, at)
        at += _LENGTH.size
        numbers, keys, values = Pack(part[at : at + length]).items(0, 3)
        yield list(zip(numbers, keys, values, strict=True))
        at += length


def pairs_of(part: memoryview) -> Iterator[Numbered]:
    """Yield the pairs of a part."""
    for chunk in chunks(part):
        yield from chunk


def in_memory(
    parts: Iterable[memoryview], combine: Callable[[Any, Any], Any] | None
) -> Iterator[tuple[Hashable, Any]]:
    """Yield each key with its values (or its combined value), from parts that fit into memory together."""
    table: dict[Any, Any] = {}
    numbers: dict[Any, int] = {}
    for part in parts:
        for number, key, value in pairs_of(part):
            old = table.get(key, _MISSING)
            if old is _MISSING:
                table[key], numbers[key] = value, number
            elif combine is None:
                old.extend(value)
            else:
                table[key] = combine(old, value)
    for key in sorted(table, key=numbers.__getitem__):
        yield key, table[key]


def side_by_side(
    parts: list[memoryview], combine: Callable[[Any, Any], Any] | None
) -> Iterator[tuple[Hashable, Any]]:
    """Yield the same as :func:`in_memory`, holding a chunk of each part and the values of one key's number."""
    streams = [pairs_of(part) for part in parts]
    for _, group in groupby(merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
        table: dict[Any, Any] = {}  # different keys may have one number
        for _, key, value in group:
            old = table.get(key, _MISSING)
            if old is _MISSING:
                table[key] = value
            elif combine is None:
                old.extend(value)
            else:
                table[key] = combine(old, value)
        yield from table.items()
