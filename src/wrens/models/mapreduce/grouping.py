"""Pairs brought together by key, in bounded memory: the inside of both stages of a MapReduce over Python functions.

    tables      pairs as they come, in tables that fit into memory; combined at once when they can be
    segments    a table as one part for each reducer: chunks of pairs, in the order of their keys' numbers
    in_memory   parts as (key, values), all of them at once
    by_ranges   the same for parts that do not fit into memory: one range of numbers after the other

Every chunk says between which numbers its pairs lie (:mod:`wrens.models.mapreduce.keying`), so a range is read without unpickling
the others. The order of results does not depend on memory: it is that of the numbers, and among values of one key
that of the inputs. Decides when a table is full and what a chunk holds; where parts lie is decided elsewhere.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from operator import itemgetter
from reprlib import repr as shown
from typing import Any

from wrens.errors import BadPair
from wrens.models.mapreduce.keying import number_of
from wrens.models.mapreduce.sizing import footprint
from wrens.serialize import Pack, Packed, pack
from wrens.store.port import Buffer

Pair = tuple[Hashable, Any]
Combine = Callable[[Any, Any], Any]
Numbered = tuple[int, Hashable, Any]
"""A key's number, the key, and a list of values or the one that they were combined to."""
TAKEN = 1024
"""Pairs that are taken at most between two looks at how much memory they need."""
FASTER = 4
"""How many times as many pairs as before are taken when there is room."""
LOOKED_AT = 8
"""How many pairs stand for many."""
ENTRY = 200
"""Bytes that a key needs beside itself: in the table, with its number, and in the order."""
PAIRS, CHUNK = 4096, 2**20
"""Pairs that are pickled together at most, and about how many bytes."""
TOP = 1 << 64
"""Above every number."""
_HEAD = struct.Struct("<QQQ")
"""How long a chunk is behind this, and its first and last number."""
HEAD = _HEAD.size
"""Bytes that every chunk begins with."""
_MISSING = object()


