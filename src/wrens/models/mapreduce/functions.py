"""MapReduce over Python functions: pairs from every input, brought together by key.

    stage 1    one task per input: map, combine, write one part for each reducer     (wrens.models.mapreduce.mapping, grouping, exchange)
    client     which ranges of which objects each reducer reads                      (wrens.models.stages)
    stage 2    one task per reducer: read its parts, group, reduce                   (wrens.models.mapreduce.mapping, results)

Decides what the user may ask for, and what is said about keys that are too common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.core.executor import Executor
from wrens.core.job import Job
from wrens.errors import BadOption
from wrens.models import stages
from wrens.models.exchange import Exchange
from wrens.models.mapreduce.grouping import Combine
from wrens.models.mapreduce.mapping import Map, Mapper, Reduce, Reducer
from wrens.models.mapreduce.results import Pairs
from wrens.models.stages import Ran, Stage

SKEWED = 4.0
"""How much larger than the mean a reducer's share is when it is told."""
COMMON, TENTH = 50_000, 10
"""A key is too common when it has more pairs than this, and more than a tenth of all."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """The results of a :func:`map_reduce`, in the store as they came from the reducers.

    A next stage takes ``parts`` as its inputs, and they do not pass through the client:
    ``map_reduce(ex, reduced.parts, ...)``.

    Args:
        job: The reducers' job; its results are the ``parts``.
        parts: For each reducer its keys and results, to iterate over, here or in a task.
        stages: What each stage did.
        notes: What is worth knowing, such as a key that is much more common than others.
        exchange: Which way the data went between the stages, and why, in one line.
    """

    job: Job[Pairs]
    parts: list[Pairs]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()
    exchange: str = ""

    def __len__(self) -> int:
        """Return how many keys there are."""
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[tuple[Hashable, Any]]:
        """Yield ``(key, result)`` of one reducer after the other; at most one reducer's are in memory."""
        for part in self.parts:
            yield from part

    def collect(self) -> dict[Hashable, Any]:
        """Return all results by key, in memory."""
        return dict(self)


def map_reduce(
    executor: Executor,
    inputs: Iterable[Any],
    map: Map,  # noqa: A002 - the field's word
    reduce: Reduce | None = None,
    *,
    combine: Combine | None = None,
    reducers: int | None = None,
    memory_mb: int | None = None,
    exchange: Exchange | None = None,
) -> Reduced:
    """Group what ``map`` makes of all inputs by key, and reduce each group.

    Args:
        executor: Runs both stages, under its options; a name is that of the reducers' job.
        inputs: One for each task of the first stage, such as the list that :func:`wrens.partition` returns, or the
            ``parts`` of another :class:`Reduced`.
        map: Called with an input; returns or yields pairs ``(key, value)``, or returns a dict. A key is text, bytes, a
            number, ``None``, a date, or a tuple of such (:func:`wrens.models.mapreduce.keying.number_of`).
        reduce: Called with a key and the list of its values, in the order of the inputs, or with the one value that
            ``combine`` has made of them; returns the key's result. Without it the results are those lists, or values.
        combine: Called with two values of one key, returns one. It is used on both sides of the exchange, and so
            must not depend on how values are grouped; then much less is written and read, and no key is too common.
        reducers: How many tasks the second stage has; by default as many as workers, or more when there is much to
            read.
        memory_mb: Megabytes of pairs that one worker holds; when there are more, they are written in several pieces,
            and reduced a range of keys at a time. By default a quarter of a worker's memory, or 256 when that is not known.
            The values of one key, and what a reducer makes, have to fit into memory in any case.
        exchange: How data get from one stage to the next: :class:`wrens.Packed`, :class:`wrens.TwoLevel` or
            :class:`wrens.Redis`; by default what costs least (:class:`wrens.Chosen`).

    Returns:
        The results, which are in the store, and how they came about. Their order does not depend on workers or memory.

    Raises:
        ExchangeLost: if a Redis server was lost with what the first stage had written; nothing is left of it.
        JobFailed: if a task failed, with the exceptions that ``map``, ``combine`` and ``reduce`` raised; among them
            ``BadPair``, if something is no pair or cannot be a key. What other tasks made is deleted.
        BadOption: if an option cannot be, or the name is taken.

    >>> import wrens
    >>> with wrens.Executor("inline") as ex:
    ...     found = map_reduce(
    ...         ex, ["a b a", "b a"], lambda text: [(word, 1) for word in text.split()], lambda word, ones: sum(ones)
    ...     )
    ...     sorted(found.collect().items())
    [('a', 3), ('b', 2)]
    """
    for option, function in (("map", map), ("reduce", reduce), ("combine", combine)):
        if not callable(function) and (function is not None or option == "map"):
            raise BadOption(f"{option}={function!r}", "cannot be called", "Pass a function.")
    budget = stages.budget_of(executor, memory_mb)
    given = list(inputs)
    mapper = Mapper(map, combine, stages.fan_of(given, reducers), budget)
    ran = stages.run(executor, given, mapper, Reducer(reduce, combine, budget, map), reducers, way=exchange)
    taken, left = (sum(getattr(one.note, what) for one in ran.written) for what in ("taken", "left"))
    return Reduced(
        ran.job,
        ran.results,
        stages.stages_of(ran, len(given), taken, left),
        tuple(_notes(ran, taken)),
        ran.told,
    )


def _notes(ran: Ran, taken: int) -> Iterator[str]:
    """Yield what is worth knowing about keys that are too common."""
    sizes: Sequence[int] = ran.shares
    mean = sum(sizes) / len(sizes)
    if max(sizes) > max(SKEWED * mean, stages.LEAST):
        yield f"one of {len(sizes)} reducers had {max(sizes) / 1e6:.1f} MB to read, {max(sizes) / mean:.1f} times the mean"
    common: Counter[Hashable] = Counter()
    for one in ran.written:
        if one.note.times > 1:
            common[one.note.common] += one.note.times
    for key, times in common.most_common(1):
        if times > max(COMMON, taken // TENTH):
            yield f"the key {key!r} has {times:,} of {taken:,} pairs; with combine= one for each task would be left"
