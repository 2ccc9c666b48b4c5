"""What a caller's map and reduce become on a worker: the tasks of both stages of a MapReduce.

Decides when a worker writes what it has because its memory is used up, and how a reducer reads more than fits into it. The
driver is not imported here, so that a worker does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from reprlib import repr as shown
from typing import Any

from wrens.models import exchange
from wrens.models.exchange import Exchange, Packed, Slice, Written
from wrens.models.mapreduce import grouping, results
from wrens.models.mapreduce.grouping import Combine
from wrens.models.mapreduce.results import Pairs
from wrens.serialize.functions import name_of

Map = Callable[[Any], Iterable[tuple[Hashable, Any]] | Mapping[Any, Any]]
Reduce = Callable[[Hashable, Any], Any]

GROWS = 10
"""How many times its pickled size a part may take up in memory."""
WINDOW = 4 * 2**20
"""Bytes that are read at a time from a store on this computer, where a request costs next to nothing."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a task of the first stage tells beside where its parts are.

    Args:
        taken: Pairs that ``map`` has made.
        left: Keys, each with one combined value or the list of its values.
        common: The key with the most values; not known when they are combined.
        times: How many these are.
    """

    taken: int
    left: int
    common: Hashable = None
    times: int = 0


class Mapper:
    """The task of the first stage.

    Args:
        function: Makes pairs of an input.
        combine: Makes one value of two.
        fan: How many parts are written.
        budget: Bytes of pairs that are held at a time.
    """

    def __init__(self, function: Map, combine: Combine | None, fan: int, budget: int) -> None:
        self.function, self.combine, self.fan, self.budget = function, combine, fan, budget
        self.way: Exchange = Packed()
        self.__module__, self.__qualname__ = "", name_of(function)

    def __call__(self, one: Any) -> list[Written]:
        """Write what is made of an input: one object, or several when there is more than fits into memory.

        Raises:
            BadPair: if something that was made cannot be grouped by key.
            CannotShip: if it cannot be pickled.
        """
        pairs = grouping.pairs_in(self.function(one))
        return [self._written(table) for table in grouping.tables(pairs, self.combine, self.budget)]

    def _written(self, table: grouping.Table) -> Written:
        note = Note(table.taken, len(table.pairs), *table.most_common())
        return self.way.write(grouping.segments(table.numbered(), self.fan), note=note)


class Reducer:
    """The task of the second stage.

    Args:
        function: Makes a result of a key and its values; ``None`` keeps these.
        combine: Makes one value of two.
        budget: Bytes of pairs that are held at a time.
        beside: A function that travels with it, because the values may be of classes from its module.
    """

    def __init__(
        self, function: Reduce | None, combine: Combine | None, budget: int, beside: Map | None = None
    ) -> None:
        self.function, self.combine, self.budget, self.beside = function, combine, budget, beside
        self.__module__, self.__qualname__ = "", "reduce" if function is None else name_of(function)

    def __call__(self, slices: Sequence[Slice]) -> Pairs:
        """Return the results of the keys whose values are in these slices, and keep them in the store.

        Raises:
            CannotShip: if a result cannot be pickled.
        """
        return results.pairs_of(self._results(self._groups(slices)))

    def _groups(self, slices: Sequence[Slice]) -> Iterator[tuple[Hashable, Any]]:
        needed = sum(one.nbytes for one in slices) * GROWS
        if needed <= self.budget:
            return grouping.in_memory(exchange.read(slices), self.combine)
        count = -(-needed // self.budget)
        if all(exchange.is_near(one.store) for one in slices):
            # Read again for each range, and a little at a time: a map of a file counts as memory while it is held.
            windows = [window for one in slices for window in windows_of(one)]
            return grouping.by_ranges(lambda: exchange.read(windows), self.combine, count)
        parts = exchange.spooled(slices, self.budget // 2)
        return grouping.by_ranges(lambda: parts, self.combine, count)

    def _results(self, groups: Iterator[tuple[Hashable, Any]]) -> Iterator[tuple[Hashable, Any]]:
        function = self.function
        if function is None:
            yield from groups
            return
        for key, values in groups:
            try:
                yield key, function(key, values)
            except Exception as error:
                error.add_note(f"raised by {self.__qualname__}, for the key {shown(key)}")
                raise


def windows_of(one: Slice, most: int = WINDOW) -> Iterator[Slice]:
    """Yield a slice in pieces of whole parts, or of a part's whole chunks, of about so many bytes at most.

    >>> [window.lengths for window in windows_of(Slice("s", "k", 0, (3, 4, 9, 1), sizes=(3, 4, 9, 1)), 8)]
    [(3, 4), (9,), (1,)]
    """
    if one.nested:
        yield one
        return
    first, start, held = 0, one.start, 0
    for i, length in enumerate((*one.lengths, most)):
        if held and held + length > most:
            window = replace(
                one,
                start=start,
                lengths=one.lengths[first:i],
                sizes=one.sizes[first:i],
                digests=one.digests[first:i],
            )
            plain = held > most and not one.sizes and not one.digests
            yield from _by_chunks(window, most) if plain else (window,)
            first, start, held = i, start + held, 0
        held += length


def _by_chunks(part: Slice, most: int) -> Iterator[Slice]:
    """Yield a part in pieces, cut between its chunks."""
    start = at = part.start
    end = part.start + part.length
    while at < end:
        (head,) = exchange.read([replace(part, start=at, lengths=(grouping.HEAD,))])
        after = at + grouping.length_of(head)
        if after - start > most and at > start:
            yield replace(part, start=start, lengths=(at - start,))
            start = at
        at = after
    yield replace(part, start=start, lengths=(end - start,))
