"""The way of messages from one superstep to the next: read where they were written, or brought together first.

    packed       each partition reads a range of what each other one wrote         P² reads where all send to all
    two-level    a map between two supersteps brings the messages together         about 2·P·√P reads, P writes, a map more

Decides which way, by what each takes, with what a map more takes in this very run; how messages are brought together is
decided in :mod:`wrens.models.exchange`. What is brought together lies with the run's other objects, so a client that goes on
finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.errors import BadOption
from wrens.models import exchange
from wrens.models.bsp.board import Board
from wrens.models.exchange import Chosen, Exchange, Packed, Slice, TwoLevel
from wrens.models.exchange.choosing import Figures


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the messages are now.

    Args:
        inboxes: For each partition the ranges that it reads.
        made: Keys of the objects that they were brought together in.
        seconds: What that took.
    """

    inboxes: Sequence[Sequence[Slice]]
    made: frozenset[str] = frozenset()
    seconds: float = 0.0


def check(way: Exchange | None) -> None:
    """Refuse a way that messages cannot take.

    Raises:
        BadOption: if there is no such way, or it leads through memory that is no checkpoint.
    """
    if way is None or isinstance(way, (Packed, TwoLevel)) or (isinstance(way, Chosen) and way.redis is None):
        return
    raise BadOption(
        f"exchange={way!r}",
        "is no way for messages between supersteps: each superstep is a checkpoint, so its messages are in the store",
        "Pass wrens.Packed(), wrens.TwoLevel() or wrens.Chosen(), or leave exchange= out.",
    )


def deliver(executor: Executor, way: Exchange | None, board: Board, folder: str) -> Delivery:
    """Return where the messages to each partition are, after a map that has brought them together if that pays.

    Args:
        executor: Runs the map.
        way: Which way; ``None`` chooses.
        board: Knows what was written.
        folder: What keys of objects begin with.

    Raises:
        JobFailed: if messages are gone, or are not what was written.
    """
    inboxes = board.inboxes()
    if not board.sent:
        return Delivery(inboxes)
    if way is None:
        # What a map more takes was seen: the least that a superstep of this run took beside its work.
        stage_s = min(step.barrier for step in board.steps)
        way = Chosen(figures=replace(Figures(), stage_s=stage_s))
    clock = SystemClock()
    began = clock.now()
    found, made, _ = exchange.brought_together(executor, way, board.sent, inboxes, folder)
    return Delivery(
        found, frozenset(one.key for one in made if one.key), clock.now() - began if made else 0.0
    )
