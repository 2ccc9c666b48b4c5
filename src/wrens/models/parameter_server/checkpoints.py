"""Arrays of a parameter server in the store, and back.

    jobs/<name>/parameters/<n>       all arrays, what they are, and where workers stood; created once

Decides what a checkpoint holds and which ones are kept. Numbers are written as servers have them, in 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from wrens.errors import AlreadyExists, BadOption
from wrens.models.parameter_server.arrays import Array, Sparse, check_finite
from wrens.models.parameter_server.policies import Consistency, Synchronous
from wrens.models.parameter_server.shards import Shards
from wrens.models.parameter_server.standing import Standing
from wrens.serialize import Pack, pack
from wrens.store.port import Store
from wrens.wire import keys

KEPT = 2
"""Checkpoints of one name that are kept, the last ones."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is written.

    Args:
        arrays: What each is.
        values: Of each the numbers of its rows, ``None`` for all, and the rows.
        standing: Where workers stood.
        consistency: What they wait for.
    """

    arrays: dict[str, Array]
    values: dict[str, tuple[Any, Any]]
    standing: Standing
    consistency: Consistency

    def updates(self) -> list[tuple[str, Any, Any]]:
        """Return what makes of zeros what there was."""
        return [(name, values, rows) for name, (rows, values) in self.values.items()]


def write(shards: Shards, consistency: Consistency, store: Store) -> str:
    """Write a checkpoint, and return its key.

    Raises:
        BadUpdate: if a number is not finite any more, so that nobody would want to go on from there.
        StoreError: if the store does not take it.
    """
    standing = shards.standing()
    if isinstance(consistency, Synchronous) and standing.workers:
        # What single workers have told of the next clock is not in the arrays, and they will tell it again.
        at = shards.settled(standing).settled
        standing = replace(standing, settled=at, ready=at, clocks=(at,) * standing.workers)
    values: dict[str, tuple[Any, Any]] = {}
    for name, array in shards.arrays.items():
        rows, found = shards.read(name, dtype="float64")
        values[name] = rows if isinstance(array, Sparse) else None, found
        check_finite(name, values[name][1], "holds")
    packed = pack([Checkpoint(shards.arrays, values, standing, consistency)], what=lambda _: "a checkpoint")
    there = list(store.list(keys.parameters(shards.name)))
    number = int(there[-1].rpartition("/")[2]) + 1 if there else 0
    while True:
        key = keys.parameters_at(shards.name, number)
        try:
            store.put(key, packed.buffers)
        except AlreadyExists:  # somebody else's, of the same moment
            number += 1
            continue
        if len(there) >= KEPT:
            store.delete(there[: len(there) + 1 - KEPT])
        return key


def read(store: Store, name: str) -> Checkpoint:
    """Return the last checkpoint of a name.

    Raises:
        BadOption: if there is none.
    """
    there = list(store.list(keys.parameters(name)))
    if not there:
        raise BadOption(
            f"name={name!r}",
            f"has no checkpoint in {store.url}",
            "Look at the name and the store; run(every=...) writes them.",
        )
    found: Checkpoint = Pack(store.get(there[-1]), key=there[-1]).item(0)
    return found
