"""Bulk-synchronous programs on plain maps: supersteps, with messages between them.

    client     bsp(executor, step, states)                          claims the name, puts states and data into the store
    client     a map of the executor, one task for each partition   that is awake
    worker     step(at, state, inbox)                               reads its state and the ranges of its messages, writes
                                                                    ONE object: a part for each receiver, and the state
    client     the board: where each state and message lies now     pure; of a run with a name also a record in the store
    ...        until all have voted to halt and no message is left

Nothing stays with workers: what they keep while they are warm is a copy of what the store has. Since a superstep is a map,
it has the retries, backups, limits and accounts of the executor, each partition's step counts once, and the messages of an
attempt that lost are named by no verdict and read by nobody.
"""

from __future__ import annotations

from wrens.models.bsp.messages import Inbox
from wrens.models.bsp.results import Run, Step
from wrens.models.bsp.running import bsp
from wrens.models.bsp.superstep import Superstep

__all__ = ["Inbox", "Run", "Step", "Superstep", "bsp"]
