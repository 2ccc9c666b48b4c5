"""Batches that wait to be launched, in the order in which they should be.

Decides the order: that in which the work was asked for, and within what was asked at once the tasks in theirs,
so that results come in the order in which they are consumed, and nothing waits for what came later. What is
handed on keeps its turn. A batch that waits out a back-off stands apart until then. Pure.
"""

from __future__ import annotations

import heapq
from collections import Counter

from wrens.core.batches import Batch, Key

_Place = tuple[int, int, str, Key]


class Waiting:
    """A queue of batches, ordered by turn and first task.

    It never removes a batch that was settled meanwhile; whoever takes one asks whether it is still wanted.
    """

    def __init__(self) -> None:
        self._ready: list[_Place] = []
        self._later: list[tuple[float, _Place]] = []
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many may be taken now, about."""
        return len(self._ready)

    def of(self, job: str) -> int:
        """Return how many of this job may be taken now, about."""
        return self._of[job]

    def add(self, batch: Batch) -> None:
        """Let a batch wait, until its ``not_before`` if it has one."""
        place = (batch.turn, batch.start, batch.name, batch.key)
        if batch.not_before > 0.0:
            heapq.heappush(self._later, (batch.not_before, place))
        else:
            self._push(place)

    def come_due(self, now: float) -> None:
        """Let those join the queue whose back-off is over."""
        while self._later and self._later[0][0] <= now:
            self._push(heapq.heappop(self._later)[1])

    def pop(self) -> Key:
        """Take the next one."""
        key = heapq.heappop(self._ready)[-1]
        self._of[key[0]] -= 1
        if not self._of[key[0]]:
            del self._of[key[0]]
        return key

    def next_due(self) -> float | None:
        """Return when the next back-off is over, or ``None``."""
        return self._later[0][0] if self._later else None

    def _push(self, place: _Place) -> None:
        heapq.heappush(self._ready, place)
        self._of[place[-1][0]] += 1
