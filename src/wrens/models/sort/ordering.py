"""The order of records, by NumPy: which comes first, and to which range each belongs.

A record's key is read as a row of unsigned 64-bit numbers, most significant byte first and filled up with zeros, so that
numbers compare as bytes do. What is sorted is the front of such a number with the record's place behind it, in one word:
that is ten times as fast as comparing strings, and stable. Only records whose fronts are equal are looked at further.

Decides order and ranges of what is in memory; where it comes from and goes to is :mod:`wrens.models.sort.sorting`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]
Order = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
WORD = 8
BITS = 64
_FRONT = 16
"""Bits of a number that say mostly to which range its record belongs."""


@dataclass(frozen=True, slots=True)
class Words:
    """The keys of some records as 64-bit numbers.

    Args:
        rows: How many records there are.
        count: How many numbers a key has.
        at: ``at(i, places)`` returns the ``i``-th number of the records at these places (``None`` for all), in an array
            of its own.
    """

    rows: int
    count: int
    at: Callable[[int, Order | None], Numbers]

    def of(self, places: Order) -> Words:
        """Return the keys of the records at these places."""
        at = self.at
        return Words(len(places), self.count, lambda i, some: at(i, places if some is None else places[some]))


def words_of_fixed(records: Bytes, start: int, length: int) -> Words:
    """Return the keys of records of one width.

    Args:
        records: One row for each record.
        start: Where the key begins in each, in bytes.
        length: How many bytes it has.

    >>> words = words_of_fixed(np.frombuffer(b"b2a1", np.uint8).reshape(2, 2), 0, 2)
    >>> [hex(number) for number in words.at(0, None).tolist()], words.count
    (['0x6232000000000000', '0x6131000000000000'], 1)
    """

    def at(i: int, places: Order | None) -> Numbers:
        begin = start + WORD * i
        end = min(start + length, begin + WORD)
        if end - begin == WORD and places is None:
            lying = np.ndarray((len(records),), ">u8", records.data, begin, (records.shape[1],))
            return lying.astype(np.uint64)
        part = records[:, begin:end] if places is None else records[places, begin:end]
        whole = np.zeros((len(part), WORD), np.uint8)
        whole[:, : end - begin] = part
        return whole.view(">u8")[:, 0].astype(np.uint64)

    return Words(len(records), -(-length // WORD), at)


def words_of_lines(data: Bytes, starts: Order, lengths: Order) -> Words:
    """Return the keys of records of any length; the last number of each is its length.

    So a record that another one begins with comes first, as with ``LC_ALL=C sort``.

    Args:
        data: The bytes.
        starts: Where each record begins.
        lengths: How many bytes each has.
    """
    words = -(-int(lengths.max(initial=0)) // WORD)
    # Eight bytes from each place on; near the end from a copy with something behind it.
    near = max(0, len(data) - 2 * WORD)
    tail = np.concatenate([data[near:], np.zeros(2 * WORD, np.uint8)])
    body, behind = _windows(data), _windows(tail)
    used = np.array([~0 << (BITS - 8 * n) & (2**BITS - 1) for n in range(WORD + 1)], np.uint64)

    def at(i: int, places: Order | None) -> Numbers:
        left = lengths if places is None else lengths[places]
        if i == words:
            return left.astype(np.uint64)
        where = (starts if places is None else starts[places]) + WORD * i
        left = np.clip(left - WORD * i, 0, WORD)
        late = where >= near
        found = np.empty(len(where), np.uint64)
        found[~late] = body[where[~late]]
        found[late] = behind[np.minimum(where[late] - near, len(behind) - 1)]
        found &= used[left]
        return found

    return Words(len(starts), words + 1, at)


def _windows(data: Bytes) -> npt.NDArray[Any]:
    """Return at each place the eight bytes from there on, as numbers that lie in the data."""
    return np.ndarray((max(0, len(data) - WORD + 1),), ">u8", data.data, 0, (1,))


def order_of(words: Words) -> Order:
    """Return the places of the records in the order of their keys; equal ones keep their order.

    >>> rows = np.frombuffer(b"c1a2b3a1", np.uint8).reshape(4, 2)
    >>> order_of(words_of_fixed(rows, 0, 1)).tolist()
    [1, 3, 2, 0]
    """
    order = np.arange(words.rows)
    members: Any = slice(None)  # where in the order there is something left to decide
    group: Any = np.uint64(0)  # the same number for those that are equal so far
    for i in range(words.count if words.rows > 1 else 0):
        word = words.at(i, None if isinstance(members, slice) else order[members])
        begin, end = _differing(word, group)
        while begin < end:
            places = order[members]
            sorted_, tied, begin = _sorted(word, group, begin, end)
            order[members] = places[sorted_]
            kept = np.zeros(len(tied) + 1, bool)
            kept[1:] |= tied
            kept[:-1] |= tied
            if not kept.any():
                return order
            first = np.ones(len(kept), bool)
            first[1:] = ~tied
            members = np.flatnonzero(kept) if isinstance(members, slice) else members[kept]
            word = word[sorted_][kept]
            group = (np.cumsum(first[kept]) - 1).astype(np.uint64)
    return order


def _differing(word: Numbers, group: Any) -> tuple[int, int]:
    """Return which bits of these numbers can decide anything, counted from the most significant one: first and last."""
    found = word[1:] ^ word[:-1]
    if np.ndim(group):
        found[group[1:] != group[:-1]] = 0
    seen = int(np.bitwise_or.reduce(found)) if len(found) else 0
    return (BITS - seen.bit_length(), BITS - ((seen & -seen).bit_length() - 1)) if seen else (BITS, BITS)


def _sorted(word: Numbers, group: Any, begin: int, end: int) -> tuple[Order, Flags, int]:
    """Sort by group and as many of the bits ``begin`` to ``end`` as fit into a word beside that and the place.

    Returns:
        The order, for each but the first whether it equals the one before, and which bit comes next.
    """
    for_place = max(1, (len(word) - 1).bit_length())
    for_group = int(group[-1]).bit_length() if np.ndim(group) else 0
    taken = min(BITS - for_place - for_group, end - begin)
    packed = word << np.uint64(begin)
    packed >>= np.uint64(BITS - taken)
    if for_group:
        packed |= group << np.uint64(taken)
    packed <<= np.uint64(for_place)
    packed |= np.arange(len(word), dtype=np.uint64)
    packed.sort()
    order = (packed & np.uint64((1 << for_place) - 1)).astype(np.int64)
    packed >>= np.uint64(for_place)
    return order, packed[1:] == packed[:-1], begin + taken


def range_of_each(first: Numbers, tops: Numbers) -> tuple[npt.NDArray[Any], Order]:
    """Return for each record the number of its range, and the places of those for which the first number cannot say.

    Args:
        first: Of each record the first number of its key.
        tops: The first numbers of the keys at which ranges begin, but for the first range, in order.

    >>> found, unsure = range_of_each(np.array([5, 7, 9], np.uint64), np.array([7, 8], np.uint64))
    >>> found[[0, 2]].tolist(), unsure.tolist()
    ([0, 2], [1])
    """
    kind = np.min_scalar_type(len(tops))
    edge = np.arange(1 << _FRONT, dtype=np.uint64) << np.uint64(BITS - _FRONT)
    low = np.searchsorted(tops, edge, "left")
    high = np.searchsorted(tops, edge | np.uint64((1 << (BITS - _FRONT)) - 1), "right")
    front = (first >> np.uint64(BITS - _FRONT)).astype(np.uint16)
    found = low.astype(kind)[front]
    # The fronts that have an edge of a range in them.
    rest = np.flatnonzero((low != high)[front])
    mine = first[rest]
    exact = np.searchsorted(tops, mine, "left")
    found[rest] = exact.astype(kind)
    return found, rest[tops[np.minimum(exact, len(tops) - 1)] == mine] if len(tops) else rest


def brought_together(ranges: npt.NDArray[Any], count: int) -> tuple[Order, list[int]]:
    """Return the places of the records range by range, each in its order, and where each range ends among them.

    >>> order, ends = brought_together(np.array([1, 0, 1], np.uint8), 2)
    >>> order.tolist(), ends
    ([1, 0, 2], [1, 3])
    """
    order = np.argsort(ranges, kind="stable")
    return order, np.cumsum(np.bincount(ranges, minlength=count)).tolist()


def first_out_of_order(words: Words) -> int | None:
    """Return the place of the first record that is less than the one before it, if there is one.

    >>> rows = np.frombuffer(b"aacb", np.uint8).reshape(4, 1)
    >>> first_out_of_order(words_of_fixed(rows, 0, 1))
    3
    """
    among = np.arange(1, words.rows)  # those that equal the one before so far
    found = words.rows
    for i in range(words.count):
        mine, before = words.at(i, among), words.at(i, among - 1)
        less = np.flatnonzero(mine < before)
        if len(less):
            found = min(found, int(among[less[0]]))
        among = among[mine == before]
    return found if found < words.rows else None
