"""Shows what workers write, while they write it.

Decides how the output of several workers is put together: by whole lines, as long as a line is not held back
for too long. Everything goes to the ``sys.stdout`` and ``sys.stderr`` of the moment, so that a notebook
shows it where it shows the client's own output. The stack that Python writes when a process crashes is shown
once, however many attempts end in the same way.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from pathlib import Path

LARGE = 8_000_000
"""Bytes from which a file is emptied when its worker is idle."""
_CRASH = "Fatal Python error: "
_OWN = f'File "{Path(__file__).resolve().parents[1]}{os.sep}'


class Crashes:
    r"""The crashes whose stacks have been shown.

    >>> crashes = Crashes()
    >>> stack = "Fatal Python error: Aborted\n\nCurrent thread 0x{} (most recent call first):\n  File 1\n"
    >>> crashes.news("a word\n" + stack.format("7f01")) == "a word\n" + stack.format("7f01")
    True
    >>> crashes.news("another\n" + stack.format("7f02"))
    'another\nFatal Python error: Aborted (at the same place as before)\n'
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def news(self, text: str) -> str:
        """Return the last words of a process without the stack at their end, if that has been shown before."""
        before, found, stack = text.rpartition(_CRASH)
        if not found:
            return text
        what = stack.partition("\n")[0]
        place = what + "".join(line for line in _crashed(stack).splitlines() if _OWN not in line)
        if place not in self._seen:
            self._seen.add(place)
            return text
        return f"{before}{_CRASH}{what} (at the same place as before)\n"


def _crashed(stack: str) -> str:
    """Return the part of a stack that tells one crash from another: the thread that crashed, without addresses."""
    return stack.partition("\nCurrent thread ")[2].partition("\n")[2].partition("\n\n")[0]


class Shown:
    """One file that a worker writes, and how far it has been shown.

    Args:
        fd: Descriptor of the file.
        stream: ``"stdout"`` or ``"stderr"``: where it is shown.
    """

    def __init__(self, fd: int, stream: str) -> None:
        self._fd, self._stream = fd, stream
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._part = ""

    def show(self, *, whole: bool = False, crashes: Crashes | None = None) -> None:
        """Show what is new; an unfinished line or a crash only if nothing has come after it, or with ``whole``.

        With ``crashes``, the writer has ended, and a stack that is among them is not shown again.
        """
        grown = os.fstat(self._fd).st_size > self._at
        if not grown and not self._part:
            return
        text = self._part
        while grown:
            data = os.pread(self._fd, 1 << 20, self._at)
            self._at += len(data)
            text += self._decoder.decode(data)
            grown = bool(data)
        end = text.rfind("\n") + 1
        if whole or end == 0 or text == self._part:
            end = len(text)
        elif (crash := text.find(_CRASH)) >= 0:
            # If these are its last words, they are shown together when it has ended.
            end = min(end, crash)
        self._part = text[end:]
        if end:
            self._write(crashes.news(text[:end]) if crashes else text[:end])

    def empty(self) -> None:
        """Give the file's space back if there is much of it. Only while nobody writes."""
        if self._at > LARGE:
            os.ftruncate(self._fd, 0)
            self._at = 0

    def _write(self, text: str) -> None:
        # A stream of the client's that is closed, missing or of its own making is no reason to stop its jobs.
        with contextlib.suppress(Exception):
            target = getattr(sys, self._stream)
            target.write(text)
            target.flush()
