"""The status page: eight numbers that a worker writes and its backend reads without asking.

The page is shared memory where a backend has any, so that it still tells what a worker was doing after that
worker was killed. Decides which number stands where. Numbers are evidence for people and hints for the
backend; no result depends on them.
"""

from __future__ import annotations

TASK = 0
"""The task that was begun last, or -1 before the first."""
SERIAL = 1
"""How many invocations this worker has begun."""
BEAT = 2
"""When the watchdog last looked around, in nanoseconds of the monotonic clock; 0 while it rests."""
MEMORY = 3
"""Resident memory at the last look, in bytes."""
PEAK = 4
"""The largest such reading during the attempt, in bytes."""

BYTES = 64


def private() -> memoryview:
    """Return a page that nobody else reads, for a worker without shared memory.

    >>> page = private()
    >>> page[TASK]
    -1
    """
    page = memoryview(bytearray(BYTES)).cast("q")
    page[TASK] = -1
    return page
