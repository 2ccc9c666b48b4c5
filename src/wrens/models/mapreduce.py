"""MapReduce over Python functions: pairs from every input, brought together by key.

    stage 1    one task per input: map, combine, write one part for each reducer     (wrens.models.grouping, exchange)
    client     which ranges of which objects each reducer reads
    stage 2    one task per reducer: read its parts, group, reduce

Both stages are ordinary maps of the executor, so they have its retries, backups, limits and accounts, and every task is
settled once: what a second attempt wrote is named by no verdict, and so read by nobody. Decides how many reducers there
are, when a worker writes what it has because its memory is used up, and what is said about keys that are too common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.core.future import Future
from wrens.core.job import Job
from wrens.core.policy import whole
from wrens.errors import BadOption
from wrens.models import exchange, grouping
from wrens.models.exchange import Slice, Written
from wrens.worker.memory import resident_bytes

Map = Callable[[Any], Iterable[tuple[Hashable, Any]]]
Reduce = Callable[[Hashable, Any], Any]
Combine = Callable[[Any, Any], Any]

MEMORY_MB = 256
"""Megabytes of pairs that a worker holds before it writes some."""
LOOK = 65_536
"""Values that are taken between two looks at the memory."""
FAN = 256
"""Into how many parts stage 1 sorts at least; reducers are given ranges of them, when their sizes are known."""
PART = 32 * 2**20
"""Bytes that a reducer is given at most, when nobody says how many there are."""
LEAST = 2**20
"""A second reducer is not begun for less than so many."""
GROWS = 8
"""How many times its pickled size a part may take up in memory."""
SKEWED = 4.0
"""How much larger than the mean a reducer's share is when it is told."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage did.

    Args:
        name: ``"map"`` or ``"reduce"``.
        tasks: How many there were.
        seconds: From its first task being sent to its last result.
        pairs_in, pairs_out: Pairs that were taken and left.
        bytes_out: Bytes that were written for the next stage.
        objects: How many objects these are.
    """

    name: str
    tasks: int
    seconds: float
    pairs_in: int = 0
    pairs_out: int = 0
    bytes_out: int = 0
    objects: int = 0


@dataclass(frozen=True, slots=True)
class Reduced:
    """The results of a :func:`map_reduce`, in the store as they came from the reducers.

    Each element of ``job`` is one reducer's list of ``(key, result)``; a next stage takes the whole as its inputs, without
    passing through the client: ``map_reduce(ex, reduced.parts, ...)``.

    Args:
        job: The reducers' job.
        stages: What each stage did.
        notes: What is worth knowing, such as a key that is much more common than others.
    """

    job: Job[list[tuple[Hashable, Any]]]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> list[Future[list[tuple[Hashable, Any]]]]:
        """One future for each reducer: what a next stage takes as inputs, or :class:`concurrent.futures` waits for."""
        return list(self.job)

    def __iter__(self) -> Iterator[tuple[Hashable, Any]]:
        """Yield ``(key, result)`` of one reducer after the other; at most one reducer's are in memory."""
        for part in self.job:
            yield from part.result()

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
    memory_mb: int = MEMORY_MB,
) -> Reduced:
    """Group what ``map`` makes of all inputs by key, and reduce each group.

    Args:
        executor: Runs both stages.
        inputs: One for each task of the first stage, such as the list that :func:`wrens.partition` returns, or the
            ``parts`` of another :class:`Reduced`.
        map: Called with an input; returns or yields pairs ``(key, value)``.
        reduce: Called with a key and the list of its values, or with the one value that ``combine`` has made of them;
            returns the key's result. Without it the results are those lists, or those values.
        combine: Called with two values of one key, returns one. It is used on both sides of the exchange, so it
            should not care about order or grouping; then much less is written and read.
        reducers: How many tasks the second stage has; by default as many as workers, or more when there is much to
            read.
        memory_mb: Megabytes of pairs that one worker holds; when there are more, they are written in several pieces
            and read side by side.

    Returns:
        The results, which are in the store, and how they came about.

    Raises:
        JobFailed: if ``map``, ``combine`` or ``reduce`` raised; what other tasks made is not kept.
        BadOption: if an option cannot be, or keys are of a type that has no stable number
            (:func:`wrens.models.keying.number_of`).

    >>> import wrens
    >>> with wrens.Executor("inline") as ex:
    ...     found = map_reduce(
    ...         ex, ["a b a", "b a"], lambda text: [(word, 1) for word in text.split()], lambda word, ones: sum(ones)
    ...     )
    ...     sorted(found.collect().items())
    [('a', 3), ('b', 2)]
    """
    if not callable(map):
        raise BadOption(f"map={map!r}", "cannot be called", "Pass a function of one input that yields pairs.")
    if reducers is not None:
        whole("reducers", reducers)
    whole("memory_mb", memory_mb)
    clock = SystemClock()
    began = clock.now()
    inputs = list(inputs)
    fan = reducers or max(FAN, sum(getattr(one, "planned", 0) for one in inputs) // PART)
    mapping = executor.map_async(_mapper(map, combine, fan, memory_mb), inputs)
    written = [segment for segments in mapping.results() for segment in segments]
    mapped = clock.now()
    columns = exchange.columns(written) or [[]]
    shares = [[one] for one in columns] if reducers else shared_out(columns, executor.workers)
    reducing = executor.map_async(
        _reducer(reduce, combine, memory_mb), [exchange.joined(one) for one in shares]
    )
    reducing.wait()
    failed = next((one.exception() for one in reducing if one.exception() is not None), None)
    exchange.forget(written)
    if failed is not None:
        reducing.results()
    stages = (
        Stage(
            "map",
            len(inputs),
            mapped - began,
            pairs_in=sum(one.note.taken for one in written),
            pairs_out=sum(one.note.left for one in written),
            bytes_out=sum(one.nbytes for one in written),
            objects=sum(bool(one.key) for one in written),
        ),
        Stage("reduce", len(shares), clock.now() - mapped),
    )
    return Reduced(reducing, stages, tuple(_notes(written, shares)))


@dataclass(frozen=True, slots=True)
class _Note:
    """What a task of stage 1 tells beside where its parts are."""

    taken: int
    left: int
    common: Hashable = None
    times: int = 0


def _mapper(
    function: Map, combine: Combine | None, fan: int, memory_mb: int
) -> Callable[[Any], list[Written]]:
    """Return the task of stage 1."""

    def map_one(one: Any) -> list[Written]:
        table, found = grouping.Table(combine), []
        pairs, most, base, told = iter(function(one)), 0, resident_bytes(), 0
        over = False
        while not over:
            over = table.take(pairs, limit=most or table.held + LOOK)
            full = table.held >= most if most else resident_bytes() - base > memory_mb * 10**6
            if over or full:
                most = (
                    most or table.held
                )  # what was freed stays with the process, so its size tells only once
                found.append(_written(table, fan, table.taken - told))
                told = table.taken
                table.clear()
        return found

    return map_one


def _written(table: grouping.Table, fan: int, taken: int) -> Written:
    """Write what a table holds, as one object."""
    common, times = None, 0
    if table.combine is None and table.pairs:
        common = max(table.pairs, key=lambda key: len(table.pairs[key]))
        times = len(table.pairs[common])
    note = _Note(taken, table.held, common, times)
    return exchange.write(grouping.segments(table.numbered(), fan), note=note)


def _reducer(
    function: Reduce | None, combine: Combine | None, memory_mb: int
) -> Callable[[Sequence[Slice]], list[tuple[Hashable, Any]]]:
    """Return the task of stage 2."""

    def reduce_one(slices: Sequence[Slice]) -> list[tuple[Hashable, Any]]:
        budget = memory_mb * 10**6
        if sum(one.nbytes for one in slices) * GROWS <= budget:
            groups = grouping.in_memory(exchange.read(slices), combine)
        else:
            groups = grouping.side_by_side(exchange.spooled(slices, budget // 2), combine)
        return list(groups) if function is None else [(key, function(key, found)) for key, found in groups]

    return reduce_one


def shared_out(columns: Sequence[Sequence[Slice]], workers: int) -> list[list[Sequence[Slice]]]:
    """Return columns that lie side by side as shares of about the same size, one for each reducer.

    Args:
        columns: For each part what reducers read of it, in the order of the parts.
        workers: How many reducers can run at a time.
    """
    sizes = [sum(one.nbytes for one in column) for column in columns]
    whole_size = sum(sizes)
    count = max(-(-whole_size // PART), min(workers, -(-whole_size // LEAST)), 1)
    shares: list[list[Sequence[Slice]]] = []
    held = 0
    for column, size in zip(columns, sizes, strict=True):
        # A share ends where the next column would bring it further from its part of the whole than it is now.
        if not shares or held + size / 2 > whole_size * len(shares) / count:
            shares.append([])
        shares[-1].append(column)
        held += size
    return shares


def _notes(written: Sequence[Written], shares: Sequence[Sequence[Sequence[Slice]]]) -> Iterator[str]:
    """Yield what is worth knowing about keys that are too common."""
    sizes = [sum(one.nbytes for column in share for one in column) for share in shares]
    mean = sum(sizes) / len(sizes)
    if max(sizes) > max(SKEWED * mean, LEAST):
        yield f"one of {len(sizes)} reducers had {max(sizes) / 1e6:.1f} MB to read, {max(sizes) / mean:.1f} times the mean"
    common: Counter[Hashable] = Counter()
    for one in written:
        if one.note.times > 1:
            common[one.note.common] += one.note.times
    every = sum(one.note.taken for one in written)
    for key, times in common.most_common(1):
        if times > every / 10 and times > LOOK:
            yield f"the key {key!r} has {times:,} of {every:,} pairs; with combine= one for each task would be left"
