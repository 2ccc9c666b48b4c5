"""What servers tell of the work of a parameter server, and the difference between two moments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import add, sub

BUCKETS = 24
"""Of staleness, as the functions on the servers count it; the last one has all that is more."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What servers have done since the arrays were made, or between two moments: ``after - before``.

    Staleness is how many pushes of others were added between a worker's last pull and its push. A push or pull that is for several
    servers counts for each, and a pull that was asked again, because its answer was lost, for both.

    Args:
        seconds: How long that was, by the first server's clock.
        pushes: How many were carried out.
        pulls: How many.
        pushed: Numbers that were added.
        pulled: Numbers that were read.
        waited_s: Seconds that workers which have ended have waited for others.
        staleness_sum: Of all pushes.
        staleness_most: Of any push since the beginning.
        staleness: How many pushes were 0, 1, 2 to 3, 4 to 7, … stale.
    """

    seconds: float
    pushes: int
    pulls: int
    pushed: int
    pulled: int
    waited_s: float
    staleness_sum: int
    staleness_most: int
    staleness: tuple[int, ...]

    @property
    def staleness_mean(self) -> float:
        """The mean staleness of pushes; 0 if there were none."""
        count = sum(self.staleness)
        return self.staleness_sum / count if count else 0.0

    def __sub__(self, before: Statistics) -> Statistics:
        return Statistics(
            self.seconds - before.seconds,
            self.pushes - before.pushes,
            self.pulls - before.pulls,
            self.pushed - before.pushed,
            self.pulled - before.pulled,
            self.waited_s - before.waited_s,
            self.staleness_sum - before.staleness_sum,
            self.staleness_most,
            tuple(map(sub, self.staleness, before.staleness)),
        )

    def told(self) -> str:
        """Return it in a few lines.

        >>> one = Statistics(2.0, 10, 4, 10_000, 4_000, 0.5, 7, 3, (5, 3, 2))
        >>> print(one.told())
        10 pushes of 10,000 numbers, 5 a second; 4 pulls of 4,000 numbers, 2 a second
        staleness of pushes: 0.7 in the mean, 3 at most; 0: 5, 1: 3, 2-3: 2
        """
        rate = [
            f"{n / self.seconds:.3g} a second" if self.seconds > 0 else "" for n in (self.pushes, self.pulls)
        ]
        borders = [0, 1, *(2**b for b in range(1, len(self.staleness)))]
        names = [str(low) if high - low == 1 else f"{low}-{high - 1}" for low, high in pairwise(borders)]
        if len(names) == BUCKETS:
            names[-1] = f"{borders[-2]} or more"
        kinds = ", ".join(f"{name}: {n:,}" for name, n in zip(names, self.staleness, strict=True) if n)
        return (
            f"{self.pushes:,} pushes of {self.pushed:,} numbers, {rate[0]}; "
            f"{self.pulls:,} pulls of {self.pulled:,} numbers, {rate[1]}\n"
            f"staleness of pushes: {self.staleness_mean:.3g} in the mean, {self.staleness_most:,} at most; {kinds}"
        )


def statistics_of(answers: Sequence[Sequence[int]]) -> Statistics:
    """Return what servers have answered as one."""
    total = list(map(int, answers[0][1:]))
    for other in answers[1:]:
        total = list(map(add, total, other[1:]))
    most = max(answer[7] for answer in answers)
    pushes, pulls, pushed, pulled, waited, stale, _, *buckets = total
    return Statistics(
        answers[0][0] / 1e6, pushes, pulls, pushed, pulled, waited / 1e3, stale, most, tuple(buckets)
    )
