"""Numbers for many values at once, the same in every process: of 64-bit words, and of records of any length.

Decides the functions; neither is meant against an adversary. :mod:`wrens.models.mapreduce.keying` has the numbers of Python objects.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ODD = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio as a fraction of 2**64, made odd."""

BLOCK = 1 << 20
"""Bytes that are looked at together; each takes up about forty while it is."""


def mixed(found: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return words so mixed that each bit depends on all: the end of SplitMix64 (Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return found ^ (found >> np.uint64(31))


def numbers_of_records(data: npt.NDArray[np.uint8], edges: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return a number for each record, by its bytes and its length.

    Each byte is multiplied by a number of its place in the record, and the products are added up.

    Args:
        data: The bytes.
        edges: Where each record begins in them, and where the last one ends.

    >>> data = np.frombuffer(b"abab", np.uint8)
    >>> first, second = numbers_of_records(data, np.array([0, 2, 4])).tolist()
    >>> first == second
    True
    """
    lengths = np.diff(edges)
    sums = np.zeros(len(lengths), np.uint64)
    first = 0
    with np.errstate(over="ignore"):
        while first < len(lengths):
            # As many records as fit into a block; of one that is longer, a block after the other.
            last = max(first + 1, int(np.searchsorted(edges, edges[first] + BLOCK, "right")) - 1)
            if last == first + 1:
                begin, end = int(edges[first]), int(edges[last])
                for at in range(begin, end, BLOCK):
                    sums[first] += _weighted(data[at : min(end, at + BLOCK)], at - begin).sum(dtype=np.uint64)
            else:
                some = edges[first : last + 1]
                places = np.arange(some[0], some[-1]) - np.repeat(some[:-1], lengths[first:last])
                products = _weighted(data[some[0] : some[-1]], 0, places)
                filled = np.flatnonzero(lengths[first:last])
                if len(filled):
                    sums[first + filled] = np.add.reduceat(products, some[:-1][filled] - some[0])
            first = last
        return mixed(sums + lengths.astype(np.uint64) * ODD)


def _weighted(
    data: npt.NDArray[np.uint8], begun: int, places: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.uint64]:
    """Return each byte times the number of its place; the places are those from ``begun`` on when none are given."""
    count = len(data) if places is None else int(places.max(initial=-1)) + 1
    with np.errstate(over="ignore"):
        weights = mixed(np.arange(begun + 1, begun + count + 1, dtype=np.uint64) * ODD) | np.uint64(1)
        return (data.astype(np.uint64) + np.uint64(1)) * (weights if places is None else weights[places])
