"""Shows what workers write, while they write it.

Decides how the output of several workers is put together: by whole lines, as long as a line is not held back
for too long. Everything goes to the ``sys.stdout`` and ``sys.stderr`` of the moment, so that a notebook
shows it where it shows the client's own output.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys

LARGE = 8_000_000
"""Bytes from which a file is emptied when its worker is idle."""


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

    def show(self, *, whole: bool = False) -> None:
        """Show what is new; an unfinished line only if nothing has come after it, or with ``whole``."""
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
        self._part = text[end:]
        if end:
            self._write(text[:end])

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
