"""The step between two stages: what n tasks made, sorted out for m others.

    client                 with crossing(policy, executor, …) as step: …      which way, and what it takes
    worker of stage 1      written = step.way.write([part 0, part 1, …])      one object, or values in Redis
    client                 columns([written, …])                              which slices part j is
    client                 step.delivered(written, [joined(share), …])        moved once more if that pays
    worker of stage 2      for data in read(slices): …                        several requests at a time
    client                 leaving the block                                  all of it is deleted

Ways are policy objects: :class:`Packed`, :class:`TwoLevel`, :class:`Redis`, and :class:`Chosen`, which is the default and
picks by what each takes (:mod:`~wrens.models.exchange.choosing`). Whatever the way, the index of what a task wrote
travels in the task's result, and so in its verdict: what an attempt wrote that lost is named by nobody, read by nobody, and
goes with its job. Without a crossing :func:`write` and :func:`forget` do for the packed way.
"""

from __future__ import annotations

from wrens.models.exchange.index import Slice, Written, columns, joined
from wrens.models.exchange.policies import (
    Chosen,
    Crossing,
    Exchange,
    Packed,
    Redis,
    TwoLevel,
    brought_together,
    crossing,
)
from wrens.models.exchange.reading import read, spooled
from wrens.models.exchange.storing import forget, is_near, write

__all__ = [
    "Chosen",
    "Crossing",
    "Exchange",
    "Packed",
    "Redis",
    "Slice",
    "TwoLevel",
    "Written",
    "brought_together",
    "columns",
    "crossing",
    "forget",
    "is_near",
    "joined",
    "read",
    "spooled",
    "write",
]
