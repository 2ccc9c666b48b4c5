"""The tasks of :mod:`wrens.models.sort.sorting`: records looked at, parted into ranges, and put in order range by range.

    Sampler    a partition     a few of its records, as splitters
    Parter     a partition     one part for each range, for the exchange
    Orderer    a range         the object of the target that has the range's number

Decides nothing about ranges and places: splitters, layout, target and the way between the stages travel with the tasks. The
driver is not imported here, so that a worker does not need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wrens.models import exchange
from wrens.models.exchange import Exchange, Packed, Slice, Written
from wrens.models.partitions.partition import Partition
from wrens.models.sort import ordering
from wrens.models.sort.layouts import Layout, Splitter
from wrens.models.sort.lending import lent, sparing
from wrens.models.sort.target import Target
from wrens.worker.context import current_task


@dataclass(frozen=True, slots=True)
class Placed:
    """An object that a sort has put in its place.

    Args:
        key: Its name below the target.
        nbytes: How many bytes it has.
        count: How many records.
    """

    key: str
    nbytes: int
    count: int


class Sampler:
    """The task that looks at a few records of a partition, the same ones each time.

    Args:
        layout: What records are.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.__module__, self.__qualname__ = "", "sort: sample"

    def __call__(self, one: tuple[int, Partition, int]) -> list[Splitter]:
        """Return about so many records as splitters: number of the partition, partition, how many."""
        number, part, count = one
        return [Splitter(key, number, offset) for key, offset in self.layout.sample(part, count)]


class Parter:
    """The task of the first stage: write a partition with a part for each range.

    Args:
        layout: What records are.
        splitters: At which record each range but the first begins. Of equal keys those come first that are of an
            earlier partition, and a partition has the number of its task.
    """

    def __init__(self, layout: Layout, splitters: Sequence[Splitter]) -> None:
        self.layout, self.splitters, self.fan = layout, splitters, len(splitters) + 1
        self.way: Exchange = Packed()
        self.__module__, self.__qualname__ = "", "sort: part"

    def __call__(self, one: Partition) -> list[Written]:
        """Write the records of a partition for the ranges to which they belong."""
        return [sparing(lambda: self._written(one))]

    def _written(self, part: Partition) -> Written:
        records = self.layout.load(part)
        ranges = records.ranges(self.splitters, _number())
        places, ends = ordering.brought_together(ranges, self.fan)
        with lent(records.nbytes) as room:
            return self.way.write(records.take(places, ends, room), note=records.count)


class Orderer:
    """The task of the second stage: bring a range together, order it and write it under the number of the task.

    Args:
        layout: What records are.
        target: Where objects go.
    """

    def __init__(self, layout: Layout, target: Target) -> None:
        self.layout, self.target = layout, target
        self.__module__, self.__qualname__ = "", "sort: order"

    def __call__(self, slices: Sequence[Slice]) -> Placed:
        """Return the object that holds the records in these slices, when it is written."""
        return sparing(lambda: self._placed(slices))

    def _placed(self, slices: Sequence[Slice]) -> Placed:
        layout, name = self.layout, f"part-{_number():05}{self.layout.suffix}"
        with lent(layout.room(sum(one.nbytes for one in slices))) as room:
            records = layout.brought(exchange.read(slices), room)
            with lent(records.nbytes) as more:
                found = layout.written(records, records.order(), more)
                self.target.put(name, found)
                return Placed(name, sum(memoryview(buffer).nbytes for buffer in found), records.count)


def _number() -> int:
    """Return the number of the running task, which is that of its partition or range."""
    task = current_task()
    assert task is not None  # noqa: S101 - nobody else calls this
    return task.task
