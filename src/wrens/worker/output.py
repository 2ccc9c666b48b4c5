"""What tasks write to stdout and stderr.

Caught where every writer ends up, at the file descriptors, so that C code and child processes are caught as
well and nothing is lost when the worker is killed: the descriptors are two files that the backend can read.
Decides how much of it goes into a verdict; showing it while it is written is the backend's business.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
from typing import TextIO

TAIL = 4096
"""Bytes of each stream that are kept in a verdict or a loss."""
HIGH = 300
"""Private descriptors are moved up here, out of the way of code that closes the low ones."""


def raised(fd: int) -> int:
    """Move a descriptor to a high number, closed on exec, and return it."""
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except OSError:
        # A process may be allowed fewer descriptors than that.
        os.set_inheritable(fd, False)  # noqa: FBT003 - it takes no keywords
        return fd
    os.close(fd)
    return high


def read_tail(fds: tuple[int, int], begins: tuple[int, int]) -> str:
    """Return the last of both files, each with its name, from where the attempt began.

    Args:
        fds: Descriptors of the files that stdout and stderr are written to.
        begins: Their lengths when the attempt began.
    """
    parts = []
    for name, fd, begin in zip(("stdout", "stderr"), fds, begins, strict=True):
        end = os.fstat(fd).st_size
        if end > begin:
            begin = max(begin, end - TAIL)
            text = os.pread(fd, end - begin, begin).decode("utf-8", "replace")
            parts.append(f"[{name}]\n{text}")
    return "\n".join(parts)


class Output:
    """The two files of this process.

    Args:
        fds: Private descriptors of the files that 1 and 2 were pointed at.
    """

    def __init__(self, fds: tuple[int, int]) -> None:
        self._fds = fds
        self._files = tuple(_identity(fd) for fd in fds)
        self._begins = (0, 0)

    def begin(self) -> None:
        """Note where the files end now, and repair what the last task did to its streams."""
        for number, fd, file in zip((1, 2), self._fds, self._files, strict=True):
            try:
                same = _identity(number) == file
            except OSError:
                same = False
            if not same:
                os.dup2(fd, number)
        if sys.stdout is None or sys.stdout.closed:
            sys.stdout = text_stream(1)
        if sys.stderr is None or sys.stderr.closed:
            sys.stderr = text_stream(2)
        self._begins = (os.fstat(self._fds[0]).st_size, os.fstat(self._fds[1]).st_size)

    def tail(self) -> str:
        """Return the last that was written since :meth:`begin`."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                # The user's code put something else there, or closed it.
                continue
        return read_tail(self._fds, self._begins)


def text_stream(fd: int) -> TextIO:
    """Return a text stream on a descriptor that passes on each line at once."""
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
