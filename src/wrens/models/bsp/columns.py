"""Typed messages: rows of numbers in columns, with an index or without. The only module here that needs NumPy.

Decides what rows may be, which of them can stand below each other, and how rows of one index become one. Pure; what comes out
depends only on the order in which rows are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

ONLY = ""
"""The name of the column of arrays that were sent without one."""
DENSE = 4
"""A table with a place for each index is made when it has at most so many places for each row."""

Columns = dict[str, npt.NDArray[Any]]
Typed = tuple[npt.NDArray[Any] | None, Columns]
"""An index, if there is one, and columns."""
_UFUNCS: Mapping[str, np.ufunc] = {"sum": np.add, "min": np.minimum, "max": np.maximum}


def typed(values: Any, index: Any) -> Typed:
    """Return values as rows.

    Args:
        values: An array; or several by name, as a dict or an Arrow batch or table.
        index: For each row a whole number, or ``None``.

    Raises:
        ValueError: with what is wrong with them.

    >>> typed({"x": [1, 2]}, [5, 6])[0].tolist()
    [5, 6]
    """
    if isinstance(values, Mapping):
        columns = {str(name): np.asarray(column) for name, column in values.items()}
    elif hasattr(values, "schema") and hasattr(values, "column"):
        columns = {name: np.asarray(values.column(i)) for i, name in enumerate(values.schema.names)}
    else:
        columns = {ONLY: np.asarray(values)}
    for name, column in columns.items():
        if column.dtype.hasobject or not column.ndim:
            raise ValueError(f"{column.dtype} of {column.ndim} dimensions as the column {name!r}")
    rows = None if index is None else np.asarray(index)
    if rows is not None and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
        raise ValueError(f"an index of {rows.ndim} dimensions of {rows.dtype}, not whole numbers in a row")
    lengths = {len(column) for column in columns.values()} | ({len(rows)} if rows is not None else set())
    if len(lengths) != 1:
        raise ValueError(f"columns and an index of different lengths, {sorted(lengths)}")
    return rows, columns


def none_at_all() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the index and the array of no rows."""
    return np.empty(0, np.int64), np.empty(0)


def joined(some: Sequence[Typed], combine: object) -> Typed:
    """Return rows one below the other; those of one index combined, if there is an index and a word for how."""
    index, columns = some[0]
    if len(some) > 1:
        columns = {name: np.concatenate([one[name] for _, one in some]) for name in columns}
        index = None if index is None else np.concatenate([rows for rows, _ in some if rows is not None])
    if index is not None and isinstance(combine, str):
        return by_index(index, columns, combine)
    return index, columns


def alike(one: Typed, other: Typed) -> bool:
    """Tell whether rows can stand below each other."""
    return shape_of(one) == shape_of(other)


def shape_of(rows: Typed) -> str:
    """Return what kind of rows these are, in words."""
    index, columns = rows
    told = [f"{name or 'values'}: {c.dtype}{list(c.shape[1:]) or ''}" for name, c in sorted(columns.items())]
    return f"rows of {', '.join(told)}" + (" with an index" if index is not None else "")


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
