"""How values become one: messages to the same receiver, and what partitions tell of themselves.

Decides what the words ``"sum"``, ``"min"`` and ``"max"`` mean for Python values, and what is said when what partitions tell cannot
be combined; for rows :mod:`wrens.models.bsp.columns` decides.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from wrens.errors import BadMessage, BadOption
from wrens.serialize.functions import name_of

Way = str | Callable[[Any, Any], Any]


def _min(one: Any, other: Any) -> Any:
    """Return the smaller one; what is not a number, and so differs from itself, is smaller than all."""
    return other if other < one or other != other else one


def _max(one: Any, other: Any) -> Any:
    """Return the larger one; what is not a number is larger than all."""
    return other if other > one or other != other else one


_WORDS: Mapping[str, Callable[[Any, Any], Any]] = {"sum": operator.add, "min": _min, "max": _max}


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

    >>> function_of("max")(2, 3), function_of("max")(2, float("nan")), function_of("max")(float("nan"), 2)
    (3, nan, nan)
    """
    return _WORDS[way] if isinstance(way, str) else way


def told(
    ways: Mapping[str, Way], name: str, before: Any, value: Any, *, partition: int, superstep: int
) -> Any:
    """Return what was told under a name before and what a partition tells now as one value.

    Args:
        ways: For each name how values become one.
        name: The aggregator's.
        before: What was told before, by this partition or by those before it.
        value: What it tells now.
        partition: Its number, for errors.
        superstep: The superstep's.

    Raises:
        BadMessage: if the aggregator raises; its exception is the cause.
    """
    way = ways[name]
    try:
        return function_of(way)(before, value)
    except Exception as error:
        text = repr(way) if isinstance(way, str) else name_of(way)
        raise BadMessage(
            partition,
            superstep,
            f"told {name!r} a value of type {type(value).__name__}, which aggregate={{{name!r}: {text}}} cannot combine with "
            "what was told before",
            f"{type(error).__name__}: {error}\n"
            f"  Tell what {text} can combine, or pass another function of two, such as numpy.maximum for arrays.",
        ) from error
