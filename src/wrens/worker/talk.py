"""What a worker process and the backend that started it say to each other through two pipes.

A frame is a length of 4 bytes and a record in MessagePack. To the worker goes one :class:`Setup`, then one
:class:`~wrens.wire.records.Invocation` after another; back come :class:`Notice` records. All of it is a hint:
what counts is in the store. Decides the bytes, nothing else.
"""

from __future__ import annotations

import os

import msgspec

from wrens.wire.records import Refusal

REASON = 2000
"""Characters of a reason in a notice. Several threads write to one pipe, which promises to keep up to 4 KB
in one piece."""


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """What a worker process is told once: its name in verdicts, and who its client is."""

    backend: str
    where: str
    client_pid: int


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """How an attempt ended, or under which name it goes on; ``lost`` tells why it left no verdict.

    ``refused`` is the error behind that which another worker would meet as well. ``leaves`` says that the
    process is about to end itself and must not be given anything more.
    """

    attempt: str
    goes_on_as: str = ""
    lost: str = ""
    leaves: bool = False
    refused: Refusal | None = None


class Frames:
    """Takes a stream of bytes apart into frames.

    >>> frames = Frames()
    >>> frames.feed(frame(Notice("7.a"))[:5]), frames.feed(frame(Notice("7.a"))[5:]) == [frame(Notice("7.a"))[4:]]
    ([], True)
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that are complete with these bytes."""
        data = self._rest + data if self._rest else data
        found, at = [], 0
        while len(data) - at >= 4:
            end = at + 4 + int.from_bytes(data[at : at + 4], "little")
            if end > len(data):
                break
            found.append(data[at + 4 : end])
            at = end
        self._rest = data[at:]
        return found


def frame(record: msgspec.Struct) -> bytes:
    """Return a record as a frame."""
    text = msgspec.msgpack.encode(record)
    return len(text).to_bytes(4, "little") + text


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data`` to a blocking descriptor.

    Raises:
        BrokenPipeError: if nobody reads any longer.
    """
    while data:
        data = data[os.write(fd, data) :]
