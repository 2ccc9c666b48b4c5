"""Where the workers of a parameter server stand, as its servers tell it. Pure.

A tick that has reached some of the servers counts when it has reached all: of what they tell, the least holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Where workers stand.

    Args:
        run: Which run this is, from 1; 0 before the first.
        settled: Up to which clock all pushes of all workers are in the arrays, with ``Synchronous``.
        ready: Up to which clock all have told their part on all servers.
        workers: How many there are.
        clocks: Where each is.
        finished: Which have ended.
        failed: The number of one that has failed, or -1.
    """

    run: int
    settled: int
    ready: int
    workers: int
    clocks: tuple[int, ...]
    finished: tuple[bool, ...]
    failed: int = -1

    @classmethod
    def of(cls, answers: Mapping[int, Sequence[Sequence[int]]]) -> Standing:
        """Return where workers stand, from what each server has answered.

        >>> Standing.of({0: [[9, 1, 2, 3, 2, -1, 4, 0, 3, 0]], 1: [[5, 1, 2, 2, 2, -1, 3, 0, 2, 0]]}).clocks
        (3, 2)
        """
        told = [answer[0][1:] for answer in answers.values()]
        run = max(one[0] for one in told)
        if any(one[0] < run for one in told):  # a run that has not begun everywhere
            told = [one for one in told if one[0] == run]
        workers = told[0][3]
        return cls(
            run,
            min(one[1] for one in told),
            min(one[2] for one in told),
            workers,
            tuple(min(one[5 + 2 * w] for one in told) for w in range(workers)),
            tuple(all(one[6 + 2 * w] for one in told) for w in range(workers)),
            max(one[4] for one in told),
        )

    @property
    def over(self) -> bool:
        """Whether no run is under way."""
        return all(self.finished)

    def slowest(self) -> int:
        """Return the least clock of those that have not finished.

        >>> Standing(1, 0, 4, 2, (4, 7), (True, False)).slowest()
        7
        """
        return min(
            (c for c, done in zip(self.clocks, self.finished, strict=True) if not done),
            default=max(self.clocks),
        )
