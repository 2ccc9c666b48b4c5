"""How much memory values take up, estimated from a few of them.

A worker has to write its pairs before they overflow its memory, and what the system reports of a process that has freed
memory before says little about what it needs now. So values are measured: :func:`sys.getsizeof`, and the same of what they
hold, to a small depth and with a few elements standing for all. Decides the estimate; what is done at which size is
decided by :mod:`wrens.models.mapreduce.grouping`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Mapping
from itertools import chain, islice
from typing import Any

DEPTH = 4
"""Levels of containers that are looked into."""
SOME = 8
"""Elements of a container that are looked at."""
UNKNOWN = 64
"""Bytes of what does not tell."""
_PLAIN = frozenset({str, bytes, float, complex, bytearray})
_SHARED = range(-5, 257)
"""The numbers that exist once in a process."""


def footprint(value: Any, depth: int = DEPTH) -> int:
    """Return about how many bytes a value takes up.

    Args:
        value: Anything. Arrays and tables tell of themselves what they hold.
        depth: Levels of containers that are looked into.

    >>> footprint(1), footprint("a" * 1000) > 1000, footprint([b"x" * 100] * 1000) > 100_000
    (0, True, True)
    """
    kind = type(value)
    if value is None or kind is bool or (kind is int and value in _SHARED):
        return 0
    size = sys.getsizeof(value, UNKNOWN)
    if kind in _PLAIN or kind is int or depth == 0:
        return size
    inside: Collection[Any]
    if isinstance(value, Mapping):
        some = list(islice(chain.from_iterable(value.items()), SOME))
        return size + _times(some, 2 * len(value), depth)
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return size + _times(list(islice(value, SOME)), len(value), depth)
    inside = getattr(value, "__dict__", None) or ()
    if isinstance(inside, Mapping) and not isinstance(value, type):
        size += sys.getsizeof(inside) + _times(list(inside.values()), len(inside), depth)
    return size


def _times(some: list[Any], count: int, depth: int) -> int:
    return sum(footprint(one, depth - 1) for one in some) * count // len(some) if some else 0
