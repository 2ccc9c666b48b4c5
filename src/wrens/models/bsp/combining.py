"""How values become one: messages to the same receiver, rows of the same index, what partitions tell of themselves.

Decides what the words ``"sum"``, ``"min"`` and ``"max"`` mean for Python values and for columns. Pure; what comes out depends
only on the order in which values are given.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wrens.errors import BadOption

Way = str | Callable[[Any, Any], Any]
Columns = dict[str, npt.NDArray[Any]]
DENSE = 4
"""A table with a place for each index is made when it has at most so many places for each row."""

_WORDS: Mapping[str, Callable[[Any, Any], Any]] = {"sum": operator.add, "min": min, "max": max}
_UFUNCS: Mapping[str, np.ufunc] = {"sum": np.add, "min": np.minimum, "max": np.maximum}


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


def by_index(index: npt.NDArray[Any], columns: Columns, way: str) -> tuple[npt.NDArray[Any], Columns]:
    """Return rows with each index once, in ascending order.

    Args:
        index: For each row a whole number.
        columns: Their values; each has as many rows.
        way: ``"sum"``, ``"min"`` or ``"max"``.

    >>> index, columns = by_index(np.array([7, 2, 7]), {"x": np.array([1.0, 5.0, 2.0])}, "sum")
    >>> index.tolist(), columns["x"].tolist()
    ([2, 7], [5.0, 3.0])
    """
    if len(index) < 2:
        return index, columns
    low = index.min()
    size = int(index.max()) - int(low) + 1
    if size <= DENSE * len(index):
        place = (index - low).astype(np.intp, copy=False)
        seen = np.zeros(size, bool)
        seen[place] = True
        found = np.flatnonzero(seen)
        dense = {name: _dense(place, column, size, way)[found] for name, column in columns.items()}
        return (found + low).astype(index.dtype, copy=False), dense
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ufunc = _UFUNCS[way]
    sparse = {
        name: ufunc.reduceat(column[order], starts, dtype=column.dtype) for name, column in columns.items()
    }
    return ordered[starts], sparse


def _dense(place: npt.NDArray[np.intp], column: npt.NDArray[Any], size: int, way: str) -> npt.NDArray[Any]:
    """Return what there is at each place; what nobody has an index for has any value."""
    if way == "sum" and column.dtype == np.float64 and column.ndim == 1:
        return np.bincount(place, weights=column, minlength=size)
    table = np.zeros((size, *column.shape[1:]), column.dtype)
    if way != "sum":
        table[place] = column  # one of them, to begin with
    _UFUNCS[way].at(table, place, column)
    return table
