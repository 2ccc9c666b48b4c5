"""A sort of more data than all workers' memory holds: objects in, numbered and globally ordered objects out.

    sample        a few records of every partition               which keys part the data evenly
    stage 1       partition by partition: to which range?        one object each, with a part for each range
    stage 2       range by range: read, order, write             <target>/part-00000, part-00001, …
    client        the manifest, last: who finds it finds all     <target>/_manifest.json

Ranges are parted by key and, among equal keys, by where a record came from; so a key that is everywhere does not end in one
worker, and equal records keep their order. Every output object has its name from its range, is written once if nothing
is there, and is the same whoever writes it. Decides how many ranges there are and what the manifest says; how records are
compared is in :mod:`wrens.models.ordering`, and how they travel in :mod:`wrens.models.exchange`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.errors import AlreadyExists, BadData, BadOption, TargetTaken
from wrens.models import exchange
from wrens.models.borders import Delimiter, Fixed, border_of
from wrens.models.exchange import Slice, Written
from wrens.models.layouts import WINDOW, FixedLayout, KeyedLayout, Layout, LineLayout, Records
from wrens.models.partition import Partition, partition
from wrens.models.stages import Stage
from wrens.store import data as places
from wrens.store.data import Address, open_data
from wrens.store.port import sizes

PART = 64 * 2**20
"""Bytes of an input partition and of an output object, when nobody says: a worker needs about four times as much."""
SAMPLES = 64
"""Records that are looked at for each range, in all; the largest range is then seldom a third above the mean."""
PLACES = 4
"""Places in each partition at which samples are taken."""
MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Sorted:
    """Where sorted data are.

    Args:
        target: The address under which the objects are.
        parts: For each object its name below the target, its bytes and its records, in the order of the data.
        records: How many records there are in all.
        stages: What each stage did.
    """

    target: str
    parts: tuple[tuple[str, int, int], ...]
    records: int
    stages: tuple[Stage, ...] = ()

    def manifest(self) -> bytes:
        """Return what is written beside the objects when all are there."""
        found = [{"name": name, "bytes": nbytes, "records": records} for name, nbytes, records in self.parts]
        return json.dumps({"wrens": 1, "records": self.records, "parts": found}, indent=1).encode()


@dataclass(frozen=True, slots=True)
class _Splitter:
    """The first record of a range: its key, and where it is, for those with the same key."""

    key: Any
    number: int
    offset: int


def sort(
    executor: Executor,
    source: Address | Iterable[Address],
    target: Address,
    *,
    border: str | bytes | int = "lines",
    key: slice | Callable[[bytes], Any] | None = None,
    size: int = PART,
    overwrite: bool = False,
) -> Sorted:
    r"""Sort data that may be larger than the memory of all workers, into numbered objects.

    Args:
        executor: Runs the stages.
        source: What to sort; see :func:`wrens.partition`.
        target: A directory or prefix for the objects ``part-00000``, ``part-00001``, …, and a manifest.
        border: What a record is: ``"lines"``, a delimiter in bytes, or the width of a record in bytes.
        key: By what records are compared. ``None`` for all of their bytes; a slice for some bytes of records of a
            fixed width; or a function that is called with each record's bytes, which is much slower.
        size: Bytes that a worker sorts at a time, and about the size of an output object.
        overwrite: Delete what is at the target first.

    Returns:
        Where the data are. Equal records stay in the order of the source.

    Raises:
        NoData: if the source names nothing.
        TargetTaken: if there is something at the target, and ``overwrite`` is false.
        BadData: if the width does not divide an object, or the key function raised; it says where.
        BadOption: if border and key do not fit.

    >>> import tempfile, wrens
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder, wrens.Executor("inline") as ex:
    ...     _ = Path(folder, "in.txt").write_text("pear\nfig\napple\n")
    ...     done = sort(ex, f"{folder}/in.txt", f"{folder}/out")
    ...     Path(folder, "out", "part-00000.txt").read_text().split()
    ['apple', 'fig', 'pear']
    """
    layout = layout_of(border, key)
    parts = partition(source, size=size, border=_given(layout.border))
    place = Place(*places.place_of(target))
    place.clear(overwrite=overwrite)
    clock = SystemClock()
    began = clock.now()
    count = max(1, -(-sum(part.planned for part in parts) // size))
    splitters = _splitters(executor, layout, parts, count)
    sampled = clock.now()
    written = executor.map_async(_parter(layout, splitters), list(enumerate(parts))).results()
    parted = clock.now()
    columns = exchange.columns(written)
    columns += [[] for _ in range(len(splitters) + 1 - len(columns))]
    finished = executor.map_async(_sorter(layout, place), list(enumerate(columns))).results()
    exchange.forget(written)
    records = sum(one.note for one in written)
    if sum(n for _, _, n in finished) != records:
        raise BadData(
            str(target), 0, f"{records:,} records were read and {sum(n for _, _, n in finished):,} written"
        )
    stages = (
        Stage("sample", len(parts), sampled - began),
        Stage(
            "part",
            len(parts),
            parted - sampled,
            pairs_in=records,
            pairs_out=records,
            bytes_out=sum(one.nbytes for one in written),
            objects=sum(bool(one.key) for one in written),
        ),
        Stage("sort", len(columns), clock.now() - parted, pairs_in=records, pairs_out=records),
    )
    done = Sorted(place.url, tuple(finished), records, stages)
    place.put(MANIFEST, [done.manifest()])
    return done


def layout_of(border: str | bytes | int, key: Any) -> Layout:
    """Return the layout that a border and a key stand for.

    Raises:
        BadOption: if they do not fit, or are not what they should be.

    >>> layout_of(100, slice(0, 10))
    FixedLayout(width=100, start=0, length=10, suffix='')
    """
    kind = border_of(border)
    inner: FixedLayout | LineLayout
    if isinstance(kind, Fixed):
        begin, end, step = key.indices(kind.width) if isinstance(key, slice) else (0, kind.width, 1)
        if step != 1 or end <= begin:
            raise BadOption(f"key={key!r}", f"is no range of bytes in a record of {kind.width}")
        inner = FixedLayout(kind.width, begin, end - begin)
    elif isinstance(kind, Delimiter):
        if isinstance(key, slice):
            raise BadOption(
                f"key={key!r}", "needs records of a fixed width", "Pass border=WIDTH, or a function."
            )
        inner = LineLayout(kind.mark)
    else:
        raise BadOption(f"border={border!r}", "cannot be sorted", "Sort lines, or records of a fixed width.")
    if key is None or isinstance(key, slice):
        return inner
    if not callable(key):
        raise BadOption(
            f"key={key!r}", "is no key", "Pass None, a slice of bytes, or a function of a record's bytes."
        )
    return KeyedLayout(inner, key)


@dataclass(frozen=True, slots=True)
class Place:
    """Where sorted data go.

    Args:
        store: URL of the store.
        prefix: What the keys begin with there.
    """

    store: str
    prefix: str

    @property
    def url(self) -> str:
        """The address."""
        return places.address_of(self.store, self.prefix.rstrip("/"))

    def clear(self, *, overwrite: bool) -> None:
        """Make sure that nothing is there.

        Raises:
            TargetTaken: if something is, and may not be deleted.
        """
        store = open_data(self.store)
        found = [key for key, _ in sizes(store, f"{self.prefix.rstrip('/')}/")]
        if found and not overwrite:
            raise TargetTaken(self.url, places.address_of(self.store, found[0]))
        store.delete(found)

    def put(self, name: str, data: Sequence[Any]) -> None:
        """Write an object if there is none; another attempt at the same task may have written the same.

        Raises:
            TargetTaken: if another one is there.
        """
        store, key = open_data(self.store), f"{self.prefix.rstrip('/')}/{name}"
        try:
            store.put(key, data)
        except AlreadyExists:
            there, at = store.get(key), 0
            for buffer in data:
                if there[at : at + len(buffer)] != memoryview(buffer):
                    raise TargetTaken(self.url, places.address_of(self.store, key)) from None
                at += len(buffer)
            if at != len(there):
                raise TargetTaken(self.url, places.address_of(self.store, key)) from None


def _splitters(executor: Executor, layout: Layout, parts: Sequence[Partition], count: int) -> list[_Splitter]:
    """Return the first records of all ranges but the first, from samples."""
    if count == 1:
        return []
    each = -(-count * SAMPLES // len(parts))
    found = executor.map_async(_sampler(layout, each), list(enumerate(parts))).results()
    samples = sorted(
        (one for some in found for one in some), key=lambda one: (one.key, one.number, one.offset)
    )
    if not samples:
        return []
    chosen = [samples[len(samples) * i // count] for i in range(1, count)]
    return list(dict.fromkeys(chosen))


def _sampler(layout: Layout, each: int) -> Callable[[tuple[int, Partition]], list[_Splitter]]:
    """Return the task that looks at a few records of a partition, the same ones each time."""

    def sample(one: tuple[int, Partition]) -> list[_Splitter]:
        number, part = one
        begin, end = part.bounds()
        found = []
        for i in range(PLACES):
            # A window in each quarter, wherever the record borders are.
            at = begin + (end - begin) * (2 * i + 1) // (2 * PLACES)
            some = replace(part, start=at, stop=min(end, at + WINDOW))
            first, last = some.bounds()
            if first >= last:
                continue
            records = layout.of([some.read()], some)
            step = max(1, records.count * PLACES // each)
            found += [
                _Splitter(records.key(k), number, first + records.offset(k))
                for k in range(0, records.count, step)
            ]
        return found

    return sample


def _parter(layout: Layout, splitters: Sequence[_Splitter]) -> Callable[[tuple[int, Partition]], Written]:
    """Return the task of stage 1: order a partition and write it with a part for each range."""

    def part_one(one: tuple[int, Partition]) -> Written:
        number, part = one
        records = layout.of([part.read()], part)
        base = part.bounds()[0]
        order = records.order()
        edges = [_place_of(records, order, splitter, number, base) for splitter in splitters]
        edges = [0, *edges, records.count]
        return exchange.write([records.take(order[a:b]) for a, b in pairwise(edges)], note=records.count)

    return part_one


def _place_of(records: Records, order: Any, splitter: _Splitter, number: int, base: int) -> int:
    """Return how many of the ordered records come before a splitter."""
    low, high = 0, records.count
    while low < high:
        middle = (low + high) // 2
        i = int(order[middle])
        mine = records.key(i)
        if mine < splitter.key:
            before = True
        elif splitter.key < mine:
            before = False
        else:
            before = (number, base + records.offset(i)) < (splitter.number, splitter.offset)
        if before:
            low = middle + 1
        else:
            high = middle
    return low


def _sorter(layout: Layout, place: Place) -> Callable[[tuple[int, Sequence[Slice]]], tuple[str, int, int]]:
    """Return the task of stage 2: bring a range together and write it."""

    def sort_one(one: tuple[int, Sequence[Slice]]) -> tuple[str, int, int]:
        number, slices = one
        records = layout.of(list(exchange.read(slices)))
        found = records.take(records.order())
        name = f"part-{number:05}{layout.suffix}"
        place.put(name, found)
        return name, sum(len(buffer) for buffer in found), records.count

    return sort_one


def _given(border: Any) -> str | bytes | int:
    return border.width if isinstance(border, Fixed) else border.mark
