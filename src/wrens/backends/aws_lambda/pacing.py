"""How many requests are open at a time: more while the service takes them, half as many when it refuses.

    taken      one more for each whole window that was taken        additive increase
    refused    half, once for all that were open at that time       multiplicative decrease

The rule of TCP's congestion control (Chiu and Jain 1989), which finds a limit that nobody tells, and shares it
with others. Decides how many and how long to pause; sends nothing, reads no clock, so property tests run it.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 16.0
MOST = 128.0
"""Beyond this a client's processor is the limit, not the service."""
PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class Window:
    """How many requests may be open.

    >>> window = Window()
    >>> era = window.open()
    >>> window.refused(era), window.size
    (None, 8.0)
    """

    size: float = FIRST
    most: float = MOST
    opened: int = 0
    """Requests that are open."""
    _era: int = 0
    _refused_in_a_row: int = 0

    @property
    def room(self) -> int:
        """How many more may be opened now."""
        return max(0, int(self.size) - self.opened)

    def open(self) -> int:
        """Note that a request was opened; returns what :meth:`refused` has to be told."""
        self.opened += 1
        return self._era

    def taken(self) -> None:
        """Note that a request was taken."""
        self.opened -= 1
        self._refused_in_a_row = 0
        self.size = min(self.most, self.size + 1.0 / self.size)

    def refused(self, era: int) -> None:
        """Note that a request was refused, because there were too many.

        Args:
            era: What :meth:`open` returned. Refusals of requests that were opened before the last cut tell
                nothing new.
        """
        self.opened -= 1
        if era == self._era:
            self._era += 1
            self._refused_in_a_row += 1
            self.size = max(1.0, self.size / 2)

    def failed(self) -> None:
        """Note that a request failed for a reason that says nothing about their number."""
        self.opened -= 1

    def pause_s(self) -> float:
        """Return how long to wait, at most, before what was refused is sent again; double with each cut in a row.

        >>> Window().pause_s()
        0.0
        """
        if not self._refused_in_a_row:
            return 0.0
        return float(min(LONGEST_PAUSE_S, PAUSE_S * 2.0 ** min(self._refused_in_a_row, 10)))
