"""What a key may be, and how data becomes buffers: the checks that every store makes first.

Decides the rules that hold for all stores alike, so that a key that is good in a test with a directory is
good in a bucket too. Decides nothing about where bytes go. Used inside this folder only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from wrens.errors import BadOption
from wrens.store.port import Buffer

RESERVED = ".wrens"
"""First part that no key may have: directory stores keep unfinished files below it."""

# One pass over the whole key: every part is there, is not '.' or '..', and has no control character.
_KEY = re.compile(r"(?:(?!\.{1,2}(?:/|\Z))[^/\x00-\x1f\x7f\ud800-\udfff]+(?:/(?=.)|\Z))+", re.DOTALL)


def check_key(key: str) -> str:
    """Return ``key`` when every store can hold it.

    Args:
        key: Parts joined by ``/``.

    Returns:
        The key, unchanged.

    Raises:
        BadOption: if a part is empty, ``.`` or ``..``, holds a control character, or is reserved.

    >>> check_key("jobs/j/verdicts/00000007.1")
    'jobs/j/verdicts/00000007.1'
    >>> check_key("jobs/../secret")
    Traceback (most recent call last):
        ...
    wrens.errors.BadOption: key='jobs/../secret' cannot be a key of a store
      Write parts joined by single slashes, without '.', '..' or control characters, such as 'jobs/j/end'.
    """
    if not _KEY.fullmatch(key) or key.startswith(RESERVED + "/") or key == RESERVED:
        raise BadOption(
            f"key={key!r}",
            "cannot be a key of a store",
            "Write parts joined by single slashes, without '.', '..' or control characters, "
            "such as 'jobs/j/end'.",
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return ``prefix`` when it is empty or a key followed by ``/``.

    Raises:
        BadOption: if it is neither.

    >>> check_prefix("jobs/"), check_prefix("")
    ('jobs/', '')
    """
    if prefix:
        if not prefix.endswith("/"):
            raise BadOption(f"prefix={prefix!r}", "does not end in '/'", f"Write {prefix + '/'!r}.")
        check_key(prefix[:-1])
    return prefix


def check_range(start: int, length: int | None) -> None:
    """Refuse a range that begins before the object or has less than no length.

    Raises:
        BadOption: if ``start`` or ``length`` is negative.
    """
    if start < 0 or (length is not None and length < 0):
        raise BadOption(
            f"start={start}, length={length}", "is no range", "Both count bytes, from 0; length may be None."
        )


def as_buffers(data: Buffer | Sequence[Buffer]) -> list[bytes | memoryview]:
    """Return ``data`` as flat buffers of bytes, in order and without the empty ones; nothing is copied.

    Only a buffer whose bytes do not lie side by side (a strided view) has to be copied.

    >>> [bytes(b) for b in as_buffers([b"ab", b"", bytearray(b"c")])]
    [b'ab', b'c']
    """
    if isinstance(data, bytes):
        return [data] if data else []
    if isinstance(data, (bytearray, memoryview)):
        data = (data,)
    return [_flat(part) for part in data if not _is_empty(part)]


def _is_empty(part: Buffer) -> bool:
    return part.nbytes == 0 if isinstance(part, memoryview) else not len(part)


def _flat(part: Buffer) -> bytes | memoryview:
    if isinstance(part, bytes):
        return part
    view = memoryview(part)
    if not view.c_contiguous:
        return view.tobytes()
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def total(buffers: Sequence[bytes | memoryview]) -> int:
    """Return how many bytes the flat buffers hold together.

    >>> total([b"ab", memoryview(b"c")])
    3
    """
    return sum(map(len, buffers))


def pieces(buffers: Sequence[bytes | memoryview], size: int) -> Iterator[memoryview]:
    """Yield the bytes of flat buffers in pieces of at most ``size``, without copying any.

    >>> [bytes(piece) for piece in pieces([b"abcde", b"f"], 2)]
    [b'ab', b'cd', b'e', b'f']
    """
    for buffer in buffers:
        view = memoryview(buffer)
        for start in range(0, len(view), size):
            yield view[start : start + size]
