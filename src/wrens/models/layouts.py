"""What a sort has to know of a kind of data: where its records are, which comes first, how they are put down again.

    FixedLayout    records of one width, by some bytes of them
    LineLayout     lines of text, by their bytes
    KeyedLayout    either of them, by what a Python function says
    TableLayout    rows of Parquet files, by columns                      (wrens.models.tables)

A layout is a small value that workers get; its :class:`Records` are what it makes of bytes. Decides nothing about how many
workers there are or what they exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wrens.errors import BadData
from wrens.models import ordering
from wrens.models.borders import Border, Delimiter, Fixed
from wrens.models.ordering import Order
from wrens.models.partition import Partition
from wrens.store.port import Buffer

WINDOW = 64 * 1024
"""Bytes that are read at each place at which samples are taken."""


class Records(Protocol):
    """Some records in memory."""

    count: int

    def order(self) -> Order:
        """Return their places in order; equal ones keep theirs."""
        ...

    def key(self, i: int) -> Any:
        """Return by what record ``i`` is compared."""
        ...

    def offset(self, i: int) -> int:
        """Return how many bytes before record ``i`` begins, in the object or buffers that they are from."""
        ...

    def take(self, places: Order) -> Sequence[Buffer]:
        """Return the records at these places, as they are written."""
        ...


class Layout(Protocol):
    """A kind of data that can be sorted."""

    @property
    def border(self) -> Border:
        """Where such data may be cut."""
        ...

    @property
    def suffix(self) -> str:
        """How the names of output objects end."""
        ...

    def of(self, data: Sequence[memoryview], part: Partition | None = None, /) -> Records:
        """Return the records in some buffers, one after the other; ``part`` says where they are from."""
        ...


@dataclass(frozen=True, slots=True)
class FixedLayout:
    """Records of one width, in the order of some of their bytes.

    Args:
        width: Of a record.
        start, length: Where its key is.
    """

    width: int
    start: int
    length: int
    suffix: str = ""

    @property
    def border(self) -> Border:
        """Where such data may be cut."""
        return Fixed(self.width)

    def of(self, data: Sequence[memoryview], _part: Partition | None = None) -> Records:
        """Return the records in some buffers.

        >>> FixedLayout(2, 0, 1).of([memoryview(b"b1a2"), memoryview(b"a1")]).order().tolist()
        [1, 2, 0]
        """
        return _FixedRecords(self, _joined(data).reshape(-1, self.width))


class _FixedRecords:
    def __init__(self, layout: FixedLayout, rows: npt.NDArray[np.uint8]) -> None:
        self._layout, self._rows = layout, rows
        self.count = len(rows)

    def order(self) -> Order:
        return ordering.order_of(
            *ordering.columns_of_fixed(self._rows, self._layout.start, self._layout.length)
        )

    def key(self, i: int) -> bytes:
        begin = self._layout.start
        return self._rows[i, begin : begin + self._layout.length].tobytes()

    def offset(self, i: int) -> int:
        return i * self._layout.width

    def take(self, places: Order) -> Sequence[Buffer]:
        whole = self._rows.view(f"V{self._layout.width}")[:, 0]
        found = np.empty(len(places), whole.dtype)
        np.take(whole, places, out=found, mode="clip")  # 'raise' would copy once more
        return [found.view(np.uint8).data]


@dataclass(frozen=True, slots=True)
class LineLayout:
    """Records that end with a mark, in the order of their bytes without it.

    Args:
        mark: What ends them.
    """

    mark: bytes = b"\n"
    suffix: str = ".txt"

    @property
    def border(self) -> Border:
        """Where such data may be cut."""
        return Delimiter(self.mark)

    def of(self, data: Sequence[memoryview], _part: Partition | None = None) -> Records:
        r"""Return the records in some buffers.

        >>> LineLayout().of([memoryview(b"b\na\n"), memoryview(b"ab")]).order().tolist()
        [1, 2, 0]
        """
        # A last line without an end gets one, so that each can be put anywhere.
        whole = [
            part if not len(part) or bytes(part[-len(self.mark) :]) == self.mark else _ended(part, self.mark)
            for part in data
        ]
        return _LineRecords(self, _joined(whole))


def _ended(part: memoryview, mark: bytes) -> memoryview:
    return memoryview(bytes(part) + mark)


class _LineRecords:
    def __init__(self, layout: LineLayout, data: npt.NDArray[np.uint8]) -> None:
        self._layout, self._data = layout, data
        mark = layout.mark
        if len(mark) == 1:
            ends = np.flatnonzero(data == mark[0]) + 1
        else:
            ends = np.fromiter(_ends(data.tobytes(), mark), np.int64)
        self._borders = np.concatenate([np.zeros(1, np.int64), ends])
        self.count = len(ends)

    def order(self) -> Order:
        starts = self._borders[:-1]
        lengths = np.diff(self._borders) - len(self._layout.mark)
        if not len(starts):
            return np.zeros(0, np.int64)
        return ordering.order_of(*ordering.columns_of_lines(self._data, starts, lengths))

    def key(self, i: int) -> bytes:
        return self._data[self._borders[i] : self._borders[i + 1] - len(self._layout.mark)].tobytes()

    def offset(self, i: int) -> int:
        return int(self._borders[i])

    def take(self, places: Order) -> Sequence[Buffer]:
        starts, lengths = self._borders[places], np.diff(self._borders)[places]
        total = int(lengths.sum())
        if not total:
            return []
        # For each byte of the result, where it comes from.
        shift = np.repeat(starts - np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)[:-1]]), lengths)
        return [self._data[shift + np.arange(total)].data]


def _ends(data: bytes, mark: bytes) -> Any:
    at = data.find(mark)
    while at >= 0:
        yield at + len(mark)
        at = data.find(mark, at + len(mark))


@dataclass(frozen=True, slots=True)
class KeyedLayout:
    """Records in the order of what a function says of each.

    Args:
        inner: Where records are.
        key: Called with a record, as bytes and without what ends it; what it returns is compared.
    """

    inner: FixedLayout | LineLayout
    by: Callable[[bytes], Any]

    @property
    def border(self) -> Border:
        """Where such data may be cut."""
        return self.inner.border

    @property
    def suffix(self) -> str:
        """How the names of output objects end."""
        return self.inner.suffix

    def of(self, data: Sequence[memoryview], part: Partition | None = None) -> Records:
        """Return the records in some buffers."""
        inner = self.inner
        if isinstance(inner, FixedLayout):
            inner = replace(inner, start=0, length=inner.width)
        return _KeyedRecords(inner.of(data), self.by, part)


class _KeyedRecords:
    def __init__(self, inner: Records, by: Callable[[bytes], Any], part: Partition | None) -> None:
        self._inner, self._by, self._part = inner, by, part
        self.count = inner.count

    @cached_property
    def _keys(self) -> list[Any]:
        found: list[Any] = []
        for i in range(self.count):
            record = self._inner.key(i)
            try:
                found.append(self._by(record))
            except Exception as error:
                url = self._part.url if self._part else "a sorted part"
                at = self._inner.offset(i) + (self._part.bounds()[0] if self._part else 0)
                told = (
                    f"the key function raised {type(error).__name__}: {error}; the record is {record[:80]!r}"
                )
                raise BadData(url, at, told) from error
        return found

    def order(self) -> Order:
        keys = self._keys
        return np.array(sorted(range(self.count), key=keys.__getitem__), np.int64)

    def key(self, i: int) -> Any:
        return self._keys[i]

    def offset(self, i: int) -> int:
        return self._inner.offset(i)

    def take(self, places: Order) -> Sequence[Buffer]:
        return self._inner.take(places)


def _joined(data: Sequence[memoryview]) -> npt.NDArray[np.uint8]:
    """Return buffers as one array; a single one is not copied."""
    parts = [np.frombuffer(part, np.uint8) for part in data if len(part)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint8)
