"""Which of m tasks a key belongs to: the same one in every process, whatever the hash seed.

Equal keys have equal numbers, also where their types differ (``1 == 1.0 == True``). Decides the numbers, and what can be a
key; what is done with them is the business of :mod:`wrens.models.mapreduce.grouping`.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Hashable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from reprlib import repr as shown
from typing import Any

from wrens.errors import BadPair

_MIX, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def _of_bytes(data: bytes, kind: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8, person=kind).digest(), "little")


@lru_cache(maxsize=65_536)
def _of_text(key: str) -> int:
    return _of_bytes(key.encode("utf-8", "surrogatepass"), b"text")


def _of_number(key: Any) -> int:
    if key != key:
        raise BadPair(
            shown(key),
            "is no key: it equals nothing, not even itself",
            "Use None, or a text, for what is missing.",
        )
    # Python's hash of numbers does not depend on the seed, and is the same for equal ones of any type.
    number = hash(key) & _MASK
    number = (number ^ (number >> 31)) * _MIX & _MASK
    return number ^ (number >> 29)


def _of_none(_: object) -> int:
    return 0x6E6F6E65


def _of_tuple(key: Any) -> int:
    return _of_bytes(b"".join(number_of(part).to_bytes(8, "little") for part in key), b"tuple")


def _of_set(key: Any) -> int:
    numbers = sorted(number_of(part) for part in key)
    return _of_bytes(b"".join(number.to_bytes(8, "little") for number in numbers), b"set")


def _of_moment(key: dt.datetime) -> int:
    if key.utcoffset() is None:
        return _of_bytes(key.replace(tzinfo=None).isoformat().encode(), b"time")
    return _of_bytes(key.astimezone(dt.UTC).isoformat().encode(), b"instant")


def _of_duration(key: dt.timedelta) -> int:
    return _of_bytes(f"{key.days} {key.seconds} {key.microseconds}".encode(), b"duration")


_KINDS: dict[type, Callable[[Any], int]] = {
    str: _of_text,
    bytes: lambda key: _of_bytes(key, b"bytes"),
    int: _of_number,
    float: _of_number,
    bool: _of_number,
    complex: _of_number,
    Decimal: _of_number,
    Fraction: _of_number,
    tuple: _of_tuple,
    frozenset: _of_set,
    type(None): _of_none,
    uuid.UUID: lambda key: _of_bytes(key.bytes, b"uuid"),
    dt.date: lambda key: _of_bytes(key.isoformat().encode(), b"date"),
    dt.datetime: _of_moment,
    dt.timedelta: _of_duration,
}


def number_of(key: Hashable) -> int:
    """Return a number below 2**64 that is the same for equal keys in every process.

    Args:
        key: Text, bytes, a number, ``None``, a date, a date with time, a duration, a UUID, a member of an enumeration, or a
            tuple or frozenset of such; subclasses of tuple count as tuples, and NumPy's numbers as numbers.

    Raises:
        BadPair: if it is of another type, or not a number (NaN), which equals nothing.

    >>> number_of(1) == number_of(1.0) == number_of(True), number_of("a") == number_of(b"a")
    (True, False)
    """
    told = _KINDS.get(type(key))
    return told(key) if told is not None else _of_other(key)


def _of_other(key: Any) -> int:
    if isinstance(key, enum.Enum) and type(key).__hash__ is enum.Enum.__hash__:
        return _of_bytes(f"{type(key).__module__}.{type(key).__qualname__}.{key.name}".encode(), b"member")
    for known, told in _KINDS.items():
        if isinstance(key, known) and getattr(type(key), "__hash__", None) == getattr(known, "__hash__", 0):
            return told(key)
    if hasattr(key, "item") and hasattr(key, "dtype") and key == key.item():
        return number_of(key.item())
    kind = type(key)
    raise BadPair(
        shown(key),
        f"is no key: of the type {kind.__module__}.{kind.__qualname__} no number is known that is the same in every "
        "process",
        "Use text, bytes, numbers, dates, or tuples of them as keys; str(key) may do.",
    )