class Table:
    """Pairs by key.

    Args:
        combine: Makes one value of two, as soon as there are two; without it all are kept.

    Attributes:
        pairs: For each key the list of its values, or what they were combined to.
        taken: How many pairs have come.
        nbytes: About how much memory they need.

    >>> table = Table(lambda a, b: a + b)
    >>> table.take(iter([("a", 1), ("b", 1), ("a", 1)]), 10), table.pairs, table.taken
    (False, {'a': 2, 'b': 1}, 3)
    """

    def __init__(self, combine: Combine | None) -> None:
        self.combine = combine
        self.pairs: dict[Any, Any] = {}
        self.taken = 0
        self.nbytes = 0
        self._looked_at: deque[int] = deque(maxlen=LOOKED_AT)

    def take(self, pairs: Iterator[Pair], most: int) -> bool:
        """Take pairs, and tell whether there may be more.

        Args:
            pairs: Where to take them from.
            most: How many at most. The first of them stands for all, when it is estimated what they need.

        Raises:
            BadPair: if one is no pair, or its key cannot be one.
            Exception: what ``combine`` raises, with a note that names the key.
        """
        first: Any = next(pairs, _MISSING)
        if first is _MISSING:
            return False
        check(first)
        number_of(first[0])  # so that what cannot be a key is found early
        keys, taken = len(self.pairs), self.taken
        self._add((first,))
        self._add(islice(pairs, most - 1))
        self._weigh(first, self.taken - taken, len(self.pairs) - keys)
        return self.taken - taken == most

    def _add(self, pairs: Iterable[Pair]) -> None:
        table, combine, taken, pair = self.pairs, self.combine, 0, None
        get = table.get
        try:
            if combine is None:
                for pair in pairs:
                    key, value = pair
                    taken += 1
                    values = get(key)
                    if values is None:
                        table[key] = [value]
                    else:
                        values.append(value)
            else:
                for pair in pairs:
                    key, value = pair
                    taken += 1
                    old = get(key, _MISSING)
                    if old is _MISSING:
                        table[key] = value
                        continue
                    try:
                        table[key] = combine(old, value)
                    except Exception as error:
                        error.add_note(f"raised by combine, for the key {shown(key)}")
                        raise
        except (TypeError, ValueError):
            if pair is not None:
                check(pair)
            raise
        self.taken += taken

    def _weigh(self, pair: Pair, taken: int, new: int) -> None:
        """Estimate what is held, from one of the pairs that were taken last."""
        key, value = pair
        if self.combine is None:
            self.nbytes += new * (footprint(key) + ENTRY) + taken * (8 + footprint(value))
            return
        self._looked_at.append(footprint(key) + ENTRY + footprint(self.pairs[key]))
        self.nbytes = len(self.pairs) * (sum(self._looked_at) // len(self._looked_at))

    def most_common(self) -> tuple[Hashable, int]:
        """Return the key with the most values, and how many these are; of combined values nothing is known."""
        if self.combine is not None or not self.pairs:
            return None, 0
        key = max(self.pairs, key=lambda key: len(self.pairs[key]))
        return key, len(self.pairs[key])

    def numbered(self) -> list[Numbered]:
        """Return what is in it, in the order of the keys' numbers, and hold it no longer."""
        found = [(number_of(key), key, value) for key, value in self.pairs.items()]
        self.pairs = {}
        found.sort(key=itemgetter(0))
        return found


def check(pair: Any) -> None:
    """Refuse what cannot be grouped by key.

    Raises:
        BadPair: if it is no pair, or has a key that cannot be hashed.
    """
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise BadPair(shown(pair), "is no pair", "map returns or yields tuples of two, a key and a value.")
    try:
        hash(pair[0])
    except TypeError as error:
        told = f"has a key that cannot be one: {error}"
        raise BadPair(shown(pair), told, "Use a tuple instead of a list.") from None


def pairs_in(returned: Any) -> Iterator[Pair]:
    """Return the pairs that a call of ``map`` has returned: those of a mapping, or of anything to iterate over.

    Raises:
        BadPair: if it is neither.
    """
    if isinstance(returned, Mapping):
        return iter(returned.items())
    if not hasattr(returned, "__iter__"):
        raise BadPair(
            shown(returned), "was returned by map", "map returns a list of pairs, or a dict, or yields pairs."
        )
    return iter(returned)


def tables(pairs: Iterator[Pair], combine: Combine | None, budget: int) -> Iterator[Table]:
    """Yield pairs in tables, at least one, none of which needs much more memory than a budget.

    Args:
        pairs: What to take.
        combine: As in :class:`Table`.
        budget: Bytes.

    >>> [one.taken for one in tables(iter([(i, "x" * 1000) for i in range(100)]), None, 50_000)]
    [40, 40, 20]
    """
    table, step, more = Table(combine), 1, True
    while more:
        before, taken = table.nbytes, table.taken
        more = table.take(pairs, step)
        if table.nbytes >= budget and more:
            yield table
            table = Table(combine)
            continue
        each = max(1, (table.nbytes - before) // max(1, table.taken - taken))
        step = max(1, min(TAKEN, FASTER * step, (budget - table.nbytes) // each + 1))
    yield table


# --- parts ---


def segments(numbered: list[Numbered], count: int) -> list[list[Buffer]]:
    """Return ``count`` parts with the pairs that belong to each, as buffers; what was given is empty then.

    A part is a range of numbers, so parts that lie side by side are one sorted part.

    Raises:
        CannotShip: if a key or value cannot be pickled.
    """
    edges = [bisect_left(numbered, -(-(i << 64) // count), key=itemgetter(0)) for i in range(count)]
    # From the end, so that what has been pickled is let go of.
    return [_packed(numbered, begin) for begin in reversed(edges)][::-1]


def _packed(numbered: list[Numbered], begin: int) -> list[Buffer]:
    """Return the pairs from a place on in chunks, and take them away."""
    chunks: list[list[Buffer]] = []
    most = PAIRS
    while len(numbered) > begin:
        at = max(begin, len(numbered) - most)
        if most == PAIRS:  # nothing is known of their size yet
            most = max(
                1, CHUNK // (1 + sum(footprint(one[2]) for one in numbered[at:][:LOOKED_AT]) // LOOKED_AT)
            )
            at = max(at, len(numbered) - most)
        some = numbered[at:]
        del numbered[at:]
        chunks.append(_chunk(some))
    return [buffer for chunk in reversed(chunks) for buffer in chunk]


def _chunk(pairs: list[Numbered]) -> list[Buffer]:
    numbers = array("Q", (number for number, _, _ in pairs)).tobytes()
    keys, values = [key for _, key, _ in pairs], [value for _, _, value in pairs]
    packed = pickled([numbers, keys, values], ("numbers", "the keys", "the values"))
    return [_HEAD.pack(packed.nbytes, pairs[0][0], pairs[-1][0]), *packed.buffers]


def pickled(columns: list[Any], names: Sequence[str]) -> Packed:
    """Pickle all of some columns.

    Raises:
        CannotShip: if something in one of them cannot be pickled.
        MemoryError: if there was no room for that.
    """
    packed = pack(columns, what=names.__getitem__)
    for failure in packed.failures.values():
        raise failure.__cause__ if isinstance(failure.__cause__, MemoryError) else failure
    return packed


def chunks(part: memoryview, low: int = 0, high: int = TOP) -> Iterator[Iterator[Numbered]]:
    """Yield the pairs of a part with numbers from ``low`` to below ``high``, a chunk at a time."""
    at = 0
    while at < len(part):
        length, first, last = _HEAD.unpack_from(part, at)
        at += _HEAD.size
        if first < high and last >= low:
            data, keys, values = Pack(part[at : at + length]).items(0, 3)
            numbers = array("Q", data)
            if low <= first and last < high:
                yield zip(numbers, keys, values, strict=True)
            else:
                begin, end = bisect_left(numbers, low), bisect_left(numbers, high)
                yield zip(numbers[begin:end], keys[begin:end], values[begin:end], strict=True)
        at += length


def in_memory(
    parts: Iterable[memoryview], combine: Combine | None, low: int = 0, high: int = TOP
) -> Iterator[tuple[Hashable, Any]]:
    """Yield each key with its values (or its combined value), from parts that fit into memory together.

    Args:
        parts: Parts as :func:`segments` made them.
        combine: Makes one value of two.
        low: Only keys with numbers from here on count,
        high: and below this.
    """
    table: dict[Any, Any] = {}
    numbers = array("Q")
    get, note = table.get, numbers.append
    for part in parts:
        for chunk in chunks(part, low, high):
            for number, key, value in chunk:
                old = get(key, _MISSING)
                if old is _MISSING:
                    table[key] = value
                    note(number)
                elif combine is None:
                    old.extend(value)
                else:
                    table[key] = _combined(combine, key, old, value)
    # The keys are in the order in which they came, and so are their numbers.
    keys = list(table)
    for place in sorted(range(len(keys)), key=numbers.__getitem__):
        key = keys[place]
        yield key, table.pop(key)


def _combined(combine: Combine, key: Hashable, old: Any, value: Any) -> Any:
    try:
        return combine(old, value)
    except Exception as error:
        error.add_note(f"raised by combine, for the key {shown(key)}")
        raise


def by_ranges(
    parts: Callable[[], Iterable[memoryview]], combine: Combine | None, count: int
) -> Iterator[tuple[Hashable, Any]]:
    """Yield the same as :func:`in_memory`, with about one ``count``-th of it in memory at a time.

    The numbers of keys are spread evenly, and so are the ranges; but all values of one key are in one of them.

    Args:
        parts: Returns parts as :func:`segments` made them, the same ones for each range.
        combine: Makes one value of two.
        count: How many ranges.
    """
    heads = [head for part in parts() for head in _heads(part)]
    low, high = min((a for a, _ in heads), default=0), max((b for _, b in heads), default=0) + 1
    edges = [low + (high - low) * i // count for i in range(count + 1)]
    for begin, end in pairwise(edges):
        yield from in_memory(parts(), combine, begin, end)


def length_of(head: memoryview) -> int:
    """Return how long the chunk is that begins so, in bytes and with its head."""
    length, _, _ = _HEAD.unpack_from(head)
    return int(length) + HEAD


def _heads(part: memoryview) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(part):
        length, first, last = _HEAD.unpack_from(part, at)
        yield first, last
        at += _HEAD.size + length
