"""How values become one: messages to the same receiver, and what partitions tell of themselves.

Decides what the words ``"sum"``, ``"min"`` and ``"max"`` mean for Python values; for rows :mod:`wrens.models.bsp.columns` does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from wrens.errors import BadOption

Way = str | Callable[[Any, Any], Any]

_WORDS: Mapping[str, Callable[[Any, Any], Any]] = {"sum": operator.add, "min": min, "max": max}


def check(option: str, way: object) -> None:
    """Refuse what is no way to make one value of two.

    Raises:
        BadOption: if it is neither a known word nor a function.
    """
    if callable(way) or (isinstance(way, str) and way in _WORDS):
        return
    raise BadOption(
        f"{option}={way!r}", "is no way to combine values", "Write 'sum', 'min', 'max', or a function of two."
    )


def function_of(way: Way) -> Callable[[Any, Any], Any]:
    """Return what makes one Python value of two.

    >>> function_of("max")(2, 3)
    3
    """
    return _WORDS[way] if isinstance(way, str) else way
