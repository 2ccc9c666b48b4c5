"""Where everything lies between two supersteps. Pure: what tasks returned goes in, what the next ones are given comes out.

Decides who is awake, whether the run is over, and which objects are still needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wrens.models import exchange
from wrens.models.bsp import combining
from wrens.models.bsp.combining import Way
from wrens.models.bsp.results import Step
from wrens.models.bsp.superstep import Done, Turn, some_messages
from wrens.models.exchange import Slice, Written


@dataclass(frozen=True, slots=True)
class Board:
    """What the next superstep needs, and what has been.

    Args:
        number: Of the next superstep.
        states: Where the state of each partition is.
        data: Where their data are; empty without.
        halted: Which have voted to halt when they were last awake.
        sent: What was written for the next superstep, in the order of the partitions.
        aggregated: What partitions have told.
        steps: What each superstep took.
    """

    number: int
    states: tuple[Slice, ...]
    data: tuple[Slice, ...]
    halted: tuple[bool, ...]
    sent: tuple[Written, ...] = ()
    aggregated: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether all have voted to halt, and no message is left."""
        return all(self.halted) and not self.sent

    def inboxes(self) -> Sequence[Sequence[Slice]]:
        """Return for each partition where the messages to it were written."""
        count = len(self.states)
        return exchange.columns(self.sent)[:count] if self.sent else [[]] * count

    def turns(self) -> list[Turn]:
        """Return the tasks of the next superstep: one for each partition that is awake."""
        found = []
        for p, (state, inbox) in enumerate(zip(self.states, self.inboxes(), strict=True)):
            if not self.halted[p] or any(True for _ in inbox):
                data = self.data[p] if self.data else None
                found.append(Turn(self.number, p, state, data, inbox, self.aggregated))
        return found

    def after(
        self, done: Mapping[int, Done], ways: Mapping[str, Way], seconds: float, moved_s: float
    ) -> Board:
        """Return what there is after the next superstep.

        Args:
            done: What each task returned, by partition.
            ways: How what partitions tell becomes one.
            seconds: How long the superstep took.
            moved_s: How long of these it took to bring its messages together.

        Raises:
            BadMessage: if what partitions have told cannot be combined.
        """
        states, halted = list(self.states), list(self.halted)
        for p, one in done.items():
            states[p], halted[p] = one.state, one.halted
        return replace(
            self,
            number=self.number + 1,
            states=tuple(states),
            halted=tuple(halted),
            sent=tuple(done[p].written for p in sorted(done) if some_messages(done[p].written)),
            aggregated=aggregated(done, ways, self.number),
            steps=(*self.steps, step_of(self.number, done, seconds, moved_s)),
        )

    def keys(self) -> set[str]:
        """Return the keys of all objects that are needed."""
        places = {place.key for place in (*self.states, *self.data)}
        return places | {written.key for written in self.sent}


def aggregated(done: Mapping[int, Done], ways: Mapping[str, Way], number: int) -> dict[str, Any]:
    """Return what partitions have told in a superstep, combined in their order."""
    found: dict[str, Any] = {}
    for p in sorted(done):
        for name, value in done[p].aggregated.items():
            if name in found:
                value = combining.told(ways, name, found[name], value, partition=p, superstep=number)
            found[name] = value
    return found


def step_of(number: int, done: Mapping[int, Done], seconds: float, moved_s: float) -> Step:
    """Return what a superstep took: what the busiest worker did, and the rest."""
    busy: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in done.values():
        busy[one.worker][0] += one.task_s
        busy[one.worker][1] += one.step_s
    task_s, step_s = max(busy.values())
    return Step(
        number,
        len(done),
        seconds,
        step_s,
        moved_s + task_s - step_s,
        max(0.0, seconds - moved_s - task_s),
        sum(one.sent for one in done.values()),
        sum(one.written.nbytes for one in done.values()),
    )
