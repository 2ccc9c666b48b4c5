"""The records of the attempt machine: batches as it sees them, and the commands that it gives.

Decides fields only. What happens to a batch is :mod:`wrens.core.attempts`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from wrens.core.policy import Backup, Packing
from wrens.wire import keys
from wrens.wire.records import Call, Child, Loss, Policy, Sharing

Key = tuple[str, str]
"""A job's id and a batch's name."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a batch's inputs are and what to call on them; shared by a root batch and its descendants."""

    function: str
    call: Call
    page: int
    offset: int
    length: int
    origin: int
    inline: bytes = b""
    made: str = ""
    digest: bytes = b""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a job's options say to the machine."""

    policy: Policy
    packing: Packing
    lost: int = 4
    backoff_s: float = 0.0
    backup: Backup | None = None
    initializes: bool = False
    """Whether workers call an initializer first."""


@dataclass(slots=True)
class Batch:
    """A batch that has no verdict yet, as far as is known here."""

    job: str
    name: str
    start: int
    count: int
    source: Source
    rules: Rules
    tries: int = 0
    losses: int = 0
    turn: int = 0
    """When it was asked for: smaller numbers are launched first."""
    not_before: float = 0.0
    adopted: bool = False
    """Somebody else may be running it: look before running."""
    launches: int = 0
    live: set[str] = field(default_factory=set)
    evidence: list[Loss] = field(default_factory=list)
    undecided: Loss | None = None
    cancelled: set[int] = field(default_factory=set)
    settling: bool = False
    """A verdict of our own is on its way; nothing else is to be decided."""

    @property
    def key(self) -> Key:
        """What the machine calls it."""
        return (self.job, self.name)

    @classmethod
    def child_of(cls, parent: Batch, index: int, child: Child) -> Self:
        """Return the batch that a verdict of ``parent`` names as its ``index``-th child."""
        return cls(
            job=parent.job,
            name=keys.child(parent.name, index),
            start=child.start,
            count=child.count,
            source=parent.source,
            rules=parent.rules,
            tries=child.tries,
            losses=child.losses,
            turn=parent.turn,
            adopted=parent.adopted,
        )


@dataclass(slots=True)
class Running:
    """An attempt that is under way, as far as is known."""

    key: Key
    launched_at: float
    deadline: float
    task_limit: float
    """Seconds that one task may take, for the attempt as which this one may go on."""
    overdue: bool = False


# --- commands ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """Hand this attempt to the backend."""

    batch: Batch
    attempt: str
    sharing: Sharing
    look_first: bool
    backup: bool


@dataclass(frozen=True, slots=True)
class Read:
    """Look whether the batch has a verdict, and tell by :meth:`Machine.found`."""

    key: Key


@dataclass(frozen=True, slots=True)
class Stop:
    """Make the backend end this attempt: it is too late, or has lost."""

    attempt: str
    lost: bool
    """The driver waits for the backend's word about it."""


@dataclass(frozen=True, slots=True)
class HandOn:
    """Create a verdict that settles the cancelled tasks and hands on the others."""

    batch: Batch
    cancelled: tuple[int, ...]
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Create a verdict in which every task of the batch fails on this evidence."""

    batch: Batch
    evidence: tuple[Loss, ...]
    overdue: bool


Command = Launch | Read | Stop | HandOn | GiveUp
