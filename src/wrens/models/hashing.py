"""Numbers for many values at once, the same in every process: of 64-bit words, and of records of any length.

Decides the functions; neither is meant against an adversary. :mod:`wrens.models.keying` has the numbers of Python objects.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ODD = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio as a fraction of 2**64, made odd."""


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
    begin, end = int(edges[0]), int(edges[-1])
    with np.errstate(over="ignore"):
        found = lengths.astype(np.uint64) * ODD
        if end > begin:
            longest = int(lengths.max())
            weights = mixed(np.arange(1, longest + 1, dtype=np.uint64) * ODD) | np.uint64(1)
            place = np.arange(begin, end) - np.repeat(edges[:-1], lengths)
            products = (data[begin:end].astype(np.uint64) + np.uint64(1)) * weights[place]
            some = lengths > 0
            found[some] += np.add.reduceat(products, edges[:-1][some] - begin)
        return mixed(found)
