"""Batches that wait to be launched, in the order in which they should be.

Decides the order: jobs in the order in which they came, and within a job the tasks in theirs, so that results
come in the order in which they are consumed. A batch that waits out a back-off stands apart until then. Pure.
"""

from __future__ import annotations

import heapq

from wrens.core.batches import Batch, Key


class Waiting:
    """A queue of batches, ordered by job and first task.

    It never removes a batch that was settled meanwhile; whoever takes one asks whether it is still wanted.
    """

    def __init__(self) -> None:
        self._ready: list[tuple[int, int, str, Key]] = []
        self._later: list[tuple[float, int, int, str, Key]] = []
        self._ranks: dict[str, int] = {}
        self._next_rank = 0

    def __len__(self) -> int:
        """Return how many may be taken now, about."""
        return len(self._ready)

    def add(self, batch: Batch) -> None:
        """Let a batch wait, until its ``not_before`` if it has one."""
        if batch.job not in self._ranks:
            self._ranks[batch.job] = self._next_rank
            self._next_rank += 1
        place = (self._ranks[batch.job], batch.start, batch.name, batch.key)
        if batch.not_before > 0.0:
            heapq.heappush(self._later, (batch.not_before, *place))
        else:
            heapq.heappush(self._ready, place)

    def come_due(self, now: float) -> None:
        """Let those join the queue whose back-off is over."""
        while self._later and self._later[0][0] <= now:
            heapq.heappush(self._ready, heapq.heappop(self._later)[1:])

    def pop(self) -> Key:
        """Take the next one."""
        return heapq.heappop(self._ready)[-1]

    def next_due(self) -> float | None:
        """Return when the next back-off is over, or ``None``."""
        return self._later[0][0] if self._later else None

    def forget(self, job: str) -> None:
        """Forget a job's place."""
        self._ranks.pop(job, None)
