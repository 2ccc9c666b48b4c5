"""Rows of Parquet files, as a sort sees them: by which columns they are compared, and how they travel.

Between the stages rows are Arrow tables; the objects of the result are Parquet files with the schema of the source. Nulls
come last whatever the order of a column, and NaN just before them, as Arrow has it. Decides how a row is compared; the
sort itself is :mod:`wrens.models.sort.sorting`'s business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import total_ordering
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wrens.errors import BadData, BadOption
from wrens.models.hashing import ODD, mixed, numbers_of_records
from wrens.models.partitions import parquet, tables
from wrens.models.partitions.borders import Border, RowGroups
from wrens.models.partitions.partition import Partition
from wrens.models.sort.layouts import WINDOWS, Splitter
from wrens.models.sort.ordering import Bytes, Order
from wrens.store.port import Buffer

if TYPE_CHECKING:
    import pyarrow as pa

_VALUE, _NAN, _NULL = range(3)
_NOTHING = np.uint64(0x6E756C6C)
"""Stands for null in a checksum."""


def columns_of(key: Any) -> tuple[tuple[str, bool], ...]:
    """Return the names that a key lists, each with whether it is in descending order.

    Raises:
        BadOption: if it lists none.

    >>> columns_of(["price", "-day"])
    (('price', False), ('day', True))
    """
    names = [key] if isinstance(key, str) else list(key) if isinstance(key, Sequence) else []
    if not names or not all(isinstance(name, str) and name.removeprefix("-") for name in names):
        told = "Name a column or several, as in key=['price', '-day']."
        raise BadOption(f"key={key!r}", "names no columns to sort rows by", told)
    return tuple((name.removeprefix("-"), name.startswith("-")) for name in names)


@total_ordering
@dataclass(frozen=True, slots=True, eq=True)
class _Reversed:
    """A value that is less than others when it is greater."""

    value: Any

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Rows in the order of some columns.

    Args:
        columns: Their names, and whether each is in descending order.
        schema: The columns that every file has, as Arrow writes a schema down.
    """

    columns: tuple[tuple[str, bool], ...]
    schema: bytes = b""
    suffix: str = ".parquet"

    @property
    def border(self) -> Border:
        """Where such data may be cut."""
        return RowGroups()

    def fitted(self, part: Partition) -> TableLayout:
        """Return the layout with the schema of a partition's file.

        Raises:
            BadOption: if it has no such column, or rows cannot be compared by it.
        """
        pa = tables.arrow()
        schema = parquet.opened(part.open(), part.url).schema_arrow
        for name, _ in self.columns:
            if name not in schema.names:
                told = f"is no column of {part.url}, which has {', '.join(map(repr, schema.names))}"
                raise BadOption(f"key={name!r}", told)
            if pa.types.is_nested(schema.field(name).type):
                raise BadOption(f"key={name!r}", f"is of type {schema.field(name).type}, which has no order")
        return replace(self, schema=schema.serialize().to_pybytes())

    def load(self, part: Partition) -> Rows:
        """Return the rows of a partition.

        Raises:
            BadData: if they have other columns than those of other files.
        """
        groups = part.border
        schema = self._schema()
        file = parquet.opened(part.open(), part.url)
        if not file.schema_arrow.equals(schema):
            told = f"its columns are not those of the first file: {_difference(file.schema_arrow, schema)}"
            raise BadData(part.url, 0, told, "Sort files with the same columns together.")
        wanted = range(groups.first, groups.last) if isinstance(groups, RowGroups) else ()
        if not wanted:
            return Rows(self, schema.empty_table())
        return Rows(self, file.read_row_groups(list(wanted), use_threads=False))

    def sample(self, part: Partition, count: int) -> list[tuple[Any, int]]:
        """Return keys and places of about so many rows of a partition; only the columns of the key are read."""
        groups = part.border
        if not isinstance(groups, RowGroups) or groups.first == groups.last:
            return []
        file = parquet.opened(part.open(), part.url)
        sizes = [file.metadata.row_group(i).num_rows for i in range(groups.first, groups.last)]
        windows = min(WINDOWS, count, len(sizes))
        found = []
        for k in range(windows):
            at = len(sizes) * (2 * k + 1) // (2 * windows)
            names = [name for name, _ in self.columns]
            some = Rows(
                self,
                file.read_row_group(groups.first + at, columns=names, use_threads=False),
                sum(sizes[:at]),
            )
            share = min(some.count, -(-count // windows))
            places = [some.count * (2 * i + 1) // (2 * share) for i in range(share)]
            found += [(some.key(i), some.offset(i)) for i in places]
        return found

    def room(self, _nbytes: int) -> int:
        """Return zero: rows are read where they come to lie."""
        return 0

    def brought(self, data: Iterable[memoryview], _room: Bytes) -> Rows:
        """Return the rows in parts that were taken."""
        pa = tables.arrow()
        found = [table for part in data for table in tables.unspread(part)]
        return Rows(
            self, pa.concat_tables(found).unify_dictionaries() if found else self._schema().empty_table()
        )

    def written(self, ordered: Any, places: Order, _room: Bytes) -> Sequence[Buffer]:
        """Return the rows at these places as a Parquet file."""
        return [parquet.as_parquet(ordered.at(places))]

    def _schema(self) -> Any:
        pa = tables.arrow()
        return pa.ipc.read_schema(pa.py_buffer(self.schema))


class Rows:
    """Some rows in memory.

    Args:
        layout: By what they are compared.
        table: The rows.
        begun: How many rows of the partition are before them.
    """

    nbytes = 0
    """Rows are taken into memory of their own."""

    def __init__(self, layout: TableLayout, table: pa.Table, begun: int = 0) -> None:
        self._layout, self._table, self._begun = layout, table.combine_chunks(), begun
        self.count: int = table.num_rows
        self._columns = [(self._table.column(name), reverse) for name, reverse in layout.columns]

    def key(self, i: int) -> tuple[Any, ...]:
        """Return by what row ``i`` is compared: what is before nulls, and how."""
        return tuple(_comparable(column[int(i)], reverse) for column, reverse in self._columns)

    def offset(self, i: int) -> int:
        """Return the number of row ``i`` in its partition."""
        return self._begun + int(i)

    def order(self) -> Order:
        """Return the places of the rows in order; equal ones keep theirs."""
        order: Order = tables.order_of_rows(self._table, self._layout.columns)
        return order

    def ranges(self, splitters: Sequence[Splitter], number: int) -> npt.NDArray[Any]:
        """Return to which range each row belongs."""
        order = self.order()

        def place(i: int) -> tuple[Any, int, int]:
            return self.key(i), number, self.offset(i)

        edges = [bisect_left(order, (one.key, one.number, one.offset), key=place) for one in splitters]
        found = np.empty(self.count, np.int64)
        found[order] = np.searchsorted(np.array(edges, np.int64), np.arange(self.count), "right")
        return found

    def take(self, places: Order, ends: Sequence[int], _room: Bytes) -> list[Sequence[Buffer]]:
        """Return the rows at these places, as one part for each of ``ends``."""
        table = self.at(places)
        return [[tables.as_stream(table.slice(a, b - a))] if b > a else [] for a, b in pairwise([0, *ends])]

    def at(self, places: Order) -> Any:
        """Return the rows at these places as a table."""
        return self._table.take(tables.arrow().array(places))

    def first_out_of_order(self) -> int | None:
        """Return the place of the first row that is less than the one before it."""
        wrong = np.flatnonzero(np.diff(np.argsort(self.order())) < 0)
        return int(wrong[0]) + 1 if len(wrong) else None

    def checksum(self) -> int:
        """Return a sum over the rows that does not depend on their order, below 2**64."""
        found = np.zeros(self.count, np.uint64)
        with np.errstate(over="ignore"):
            for column in self._table.columns:
                edges, data, nulls = tables.as_records(column)
                numbers = numbers_of_records(data, edges)
                numbers[nulls] = _NOTHING
                found = mixed(found * np.uint64(31) + numbers + ODD)
            return int(np.add.reduce(found, dtype=np.uint64))


def _comparable(scalar: Any, reverse: bool) -> tuple[int, Any]:  # noqa: FBT001 - of one column
    if not scalar.is_valid:
        return _NULL, None
    # Times as the numbers that they are: Python's have no nanoseconds.
    value = scalar.value if hasattr(scalar, "value") and not hasattr(scalar, "dictionary") else scalar.as_py()
    if isinstance(value, float) and value != value:
        return _NAN, None
    return _VALUE, _Reversed(value) if reverse else value


def _difference(mine: Any, other: Any) -> str:
    for field in mine:
        if field.name not in other.names:
            return f"it has {field.name!r}"
        if field.type != other.field(field.name).type:
            return f"{field.name!r} is {field.type} and not {other.field(field.name).type}"
    missing = [name for name in other.names if name not in mine.names]
    return (
        f"{missing[0]!r} is missing" if missing else "they are in another order, or other nulls are allowed"
    )
