"""Parts as values of Redis servers, and in the store what those do not take.

Every attempt has names of its own, and the index says of each part where it is; so what a full or dead server did not
take is read from the store, and what another attempt left is never read. Each value has a digest: who can write to the
server cannot make a reader unpickle something else. Decides names and what is written where.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wrens.kv.placing import placed
from wrens.models.exchange import shards
from wrens.models.exchange.index import Written
from wrens.models.exchange.storing import Part, here, prepared, put
from wrens.wire import keys

PREFIX = "wrens/"
"""What every name begins with."""


def write(
    parts: Iterable[Part],
    urls: Sequence[str],
    expires_s: float,
    *,
    note: Any = None,
    store: str = "",
    folder: str = "",
) -> Written:
    """Write what a task has for the next stage to Redis servers, and to the store what they do not take.

    Args:
        parts: One for each task of the next stage, each one buffer or several.
        urls: The servers.
        expires_s: After how many seconds they forget it.
        note: What else the client should know.
        store: Where the rest goes; by default the store of the task that is running.
        folder: What keys and names begin with; by default what those of the task's job do.

    Raises:
        StoreError: if what servers did not take could not be written to the store.
    """
    store, folder = here(store, folder)
    ready = prepared(parts, squeeze=True, checked=True)
    name = f"{PREFIX}{folder}/{keys.new_id()}"
    places = array("H", bytes(2 * len(ready.parts)))
    waiting: list[list[int]] = [[] for _ in urls]
    for j, length in enumerate(ready.lengths):
        if 0 < length <= shards.LARGEST:
            waiting[placed(f"{name}/{j}", urls)].append(j)

    def give(at: int) -> None:
        some = waiting[at]
        values = ((f"{name}/{j}", b"".join(ready.parts[j])) for j in some)
        refused = set(shards.give(urls[at], values, expires_s))
        for j in some:
            if f"{name}/{j}" not in refused:
                places[j] = at + 1

    with ThreadPoolExecutor(min(len(urls), 16), thread_name_prefix="wrens-exchange") as pool:
        list(pool.map(give, [at for at, some in enumerate(waiting) if some]))
    left = [[] if places[j] else part for j, part in enumerate(ready.parts)]
    return Written(
        store,
        put(store, folder, left),
        ready.lengths.tobytes(),
        ready.sizes,
        ready.digests,
        note,
        tuple(urls),
        places.tobytes(),
        name,
    )
