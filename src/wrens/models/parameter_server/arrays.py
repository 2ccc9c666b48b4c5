"""What arrays of a parameter server are, and updates and requests as its servers take them. Pure; the only module here that needs NumPy.

Row r of an array is on server ``r % servers``, as row ``r // servers`` there, so that rows that are used often are spread. Decides
that, and which indices and values are refused before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from wrens.errors import BadOption, BadUpdate

FORMATS: Mapping[str, str] = {"float32": "f", "float64": "d"}
LARGEST = 2**24
"""Numbers of one array on one server: what a call can read or fill in a second."""
PAGE = 2**19
"""Numbers of one server that are read or filled at a time where it need not be one moment, so that others are served between."""
ROWS = 2**32
"""Rows of an array on one server."""

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Index: TypeAlias = "slice | int | npt.ArrayLike | None"
Words = tuple[Any, ...]
"""An update or a request: array, format, how its rows are named, bytes or a count."""


@dataclass(frozen=True, slots=True)
class Dense:
    """An array of a certain shape, all of it on the servers, at first zeros.

    Args:
        shape: Its length, or lengths; rows are counted along the first one.
        dtype: ``"float32"`` or ``"float64"``, as numbers travel; servers add in 64 bits.

    >>> Dense((1000, 16), "float32").width
    16
    """

    shape: int | tuple[int, ...]
    dtype: str = "float64"

    def __post_init__(self) -> None:
        _checked(self, self.lengths, self.dtype)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The shape as a tuple."""
        return self.shape if isinstance(self.shape, tuple) else (self.shape,)

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.lengths[0]

    @property
    def row(self) -> tuple[int, ...]:
        """The shape of one."""
        return self.lengths[1:]

    @property
    def width(self) -> int:
        """How many numbers one has."""
        return math.prod(self.row)


@dataclass(frozen=True, slots=True)
class Sparse:
    """An array of which only the rows are kept that somebody has added to; the others are zeros.

    Args:
        rows: How many it could have.
        row: The shape of one; by default a number.
        dtype: ``"float32"`` or ``"float64"``.

    >>> Sparse(2**32, (16,)).width
    16
    """

    rows: int = ROWS
    row: tuple[int, ...] = ()
    dtype: str = "float64"

    def __post_init__(self) -> None:
        _checked(self, (self.rows, *self.row), self.dtype)

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.row)


Array: TypeAlias = Dense | Sparse


def _checked(array: object, lengths: tuple[object, ...], dtype: object) -> None:
    if not lengths or not all(type(n) is int and n > 0 for n in lengths):
        raise BadOption(
            f"{array!r}", "has lengths that are no positive whole numbers", "Write Dense((1000, 16))."
        )
    if dtype not in FORMATS:
        raise BadOption(f"dtype={dtype!r}", "is no type of an array", f"Choose from {', '.join(FORMATS)}.")


def array_of(name: str, given: Any) -> Array:
    """Return what an array is, given as such or by its first values.

    Raises:
        BadOption: if it cannot be one.
    """
    if not isinstance(name, str) or not name:
        raise BadOption(f"{name!r}", "is no name of an array", "Name it with some text.")
    if isinstance(given, Dense | Sparse):
        return given
    values = np.asarray(given)
    if values.dtype.name not in FORMATS or not values.ndim:
        raise BadOption(
            f"the array {name!r}",
            f"is given as {values.dtype} of {values.ndim} dimensions",
            "Pass Dense, Sparse, or an array of float32 or float64.",
        )
    check_finite(name, values)
    return Dense(values.shape, values.dtype.name)


def size_of(array: Array, server: int, servers: int) -> int:
    """Return how many numbers a server holds of an array from the beginning.

    >>> size_of(Dense((10, 2)), 0, 3), size_of(Dense((10, 2)), 2, 3)
    (8, 6)
    """
    return 0 if isinstance(array, Sparse) else len(range(server, array.rows, servers)) * array.width


