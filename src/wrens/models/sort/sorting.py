"""A sort of more data than all workers' memory holds: objects in, numbered and globally ordered objects out.

    sample        a few records of some partitions               which keys part the data evenly
    stage 1       partition by partition: to which range?        one object each, with a part for each range
    stage 2       range by range: read, order, write             <target>/part-00000, part-00001, …
    client        the manifest, last: who finds it finds all     <target>/_manifest.json

The two stages are run by :mod:`wrens.models.stages`; their tasks are in :mod:`wrens.models.sort.ranging`.

Ranges are parted by key and, among equal keys, by where a record came from; so a key that is everywhere does not end in one
worker. Stage 1 only parts and leaves the rest in its order; stage 2 orders, and equal records keep theirs. Decides how many
ranges there are and what a failure leaves behind; how records are compared is in :mod:`wrens.models.sort.ordering`, how they
travel in :mod:`wrens.models.exchange`, and where they may go in :mod:`wrens.models.sort.target`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from wrens.clock import Clock, SystemClock
from wrens.core.executor import Executor
from wrens.core.policy import whole
from wrens.errors import BadData, BadOption, JobFailed, NoData, StoreError, TargetTaken
from wrens.models import stages
from wrens.models.exchange import Exchange, Written
from wrens.models.partitions.borders import Delimiter, Fixed, RowGroups, border_of
from wrens.models.partitions.partition import Partition, partition_found
from wrens.models.sort.layouts import FixedLayout, KeyedLayout, Layout, LineLayout, Splitter
from wrens.models.sort.ranging import Orderer, Parter, Sampler
from wrens.models.sort.target import MANIFEST, Target, as_json, check_apart, target_of
from wrens.models.stages import Stage
from wrens.store import data as places
from wrens.store.data import Address, Object
from wrens.wire import keys

Key = slice | str | Sequence[str] | Callable[[bytes], Any] | None
PART = 64 * 2**20
"""Bytes that a worker sorts at a time at most, when nobody says; it needs about three times as much memory."""
LEAST = 8 * 2**20
"""With less for each, more tasks would take longer."""
ROUNDS = 4
"""Tasks of each worker at least, when there is enough to do, so that they end at about the same time."""
SAMPLES = 64
"""Records that are looked at for each range, in all; the largest range is then seldom a third above the mean."""
_TOO_LITTLE = (
    "A worker had too little memory for what it had to sort: pass a smaller size=, or let workers have more. A "
    "record, and a row group of a Parquet file, is never cut."
)
_EXPLAINED = (BadData, BadOption, NoData, TargetTaken, StoreError)
"""Failures of tasks that say all there is to say."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """Where sorted data are.

    Args:
        target: The address under which the objects are.
        parts: For each object its name below the target, its bytes and its records, in the order of the data.
        records: How many records there are in all.
        stages: What each stage did.
        exchange: Which way the data went between the stages, and why, in one line.
    """

    target: str
    parts: tuple[tuple[str, int, int], ...]
    records: int
    stages: tuple[Stage, ...] = ()
    exchange: str = ""

    @property
    def urls(self) -> list[str]:
        """The addresses of the objects, in the order of the data: what :func:`wrens.partition` takes."""
        return [f"{self.target}/{name}" for name, _, _ in self.parts]


def sort(
    executor: Executor,
    source: Address | Iterable[Address],
    target: Address,
    *,
    border: str | bytes | int | None = None,
    key: Key = None,
    size: int | None = None,
    overwrite: bool = False,
    exchange: Exchange | None = None,
) -> Sorted:
    r"""Sort data that may be larger than the memory of all workers, into numbered objects.

    Args:
        executor: Runs the stages, under its options; a name is that of the last stage's job.
        source: What to sort; see :func:`wrens.partition`.
        target: A directory or prefix for the objects ``part-00000``, ``part-00001``, …, and a manifest.
        border: What a record is: ``"lines"``, a delimiter in bytes, the width of a record in bytes, or ``"parquet"``
            for rows. By default lines, or rows when the key names columns.
        key: By what records are compared. ``None`` for all of their bytes; a slice for some bytes of records of a
            fixed width; a function that is called with each record's bytes, which is much slower; or for rows the name of
            a column or a list of names, the first one counting most. A name with ``-`` before it is in descending
            order, and nulls come last.
        size: Bytes that a worker sorts at a time, and about the size of an output object. By default up to 64 MiB.
        overwrite: Delete what an earlier sort has left at the target, before the first new object is written.
        exchange: How data get from one stage to the next, as in :func:`wrens.map_reduce`.

    Returns:
        Where the data are. Equal records stay in the order of the source.

    Raises:
        NoData: if the source names nothing.
        TargetTaken: if there is something at the target, and ``overwrite`` is false or a sort has not made it.
        BadData: if the width does not divide an object, or the key function raised; it says where.
        BadOption: if border and key do not fit, the target lies in the source, or the executor's name is taken.
        BadShard: if a Redis server that is to be used cannot be.
        ExchangeLost: if a Redis server was lost with what it held; the target has no manifest then.
        JobFailed: if tasks failed otherwise.

    >>> import tempfile, wrens
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder, wrens.Executor("inline") as ex:
    ...     _ = Path(folder, "in.txt").write_text("pear\nfig\napple\n")
    ...     done = sort(ex, f"{folder}/in.txt", f"{folder}/out")
    ...     Path(folder, "out", "part-00000.txt").read_text().split()
    ['apple', 'fig', 'pear']
    """
    source = [source] if isinstance(source, str) or not isinstance(source, Iterable) else list(source)
    layout = layout_of(border, key)
    if size is not None:
        whole("size", size)
    found = places.find(source)
    check_apart(source, found, target)
    parts, size = _planned(found, layout, size, executor.workers)
    layout = fitted(layout, parts)
    to = target_of(target)
    to.taken(overwrite=overwrite)
    plan = _Plan(executor, layout, to, parts, size)
    try:
        return plan.carried_out(exchange, overwrite=overwrite)
    except BaseException as error:
        error.add_note(plan.left_behind())
        raise


def layout_of(border: str | bytes | int | None, key: Any) -> Layout:
    """Return the layout that a border and a key stand for.

    Raises:
        BadOption: if they do not fit, or are not what they should be.

    >>> layout_of(100, slice(0, 10))
    FixedLayout(width=100, start=0, length=10, suffix='')
    """
    columns = isinstance(key, str) or (isinstance(key, Sequence) and not isinstance(key, bytes))
    if border is None:
        border = "parquet" if columns else "lines"
    kind = border_of(border)
    if isinstance(kind, RowGroups):
        from wrens.models.sort.rows import TableLayout, columns_of

        return TableLayout(columns_of(key))
    if columns:
        raise BadOption(
            f"key={key!r}", "names columns, which only rows of Parquet files have", "Pass border='parquet'."
        )
    inner: FixedLayout | LineLayout
    if isinstance(kind, Fixed):
        inner = _fixed(kind.width, key)
    elif isinstance(kind, Delimiter):
        inner = _lines(kind.mark, key)
    else:
        raise BadOption(
            f"border={border!r}", "cannot be sorted", "Sort lines, rows, or records of a fixed width."
        )
    if key is None or isinstance(key, slice):
        return inner
    if not callable(key):
        told = "Pass None, a slice of bytes, names of columns, or a function of a record's bytes."
        raise BadOption(f"key={key!r}", "is no key", told)
    return KeyedLayout(inner, key)


def _fixed(width: int, key: Any) -> FixedLayout:
    begin, end, step = key.indices(width) if isinstance(key, slice) else (0, width, 1)
    if step != 1 or end <= begin or (isinstance(key, slice) and (key.stop or 0) > width):
        raise BadOption(f"key={key!r}", f"is no range of bytes in a record of {width}")
    return FixedLayout(width, begin, end - begin)


def _lines(mark: bytes, key: Any) -> LineLayout:
    if isinstance(key, slice):
        told = "Pass border=WIDTH, or a function such as key=lambda line: line[:10]."
        raise BadOption(f"key={key!r}", "needs records of a fixed width", told)
    if any(mark[:i] == mark[-i:] for i in range(1, len(mark))):
        told = "overlaps itself, so that records in another order could not be told apart"
        raise BadOption(f"border={mark!r}", told, "Sort data whose delimiter does not.")
    return LineLayout(mark)


def fitted(layout: Layout, parts: Sequence[Partition]) -> Layout:
    """Return the layout of rows with the columns that all files have; any other as it is."""
    from wrens.models.sort.rows import TableLayout

    return layout.fitted(parts[0]) if isinstance(layout, TableLayout) and parts else layout


def _planned(
    found: Sequence[Object], layout: Layout, size: int | None, workers: int
) -> tuple[list[Partition], int]:
    """Return the partitions of stage 1, and how large they are at most."""
    total = sum(one.nbytes for one in found)
    if size is None:
        # Some rounds for each worker, but no tasks that are not worth their launch.
        size = min(PART, max(LEAST, -(-total // (ROUNDS * workers))))
    return partition_found(found, size, layout.border), size


class _Plan:
    """One sort, from what was planned to the manifest."""

    def __init__(
        self, executor: Executor, layout: Layout, target: Target, parts: Sequence[Partition], size: int
    ) -> None:
        self._executor, self._layout, self._target = executor, layout, target
        # The name and the keeping that the user has asked for are for the stage that ends the sort.
        self._aside = executor.options(name=None, keep=False, fail_fast=True)
        self._parts = parts
        self._count = max(1, -(-sum(part.planned for part in parts) // size))
        self._clock: Clock = SystemClock()
        self._begun = False

    def carried_out(self, way: Exchange | None, *, overwrite: bool) -> Sorted:
        """Sort, and return where the data are."""
        stages.check_name(self._executor)
        trial, asked = keys.new_id(), self._executor.requests
        self._aside.submit(self._target.try_out, trial).result()
        self._target.see(trial)
        began = self._clock.now()
        parter = Parter(self._layout, self._splitters())
        seconds = self._clock.now() - began
        sample = Stage("sample", len(self._parts), seconds, requests=self._executor.requests - asked)

        def make_room(_: Sequence[Written]) -> None:
            self._target.clear(overwrite=overwrite)
            self._begun = True

        with _explained():
            ran = stages.run(
                self._executor,
                self._parts,
                parter,
                Orderer(self._layout, self._target),
                parter.fan,
                make_room,
                way,
            )
        parts = tuple((one.key, one.nbytes, one.count) for one in ran.results)
        records, came = sum(one.note for one in ran.written), sum(count for _, _, count in parts)
        if came != records:
            raise BadData(self._target.url, 0, f"{records:,} records were read and {came:,} written")
        self._target.put(MANIFEST, [as_json(records, parts)])
        self._target.tidy()
        both = stages.stages_of(ran, len(self._parts), records, records, names=("part", "sort"))
        return Sorted(self._target.url, parts, records, (sample, *both), ran.told)

    def left_behind(self) -> str:
        """Say what a sort that did not end has left, and what to do."""
        if not self._begun:
            return f"Nothing was written to {self._target.url}."
        return (
            f"Some objects may be in {self._target.url}, but no {MANIFEST}. Sort again with overwrite=True; what is "
            "there is replaced then."
        )

    def _splitters(self) -> list[Splitter]:
        """Return the first records of all ranges but the first, from samples."""
        if self._count == 1:
            return []
        # A sample at every so many bytes of the whole, so that each partition has its share.
        total, wanted = sum(part.planned for part in self._parts), self._count * SAMPLES
        reached = [0, *accumulate(part.planned for part in self._parts)]
        shares = [
            (b * wanted + total // 2) // total - (a * wanted + total // 2) // total
            for a, b in pairwise(reached)
        ]
        tasks = [
            (number, part, share)
            for number, (part, share) in enumerate(zip(self._parts, shares, strict=True))
            if share
        ]
        sampling = self._aside.map_async(Sampler(self._layout), tasks)
        try:
            with _explained():
                found = sampling.results()
        except BaseException:
            sampling.cancel()
            raise
        samples = [one for some in found for one in some]
        try:
            samples.sort(key=lambda one: (one.key, one.number, one.offset))
        except TypeError as error:
            told = f"the keys of two records do not compare: {error}"
            where = self._parts[samples[0].number].url
            raise BadData(
                where, 0, told, "Let the key function return the same type for every record."
            ) from error
        if not samples:
            return []
        chosen = [samples[len(samples) * i // self._count] for i in range(1, self._count)]
        return [one for i, one in enumerate(chosen) if not i or one is not chosen[i - 1]]


@contextmanager
def _explained() -> Iterator[None]:
    """Of a job that failed raise the failure that says all, if there is one."""
    try:
        yield
    except JobFailed as failed:
        for _, failure in sorted(failed.failures.items()):
            if isinstance(failure, _EXPLAINED):
                raise failure from None
            if isinstance(failure, MemoryError):
                failed.add_note(_TOO_LITTLE)
                break
        raise
