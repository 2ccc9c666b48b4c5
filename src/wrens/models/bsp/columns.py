"""Typed messages: rows of numbers in columns, with an index or without. The only module here that needs NumPy.

Decides what rows may be, which of them can stand below each other, and how rows of one index become one. Pure; what comes out
depends only on the order in which rows are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
_COMBINED = {"sum": "biufcm", "min": "biufcmM", "max": "biufcmM"}
"""For each word the kinds of columns that it makes something of."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows must have in common to stand below each other.

    Args:
        columns: Of each the name, the type, and the shape of what is in a row.
        index: The type of the index, if there is one. Two types fit if a third holds the whole numbers of both.
    """

    columns: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]
    index: np.dtype[Any] | None

    def __str__(self) -> str:
        told = [f"{name or 'values'}: {dtype}{list(shape) or ''}" for name, dtype, shape in self.columns]
        index = "" if self.index is None else f" with an index of {self.index}"
        return f"rows of {', '.join(told)}{index}"

    def fits(self, other: Kind) -> bool:
        """Tell whether rows of one kind can stand below those of the other, and no number changes.

        >>> int32, int64, uint64 = (kind_of((np.array([1], name), {})) for name in ("i4", "i8", "u8"))
        >>> int32.fits(int64), int32.fits(uint64)
        (True, False)
        """
        if self.index is None or other.index is None:
            return self == other
        return self.columns == other.columns and np.result_type(self.index, other.index).kind in "iu"


def typed(values: Any, index: Any, combine: object = None) -> Typed:
    """Return values as rows.

    Args:
        values: An array; or several by name, as a dict or an Arrow batch or table.
        index: For each row a whole number, or ``None``.
        combine: How rows of one index become one, if they do.

    Raises:
        ValueError: with what is wrong with them.

    >>> typed({"x": [1, 2]}, [5, 6])[0].tolist()
    [5, 6]
    """
    columns: Columns = {}
    for name, column in _named(values):
        if name in columns:
            raise ValueError(f"two columns that are both called {name!r}; rename one of them")
        nulls = getattr(column, "null_count", 0)
        if nulls() if callable(nulls) else nulls:
            raise ValueError(
                f"nulls in the column {name!r}, which arrays have no place for; fill them with a number first "
                "(fill_null), or leave these rows out"
            )
        columns[name] = _native(column)
    rows = None if index is None else _native(index)
    for name, array in columns.items():
        if array.dtype.hasobject or not array.ndim:
            raise ValueError(f"{array.dtype} of {array.ndim} dimensions as the column {name!r}")
        if rows is not None and isinstance(combine, str) and array.dtype.kind not in _COMBINED[combine]:
            raise ValueError(f"{array.dtype} as the column {name!r}, of which there is no {combine!r}")
    if rows is not None and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
        raise ValueError(f"an index of {rows.ndim} dimensions of {rows.dtype}, not whole numbers in a row")
    lengths = {len(array) for array in columns.values()} | ({len(rows)} if rows is not None else set())
    if not columns:
        raise ValueError("a table without columns")
    if len(lengths) != 1:
        raise ValueError(f"columns and an index of different lengths, {sorted(lengths)}")
    return rows, columns


def _named(values: Any) -> Iterator[tuple[str, Any]]:
    """Yield columns with their names."""
    if isinstance(values, Mapping):
        for name, column in values.items():
            yield str(name), column
    elif hasattr(values, "schema") and hasattr(values, "column"):
        for i, name in enumerate(values.schema.names):
            yield name, values.column(i)
    else:
        yield ONLY, values


def _native(values: Any) -> npt.NDArray[Any]:
    """Return values as an array in this computer's order of bytes, as all that is made of them will be."""
    array = np.asarray(values)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


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


def kind_of(rows: Typed) -> Kind:
    """Return what rows must have in common with others."""
    index, columns = rows
    told = sorted((name, column.dtype, column.shape[1:]) for name, column in columns.items())
    return Kind(tuple(told), None if index is None else index.dtype)


def misfit(rows: Typed, sender: int, known: dict[Kind, int]) -> tuple[Kind, int] | None:
    """Return what rows cannot stand below, of the kinds that are known, and who has sent it; make theirs known, too.

    Args:
        rows: Of a sender.
        sender: Its number.
        known: For each kind who was the first to send it.
    """
    kind = kind_of(rows)
    if kind not in known:
        for other, who in known.items():
            if not kind.fits(other):
                return other, who
        known[kind] = sender
    return None


def sum_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return in which type a column is added up: NumPy's ``sum`` chooses likewise, and here it is the same everywhere.

    >>> [str(sum_type(np.dtype(name))) for name in ("bool", "int8", "uint8", "float32")]
    ['int64', 'int64', 'uint64', 'float32']
    """
    if dtype.kind in "bi":
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


def by_index(index: npt.NDArray[Any], columns: Columns, way: str) -> tuple[npt.NDArray[Any], Columns]:
    """Return rows with each index once, in ascending order.

    Args:
        index: For each row a whole number.
        columns: Their values; each has as many rows.
        way: ``"sum"``, ``"min"`` or ``"max"``. Sums have the type of :func:`sum_type`, also where there was one row
            to add up, so that it does not matter who combines what.

    >>> index, columns = by_index(np.array([7, 2, 7]), {"x": np.array([1.0, 5.0, 2.0])}, "sum")
    >>> index.tolist(), columns["x"].tolist()
    ([2, 7], [5.0, 3.0])
    """
    if way == "sum":
        columns = {name: c.astype(sum_type(c.dtype), copy=False) for name, c in columns.items()}
    if len(index) < 2:
        return index, columns
    low = index.min()
    size = int(index.max()) - int(low) + 1
    if size <= DENSE * len(index):
        # A difference of two may be too large for their own type, or change its sign. In 64 bits all wrap alike, so that
        # what is less than ``size`` comes out right.
        first = low.astype(np.int64)
        place = (index.astype(np.int64, copy=False) - first).astype(np.intp, copy=False)
        seen = np.zeros(size, bool)
        seen[place] = True
        found = np.flatnonzero(seen)
        dense = {name: _dense(place, column, size, way)[found] for name, column in columns.items()}
        return (found.astype(np.int64, copy=False) + first).astype(index.dtype, copy=False), dense
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ufunc = _UFUNCS[way]
    return ordered[starts], {name: ufunc.reduceat(c[order], starts) for name, c in columns.items()}


def _dense(place: npt.NDArray[np.intp], column: npt.NDArray[Any], size: int, way: str) -> npt.NDArray[Any]:
    """Return what there is at each place; what nobody has an index for has any value."""
    if way == "sum" and column.dtype == np.float64 and column.ndim == 1:
        return np.bincount(place, weights=column, minlength=size)
    table = np.zeros((size, *column.shape[1:]), column.dtype)
    if way != "sum":
        table[place] = column  # one of them, to begin with
    with np.errstate(invalid=None if way == "sum" else "ignore"):  # that one is NaN is no accident here
        _UFUNCS[way].at(table, place, column)
    return table