class Selection:
    """Rows of an array that somebody reads or adds to.

    Args:
        name: The array's.
        array: What it is.
        index: ``None`` for all rows, a slice without a step, or whole numbers; a row may be there more than once.
        servers: How many there are.

    Raises:
        BadUpdate: if there are no such rows.
    """

    def __init__(self, name: str, array: Array, index: Index, servers: int) -> None:
        self.name, self.array, self._servers = name, array, servers
        self._rows: npt.NDArray[Any] | None = None
        if index is None or isinstance(index, slice):
            self._range = self._as_range(index)
            if isinstance(array, Sparse):
                self._rows = np.arange(self._range.start, self._range.stop)
            self.shape: tuple[int, ...] = (len(self._range), *array.row)
        else:
            rows = np.asarray(index)
            self.shape = (*rows.shape, *array.row)
            self._rows = self._as_rows(rows.reshape(-1))

    def _as_range(self, index: slice | None) -> range:
        found = range(self.array.rows)[index if index is not None else slice(None)]
        if isinstance(self.array, Sparse) and len(found) * self.array.width > LARGEST:
            problem = f"is sparse, and {len(found):,} rows were asked for"
            raise BadUpdate(self.name, problem, "items() has those that there are.")
        for bound in (index.start, index.stop) if index is not None else ():
            if bound is not None and not -self.array.rows <= bound <= self.array.rows:
                raise self._outside(bound)
        if found.step != 1:
            raise BadUpdate(self.name, f"was asked for rows in steps of {found.step}", "Pass their numbers.")
        return found

    def _as_rows(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if rows.dtype.kind not in "iu" and rows.size:
            raise BadUpdate(self.name, f"was asked for rows named by {rows.dtype}", "Rows are whole numbers.")
        if rows.size:
            low, high = int(rows.min()), int(rows.max())
            if low < 0 or high >= self.array.rows:
                raise self._outside(low if low < 0 else high)
        return rows

    def _outside(self, row: int) -> BadUpdate:
        return BadUpdate(self.name, f"has {self.array.rows:,} rows from 0 on, and row {row:,} was asked for")

    def updates(self, values: npt.ArrayLike, dtype: str | None = None) -> Iterator[tuple[int, Words]]:
        """Look at values, and return what yields for each server what is sent to add them to these rows.

        Raises:
            BadUpdate: if they have another shape, or are not all finite.
        """
        try:
            given = np.asarray(values)
        except ValueError as error:
            raise BadUpdate(self.name, f"was sent what is no array: {error}") from error
        if given.dtype.kind not in "fiub":
            raise BadUpdate(self.name, f"was sent values of {given.dtype}", "Send real numbers.")
        given = given.astype(dtype or self.array.dtype, copy=False)
        check_finite(self.name, given)
        if not given.ndim:
            given = np.broadcast_to(given, self.shape)
        if given.shape != self.shape:
            raise BadUpdate(
                self.name, f"was sent values of shape {given.shape} for rows of shape {self.shape}"
            )
        return self._packed(given.reshape(-1, self.array.width), FORMATS[dtype or self.array.dtype])

    def _packed(self, flat: npt.NDArray[Any], format_: str) -> Iterator[tuple[int, Words]]:
        width = self.array.width
        for server, mine, first in self._parts():
            if first is not None:
                yield server, (self.name, format_, first * width, _bytes(flat[mine], f"<{format_}"))
                continue
            assert self._rows is not None  # noqa: S101 - for the type checker
            packed = np.empty(len(flat[mine]), [("row", "<u4"), ("values", f"<{format_}", (width,))])
            packed["row"] = self._rows[mine] // self._servers
            packed["values"] = flat[mine]
            yield server, (self.name, format_, f"rows {width}", packed.tobytes())

    def requests(self, dtype: str | None = None) -> Iterator[tuple[int, Words]]:
        """Yield for each server what is asked of it to read these rows."""
        width, format_ = self.array.width, FORMATS[dtype or self.array.dtype]
        for server, mine, first in self._parts():
            if first is not None:
                yield server, (self.name, format_, first * width, len(self._range[mine]) * width)
            else:
                assert self._rows is not None  # noqa: S101 - for the type checker
                rows = self._rows[mine] // self._servers
                yield server, (self.name, format_, f"rows {width}", _bytes(rows, "<u4"))

    def values(self, answers: Mapping[int, bytes], dtype: str | None = None) -> Floats:
        """Return the rows that servers have answered with."""
        name = dtype or self.array.dtype
        found = np.empty(
            (math.prod(self.shape[: len(self.shape) - len(self.array.row)]), self.array.width), name
        )
        for server, mine, _ in self._parts():
            found[mine] = np.frombuffer(answers[server], f"<{FORMATS[name]}").reshape(-1, self.array.width)
        return found.reshape(self.shape)

    def _parts(self) -> Iterator[tuple[int, Any, int | None]]:
        """Yield each server that has some of the rows, which of them, and the first one there if they lie side by side."""
        if self._rows is None:
            for offset in range(min(self._servers, len(self._range))):
                row = self._range[offset]
                yield row % self._servers, slice(offset, None, self._servers), row // self._servers
        elif self._servers == 1:
            yield 0, slice(None), None
        else:
            home = self._rows % self._servers
            for server in np.unique(home).tolist():
                yield server, np.flatnonzero(home == server), None


def _bytes(values: npt.NDArray[Any], dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype).tobytes()


def pages(words: Words) -> Iterator[Words]:
    """Cut an update into some of at most a page.

    >>> [(where, len(data)) for _, _, where, data in pages(("w", "f", 7, bytes(4 * (PAGE + 1))))]
    [(7, 2097152), (524295, 4)]
    """
    name, format_, where, data = words
    size = np.dtype(format_).itemsize
    if isinstance(where, int):
        for at in range(0, len(data), PAGE * size):
            yield name, format_, where + at // size, data[at : at + PAGE * size]
        return
    width = int(where.removeprefix("rows "))
    step = max(1, PAGE // width) * (4 + width * size)
    for at in range(0, len(data), step):
        yield name, format_, where, data[at : at + step]


def check_finite(name: str, values: npt.NDArray[Any], what: str = "was sent") -> None:
    """Refuse values that are not numbers.

    Raises:
        BadUpdate: with how many there are.
    """
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)].reshape(-1)
        raise BadUpdate(
            name,
            f"{what} {len(bad):,} of {values.size:,} values that are {bad[0]}",
            "What is added to a number that is not finite is lost for all. Nothing was done.",
        )


