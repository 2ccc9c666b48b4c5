"""Reads objects of a store ahead, several at a time.

A service answers each request after some tens of milliseconds, so a thousand verdicts one after another would take
half a minute. Decides how many are read at a time and how many may be held; what they mean is decided where
they are asked for. A directory is read one by one, which is faster there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from wrens.errors import WrensError
from wrens.store.port import Store

READERS = 32
"""How many objects are read at a time, and so held at most before they are asked for."""
_NEAR = ("file:", "memory:")

T = TypeVar("T")


class Fetcher:
    """Gets objects, those that are known to be wanted together several at a time.

    Args:
        store: Where to read.

    >>> from wrens.store import open_store
    >>> store = open_store("memory://fetching")
    >>> store.put("a", b"1")
    >>> bytes(Fetcher(store).get("a"))
    b'1'
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._near = store.url.startswith(_NEAR)
        self._threads: ThreadPoolExecutor | None = None
        self._ahead: dict[str, Future[memoryview]] = {}

    def together(self, items: Sequence[T], key_of: Callable[[T], str | None]) -> Iterator[T]:
        """Yield these items in order, the object of each being read by the time that it comes.

        Args:
            items: What needs an object each.
            key_of: Returns the key of an item's object, or ``None`` when none will be asked for.
        """
        if self._near or len(items) < 2:
            yield from items
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="wrens-fetch")
        for first in range(0, len(items), READERS):
            some = items[first : first + READERS]
            wanted = {key for key in map(key_of, some) if key is not None}
            try:
                self._ahead = {key: self._threads.submit(self._store.get, key) for key in wanted}
            except RuntimeError:  # the interpreter is about to end, and begins nothing new
                self._ahead = {}
            yield from some
        self._ahead = {}

    def get(self, key: str) -> memoryview:
        """Return an object.

        Raises:
            StoreError: if it cannot be read; what was read ahead in vain is tried once more.
        """
        ahead = self._ahead.pop(key, None)
        if ahead is not None:
            try:
                return ahead.result()
            except WrensError:
                pass
        return self._store.get(key)

    def close(self) -> None:
        """Free the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
