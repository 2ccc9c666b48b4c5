"""What is left of a run: states in the store, and what each superstep took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.models import exchange
from wrens.models.exchange import Slice
from wrens.serialize import Pack


@dataclass(frozen=True, slots=True)
class Step:
    """What one superstep took. Times are those of the worker that was busy longest.

    Args:
        number: Its number, from 0.
        active: How many partitions were awake.
        seconds: From one superstep to the next.
        compute: Of these, in the step itself.
        exchange: Of these, for reading states and data, for writing, and for bringing messages together; messages are read
            when a step asks for them.
        barrier: The rest: planning, launching, verdicts, waiting.
        messages: Messages that were sent; of typed ones, rows.
        nbytes: Bytes that were written, states included.
    """

    number: int
    active: int
    seconds: float
    compute: float
    exchange: float
    barrier: float
    messages: int
    nbytes: int


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """The end of a :func:`wrens.bsp`. States are in the store until the executor closes; those of a run with a name, longer.

    Args:
        name: Of the run.
        places: Where the state of each partition is.
        aggregated: What partitions have told in the last superstep.
        halted: Whether all have voted to halt and no message was left; otherwise ``supersteps`` was reached.
        steps: What each superstep took.
    """

    name: str
    places: Sequence[Slice]
    aggregated: Mapping[str, Any]
    halted: bool
    steps: tuple[Step, ...]

    @property
    def supersteps(self) -> int:
        """How many supersteps there were."""
        return len(self.steps)

    def __len__(self) -> int:
        """Return how many partitions there are."""
        return len(self.places)

    def __repr__(self) -> str:
        seconds = sum(step.seconds for step in self.steps)
        end = "halted" if self.halted else "stopped"
        return f"<Run {self.name}: {len(self)} partitions, {end} after {self.supersteps} supersteps in {seconds:.3g} s>"

    def state(self, partition: int) -> Any:
        """Return the last state of a partition.

        Raises:
            ObjectMissing: if the executor has closed and the run had no name, or it was deleted.
        """
        return Pack(next(exchange.read([self.places[partition]]))).item(0)

    def states(self) -> Iterator[Any]:
        """Yield the last states in the order of the partitions; one at a time is read."""
        return map(self.state, range(len(self)))

    def told(self) -> str:
        """Return a line for each superstep: where its time went, and what was sent."""
        lines = ["step  awake   seconds   compute  exchange   barrier    messages         bytes"]
        lines += [
            f"{s.number:4}  {s.active:5}  {s.seconds:8.4f}  {s.compute:8.4f}  {s.exchange:8.4f}  {s.barrier:8.4f}  "
            f"{s.messages:10,}  {s.nbytes:12,}"
            for s in self.steps
        ]
        return "\n".join(lines)
