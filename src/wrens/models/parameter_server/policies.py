"""What workers wait for, as small frozen objects."""

from __future__ import annotations

from dataclasses import dataclass

from wrens.core.policy import number, whole
from wrens.errors import BadOption

PATIENCE_S = 60.0
"""How long a worker waits while no other one goes on."""


@dataclass(frozen=True, slots=True)
class Asynchronous:
    """Nobody waits: what is pushed is added at once, and seen by all (HOGWILD!).

    What a worker has pushed in a clock that it did not end, because it was lost, is pushed again by its next attempt.
    """


@dataclass(frozen=True, slots=True)
class Bounded:
    """Nobody is more than ``staleness`` clocks ahead of the slowest (stale synchronous parallel, Ho et al., 2013).

    What a worker pushes is added when its clock ticks. Of a worker that was killed while it ticked, one of several servers may have
    added its part and another not; it is begun again at that clock, so that one has what it computed first and the other what it
    computes then. Where that must not be, take :class:`Synchronous`.

    Args:
        staleness: How many clocks, from 0.
        patience_s: For how many seconds a worker waits while nobody goes on.
    """

    staleness: int = 1
    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        whole("Bounded.staleness", self.staleness + 1 if isinstance(self.staleness, int) else self.staleness)
        _patient("Bounded", self.patience_s)


@dataclass(frozen=True, slots=True)
class Synchronous:
    """All see the same in each clock: what all have pushed in the clocks before.

    It is added in the order of the workers' numbers, so that results are the same to the last bit, whoever was first.

    Args:
        patience_s: For how many seconds a worker waits while nobody goes on.
    """

    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        _patient("Synchronous", self.patience_s)


Consistency = Asynchronous | Bounded | Synchronous


def _patient(policy: str, patience_s: float) -> None:
    number(f"{policy}.patience_s", patience_s)
    if patience_s <= 0:
        raise BadOption(f"{policy}.patience_s={patience_s!r}", "must be positive", "It is in seconds.")
