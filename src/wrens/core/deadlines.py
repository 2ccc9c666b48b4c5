"""How long an attempt may take, and which attempts have taken longer.

Decides the deadline of an attempt from the user's timeout and the platform's, and the order in which deadlines
come: the machine asks at every step whether one is due, with thousands running, so it must not look at each.
Pure.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from wrens.core.batches import Batch, Running
from wrens.wire.records import Policy, Sharing

START_S = 60.0
"""Seconds that an attempt may need before its first task begins."""
INITIALIZE_S = 600.0
"""The same where an initializer comes first, which may load a model."""
GRACE_S = 10.0
"""Seconds that a worker may be late with what it should have done by itself."""
LONGEST_TASK_S = 7 * 24 * 3600.0
"""A task without a timeout, on a platform without a limit, is given up after a week."""
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


def task_limit(policy: Policy, worker_s: float | None = None) -> float:
    """Return how long one task may run, in seconds.

    Args:
        policy: What the user allows.
        worker_s: Seconds after which the platform ends a worker; ``None`` for no limit.

    >>> task_limit(Policy(timeout_s=5.0)), task_limit(Policy(timeout_s=5000.0), 900.0)
    (5.0, 900.0)
    """
    wanted = policy.timeout_s if policy.timeout_s is not None else LONGEST_TASK_S
    return wanted if worker_s is None else min(wanted, worker_s)


def allowance_s(batch: Batch, sharing: Sharing, limit: float, worker_s: float | None = None) -> float:
    """Return how many seconds after its launch an attempt is past its deadline.

    That is the time to begin, the time until the worker hands on what it has not begun, that of the tasks it
    cannot hand on, and some grace; no worker lives longer than the platform lets it.
    """
    start_s = INITIALIZE_S if batch.rules.initializes else START_S
    at_once = batch.count if sharing.after_s is None else 1
    running_s = (sharing.after_s or 0.0) + limit * at_once
    return start_s + (running_s if worker_s is None else min(running_s, worker_s)) + GRACE_S
