"""Where each part lies: what a task of stage 1 tells, and what a task of stage 2 is given.

Decides how many requests a reader needs: parts that lie side by side in an object are one slice. Pure; reads and writes
nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any, NamedTuple, overload

DIGEST = 16
"""Bytes of a part's digest."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one task has written for the next stage: where each of its parts lies.

    Args:
        store: URL of the store.
        key: Key of the object that holds parts there, one after the other; empty when none does.
        lengths: How long each part is as it is stored, as unsigned 64-bit integers.
        sizes: How large each is in memory; empty when that is the same.
        digests: Of each as it is stored, where others may write too.
        note: What the task wants to tell besides.
        shards: URLs of the servers that hold parts, as values.
        places: For each part 0 if the object holds it, or which of the shards does, counted from 1, as unsigned
            16-bit integers; empty when the object holds all.
        name: What the names of these values begin with.
        nested: Each part is several, with a head that says where each begins.
    """

    store: str
    key: str
    lengths: bytes
    sizes: bytes = b""
    digests: bytes = b""
    note: Any = None
    shards: tuple[str, ...] = ()
    places: bytes = b""
    name: str = ""
    nested: bool = False

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self.lengths) // 8

    @property
    def nbytes(self) -> int:
        """How many bytes were written."""
        return sum(array("Q", self.lengths))

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield shard and name of each part that is a value."""
        for j, place in enumerate(array("H", self.places)):
            if place:
                yield self.shards[place - 1], f"{self.name}/{j}"


@dataclass(frozen=True, slots=True)
class Slice:
    """Parts that lie side by side in one object and are read with one request; or one part that is a value.

    Args:
        store, key: The object, or the shard and the value's name.
        start: Where the first part begins.
        lengths: How long each is there, in bytes.
        sizes: How many bytes each is in memory; empty when that is the same.
        digests: Of each as it is stored; empty where nobody else can write.
        nested: Each part is several, with a head that says where each begins.
    """

    store: str
    key: str
    start: int
    lengths: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    digests: tuple[bytes, ...] = ()
    nested: bool = False

    @property
    def length(self) -> int:
        """How many bytes it is in the store."""
        return sum(self.lengths)

    @property
    def nbytes(self) -> int:
        """How many bytes it is in memory."""
        return sum(self.sizes or self.lengths)


Shape = tuple[str, str, tuple[str, ...], str, bool, bool, bool, bool, int]
"""What is the same for most tasks: store, folder of keys, shards, folder of names, nested; whether there are sizes, digests and
places; how many parts."""


class Block(NamedTuple):
    """Some parts of tasks whose objects are alike, as they travel to who reads them; see :class:`Written`."""

    shape: Shape
    first: int
    keys: str
    names: str
    starts: bytes
    lengths: bytes
    sizes: bytes
    digests: bytes
    places: bytes


class Task:
    """What one task has written, or some of it, unpacked for being looked up.

    Args:
        written: What it tells.
        base: Where in the object the first part begins.
        first: The number of the first part.
    """

    __slots__ = ("first", "lengths", "places", "shape", "sizes", "starts", "tails", "written")

    def __init__(self, written: Written, base: int = 0, first: int = 0) -> None:
        self.written, self.first = written, first
        self.lengths = array("Q", written.lengths)
        self.sizes = array("Q", written.sizes)
        self.places = array("H", written.places)
        stored = self.lengths
        if self.places:
            stored = array("Q", (0 if at else n for n, at in zip(stored, self.places, strict=True)))
        self.starts = array("Q", accumulate(stored, initial=base))
        folder, _, key = written.key.rpartition("/")
        path, _, name = written.name.rpartition("/")
        self.tails = key, name
        self.shape: Shape = (
            *(written.store, folder, written.shards, path, written.nested),
            *(bool(written.sizes), bool(written.digests), bool(written.places), written.parts),
        )

    def count(self, first: int, stop: int) -> int:
        """Return how many of these parts are not empty."""
        return sum(map(bool, self.lengths[first:stop]))

    def slices(self, first: int, stop: int, *, apart: bool = False) -> Iterator[Slice]:
        """Yield what parts from ``first`` up to ``stop`` are; ``apart`` tells of each part how long it is."""
        run: list[int] = []
        for j in range(first, min(stop, len(self.lengths))):
            place = self.places[j] if self.places else 0
            if place and self.lengths[j]:
                if run:
                    yield self._slice(run, apart=apart)
                    run = []
                at = self.written
                yield self._slice([j], at.shards[place - 1], f"{at.name}/{self.first + j}")
            elif self.lengths[j]:
                run.append(j)
        if run:
            yield self._slice(run, apart=apart)

    def _slice(self, run: list[int], shard: str = "", name: str = "", *, apart: bool = False) -> Slice:
        one = self.written
        lengths = tuple(self.lengths[j] for j in run)
        sizes = tuple(self.sizes[j] for j in run) if self.sizes else ()
        digests = tuple(one.digests[DIGEST * j : DIGEST * (j + 1)] for j in run) if one.digests else ()
        if not sizes and not digests and not apart:
            lengths = (sum(lengths),)
        if shard:
            return Slice(shard, name, 0, lengths, sizes, digests, one.nested)
        return Slice(one.store, one.key, self.starts[run[0]], lengths, sizes, digests, one.nested)


