"""The order of records, by NumPy: which comes first, and to which part of a range each belongs.

A record's key is read as a row of unsigned 64-bit numbers, most significant byte first and filled up with zeros, so that
numbers compare as bytes do. Most records differ in the first number; only those that do not are looked at further.
Decides order and splitting of what is in memory; where it comes from and goes to is :mod:`wrens.models.sorting`'s business.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.uint64]
Order = npt.NDArray[np.int64]
WORD = 8
Column = Callable[[int], Numbers]
"""``column(i)`` returns for each record the ``i``-th eight bytes of its key."""


def columns_of_fixed(records: npt.NDArray[np.uint8], start: int, length: int) -> tuple[Column, int]:
    """Return the key columns of records of one width, and how many there are.

    Args:
        records: One row for each record.
        start: Where the key begins in each, in bytes.
        length: How many bytes it has.

    >>> rows = np.frombuffer(b"b2a1", np.uint8).reshape(2, 2)
    >>> column, count = columns_of_fixed(rows, 0, 2)
    >>> [hex(number) for number in column(0).tolist()], count
    (['0x6232000000000000', '0x6131000000000000'], 1)
    """

    def column(i: int) -> Numbers:
        begin = start + WORD * i
        end = min(start + length, begin + WORD)
        if end - begin == WORD:
            part = np.ascontiguousarray(records[:, begin:end])
        else:
            part = np.zeros((len(records), WORD), np.uint8)
            part[:, : end - begin] = records[:, begin:end]
        return part.view(">u8")[:, 0].astype(np.uint64)

    return column, -(-length // WORD)


def columns_of_lines(data: npt.NDArray[np.uint8], starts: Order, lengths: Order) -> tuple[Column, int]:
    """Return the key columns of records of any length, and how many there are; the last one is the length.

    A record that another one begins with comes first, as with ``LC_ALL=C sort``.

    Args:
        data: The bytes.
        starts: Where each record begins.
        lengths: How many bytes each has.
    """
    words = -(-int(lengths.max(initial=0)) // WORD)

    def column(i: int) -> Numbers:
        if i == words:
            return lengths.astype(np.uint64)
        return _word(data, starts + WORD * i, lengths - WORD * i)

    return column, words + 1


def _word(data: npt.NDArray[np.uint8], at: Order, left: Order) -> Numbers:
    """Return the eight bytes at each place as a number, with zeros for what lies beyond the ``left`` ones."""
    found = np.zeros(len(at), np.uint64)
    last = len(data) - 1
    for byte in range(WORD):
        here = data[np.minimum(at + byte, last)].astype(np.uint64)
        here[left <= byte] = 0
        found |= here << np.uint64(8 * (WORD - 1 - byte))
    return found


def order_of(column: Column, count: int) -> Order:
    """Return the places of the records in the order of their keys; equal ones keep their order.

    >>> rows = np.frombuffer(b"c1a2b3a1", np.uint8).reshape(4, 2)
    >>> order_of(*columns_of_fixed(rows, 0, 1)).tolist()
    [1, 3, 2, 0]
    """
    first = column(0)
    order = np.argsort(first)
    tied = _ties(first[order])
    groups = np.cumsum(~tied)  # the same number for all that were equal so far
    at = 0
    while True:
        among = np.flatnonzero(tied | np.append(tied[1:], False))
        if not len(among):
            return order
        at += 1
        rest = at < count
        # Only those that are equal so far; at last by where they were.
        places = order[among]
        by = _some(column, at, places) if rest else places
        among_them = np.lexsort((by, groups[among]))
        order[among] = places[among_them]
        if not rest:
            return order
        by, theirs = by[among_them], groups[among]
        same = np.zeros(len(among), bool)
        same[1:] = (by[1:] == by[:-1]) & (theirs[1:] == theirs[:-1])
        tied = np.zeros(len(order), bool)
        tied[among] = same
        groups = np.cumsum(~tied)


def _some(column: Column, i: int, places: Order) -> Numbers:
    return column(i)[places]


def _ties(ordered: Numbers) -> npt.NDArray[np.bool_]:
    """Return for each whether it equals the one before."""
    found = np.zeros(len(ordered), bool)
    found[1:] = ordered[1:] == ordered[:-1]
    return found
