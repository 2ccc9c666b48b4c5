"""An object as a file that libraries can read and seek in.

Decides how reads become requests: what is asked for is read with what lies behind it, since who reads a little mostly
reads on.
"""

from __future__ import annotations

import io
import os

from wrens.store.port import Store

AHEAD = 1024 * 1024
"""Bytes that are read at least, with one request."""


class ObjectFile(io.RawIOBase):
    """A file over one object; nothing is read before it is asked for.

    Args:
        store: Where the object is.
        key: Its key.
        size: Its size in bytes.

    >>> from wrens.store import open_store
    >>> store = open_store("memory://files")
    >>> store.put("k", b"0123456789")
    >>> file = ObjectFile(store, "k", 10)
    >>> file.seek(-4, 2), file.read(2), file.tell()
    (6, b'67', 8)
    """

    def __init__(self, store: Store, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size = store, key, size
        self._at = self._begin = 0
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on from the position until the buffer is full or the object ends."""
        wanted = max(0, min(len(buffer), self._size - self._at))
        if not wanted:
            return 0
        begin = self._at - self._begin
        if not 0 <= begin <= len(self._held) - wanted:
            length = min(max(wanted, AHEAD), self._size - self._at)
            self._held = self._store.get(self._key, start=self._at, length=length)
            self._begin, begin = self._at, 0
        part = self._held[begin : begin + wanted]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
