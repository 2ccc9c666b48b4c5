"""Decoders of records, made one at a time.

msgspec keeps what it has found out about a struct where every thread finds it, and puts it there before it is
complete, because structs may contain themselves. A thread that decodes meanwhile reads null pointers, and its
process ends with SIGSEGV (seen with msgspec 0.22). So no decoder is made but under one lock, and whoever waits for
the lock gets a finished one. Decides nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")

_making = threading.Lock()


def from_msgpack(kind: type[T], data: Buffer) -> T:
    """Return the value of this type that MessagePack holds.

    Args:
        kind: A struct, or any other type that msgspec knows.
        data: The text.

    Raises:
        msgspec.MsgspecError: if it holds none.

    >>> from_msgpack(tuple[int, str], msgspec.msgpack.encode([1, "a"]))
    (1, 'a')
    """
    found: T = _msgpack(kind)(data)  # type: ignore[arg-type]  # mypy takes no type for hashable
    return found


def from_json(kind: type[T], data: Buffer) -> T:
    """Return the value of this type that JSON holds.

    Args:
        kind: A struct, or any other type that msgspec knows.
        data: The text.

    Raises:
        msgspec.MsgspecError: if it holds none.
        UnicodeDecodeError: if it is not UTF-8.

    >>> from_json(dict[str, int], b'{"a": 1}')
    {'a': 1}
    """
    found: T = _json(kind)(data)  # type: ignore[arg-type]  # mypy takes no type for hashable
    return found


@cache
def _msgpack(kind: Any) -> Callable[[Buffer], Any]:
    with _making:
        return msgspec.msgpack.Decoder(kind).decode  # noqa: TID251 (here only)


@cache
def _json(kind: Any) -> Callable[[Buffer], Any]:
    with _making:
        return msgspec.json.Decoder(kind).decode  # noqa: TID251 (here only)
