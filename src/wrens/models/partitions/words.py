"""The words of a text, counted piece by piece without a Python object for each.

    wrens.group_by(ex, parts, "word", {"count": ("count", "sum")}, prepare=words.counted)

A word is what stands between ASCII white space. Most words have no more than eight bytes: those are counted as numbers, by
sorting, which NumPy does many times faster than any table of texts can be asked. Decides how text becomes words; how
the counts of many pieces come together is :mod:`wrens.models.mapreduce.aggregating`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from wrens.models.partitions import tables
from wrens.models.partitions.partition import Partition

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 8 * 2**20
"""Bytes that are counted together: the larger, the fewer words are told more than once; while they are counted they
take up about six times as much."""
_WORD = 8
_SPACE = ord(" ")
_SPACED = bytes(_SPACE if byte in b" \t\n\v\f\r" else byte for byte in range(256))
_MASKS = np.array([(1 << (8 * length)) - 1 for length in range(_WORD + 1)], np.uint64)


def counted(part: Partition) -> Iterator[pa.Table]:
    r"""Yield tables with the columns ``word`` (binary) and ``count``, in which each word of a piece stands once.

    >>> from wrens.models.partitions.partition import partition
    >>> from wrens.store import open_store
    >>> open_store("memory://words").put("a.txt", b"to be or\nnot to be, perhaps.\n")
    >>> (part,) = partition("memory://words/a.txt")
    >>> sorted((row["word"], row["count"]) for table in counted(part) for row in table.to_pylist())
    [(b'be', 1), (b'be,', 1), (b'not', 1), (b'or', 1), (b'perhaps.', 1), (b'to', 2)]
    """
    for piece in part.pieces(PIECE):
        yield of(piece)


def of(piece: memoryview) -> pa.Table:
    """Return the words of a piece of text, and how often each is there.

    >>> of(memoryview(b"a  b unconventionally a")).to_pylist()
    [{'word': b'a', 'count': 2}, {'word': b'b', 'count': 1}, {'word': b'unconventionally', 'count': 1}]
    """
    # Spaces enough that eight bytes can be read from every word on.
    text = bytes(piece).translate(_SPACED) + b" " * _WORD
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(letters == _SPACE)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts
    few = (lengths > 0) & (lengths <= (_WORD if b"\0" not in text else 0))  # a zero would end the number
    many = (lengths > 0) & ~few
    short, times = _short(text, starts[few], lengths[few])
    long, other_times = _long(letters, starts[many], lengths[many])
    return tables.table_of(word=[short, long], count=[times, other_times])


def _short(text: bytes, starts: Any, lengths: Any) -> tuple[Any, Any]:
    """Count words of up to eight bytes."""
    # Every place in the text as a number of the eight bytes from there on.
    numbers = np.ndarray((len(text) - _WORD + 1,), np.dtype("<u8"), text, strides=(1,))
    found, times = np.unique(numbers[starts] & _MASKS[lengths], return_counts=True)
    letters = found.astype("<u8").view(np.uint8).reshape(-1, _WORD)
    there = letters != 0
    edges = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return tables.binary(letters[there], edges).cast("binary"), tables.arrow().array(times)


def _long(letters: Any, starts: Any, lengths: Any) -> tuple[Any, Any]:
    """Count words of any length."""
    edges = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(starts - edges[:-1], lengths) + np.arange(edges[-1])
    return tables.counted(letters[places], edges)
