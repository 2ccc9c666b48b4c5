"""When attempts are past their deadlines.

Decides nothing but the order: the machine asks at every step whether one is due, with thousands running, so
it must not look at each. Pure.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from wrens.core.batches import Running

SPARE = 64
"""How many entries may be out of date, however few attempts are running, before they are swept out."""


class Deadlines:
    """The deadlines of the attempts that are running, soonest first.

    An entry is in force as long as the attempt is running with this very deadline. So nobody tells of the end
    of an attempt; entries that are not in force are passed over, and swept out when they are most of all.

    >>> running = {name: Running(("job", "0"), 0.0, at, 1.0) for name, at in (("a", 9.0), ("b", 5.0))}
    >>> deadlines = Deadlines(running)
    >>> deadlines.note("a"), deadlines.note("b")
    (None, None)
    >>> deadlines.next(), deadlines.pop(now=4.0), deadlines.pop(now=5.0)
    (5.0, None, 'b')
    >>> del running["a"]
    >>> deadlines.next() is None
    True
    """

    def __init__(self, running: Mapping[str, Running]) -> None:
        self._running = running
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """Return the number of entries, in force or not."""
        return len(self._heap)

    def note(self, attempt: str) -> None:
        """Take the deadline that this running attempt now has."""
        if len(self._heap) > SPARE + 2 * len(self._running):
            # Deadlines are a week away where tasks have no timeout, and attempts end within milliseconds.
            self._heap = [(running.deadline, name) for name, running in self._running.items()]
            heapq.heapify(self._heap)
            return
        heapq.heappush(self._heap, (self._running[attempt].deadline, attempt))

    def next(self) -> float | None:
        """Return the soonest deadline, or ``None`` when nothing is running."""
        while self._heap:
            deadline, attempt = self._heap[0]
            running = self._running.get(attempt)
            if running is not None and running.deadline == deadline:
                return deadline
            heapq.heappop(self._heap)
        return None

    def pop(self, now: float) -> str | None:
        """Take an attempt whose deadline has come; it has none until it is noted again."""
        soonest = self.next()
        if soonest is None or now < soonest:
            return None
        return heapq.heappop(self._heap)[1]
