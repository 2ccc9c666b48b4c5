"""A stage in the middle, so that requests grow with n·√m and not with n·m.

    n objects       √m at a time are read by √m tasks, each of which takes √m of the columns:   n·√m reads, n writes
    m readers       each reads one range from n/√m objects of the middle stage:                 n·√m reads

A task in the middle reads as much as one that wrote, unpacks nothing, and checks digests. It is a task of the executor like
any other, so its object counts only if its verdict does. Decides which task moves what;
how many there are is decided in :mod:`wrens.models.exchange.choosing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from wrens.models.exchange import nesting, reading, storing
from wrens.models.exchange.choosing import groups
from wrens.models.exchange.index import Column, Slice, Written, columns
from wrens.store.port import is_signed

if TYPE_CHECKING:  # workers import this module, and no driver
    from wrens.core.executor import Executor


@dataclass(frozen=True, slots=True)
class Haul:
    """What a task in the middle takes out of one object.

    Args:
        range: The parts, which lie side by side.
        counts: How many of them belong to each of the readers.
    """

    range: Slice
    counts: tuple[int, ...]


def extent(shares: Sequence[Sequence[Slice]]) -> tuple[int, int]:
    """Return how many reads there are without a middle stage, for a task may have nothing for some readers, and of how many bytes."""
    found = []
    for one in shares:
        if isinstance(one, Column):
            found += [sum(task.lengths[one.first : one.stop]) for task in one.tasks]
        else:
            found += [each.length for each in one]
    return sum(map(bool, found)), sum(found)


def can_move(shares: Sequence[Sequence[Slice]]) -> bool:
    """Tell whether shares are the columns of objects, one after the other, as a middle stage needs them."""
    found = [one for one in shares if isinstance(one, Column)]
    return (
        len(found) > 1
        and all(isinstance(one, Column) or not one for one in shares)
        and all(a.beside(b) for a, b in pairwise(found))
        and not any(one.written.shards for one in found[0].tasks)
    )


def moved(
    executor: Executor, shares: Sequence[Sequence[Slice]], folder: str = ""
) -> tuple[list[Sequence[Slice]], list[Written]]:
    """Run the middle stage.

    Args:
        executor: Runs it.
        shares: What each reader would read without it; see :func:`can_move`.
        folder: What keys of its objects begin with, so that they outlive its job, which is deleted at once; by default
            they lie below the job.

    Returns:
        What each reader reads now, and what there is to delete when they have.

    Raises:
        JobFailed: if what was written is gone, or is not what was written.
    """
    found = [one for one in shares if isinstance(one, Column)]
    tasks = found[0].tasks
    rows, wide = groups(len(tasks), len(found))
    # The names and the keeping that the user has asked for are for what he gets.
    between = executor.options(name=None, keep=False, fail_fast=True)
    mover = Mover(found[0].tasks[0].written.store, folder) if folder else Mover()
    job = between.map_async(mover, _hauls(found, rows, wide))
    made = job.results()
    if folder:
        executor.discard(job.id)
    across = -(-len(found) // wide)
    new: list[Sequence[Slice]] = []
    for k in range(across):
        new += columns(made[k::across])
    readers = iter(new)
    return [next(readers) if isinstance(one, Column) else one for one in shares], made


def _hauls(shares: Sequence[Column], rows: int, wide: int) -> Iterator[list[Haul]]:
    """Yield the input of each task in the middle: group by group of objects, and in each of readers."""
    tasks = shares[0].tasks
    for begin in range(0, len(tasks), rows):
        for first in range(0, len(shares), wide):
            some = shares[first : first + wide]
            hauls = []
            for task in tasks[begin : begin + rows]:
                counts = tuple(task.count(one.first, one.stop) for one in some)
                if any(counts):
                    (one,) = task.slices(some[0].first, some[-1].stop, apart=True)
                    hauls.append(Haul(one, counts))
            yield hauls or [Haul(Slice("", "", 0, ()), (0,) * len(some))]


@dataclass(frozen=True, slots=True)
class Mover:
    """The task in the middle: brings together for some readers what some tasks wrote for them, as one object.

    Args:
        store: URL of the store to write to; by default that of the task.
        folder: What the object's key begins with there; by default it lies below the task's job.
    """

    store: str = ""
    folder: str = ""

    def __call__(self, hauls: Sequence[Haul]) -> Written:
        """Read some ranges, and write them as one object."""
        readers, nbytes = _together(hauls)
        store, folder = storing.here(self.store, self.folder)
        ready = storing.prepared(
            map(nesting.nested, readers), squeeze=False, checked=is_signed(storing.store_of(store))
        )
        key = storing.put(store, folder, ready.parts)
        sizes_in_memory = storing.words(nbytes)
        return Written(store, key, ready.lengths.tobytes(), sizes_in_memory, ready.digests, nested=True)


def _together(hauls: Sequence[Haul]) -> tuple[list[list[nesting.Pieces]], list[int]]:
    """Return for each reader what tasks wrote for it, and how many bytes of memory that takes."""
    readers: list[list[nesting.Pieces]] = [[] for _ in hauls[0].counts]
    nbytes = [0] * len(readers)
    wanted = [one for one in hauls if any(one.counts)]
    got = reading.in_order(wanted, lambda one: reading.fetched(one.range), lambda one: one.range.length)
    for one, data in zip(wanted, got, strict=True):
        for _ in reading.checked(one.range, data):
            pass
        at = i = 0
        for j, count in enumerate(one.counts):
            if count:
                lengths, sizes = one.range.lengths[i : i + count], one.range.sizes[i : i + count]
                readers[j].append((lengths, sizes, data[at : at + sum(lengths)]))
                nbytes[j] += sum(sizes or lengths)
                at, i = at + sum(lengths), i + count
    return readers, nbytes
