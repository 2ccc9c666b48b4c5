"""Numbers as people read and write them.

Decides how durations, sizes and times look in wrens, and which durations can be typed. Computes nothing
else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from wrens.errors import BadOption

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*")


def parse_duration(text: str, option: str = "duration") -> float:
    """Return the seconds that a text such as ``7d``, ``12h`` or ``30m`` means.

    Args:
        text: A number and one of ``s``, ``m``, ``h``, ``d``, ``w``.
        option: What the user calls it, for the error.

    Raises:
        BadOption: if it is no such text.

    >>> parse_duration("7d"), parse_duration("1.5h")
    (604800.0, 5400.0)
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadOption(
            f"{option}={text!r}", "is no duration", "Write a number and a unit: 30m, 12h, 7d, 2w (or 90s)."
        )
    return float(match.group(1)) * _UNITS[match.group(2)]


def duration(seconds: float) -> str:
    """Return a duration as people say it.

    >>> [duration(s) for s in (0.0004, 0.25, 8.04, 75, 3700, 200_000)]
    ['0.4 ms', '250 ms', '8.0 s', '1 min 15 s', '1 h 1 min', '2 d 7 h']
    """
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for length, unit, below, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length:
            rest = whole % length // below
            return f"{whole // length} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def roughly(seconds: float) -> str:
    """Return an estimated duration with no more digits than an estimate has.

    >>> [roughly(s) for s in (0.3, 6.7, 23, 58, 95, 4000, 180_000)]
    ['1 s', '7 s', '25 s', '1 min', '2 min', '1 h 5 min', '2 d 2 h']
    """
    if seconds <= 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    step = 60 if seconds < 3570 else 300 if seconds < 86_000 else 3600
    return duration(step * round(seconds / step))


def size(nbytes: float) -> str:
    """Return a number of bytes as people say it, in powers of ten.

    >>> [size(n) for n in (0, 999, 1_000, 12_345_678, 5.1e12)]
    ['0 B', '999 B', '1.0 kB', '12.3 MB', '5.1 TB']
    """
    if nbytes < 1000:
        return f"{nbytes:.0f} B"
    units = ["kB", "MB", "GB", "TB"]
    nbytes /= 1000
    while nbytes >= 999.95 and len(units) > 1:
        nbytes /= 1000
        del units[0]
    return f"{nbytes:.1f} {units[0]}"


def rate(per_s: float) -> str:
    """Return a number per second with about three digits.

    >>> [rate(r) for r in (0.0214, 3.14159, 41.5, 12_345.6)]
    ['0.021', '3.1', '42', '12,346']
    """
    if per_s >= 10:
        return f"{per_s:,.0f}"
    return f"{per_s:.1f}" if per_s >= 1 else f"{per_s:.2g}"


def moment(wall: float) -> str:
    """Return a time, given in seconds since 1970, in UTC.

    >>> moment(0)
    '1970-01-01 00:00:00Z'
    """
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%S}Z"


def count(number: int, word: str, several: str = "") -> str:
    """Return a number with its noun, in the plural when it needs to be.

    >>> count(1, "task"), count(1200, "task"), count(2, "batch", "batches")
    ('1 task', '1,200 tasks', '2 batches')
    """
    return f"{number:,} {word if number == 1 else several or word + 's'}"
