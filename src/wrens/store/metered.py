"""A store that counts what is asked of it.

Decides what counts as one request: what a service would bill, except that a large object counts as one put however
it travels. Every claim about requests per batch is measured with this. Does not know prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

from wrens.store.port import Buffer, Mode, Store, is_signed, size, sizes

_PAGE = 1000
"""Keys that one listing or deletion request holds."""


@dataclass(frozen=True)
class Reading:
    """What a :class:`MeteredStore` has counted, failed requests included.

    ``puts``, ``gets``, ``lists`` and ``deletes`` are requests: a listing or a deletion is one for each 1000
    keys. ``bytes_in`` went into the store and ``bytes_out`` came from it.
    """

    puts: int = 0
    gets: int = 0
    lists: int = 0
    deletes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def __sub__(self, earlier: Reading) -> Reading:
        """Return what was counted since ``earlier``.

        >>> Reading(puts=3) - Reading(puts=1)
        Reading(puts=2, gets=0, lists=0, deletes=0, bytes_in=0, bytes_out=0)
        """
        return Reading(
            self.puts - earlier.puts,
            self.gets - earlier.gets,
            self.lists - earlier.lists,
            self.deletes - earlier.deletes,
            self.bytes_in - earlier.bytes_in,
            self.bytes_out - earlier.bytes_out,
        )


class MeteredStore:
    """Counts the requests and bytes that pass through it.

    Args:
        inner: The store that answers.

    >>> from wrens.store import open_store
    >>> store = MeteredStore(open_store("memory://metered"))
    >>> store.put("k", [b"ab", b"c"])
    >>> store.get("k", start=1).nbytes
    2
    >>> store.reading()
    Reading(puts=1, gets=1, lists=0, deletes=0, bytes_in=3, bytes_out=2)
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.url = inner.url
        self.signed = is_signed(inner)
        self._lock = Lock()
        self._counts = [0, 0, 0, 0, 0, 0]

    def reading(self) -> Reading:
        """Return what was counted until now; it does not change afterwards."""
        with self._lock:
            return Reading(*self._counts)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object, and count one request and its bytes."""
        parts = (data,) if isinstance(data, (bytes, bytearray, memoryview)) else data
        nbytes = sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in parts)
        self._add(0, 4, nbytes)
        self._inner.put(key, data, mode=mode)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return bytes of an object, and count one request and what came."""
        try:
            found = self._inner.get(key, start=start, length=length)
        except BaseException:
            self._add(1, 5, 0)
            raise
        self._add(1, 5, found.nbytes)
        return found

    def size(self, key: str) -> int:
        """Return how many bytes an object has, and count one request."""
        self._add(1, 5, 0)
        return size(self._inner, key)

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield keys with sizes, and count one request for each page of 1000 that was begun."""
        self._add(2, 5, 0)
        for n, one in enumerate(sizes(self._inner, prefix)):
            if n and n % _PAGE == 0:
                self._add(2, 5, 0)
            yield one

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield keys, and count one request for each page of 1000 that was begun."""
        self._add(2, 5, 0)
        for n, key in enumerate(self._inner.list(prefix, after=after)):
            if n and n % _PAGE == 0:
                self._add(2, 5, 0)
            yield key

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, and count one request for each 1000."""
        keys = list(keys)
        for _ in range(0, len(keys), _PAGE):
            self._add(3, 4, 0)
        self._inner.delete(keys)

    def _add(self, verb: int, direction: int, nbytes: int) -> None:
        with self._lock:
            self._counts[verb] += 1
            self._counts[direction] += nbytes

    def __repr__(self) -> str:
        return f"MeteredStore({self._inner!r})"
