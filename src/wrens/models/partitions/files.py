"""An object as a file that libraries can read and seek in.

Decides how reads become requests: one for each, of what is asked for. Whoever reads a little at a time puts a buffer
around it, as :meth:`wrens.Partition.open` does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable

AHEAD = 1024 * 1024
"""Bytes of such a buffer."""


class ObjectFile(io.RawIOBase):
    """A file over one object; nothing is read before it is asked for.

    Args:
        fetch: ``fetch(start, stop)`` returns exactly these bytes of the object.
        size: Its size in bytes.

    >>> file = ObjectFile(lambda start, stop: memoryview(b"0123456789")[start:stop], 10)
    >>> file.seek(-4, 2), file.read(2), file.tell()
    (6, b'67', 8)
    """

    def __init__(self, fetch: Callable[[int, int], memoryview], size: int) -> None:
        super().__init__()
        self._fetch, self._size, self._at = fetch, size, 0

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError(f"negative seek position {at}")
        self._at = at
        return at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readall(self) -> bytes:
        """Return all that is left, read with one request."""
        begin, self._at = self._at, max(self._at, self._size)
        return bytes(self._fetch(begin, self._at))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on from the position until the buffer is full or the object ends."""
        wanted = max(0, min(len(buffer), self._size - self._at))
        if wanted:
            buffer[:wanted] = self._fetch(self._at, self._at + wanted)
            self._at += wanted
        return wanted
