"""What can be asked of a server, as commands, and what its answers mean. Pure.

Decides how an operation is spelled. All that change something are numbered, so that they are carried out once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from wrens.errors import BadOption
from wrens.kv import scripts

Value = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one key.

    Args:
        key: The key, as the user wrote it.
        command: The command's name, or a script.
        args: What follows the key, or a script's own arguments.
        meant: Makes the result of a server's answer.
        once: Whether it is a script that must be carried out once.
    """

    key: str
    command: str
    args: tuple[Any, ...]
    meant: Callable[[Any], Any]
    once: bool = False

    def spelled(self, name: str, record: str, number: int, first: int) -> tuple[Any, ...]:
        """Return the command as it is sent.

        Args:
            name: The key as the server knows it.
            record: The key of the client's record.
            number: The operation's number, if it is to be carried out once,
            first: and that of the first one in its batch.
        """
        if not self.once:
            return (self.command, name, *self.args)
        digest = scripts.digest(self.command)
        return ("EVALSHA", digest, 2, name, record, number, first, scripts.KEPT_MS, *self.args)


LONGEST_S = 1e12
"""Seconds until a value may expire: servers count milliseconds in 64 bits."""
DIGITS = 20
"""Whole numbers with so many digits have more than 64 bits: servers keep them as floats."""


def get(key: str) -> Operation:
    """Read a value; ``None`` when there is none."""
    return Operation(key, "GET", (), lambda answer: answer)


def put(key: str, value: Value, expires_s: float | None = None) -> Operation:
    """Write a value, whatever there is.

    Raises:
        BadOption: if it is not bytes, or the time is not positive.
    """
    milliseconds = _milliseconds(expires_s)
    limit = ("PX", milliseconds) if milliseconds else ()
    return Operation(key, scripts.DO, ("SET", _bytes(value), *limit), _nothing, once=True)


def add(key: str, amount: float) -> Operation:
    """Add to a number, which is 0 when there is none; returns the new one: a float if one is added or if the sum is not whole.

    Raises:
        BadOption: if it is no number.
    """
    given: Any = amount  # NumPy's numbers are some, too
    if isinstance(given, bool) or not isinstance(given, Real) or given - given != 0:
        raise BadOption(f"amount={amount!r}", "is no number that can be added", "Add an int or a float.")
    if isinstance(given, Integral):
        if not -(2**63) <= int(given) < 2**63:
            raise BadOption(f"amount={amount!r}", "has more than 64 bits")
        return Operation(key, scripts.DO, ("INCRBY", int(given)), _number, once=True)
    return Operation(key, scripts.DO, ("INCRBYFLOAT", repr(float(given))), float, once=True)


def compare_and_set(
    key: str, expected: Value | None, new: Value | None, expires_s: float | None = None
) -> Operation:
    """Write a value if another one is there, and tell whether it was; ``None`` stands for no value."""
    return Operation(
        key,
        scripts.SET_IF,
        (
            int(expected is not None),
            b"" if expected is None else _bytes(expected),
            int(new is not None),
            b"" if new is None else _bytes(new),
            _milliseconds(expires_s),
        ),
        lambda answer: answer == b"1",
        once=True,
    )


def expire(key: str, seconds: float) -> Operation:
    """Let a value be forgotten after some time, and tell whether there is one."""
    return Operation(
        key, scripts.DO, ("PEXPIRE", _milliseconds(seconds)), lambda answer: answer == b"1", once=True
    )


def delete(key: str) -> Operation:
    """Delete a value, if there is one."""
    return Operation(key, scripts.DO, ("UNLINK",), _nothing, once=True)


def _nothing(_answer: Any) -> None:
    return None


def _number(answer: bytes) -> int | float:
    whole = answer.lstrip(b"-")
    return int(answer) if whole.isdigit() and len(whole) < DIGITS else float(answer)


def _bytes(value: Value) -> Value:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise BadOption(
            f"value of type {type(value).__name__}",
            "is not bytes",
            "Encode it first: text.encode(), array.tobytes(), json.dumps(...).encode().",
        )
    return bytes(value)


def _milliseconds(seconds: float | None) -> int:
    if seconds is None:
        return 0
    if not 0 < seconds < LONGEST_S:
        raise BadOption(
            f"expires_s={seconds!r}",
            "must be positive, and less than 30,000 years",
            "It is in seconds; without it a value stays.",
        )
    return max(1, round(seconds * 1000))
