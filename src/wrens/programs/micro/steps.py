"""Tasks of known length, with an input and a result of known size: work whose time is spent around it.

Decides what the tasks do. Where their time went is told by :mod:`wrens.report.breakdown`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from wrens.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Order:
    """What a task is to do: compute for so many seconds over its bytes, and return as many."""

    seconds: float
    data: bytes


def orders(tasks: int, seconds: float, nbytes: int) -> list[Order]:
    """Return what so many tasks are to do, each with bytes of its own.

    >>> [len(order.data) for order in orders(2, 0.1, 8)]
    [8, 8]
    """
    return [Order(seconds, os.urandom(nbytes)) for _ in range(tasks)]


def busy(order: Order) -> bytes:
    """Compute digests until the time is over, and return the bytes in reverse.

    >>> busy(Order(0.0, b"abc"))
    b'cba'
    """
    now = SystemClock().now
    end = now() + order.seconds
    while now() < end:
        hashlib.sha256(order.data).digest()
    return order.data[::-1]