def check_sizes(arrays: Mapping[str, Array], servers: int) -> None:
    """Refuse arrays that are too large for so many servers.

    Raises:
        BadOption: if one is.
    """
    for name, array in arrays.items():
        if array.rows > ROWS * servers:
            raise BadOption(
                f"the array {name!r}", f"has more than {ROWS:,} rows on each of {servers} servers"
            )
        if size_of(array, 0, servers) > LARGEST:
            needed = -(-array.rows * array.width // LARGEST)
            raise BadOption(
                f"the array {name!r}",
                f"has more than {LARGEST:,} numbers on each of {servers} servers",
                f"Take {needed} servers, or Sparse if most of it stays zero.",
            )


def spelled(arrays: Mapping[str, Array]) -> str:
    """Return what arrays are as text that two programs can compare.

    >>> spelled({"w": Dense(3)})
    "w: Dense(shape=(3,), dtype='float64')"
    """
    alike = {
        name: Dense(array.lengths, array.dtype) if isinstance(array, Dense) else array
        for name, array in arrays.items()
    }
    return "; ".join(f"{name}: {array!r}" for name, array in sorted(alike.items()))


def by_server(some: Sequence[Iterator[tuple[int, Words]]]) -> dict[int, list[Words]]:
    """Return updates or requests by the server that they go to."""
    found: dict[int, list[Words]] = {}
    for one in some:
        for server, words in one:
            found.setdefault(server, []).append(words)
    return found


def joined(rows: Mapping[int, bytes], servers: int) -> npt.NDArray[np.int64]:
    r"""Return the numbers of rows that servers hold, ascending.

    >>> joined({0: b"\1\0\0\0", 1: b"\0\0\0\0"}, 2).tolist()
    [1, 2]
    """
    found = [np.frombuffer(some, "<u4").astype(np.int64) * servers + server for server, some in rows.items()]
    return np.sort(np.concatenate(found))
