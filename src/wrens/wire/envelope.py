"""The layout of a stored object: a short head, one record, a body.

    bytes 0-5   b"wrens" and the version of the layout
    bytes 6-7   zero
    bytes 8-15  length of the record, little-endian
    then        the record (MessagePack), zeros up to a multiple of 64, the body

The body begins on a multiple of 64 bytes so that arrays in it can be mapped from a file and used as they
are. Decides the layout; what the body means is the serialiser's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from wrens.errors import DamagedObject, ForeignRecord, VersionMismatch
from wrens.wire import decoders
from wrens.wire.records import VERSION

ALIGN = 64
_MAGIC = b"wrens" + bytes([VERSION]) + b"\0\0"
_PAD = bytes(ALIGN)
_encoder = msgspec.msgpack.Encoder()

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview


def padding(length: int) -> int:
    """Return how many zeros bring ``length`` to the next multiple of 64.

    >>> padding(0), padding(1), padding(64)
    (0, 63, 0)
    """
    return -length % ALIGN


def seal(record: msgspec.Struct, body: Sequence[Buffer] = ()) -> list[Buffer]:
    """Return the object as a list of buffers, in order; the body's buffers are not copied."""
    text = _encoder.encode(record)
    head = b"".join((_MAGIC, len(text).to_bytes(8, "little"), text))
    if not body:
        return [head]
    return [head + _PAD[: padding(len(head))], *body]


def unseal(kind: type[T], data: Buffer, key: str = "an object") -> tuple[T, memoryview]:
    """Split a stored object into its record and its body; the body is a view, not a copy.

    Raises:
        DamagedObject: if this is not such an object, or is cut short.
        VersionMismatch: if another version of wrens has written it.
    """
    view = memoryview(data)
    end = record_end(view[:16], key)
    if len(view) < end:
        raise DamagedObject(key, f"it is cut off in its record: {len(view)} of {end} bytes")
    try:
        record = decoders.from_msgpack(kind, view[16:end])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedObject(key, str(error)) from error
    return record, view[end + padding(end) :]


def record_end(head: Buffer, key: str = "an object") -> int:
    """Return where the record ends, from the first 16 bytes of an object.

    Raises:
        DamagedObject: if these bytes do not begin an object.
        VersionMismatch: if they begin one of another version.
    """
    head = bytes(head)
    if len(head) < 16 or head[:5] != _MAGIC[:5]:
        raise DamagedObject(key, "it does not begin as an object of wrens")
    check_version(head[5], key)
    return 16 + int.from_bytes(head[8:16], "little")


def check_version(version: int, thing: str, made: str = "") -> None:
    """Refuse what a wrens has written whose records are not these.

    Args:
        version: The version of its records.
        thing: What it is.
        made: The version of that wrens itself, where it is known.

    Raises:
        VersionMismatch: naming both versions.
    """
    if version != VERSION:
        theirs = f"{made} (records of version {version})".lstrip()
        raise VersionMismatch("wrens", theirs, f"(records of version {VERSION})", thing)


def check_made(found: str, made: str, key: str, store: str = "") -> None:
    """Refuse a record that was made for another job of the same name.

    Args:
        found: Which making of the job the record names.
        made: Which one is asked for.
        key: Where the record is.
        store: In which store.

    Raises:
        ForeignRecord: if they differ.
    """
    if found != made:
        raise ForeignRecord(key, store, found, made)


class _Made(msgspec.Struct):
    """What records of every version say of themselves."""

    v: int = VERSION
    wrens: str = ""


def to_json(record: msgspec.Struct) -> bytes:
    """Return a record as JSON, for the objects that people read."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def from_json(kind: type[T], data: Buffer, key: str = "an object") -> T:
    """Return the record that ``data`` holds.

    Raises:
        DamagedObject: if it does not hold one of this kind.
        VersionMismatch: if another version of wrens has written it.
    """
    text = bytes(data)
    try:
        made = decoders.from_json(_Made, text)
        check_version(made.v, key, made.wrens)
        return decoders.from_json(kind, text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedObject(key, str(error)) from error
