"""Parts of several tasks as one part, with a head that says where each begins.

A middle stage brings parts together without unpacking them, and the borders between what different tasks wrote must not
be lost. The head lies with the data, so that the index that passes through the client does not grow with it. Decides the
layout of the head, in unsigned 64-bit integers:

    how many follow, then for each task: how many pieces; for each piece: its bytes here, its bytes in memory
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from wrens.models.exchange import compression
from wrens.store.port import Buffer

AS_IT_IS = 2**64 - 1
"""In the place of a piece's bytes in memory: it is not compressed."""

Pieces = tuple[Sequence[int], Sequence[int], memoryview]
"""What one task wrote: the length of each piece, the size of each in memory (or nothing), and the pieces side by side."""


def nested(tasks: Sequence[Pieces]) -> list[Buffer]:
    """Return one part that holds what several tasks wrote.

    >>> part = nested([([2], [], memoryview(b"ab")), ([1, 2], [], memoryview(b"cde"))])
    >>> [bytes(data) for data in unnested(memoryview(b"".join(part)))]
    [b'ab', b'cde']
    """
    if not tasks:
        return []
    words = array("Q", [0])
    for lengths, sizes, data in tasks:
        if sizes:
            words.append(len(lengths))
            for length, size in zip(lengths, sizes, strict=True):
                words.extend((length, size))
        else:
            words.extend((1, len(data), AS_IT_IS))
    words[0] = len(words) - 1
    return [words.tobytes(), *(data for _, _, data in tasks)]


def unnested(part: memoryview) -> Iterator[memoryview]:
    """Yield what each task wrote, in the order in which they were brought together, unpacked."""
    first = array("Q", bytes(part[:8]))[0]
    words = iter(array("Q", bytes(part[8 : 8 * (first + 1)])))
    at = 8 * (first + 1)
    for pieces in words:
        found = []
        for _ in range(pieces):
            length, size = next(words), next(words)
            piece = part[at : at + length]
            found.append(piece if size == AS_IT_IS else compression.decompress(piece, size))
            at += length
        yield found[0] if len(found) == 1 else memoryview(b"".join(found))
