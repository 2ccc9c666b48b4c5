"""How the arrays of a parameter server come to be: once, whoever asks for them at the same moment.

Of several clients, the one that is first at the first server makes them all, fills them with their first values, and says to each
server that they may be used; the others wait for that. Decides that, and what is refused: other arrays of the same name, too
little memory, and a part that one server has lost while others still have theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from wrens.clock import Clock, SystemClock
from wrens.errors import BadOption, ShardFull, ShardLost
from wrens.kv import servers
from wrens.models.parameter_server import arrays, library
from wrens.models.parameter_server.arrays import Array, Sparse
from wrens.models.parameter_server.shards import Shards, Updates
from wrens.models.parameter_server.standing import Standing
from wrens.wire import keys

BYTES = 24
"""Bytes that a server needs for a number of a dense array, while it makes it; 16 afterwards."""
SPARSE_BYTES = 80
"""The same for one of a sparse array, with the number of its row; 40 to 60 afterwards."""
MAKE_S = 5.0
"""How long another client may take to make its arrays on all servers."""
FILL_S = 60.0
"""How long it may take to fill them."""
DROP = "Delete the rest with parameter_server.drop(tier, name), and restore a checkpoint."


def make(shards: Shards, first: Updates, standing: Standing | None = None, time: Clock | None = None) -> None:
    """Make arrays on servers, or join those of this name.

    Args:
        shards: Which arrays on which servers. It learns by what each server knows them.
        first: What is in them when they are made.
        standing: Where workers stand. With it arrays are made and not joined.
        time: What to wait on.

    Raises:
        BadOption: if there are other arrays of this name, or any, with ``standing``.
        ShardFull: if a server has too little memory.
        ShardLost: if one does not answer, or has lost its part.
    """
    library.put(shards.tier)
    there = shards.look()
    if any(there.values()) and standing is not None:
        raise BadOption(
            f"name={shards.name!r}",
            "is there: servers hold arrays of this name",
            "Drop them before you restore them.",
        )
    specs = [
        f"{arrays.spelled(shards.arrays)}; part {s + 1} of {shards.count}".encode()
        for s in range(shards.count)
    ]
    for server, found in there.items():
        _check_same(shards, found, specs[server])
    if not any(there.values()):
        _check_memory(shards, first)
    token = keys.new_id().encode()
    if _create(shards, 0, token, specs[0]) != token:
        shards.tokens = _joined(shards, specs, time or SystemClock())
        return
    shards.tokens = (
        token,
        *(_create(shards, server, token, specs[server]) for server in range(1, shards.count)),
    )
    _check_whole(shards)
    for server, words in shards.updates(first, dtype="float64").items():
        for page in chain.from_iterable(map(arrays.pages, words)):
            shards.add({server: (1, [page])})
    if standing is not None:
        workers = () if standing.over else (standing.settled, *standing.clocks)
        shards.ask("begin", standing.run, 0 if standing.over else standing.workers, "", *workers)
    shards.ask("open")


def _create(shards: Shards, server: int, token: bytes, spec: bytes) -> bytes:
    """Make the arrays' part on a server, unless it has one, and return the token by which it knows it."""
    sizes = chain.from_iterable(
        (name, arrays.size_of(array, server, shards.count), _width(array))
        for name, array in shards.arrays.items()
    )
    args = ("create", shards.key, token, spec, len(shards.arrays), *sizes)
    found: Sequence[bytes] = library.call(shards.tier, {server: [args]})[server][0]
    _check_same(shards, found, spec)
    return found[0]


def _width(array: Array) -> int:
    return array.width if isinstance(array, Sparse) else 0


def _joined(shards: Shards, specs: Sequence[bytes], clock: Clock) -> tuple[bytes, ...]:
    """Wait until the client that makes the arrays has done so, and return by what servers know them."""
    began = clock.now()
    while True:
        there = shards.look()
        for server, found in there.items():
            _check_same(shards, found, specs[server])
        if all(found and found[2] for found in there.values()):
            shards.tokens = tuple(found[0] for found in there.values())
            _check_whole(shards)
            return shards.tokens
        for server, found in there.items():
            if not found and clock.now() > began + MAKE_S:
                raise _lost(shards, server)
            if clock.now() > began + FILL_S:
                told = (
                    f"whoever made {shards.name!r} has not filled it within {FILL_S:g} s, and may have died"
                )
                raise ShardLost(shards.tier.urls[server], told, DROP)
        clock.sleep(0.01)


def _check_same(shards: Shards, found: Sequence[bytes], spec: bytes) -> None:
    """Refuse to join arrays that are others."""
    if found and found[1] != spec:
        raise BadOption(
            f"name={shards.name!r}",
            f"is taken by other arrays: there are {found[1].decode()}, and here {spec.decode()}",
            "Create the same on the same servers in the same order, or choose another name. What is there was left as it is.",
        )


def _check_whole(shards: Shards) -> None:
    """Refuse parts that were not made together."""
    if len(set(shards.tokens)) > 1:
        raise _lost(shards, 0)


def _lost(shards: Shards, server: int) -> ShardLost:
    told = f"it has lost its part of {shards.name!r}, which others still have"
    return ShardLost(shards.tier.urls[server], told, DROP)


def _check_memory(shards: Shards, first: Updates) -> None:
    for server, url in enumerate(shards.tier.urls):
        free = servers.look(url).free
        needed = BYTES * sum(arrays.size_of(array, server, shards.count) for array in shards.arrays.values())
        needed += sum(_sparse_bytes(shards, name, values) for name, values, _ in first)
        if free is not None and needed > free:
            raise ShardFull(url, f"arrays of {needed:,} bytes, of which it has {free:,}")


def _sparse_bytes(shards: Shards, name: str, values: Any) -> int:
    """Return what a server needs for its part of the first values of an array, if that is sparse."""
    return SPARSE_BYTES * np.size(values) // shards.count if _width(shards.array(name)) else 0
