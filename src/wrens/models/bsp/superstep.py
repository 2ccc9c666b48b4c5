"""One partition's superstep, as a worker carries it out: read, call the step, write one object.

Decides what a step is given and may do, and what its task returns: a small value that says where its messages and its state
lie. The driver is not imported here, so that a worker does not need it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.clock import SystemClock
from wrens.errors import BadOption
from wrens.models import exchange
from wrens.models.bsp import combining, warm
from wrens.models.bsp.combining import Way
from wrens.models.bsp.messages import Inbox, Outbox, own, packed
from wrens.models.exchange import Slice, Written
from wrens.serialize.functions import name_of
from wrens.wire import keys

WORKER = keys.new_mark()
"""Tells this process from the other workers."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a task is given.

    Args:
        number: The superstep's number.
        partition: The partition's.
        state: Where its state is.
        data: Where its data are, if it has any.
        inbox: Where the messages to it are.
        aggregated: What partitions have told in the superstep before.
    """

    number: int
    partition: int
    state: Slice
    data: Slice | None
    inbox: Sequence[Slice]
    aggregated: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What a task returns.

    Args:
        written: Where its messages are, and as the last part its state.
        halted: Whether it has voted to halt.
        aggregated: What it has told.
        sent: How many messages it has sent.
        step_s: Seconds in the step.
        task_s: Seconds in all, with reading and writing.
        worker: Which process it was.
    """

    written: Written
    halted: bool
    aggregated: Mapping[str, Any]
    sent: int
    step_s: float
    task_s: float
    worker: str

    @property
    def state(self) -> Slice:
        """Where its state is."""
        return state_of(self.written)


class Superstep:
    """What a step knows of where it is, and how it speaks to the others.

    Attributes:
        number: The superstep's number, from 0.
        partition: The partition's number, from 0.
        partitions: How many there are.
        data: The partition's data, as they were given to :func:`wrens.bsp`; ``None`` without. They must not be changed.
        aggregated: What partitions have told in the superstep before, by name; a name that nobody used is missing.
    """

    def __init__(self, turn: Turn, outbox: Outbox, ways: Mapping[str, Way]) -> None:
        self.number, self.partition, self.partitions = turn.number, turn.partition, outbox.partitions
        self.aggregated: dict[str, Any] = dict(turn.aggregated)
        self.data: Any = None if turn.data is None else warm.data_at(turn.data)
        self._outbox, self._ways = outbox, ways

    def __repr__(self) -> str:
        return f"<Superstep {self.number} of partition {self.partition} of {self.partitions}>"

    def send(self, partition: int, message: Any) -> None:
        """Send a partition, maybe this one, a Python value for the next superstep, as it is now: it may be changed afterwards.

        Raises:
            BadMessage: if there is no such partition.
        """
        self._outbox.send(partition, message)

    def send_array(self, partition: int, values: Any, index: Any = None) -> None:
        """Send a partition rows of numbers for the next superstep, as they are now; they are not pickled one by one.

        Args:
            partition: To whom.
            values: An array; or several of one length by name, as a dict or an Arrow batch.
            index: For each row a whole number, such as for which of the receiver's items it is. With ``combine="sum"``,
                ``"min"`` or ``"max"`` rows of one index become one; sums of whole numbers and of truth values have 64 bits.

        Raises:
            BadMessage: if there is no such partition, these are no such rows (an Arrow column with nulls is none), or
                ``combine`` is a function, which is for Python messages.
        """
        self._outbox.send_array(partition, values, index)

    def aggregate(self, name: str, value: Any) -> None:
        """Tell a value; what all have told is combined, and known to all in the next superstep.

        Raises:
            BadOption: if ``aggregate`` of :func:`wrens.bsp` has no such name.
            BadMessage: if this and what the partition has told before cannot be combined.
        """
        if name not in self._ways:
            known = ", ".join(map(repr, self._ways)) or "none"
            raise BadOption(
                f"aggregate({name!r})",
                f"has no way to combine values; there are ways for {known}",
                f"Write wrens.bsp(..., aggregate={{{name!r}: 'sum'}}).",
            )
        told, value = self._outbox.told, own(value)
        if name in told:
            where = {"partition": self.partition, "superstep": self.number}
            value = combining.told(self._ways, name, told[name], value, **where)
        told[name] = value

    def halt(self) -> None:
        """Vote to end: this partition's step is not called again until somebody sends it a message."""
        self._outbox.halted = True


class Stepper:
    """The task.

    Args:
        step: The user's function.
        combine: How messages to one receiver become one.
        ways: How what partitions tell becomes one, by name.
        partitions: How many there are.
        store: URL of the store.
        folder: What keys of objects begin with there.
    """

    def __init__(
        self,
        step: Callable[[Superstep, Any, Inbox], Any],
        combine: Way | None,
        ways: Mapping[str, Way],
        partitions: int,
        store: str,
        folder: str,
    ) -> None:
        self.step, self.combine, self.ways = step, combine, ways
        self.partitions, self.store, self.folder = partitions, store, folder
        self.__module__, self.__qualname__ = "", name_of(step)

    def __call__(self, turn: Turn) -> Done:
        """Carry out a partition's superstep.

        Raises:
            CannotShip: if a message or the state cannot be pickled.
        """
        clock = SystemClock()
        began = clock.now()
        outbox = Outbox(turn.partition, turn.number, self.partitions, self.combine)
        at = Superstep(turn, outbox, self.ways)
        state = warm.state_at(turn.state)
        inbox = Inbox(turn.inbox, self.combine, turn.partition, turn.number)
        called = clock.now()
        try:
            state = self.step(at, state, inbox)
        except Exception as error:
            error.add_note(
                f"raised by {self.__qualname__} for partition {turn.partition} in superstep {turn.number}"
            )
            raise
        ended = clock.now()
        kept = packed(state, f"the state of partition {turn.partition}")
        written = exchange.write([*outbox.parts(), kept], store=self.store, folder=self.folder)
        warm.wrote(state_of(written), kept)
        over = clock.now()
        return Done(written, outbox.halted, outbox.told, outbox.sent, ended - called, over - began, WORKER)


def state_of(written: Written) -> Slice:
    """Return where the state is: the last part."""
    (column,) = exchange.columns([written])[-1:]
    return next(iter(column))


def some_messages(written: Written) -> bool:
    """Tell whether there are messages before the state."""
    return any(array("Q", written.lengths)[:-1])
