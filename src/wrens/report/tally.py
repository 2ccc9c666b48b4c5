"""From events to one honest line: how far the jobs are that somebody waits for.

    wrens: resize 1,234/10,000 tasks · 412/s · about 20 s left · 3 failed · 1 attempt lost

Decides what is counted and what the line says. Says no time left before enough is known, a range when the
recent pace and that of the whole job differ, and ``?`` for a total that nobody knows yet. Pure: the time is
an argument, nothing is drawn. Who draws it, and when, is :mod:`wrens.report.progress`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from wrens import events
from wrens.report import texts

KNOWN_BATCHES = 3
"""A time left is told only when so many batches are settled."""
KNOWN_SHARE = 0.02
"""And when this share of the tasks is."""
RECENT_S, RECENT_SHARE = 5.0, 0.25
"""The recent pace is that of the last seconds, or of this share of the time so far if that is longer."""
PAUSE_S = 0.5
"""A job whose inputs have not ended counts as at work for so long after its last task."""
SPREAD = 1.3
"""Two estimates that differ by more than this factor are told as a range."""


class Tally:
    """The counts of one job.

    Args:
        job: The job's id.
        at: When it was first heard of.

    >>> tally = Tally("j", 0.0)
    >>> tally.take(events.TasksPlanned("j", 10, 2, 0.0))
    >>> tally.take(events.BatchSettled("j", "0", "0.a", ok=4, failed=1, handed_on=0, wall_s=1.0, at=2.0))
    >>> tally.settled, tally.open
    (5, 5)
    """

    def __init__(self, job: str, at: float) -> None:
        self.job = job
        self.name = ""
        self.began_at = self.changed_at = at
        self.ok = self.failed = 0
        self.batches = self.lost = self.backups = self.retried = 0
        self.total: int | None = None
        self.over = False
        self._planned = self._seen = 0
        self._marks: deque[tuple[float, int]] = deque([(at, 0)])

    @property
    def settled(self) -> int:
        """Tasks that are settled."""
        return self.ok + self.failed

    @property
    def planned(self) -> int:
        """Tasks that are known; at least those that were launched, should planning not have been told."""
        return max(self._planned, self._seen)

    @property
    def open(self) -> int:
        """Tasks that are known and not settled; none of a job that is over."""
        return 0 if self.over else max(0, self.planned - self.settled)

    @property
    def ended(self) -> bool:
        """Whether every task is settled and no more will come."""
        return self.over or (self.total is not None and self.settled >= self.total)

    def at_work(self, now: float) -> bool:
        """Whether there are open tasks, or were a moment ago and more may come.

        Without that moment the line would come and go with each input of a slow generator.
        """
        return self.open > 0 or (not self.ended and self.settled > 0 and now - self.changed_at < PAUSE_S)

    def take(self, event: events.JobEvent) -> None:
        """Count what has happened."""
        self.changed_at = event.at
        if isinstance(event, events.JobStarted):
            self.name = event.name
        elif isinstance(event, events.TasksPlanned):
            self._planned += event.count
        elif isinstance(event, events.InputsEnded):
            self.total = event.total
        elif isinstance(event, events.AttemptLaunched):
            self._seen = max(self._seen, event.start + event.count)
            self.backups += event.backup
        elif isinstance(event, events.AttemptLost):
            self.lost += 1
        elif isinstance(event, events.BatchSettled):
            self.retried += event.retried
            self._settle(event)
        else:
            self.over = True

    def _settle(self, event: events.BatchSettled) -> None:
        self.ok += event.ok
        self.failed += event.failed
        self.batches += 1
        self._marks.append((event.at, self.settled))
        start = event.at - max(RECENT_S, RECENT_SHARE * (event.at - self.began_at))
        # The last mark before the window stays: the pace is measured from there.
        while len(self._marks) > 2 and self._marks[1][0] <= start:
            self._marks.popleft()

    def pace(self, now: float) -> tuple[float, float]:
        """Return tasks per second: of late, and since the beginning."""
        at, settled = self._marks[0]
        until = self._until(now)
        recent = (self.settled - settled) / (until - at) if until > at else 0.0
        overall = self.settled / (until - self.began_at) if until > self.began_at else 0.0
        return recent, overall

    def left_s(self, now: float) -> tuple[float, float] | None:
        """Return the least and the most seconds that the job may still take; ``None`` when nobody knows."""
        if self.total is None or self.batches < KNOWN_BATCHES or self.settled < KNOWN_SHARE * self.total:
            return None
        slow, fast = sorted(self.pace(now))
        if fast <= 0:
            return None
        rest, since = self.total - self.settled, now - self._until(now)
        return max(0.0, rest / fast - since), max(0.0, rest / slow - since) if slow > 0 else float("inf")

    def _until(self, now: float) -> float:
        """Return the time until which the pace is measured.

        Tasks are settled by the batch. Measured until now, the pace would fall after each batch and jump at
        the next, so it is measured until the last one, unless the next is late.
        """
        first, last = self._marks[0][0], self._marks[-1][0]
        gap = (last - first) / max(1, len(self._marks) - 1)
        return max(last, now - 2 * gap)


def line(tallies: Sequence[Tally], now: float) -> str:
    """Return the line for the jobs that are at work, as one sum.

    Args:
        tallies: Their counts.
        now: The time, on the clock of their events.

    >>> tally = Tally("j", 0.0)
    >>> for event in (
    ...     events.JobStarted("j", "resize", 0.0),
    ...     events.TasksPlanned("j", 100, 10, 0.0),
    ...     events.InputsEnded("j", 100, 0.0),
    ...     *(events.BatchSettled("j", str(n), "a", 10, 0, 0, 1.0, at=n + 1.0) for n in range(3)),
    ... ):
    ...     tally.take(event)
    >>> line([tally], 3.0)
    'wrens: resize 30/100 tasks · 10/s · about 7 s left'
    """
    if not tallies:
        return ""
    totals = [tally.total for tally in tallies if tally.total is not None]
    total = f"{sum(totals):,}" if len(totals) == len(tallies) else "?"
    settled = sum(tally.settled for tally in tallies)
    what = f"{len(tallies)} jobs" if len(tallies) > 1 else tallies[0].name.rpartition(".")[2] or "a job"
    parts = [f"wrens: {what} {settled:,}/{total} tasks"]
    if settled:
        parts.append(f"{texts.rate(sum(tally.pace(now)[0] for tally in tallies))}/s")
    if left := _left(tallies, now):
        parts.append(left)
    for number, word in (
        (sum(tally.failed for tally in tallies), "failed"),
        (sum(tally.retried for tally in tallies), "retried"),
        (sum(tally.lost for tally in tallies), "lost"),
        (sum(tally.backups for tally in tallies), "backup"),
    ):
        if number:
            parts.append(_trouble(number, word))
    return " · ".join(parts)


def _left(tallies: Sequence[Tally], now: float) -> str:
    ranges = [tally.left_s(now) for tally in tallies]
    known = [found for found in ranges if found is not None]
    if len(known) < len(ranges):
        return ""
    # Jobs share the workers, so each one's pace has the others in it already: the last to end decides.
    least, most = max(low for low, _ in known), max(high for _, high in known)
    if most == float("inf"):
        return f"more than {texts.roughly(least)} left"
    low, high = texts.roughly(least), texts.roughly(most)
    if most > SPREAD * least and low != high:
        return f"{low} to {high} left"
    return f"about {high} left"


def _trouble(number: int, word: str) -> str:
    if word in {"failed", "retried"}:
        return f"{number:,} {word}"
    return (
        texts.count(number, "attempt") + " lost"
        if word == "lost"
        else texts.count(number, "backup copy", "backup copies")
    )
