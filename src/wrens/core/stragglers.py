"""Which attempts are slow.

Decides from what tasks of the same job have taken whether a running attempt has earned a second copy of
itself. Whether there is a free worker for it is :mod:`wrens.core.attempts`' concern. Pure.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from wrens.core.policy import Backup

REMEMBERED = 999
"""How many of a job's latest batches make the median."""


class Stragglers:
    """What the tasks of each job have taken.

    Half of the job is done and a task takes 2 s, so 7 s are too long and 5 s are not:

    >>> stragglers = Stragglers()
    >>> for seconds in (1.8, 2.0, 2.1):
    ...     stragglers.learn("job", seconds, tasks=1)
    >>> slow = lambda ran_s: stragglers.is_slow("job", Backup(), ran_s=ran_s, tasks=1, left=3)
    >>> slow(7.0), slow(5.0)
    (True, False)
    """

    def __init__(self) -> None:
        self._ended: dict[str, int] = {}
        self._seconds: dict[str, deque[float]] = {}

    def learn(self, job: str, seconds: float, tasks: int) -> None:
        """Take into account that ``tasks`` tasks of a job ended, and took ``seconds`` together."""
        self._ended[job] = self._ended.get(job, 0) + tasks
        if tasks and seconds > 0:
            self._seconds.setdefault(job, deque(maxlen=REMEMBERED)).append(seconds / tasks)

    def is_slow(self, job: str, backup: Backup, *, ran_s: float, tasks: int, left: int) -> bool:
        """Tell whether an attempt is slow by the user's rule.

        Args:
            job: Whose it is.
            backup: The rule.
            ran_s: Seconds since it was launched.
            tasks: How many tasks it has.
            left: How many tasks of the job have not ended.
        """
        seconds = self._seconds.get(job)
        ended = self._ended.get(job, 0)
        if not seconds or ended < backup.after * (ended + left):
            return False
        return ran_s > backup.slowness * median(seconds) * tasks

    def forget(self, job: str) -> None:
        """Let go of a job."""
        self._ended.pop(job, None)
        self._seconds.pop(job, None)
