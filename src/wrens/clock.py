"""Where the time comes from.

Decides how the rest of wrens learns what time it is and how it waits, so that tests and simulations can
turn the clock by hand. Does not decide any deadline. Everybody may import it; it imports nothing of wrens.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What every part that waits or measures asks for the time.

    ``now`` is for durations and deadlines inside one process; ``wall`` is for records that other machines
    read, and is never compared with ``now``.
    """

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970, UTC, as other machines would call it."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``; zero or less returns at once."""
        ...


class SystemClock:
    """The computer's own clock.

    >>> clock = SystemClock()
    >>> clock.now() <= clock.now()
    True
    """

    now = staticmethod(time.monotonic)  # noqa: TID251 - this is the home of the clock
    wall = staticmethod(time.time)  # noqa: TID251

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of real time."""
        if seconds > 0:
            time.sleep(seconds)  # noqa: TID251


class VirtualClock:
    """A clock that moves only when it is told to, so that an hour of waiting takes no time.

    Args:
        start: What ``now`` and ``wall`` say at first, in seconds.

    >>> clock = VirtualClock()
    >>> clock.sleep(3600)
    >>> clock.now()
    3600.0
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = float(start)
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def wall(self) -> float:
        """Return the virtual time in seconds; here the same as :meth:`now`."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock forward by ``seconds`` at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward; a negative amount is ignored, because time does not go back."""
        with self._lock:
            self._now += max(0.0, seconds)
