"""What a sort has to know of a kind of data: where its records are, which comes first, how they are put down again.

    FixedLayout    records of one width, by some bytes of them
    LineLayout     lines of text, by their bytes
    KeyedLayout    either of them, by what a Python function says
    TableLayout    rows of Parquet files, by columns                      (wrens.models.sort.rows)

A layout is a small value that workers get; its :class:`Records` are what it makes of bytes. Decides nothing about how many
workers there are or what they exchange.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wrens.errors import BadData
from wrens.models.partitions.borders import Border, Delimiter, Fixed
from wrens.models.partitions.partition import Partition
from wrens.models.sort import ordering, records
from wrens.models.sort.ordering import WORD, Bytes, Order, Words
from wrens.store.port import Buffer

WINDOW = 64 * 1024
"""Bytes that are read at each place at which samples are taken."""
WINDOWS = 4
"""Places in a partition at which samples are taken at most."""
SHOWN = 80
"""Bytes of a record that a message quotes."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """The first record of a range: its key, and where it is, for those with the same key.

    Args:
        key: By what it is compared.
        number: Which partition it is in.
        offset: Where it is there, as :meth:`Records.offset` says it.
    """

    key: Any
    number: int
    offset: int


class Records(Protocol):
    """Some records in memory."""

    count: int
    nbytes: int
    """Memory that :meth:`take` needs for all of them."""

    def key(self, i: int) -> Any:
        """Return by what record ``i`` is compared."""
        ...

    def offset(self, i: int) -> int:
        """Return where record ``i`` is in its object: a number that grows with ``i``."""
        ...

    def order(self) -> Order:
        """Return their places in order; equal ones keep theirs."""
        ...

    def ranges(self, splitters: Sequence[Splitter], number: int) -> npt.NDArray[Any]:
        """Return to which range each belongs, when they are of partition ``number``."""
        ...

    def take(self, places: Order, ends: Sequence[int], room: Bytes) -> list[Sequence[Buffer]]:
        """Return the records at these places, as one part for each of ``ends``; ``room`` may be written to for that."""
        ...

    def first_out_of_order(self) -> int | None:
        """Return the place of the first record that is less than the one before it."""
        ...

    def checksum(self) -> int:
        """Return a sum over the records that does not depend on their order, below 2**64."""
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

    def load(self, part: Partition) -> Records:
        """Return the records of a partition."""
        ...

    def sample(self, part: Partition, count: int) -> list[tuple[Any, int]]:
        """Return keys and offsets of about so many records of a partition, the same ones each time."""
        ...

    def room(self, nbytes: int) -> int:
        """Return how many bytes :meth:`brought` needs for parts of so many together."""
        ...

    def brought(self, data: Iterable[memoryview], room: Bytes) -> Records:
        """Return the records in parts that :meth:`Records.take` has made."""
        ...

    def written(self, ordered: Records, places: Order, room: Bytes) -> Sequence[Buffer]:
        """Return the records at these places as they stand in an output object."""
        ...


class _ByBytes:
    """What layouts share whose records are bytes."""

    def written(self, ordered: Records, places: Order, room: Bytes) -> Sequence[Buffer]:
        """Return the records at these places as they stand in an output object."""
        return ordered.take(places, [len(places)], room)[0]

    def load(self, part: Partition) -> Records:
        """Return the records of a partition."""
        begun, data = part.located()
        return self.of(data, begun, part.url)

    def of(self, data: memoryview, begun: int = 0, url: str = "") -> Records:
        """Return the records in some bytes, which begin at ``begun`` in the object at ``url``."""
        raise NotImplementedError

    def sample(self, part: Partition, count: int) -> list[tuple[Any, int]]:
        """Return keys and offsets of about so many records of a partition, the same ones each time."""
        windows = 1 if part.planned <= WINDOWS * WINDOW else min(WINDOWS, count)
        length = part.planned if windows == 1 and part.planned <= WINDOWS * WINDOW else WINDOW
        found = []
        for i in range(windows):
            # In the middle of each share of the partition, wherever the record borders are.
            at = part.start + max(0, part.planned * (2 * i + 1) // (2 * windows) - length // 2)
            some = self.load(replace(part, start=at, stop=min(part.stop, at + length)))
            share = min(some.count, -(-count // windows))
            places = [some.count * (2 * k + 1) // (2 * share) for k in range(share)]
            found += [(some.key(k), some.offset(k)) for k in places]
        return found

    def room(self, nbytes: int) -> int:
        """Return how many bytes :meth:`brought` needs for parts of so many together."""
        return nbytes

    def brought(self, data: Iterable[memoryview], room: Bytes) -> Records:
        """Return the records in parts that were taken, copied to ``room`` one after the other."""
        at = 0
        for part in data:
            room[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)
        return self.of(room[:at].data)


@dataclass(frozen=True, slots=True)
class FixedLayout(_ByBytes):
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

    def of(self, data: memoryview, begun: int = 0, _url: str = "") -> Records:
        """Return the records in some bytes.

        >>> FixedLayout(2, 0, 1).of(memoryview(b"b1a2a1")).order().tolist()
        [1, 2, 0]
        """
        return _FixedRecords(self, np.frombuffer(data, np.uint8).reshape(-1, self.width), begun)


class _ByWords:
    """What records share whose keys are words."""

    count: int
    words: Words

    def order(self) -> Order:
        return ordering.order_of(self.words)

    def first_out_of_order(self) -> int | None:
        return ordering.first_out_of_order(self.words)

    def ranges(self, splitters: Sequence[Splitter], number: int) -> npt.NDArray[Any]:
        firsts = [int.from_bytes(one.key[:WORD].ljust(WORD, b"\0"), "big") for one in splitters]
        if not self.count or not splitters:
            return np.zeros(self.count, np.uint8)
        found, unsure = ordering.range_of_each(self.words.at(0, None), np.array(firsts, np.uint64))
        if len(unsure):
            order = unsure[ordering.order_of(self.words.of(unsure))]
            edges = [_coming_before(self, order, splitter, number) for splitter in splitters]
            found[order] = np.searchsorted(edges, np.arange(len(order)), "right").astype(found.dtype)
        return found

    def key(self, i: int) -> bytes:
        raise NotImplementedError

    def offset(self, i: int) -> int:
        raise NotImplementedError


def _coming_before(records_: _ByWords, order: Order, splitter: Splitter, number: int) -> int:
    """Return how many of the ordered records come before a splitter."""

    def place(i: int) -> tuple[bytes, int, int]:
        return records_.key(i), number, records_.offset(i)

    return bisect_left(order, (splitter.key, splitter.number, splitter.offset), key=place)


class _FixedRecords(_ByWords):
    def __init__(self, layout: FixedLayout, rows: Bytes, begun: int) -> None:
        self._layout, self._rows, self._begun = layout, rows, begun
        self.count, self.nbytes = len(rows), rows.nbytes
        self.words = ordering.words_of_fixed(rows, layout.start, layout.length)

    def key(self, i: int) -> bytes:
        begin = self._layout.start
        return self._rows[i, begin : begin + self._layout.length].tobytes()

    def offset(self, i: int) -> int:
        return self._begun + int(i) * self._layout.width

    def take(self, places: Order, ends: Sequence[int], room: Bytes) -> list[Sequence[Buffer]]:
        width = self._layout.width
        found = room[: len(places) * width]
        # Any other mode would gather into memory of its own first.
        if len(places):
            whole = self._rows.view(f"V{width}")[:, 0]
            np.take(whole, places, out=found.view(whole.dtype), mode="clip")
        return [[found[width * a : width * b].data] if b > a else [] for a, b in pairwise([0, *ends])]

    def checksum(self) -> int:
        return records.checksum(self._rows)


@dataclass(frozen=True, slots=True)
class LineLayout(_ByBytes):
    r"""Records that end with a mark, in the order of their bytes without it.

    Args:
        mark: What ends them; it does not overlap itself, as ``b"\n\n"`` does.
    """

    mark: bytes = b"\n"
    suffix: str = ".txt"

    @property
    def border(self) -> Border:
        """Where such data may be cut."""
        return Delimiter(self.mark)

    def of(self, data: memoryview, begun: int = 0, _url: str = "") -> Records:
        r"""Return the records in some bytes; a last one without an end gets one, so that it can be put anywhere.

        >>> LineLayout().of(memoryview(b"b\na\nab")).order().tolist()
        [1, 2, 0]
        """
        if len(data) and bytes(data[-len(self.mark) :]) != self.mark:
            data = memoryview(b"".join([data, self.mark]))
        return _LineRecords(self, np.frombuffer(data, np.uint8), begun)


class _LineRecords(_ByWords):
    def __init__(self, layout: LineLayout, data: Bytes, begun: int) -> None:
        self._layout, self._data, self._begun = layout, data, begun
        self._borders = np.concatenate([np.zeros(1, np.int64), _ends(data, layout.mark)])
        self.count, self.nbytes = len(self._borders) - 1, 0  # gathered into memory of its own
        self._starts = self._borders[:-1]

    @cached_property
    def words(self) -> Words:  # type: ignore[override]
        return ordering.words_of_lines(
            self._data, self._starts, np.diff(self._borders) - len(self._layout.mark)
        )

    def key(self, i: int) -> bytes:
        return self._data[self._borders[i] : self._borders[i + 1] - len(self._layout.mark)].tobytes()

    def offset(self, i: int) -> int:
        return self._begun + int(self._borders[i])

    def take(self, places: Order, ends: Sequence[int], _room: Bytes) -> list[Sequence[Buffer]]:
        from wrens.models.partitions import tables

        if not len(places):
            return [[] for _ in ends]
        found = tables.gathered(self._data, self._borders, places)
        reached = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(self._borders)[places])])
        edges = reached[[0, *ends]].tolist()
        return [[found[a:b]] if b > a else [] for a, b in pairwise(edges)]

    def checksum(self) -> int:
        return records.checksum_of(self._data, self._borders)


def _ends(data: Bytes, mark: bytes) -> Order:
    """Return where each record ends."""
    last = len(data) - len(mark) + 1
    if last <= 0:
        return np.zeros(0, np.int64)
    found = data[:last] == mark[0]
    for i in range(1, len(mark)):
        found &= data[i : last + i] == mark[i]
    return np.flatnonzero(found) + len(mark)


@dataclass(frozen=True, slots=True)
class KeyedLayout(_ByBytes):
    """Records in the order of what a function says of each.

    Args:
        inner: Where records are.
        by: Called with a record, as bytes and without what ends it; what it returns is compared.
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

    def of(self, data: memoryview, begun: int = 0, url: str = "") -> Records:
        """Return the records in some bytes."""
        inner = self.inner
        if isinstance(inner, FixedLayout):
            inner = replace(inner, start=0, length=inner.width)
        return _KeyedRecords(inner.of(data, begun), self.by, url)


