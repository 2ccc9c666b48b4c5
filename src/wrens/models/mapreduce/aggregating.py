"""Group and aggregate tables by columns: MapReduce without a Python function for each record.

    stage 1    partition by partition: rows, grouped and summed up there; one part for each reducer, as Arrow
    stage 2    reducer by reducer: its parts, grouped and summed up once more

Decides what the user may ask for, and that the columns of all inputs go together; the tasks are in
:mod:`wrens.models.mapreduce.folding`, and the kernels are pyarrow's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrens.core.executor import Executor
from wrens.core.job import Job
from wrens.errors import BadData, BadOption
from wrens.models import stages
from wrens.models.exchange import Exchange, Written
from wrens.models.mapreduce.folding import PARTS, Finisher, Folder, Plan, Prepare
from wrens.models.mapreduce.results import Rows
from wrens.models.partitions import tables
from wrens.models.stages import Stage

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Grouped:
    """The results of a :func:`group_by`, in the store as they came from the reducers.

    Args:
        job: The reducers' job; its results are the ``parts``.
        parts: For each reducer its groups, as rows; what a next :func:`group_by` takes as inputs.
        stages: What each stage did.
        empty: A table with the columns of the results, and no row.
        exchange: Which way the data went between the stages, and why, in one line.
    """

    job: Job[Rows]
    parts: list[Rows]
    stages: tuple[Stage, ...]
    empty: pa.Table
    exchange: str = ""

    def table(self) -> pa.Table:
        """Return all groups as one table, in memory; in no particular order."""
        found = [part.table() for part in self.parts if len(part)]
        return tables.together(found) if found else self.empty


def group_by(
    executor: Executor,
    inputs: Iterable[Any],
    by: str | Sequence[str],
    aggregate: Mapping[str, tuple[str, str]],
    *,
    prepare: Prepare | None = None,
    reducers: int | None = None,
    memory_mb: int | None = None,
    exchange: Exchange | None = None,
) -> Grouped:
    """Group rows by columns, and aggregate each group.

    Args:
        executor: Runs both stages, under its options; a name is that of the reducers' job.
        inputs: One for each task of the first stage: partitions, the ``parts`` of another :class:`Grouped`, or
            whatever ``prepare`` takes.
        by: The column or columns to group by: text, binary, numbers, dates, times or booleans. Nulls are a group, and so
            are all NaN.
        aggregate: For each column of the result which column it is from and how: ``"sum"``, ``"min"``, ``"max"``,
            ``"count"`` (of what is not null), ``"mean"``, ``"any"`` or ``"all"``, as in
            ``{"total": ("price", "sum")}``. Nulls do not count; of nulls only, all but the count are null. Without any
            aggregate the result has the distinct keys.
        prepare: Called with an input; returns an Arrow table, or returns or yields tables or batches. By default they
            are the input's own (``batches()``).
        reducers: How many tasks the second stage has; by default by the size of what there is to read.
        memory_mb: Megabytes of rows that one worker holds, as in :func:`wrens.map_reduce`. The groups of one reducer
            have to fit into memory in any case.
        exchange: How data get from one stage to the next, as in :func:`wrens.map_reduce`.

    Raises:
        ExchangeLost: as with :func:`wrens.map_reduce`.
        JobFailed: if a task failed; among the exceptions may be ``BadData``, if a column is missing, or does not go with
            what is asked of it.
        MissingPackage: if pyarrow is not installed.
        BadOption: if an option cannot be.
        BadData: if a column to group by has types that cannot be compared, in different inputs.

    >>> import pyarrow as pa, wrens
    >>> sales = [pa.table({"item": ["a", "b", "a"], "price": [1, 2, 3]})]
    >>> with wrens.Executor("inline") as ex:
    ...     found = group_by(ex, sales, "item", {"total": ("price", "sum")}, prepare=lambda table: table)
    ...     found.table().sort_by("item").to_pylist()
    [{'item': 'a', 'total': 4}, {'item': 'b', 'total': 2}]
    """
    tables.arrow()
    plan = plan_of(by, aggregate)
    if prepare is not None and not callable(prepare):
        raise BadOption(f"prepare={prepare!r}", "cannot be called", "Pass a function of an input.")
    budget = stages.budget_of(executor, memory_mb)
    given = list(inputs)
    folder = Folder(plan, prepare, stages.fan_of(given, reducers), budget)

    def check(written: Sequence[Written]) -> None:
        _check_types(plan, written)

    ran = stages.run(executor, given, folder, Finisher(plan, budget), reducers, check, exchange)
    taken, left = (sum(getattr(one.note, what) for one in ran.written) for what in ("taken", "left"))
    empty = _empty(plan, ran.written)
    return Grouped(ran.job, ran.results, stages.stages_of(ran, len(given), taken, left), empty, ran.told)


def plan_of(by: str | Sequence[str], aggregate: Mapping[str, tuple[str, str]]) -> Plan:
    """Return what is asked for.

    Raises:
        BadOption: if it cannot be.

    >>> plan_of("item", {"total": ("price", "sum")})
    Plan(by=('item',), wanted=(('total', 'price', 'sum'),))
    """
    names = (by,) if isinstance(by, str) else tuple(by)
    if not names or len(set(names)) < len(names):
        raise BadOption(
            f"by={by!r}", "does not name different columns", "Name one or more columns to group by."
        )
    wanted = []
    for name, each in aggregate.items():
        if not isinstance(each, tuple) or len(each) != 2:
            raise BadOption(
                f"aggregate[{name!r}]={each!r}", "is no column with an aggregate", "Write ('price', 'sum')."
            )
        column, how = each
        if how not in PARTS:
            raise BadOption(
                f"aggregate[{name!r}]={each!r}",
                "names none that can be put together from parts",
                f"Use one of {', '.join(PARTS)}.",
            )
        if name in names:
            raise BadOption(f"aggregate[{name!r}]", "has the name of a column to group by")
        wanted.append((name, column, how))
    return Plan(names, tuple(wanted))


def _check_types(plan: Plan, written: Sequence[Written]) -> None:
    """Refuse columns that do not go together: keys of types in which equal ones would not meet, text beside numbers.

    Raises:
        BadData: if a column is text here and a number there, and the like.
    """
    seen: dict[str, tuple[pa.DataType, str]] = {}
    for one in written:
        for column in tables.schema_in(one.note.schema) if one.note.schema else ():
            kind, source = seen.setdefault(column.name, (column.type, one.note.source))
            if tables.is_null(kind):
                seen[column.name] = (column.type, one.note.source)
            elif not tables.fit(kind, column.type, keys=column.name in plan.by):
                told = (
                    f"column {column.name.partition(':')[0]!r} is {column.type} here, and {kind} in {source}"
                )
                raise BadData(
                    one.note.source, 0, told, "Cast it in prepare=, so that it is the same everywhere."
                )


def _empty(plan: Plan, written: Sequence[Written]) -> pa.Table:
    """Return a table without rows, of the types that are known."""
    pa = tables.arrow()
    schema = next((one.note.schema for one in written if one.note.schema), None)
    if schema is None:
        return pa.table({name: pa.nulls(0) for name in (*plan.by, *(each[0] for each in plan.wanted))})
    return plan.finished(plan.folded([tables.schema_in(schema).empty_table()]))