class Column(Sequence[Slice]):
    """The slices of some parts, side by side, of all tasks that wrote: made when they are asked for.

    Of n tasks with m parts each there are n × m slices, too many to hold for all columns at once. It travels as few arrays
    (some 50 bytes for each slice), and arrives as a list.
    """

    __slots__ = ("first", "stop", "tasks")

    def __init__(self, tasks: Sequence[Task], first: int, stop: int) -> None:
        self.tasks, self.first, self.stop = tasks, first, stop

    def __iter__(self) -> Iterator[Slice]:
        for task in self.tasks:
            yield from task.slices(self.first, self.stop)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, at: int) -> Slice: ...
    @overload
    def __getitem__(self, at: slice) -> list[Slice]: ...
    def __getitem__(self, at: int | slice) -> Slice | list[Slice]:
        return list(self)[at]

    def __reduce__(self) -> tuple[Callable[[list[Block]], list[Slice]], tuple[list[Block]]]:
        return unshipped, (shipped(self),)

    def __repr__(self) -> str:
        return f"<Column of parts {self.first} to {self.stop - 1} of {len(self.tasks)} tasks>"

    def beside(self, other: Column) -> bool:
        """Tell whether another begins where this one ends."""
        return self.tasks is other.tasks and self.stop == other.first

    def upto(self, other: Column) -> Column:
        """Return this one and all up to another as one."""
        return Column(self.tasks, self.first, other.stop)


def shipped(column: Column) -> list[Block]:
    """Return a column as it travels: tasks in a row whose objects are alike are one block."""
    blocks = []
    for shape, some in groupby(column.tasks, key=attrgetter("shape")):
        tasks, first, stop = list(some), column.first, min(column.stop, shape[-1])
        if first >= stop:
            continue
        starts = array("Q", [task.starts[first] for task in tasks])
        *_, sizes, digests, places, _ = shape
        if sizes or digests or places:
            lengths = b"".join([task.lengths[first:stop].tobytes() for task in tasks])
        else:  # nobody needs to know where one part ends and the next begins
            lengths = array("Q", [task.starts[stop] - task.starts[first] for task in tasks]).tobytes()
        blocks.append(
            Block(
                shape,
                first,
                "\n".join([task.tails[0] for task in tasks]),
                "\n".join([task.tails[1] for task in tasks]),
                starts.tobytes(),
                lengths,
                b"".join([task.sizes[first:stop].tobytes() for task in tasks]) if sizes else b"",
                b"".join([task.written.digests[DIGEST * first : DIGEST * stop] for task in tasks]),
                b"".join([task.places[first:stop].tobytes() for task in tasks]) if places else b"",
            )
        )
    return blocks


def unshipped(blocks: Iterable[Block]) -> list[Slice]:
    """Return the slices of a column that has travelled."""
    found: list[Slice] = []
    for block in blocks:
        store, folder, shards, path, nested, *_ = block.shape
        starts = array("Q", block.starts)
        each = len(block.lengths) // 8 // len(starts)
        for i, (key, name) in enumerate(zip(block.keys.split("\n"), block.names.split("\n"), strict=True)):
            written = Written(
                store,
                f"{folder}/{key}" if key else "",
                block.lengths[8 * each * i : 8 * each * (i + 1)],
                block.sizes[8 * each * i : 8 * each * (i + 1)],
                block.digests[DIGEST * each * i : DIGEST * each * (i + 1)],
                None,
                shards,
                block.places[2 * each * i : 2 * each * (i + 1)],
                f"{path}/{name}" if name else "",
                nested,
            )
            found += Task(written, starts[i], block.first).slices(0, each)
    return found


def columns(written: Sequence[Written]) -> list[Sequence[Slice]]:
    """Return for each task of the next stage the slices that it reads, in the order of the tasks that wrote them.

    >>> lengths = array("Q", [2, 0, 3]).tobytes()
    >>> [list(one) for one in columns([Written("s", "k", lengths)])][2]
    [Slice(store='s', key='k', start=2, lengths=(3,), sizes=(), digests=(), nested=False)]
    """
    tasks = [Task(one) for one in written]
    count = max((one.parts for one in written), default=0)
    return [Column(tasks, j, j + 1) for j in range(count)]


def joined(share: Iterable[Sequence[Slice]]) -> Sequence[Slice]:
    """Return columns that lie side by side as one: what lies side by side in an object is read with one request.

    >>> written = [Written("s", "k", array("Q", [5, 2]).tobytes()), Written("s", "l", array("Q", [0, 1]).tobytes())]
    >>> [(one.key, one.start, one.length) for one in joined(columns(written))]
    [('k', 0, 7), ('l', 0, 1)]
    """
    found: Sequence[Slice] = []
    for column in share:
        if not isinstance(column, Column):
            if column:
                found = [*found, *column]
        elif isinstance(found, Column) and found.beside(column):
            found = found.upto(column)
        else:
            found = [*found, *column] if found else column
    return found