class _KeyedRecords:
    def __init__(self, inner: Records, by: Callable[[bytes], Any], url: str) -> None:
        self._inner, self._by, self._url = inner, by, url or "a range of the sorted data"
        self.count, self.nbytes = inner.count, inner.nbytes
        self.offset, self.take, self.checksum = inner.offset, inner.take, inner.checksum

    @cached_property
    def _keys(self) -> list[Any]:
        found: list[Any] = []
        for i in range(self.count):
            record = self._inner.key(i)
            try:
                found.append(self._by(record))
            except Exception as error:
                told = f"the key function raised {type(error).__name__}: {error}; the record is {record[:SHOWN]!r}"
                raise BadData(
                    self._url,
                    self.offset(i),
                    told,
                    "Correct the record, or let the function return a key for it.",
                ) from error
        return found

    def key(self, i: int) -> Any:
        return self._keys[i]

    def order(self) -> Order:
        keys = self._keys
        try:
            return np.array(sorted(range(self.count), key=keys.__getitem__), np.int64)
        except TypeError:
            self.first_out_of_order()  # says which
            raise

    def ranges(self, splitters: Sequence[Splitter], number: int) -> npt.NDArray[Any]:
        self.first_out_of_order()  # so that keys that do not compare are found where their records are known
        edges = [(one.key, one.number, one.offset) for one in splitters]
        places = enumerate(self._keys)
        return np.fromiter(
            (_before(edges, (key, number, self.offset(i))) for i, key in places), np.int64, self.count
        )

    def first_out_of_order(self) -> int | None:
        keys, found, i = self._keys, None, 0
        try:
            for i in range(1, self.count):
                if keys[i] < keys[i - 1] and found is None:
                    found = i
        except TypeError as error:
            told = f"the keys of two records do not compare: {error}; this one's is {keys[i]!r:.80}"
            raise BadData(
                self._url, self.offset(i), told, "Let the key function return the same type for every record."
            ) from error
        return found


def _before(edges: list[tuple[Any, int, int]], place: tuple[Any, int, int]) -> int:
    """Return how many ranges end before a record: ranges begin with the record at their edge."""
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if place < edges[middle]:
            high = middle
        else:
            low = middle + 1
    return low
