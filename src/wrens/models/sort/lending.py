"""Memory that is used again: fresh memory costs a worker more time than what it computes in it.

    with lent(64 * 2**20) as room: …        the same bytes as the last time, in the same process

Decides what a process keeps between tasks: two pieces at most, none of them larger than a limit. What is lent holds
anything; who borrows it must not keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
KEPT = 2
LARGEST = 160 * 2**20
"""Bytes of a piece that is kept at most."""
_kept: list[npt.NDArray[np.uint8]] = []
_lock = Lock()


@contextmanager
def lent(nbytes: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Lend some memory.

    Args:
        nbytes: How many bytes.

    >>> with lent(10) as room:
    ...     len(room)
    10
    """
    room = _fitting(nbytes)
    try:
        yield room[:nbytes]
    finally:
        with _lock:
            if len(room) <= LARGEST and len(_kept) < KEPT:
                _kept.append(room)


def sparing(call: Callable[[], T]) -> T:
    """Call; when memory is short, give back what is kept here and call once more.

    >>> sparing(lambda: 1)
    1
    """
    try:
        return call()
    except MemoryError:
        pass  # and with the exception goes what its frames have held
    with _lock:
        _kept.clear()
    return call()


def _fitting(nbytes: int) -> npt.NDArray[np.uint8]:
    with _lock:
        good = [i for i, room in enumerate(_kept) if len(room) >= nbytes]
        if good:
            return _kept.pop(min(good, key=lambda i: len(_kept[i])))
        if _kept:
            _kept.pop()  # before another one is made
    # A little more than now, since the next one is seldom of the very same size.
    return np.empty(nbytes + nbytes // 8, np.uint8)
