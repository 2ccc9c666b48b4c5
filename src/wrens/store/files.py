"""Reading and writing whole files with as few system calls as it takes.

Decides when a file is read and when it is mapped, and how many buffers go out in one call. Knows no keys
and no store.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from weakref import WeakSet

SMALL = 1 << 16
"""Up to this many bytes a file is read; beyond, it is mapped."""
_VECTOR = 512
"""Buffers handed to one ``writev``; every system takes at least this many."""
WRITTEN = 1 << 18
"""Bytes handed to one ``writev``. Calls with 16 MB took Linux, on a virtual machine whose memory was not in use before, 15 times as
long for each byte (``bench/write_sizes.py``); with less than this they are only more calls."""
_MAPS = 256
"""Live maps before files are read instead: before Python 3.13 each one keeps a file descriptor."""
_live: WeakSet[mmap.mmap] = WeakSet()


def write_all(fd: int, buffers: Sequence[bytes | memoryview]) -> None:
    """Write the buffers one after the other, without joining them in memory."""
    for rest in _together(buffers):
        while rest:
            rest = _after(rest, os.writev(fd, rest))


def _together(buffers: Sequence[bytes | memoryview]) -> Iterator[Sequence[bytes | memoryview]]:
    """Yield buffers, and pieces of long ones, as they are written by one call.

    >>> [list(map(len, some)) for some in _together([b"abc", bytes(300_000), b"de"])]
    [[3, 262141], [37859, 2]]
    """
    some: list[bytes | memoryview] = []
    room = WRITTEN
    for buffer in buffers:
        at, end = 0, len(buffer)
        while end - at >= room:
            yield [*some, memoryview(buffer)[at : at + room]]
            at, room, some = at + room, WRITTEN, []
        if at < end:
            some.append(memoryview(buffer)[at:] if at else buffer)
            room -= end - at
        if len(some) == _VECTOR:
            yield some
            room, some = WRITTEN, []
    if some:
        yield some


def _after(buffers: Sequence[bytes | memoryview], written: int) -> Sequence[bytes | memoryview]:
    """Return what is left of the buffers when the first ``written`` bytes are out."""
    for n, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[n + 1 :]]
        written -= len(buffer)
    return ()


def read(path: str, start: int, length: int | None, *, maps: bool = True) -> memoryview:
    """Return a range of a file; past the end there is nothing, which is no error.

    A long range is mapped privately: what is written into it copies the pages concerned and never reaches
    the file, so arrays in it can be handed out as they are and be written to. What others write into the file is
    seen in the map, though; without ``maps`` it is read into memory, which can be written to as well.

    Raises:
        OSError: if the file cannot be opened or read.
        MemoryError: if there is no room in memory to map it.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        if length is not None and length <= SMALL:
            return memoryview(os.pread(fd, length, start))
        # One byte more than is read tells a small file from one to map without asking for its size.
        head = os.pread(fd, SMALL + 1, start)
        if len(head) <= SMALL:
            return memoryview(head)
        size = os.fstat(fd).st_size - start
        wanted = size if length is None else min(size, length)
        return _long(fd, start, wanted) if maps else _copied(fd, start, wanted)
    except OSError as error:
        if error.errno == errno.ENOMEM:  # of a map; it says nothing about the file
            raise MemoryError(f"no memory to map {path}") from None
        raise
    finally:
        os.close(fd)


def _long(fd: int, start: int, length: int) -> memoryview:
    """Map a range of a file; a map has to begin on a page."""
    skip = start % mmap.ALLOCATIONGRANULARITY
    if sys.version_info >= (3, 13):
        mapped = mmap.mmap(fd, length + skip, access=mmap.ACCESS_COPY, offset=start - skip, trackfd=False)
        return memoryview(mapped)[skip:]
    if len(_live) >= _MAPS:
        return _copied(fd, start, length)
    mapped = mmap.mmap(fd, length + skip, access=mmap.ACCESS_COPY, offset=start - skip)
    _live.add(mapped)
    return memoryview(mapped)[skip:]


def _copied(fd: int, start: int, length: int) -> memoryview:
    """Read a long range into memory."""
    into = bytearray(length)
    view, done = memoryview(into), 0
    while done < length:
        n = os.preadv(fd, [view[done:]], start + done)
        if not n:
            break
        done += n
    return view[:done]
