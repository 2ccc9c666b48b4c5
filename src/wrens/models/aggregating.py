"""Group and aggregate tables by columns: MapReduce without a Python function for each record.

    stage 1    partition by partition: rows, grouped and summed up there; one part for each reducer, as Arrow
    stage 2    reducer by reducer: its parts, grouped and summed up once more

Decides which aggregates can be put together from parts, and how rows are spread over reducers; the kernels are
pyarrow's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.core.future import Future
from wrens.core.job import Job
from wrens.core.policy import whole
from wrens.errors import BadData, BadOption
from wrens.models import exchange, tables
from wrens.models.exchange import Slice, Written
from wrens.models.mapreduce import FAN, Stage, shared_out

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1 << 20
"""Rows that are held before they are grouped."""
_PARTS = {
    "sum": (("sum", "sum"),),
    "min": (("min", "min"),),
    "max": (("max", "max"),),
    "count": (("count", "sum"),),
    "any": (("any", "any"),),
    "all": (("all", "all"),),
    "mean": (("sum", "sum"), ("count", "sum")),
}
"""Each aggregate as what is done with rows, and with the results of that."""

Prepare = Callable[[Any], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Grouped:
    """The results of a :func:`group_by`, in the store as they came from the reducers.

    Args:
        job: The reducers' job; each result is a table with one row for each group.
        stages: What each stage did.
    """

    job: Job[Any]
    stages: tuple[Stage, ...]

    @property
    def parts(self) -> list[Future[Any]]:
        """One future for each reducer's table: what a next stage takes as inputs."""
        return list(self.job)

    def table(self) -> pa.Table:
        """Return all groups as one table, in memory."""
        return tables.arrow().concat_tables([part.result() for part in self.job])


@dataclass(frozen=True, slots=True)
class _Plan:
    by: tuple[str, ...]
    wanted: tuple[tuple[str, str, str], ...]
    """Name of the result, column, aggregate."""

    def rows(self) -> list[tuple[str, str]]:
        """Return what is asked of rows, each thing once."""
        found = [(column, first) for _, column, how in self.wanted for first, _ in _PARTS[how]]
        return list(dict.fromkeys(found))


def group_by(
    executor: Executor,
    inputs: Iterable[Any],
    by: str | Sequence[str],
    aggregate: Mapping[str, tuple[str, str]],
    *,
    prepare: Prepare | None = None,
    reducers: int | None = None,
) -> Grouped:
    """Group rows by columns, and aggregate each group.

    Args:
        executor: Runs both stages.
        inputs: One for each task of the first stage: partitions, or whatever ``prepare`` takes.
        by: The column or columns to group by: text, binary, numbers, dates or booleans.
        aggregate: For each column of the result which column it is from and how: ``"sum"``, ``"min"``, ``"max"``,
            ``"count"`` (of what is not null), ``"mean"``, ``"any"`` or ``"all"``, as in
            ``{"total": ("price", "sum")}``.
        prepare: Called with an input; returns or yields Arrow tables or batches. By default a partition's own.
        reducers: How many tasks the second stage has; by default by the size of what there is to read.

    Raises:
        MissingPackage: if pyarrow is not installed.
        BadOption: if an aggregate cannot be.
        BadData: if a table has no such column.

    >>> import pyarrow as pa, wrens
    >>> sales = [pa.table({"item": ["a", "b", "a"], "price": [1, 2, 3]})]
    >>> with wrens.Executor("inline") as ex:
    ...     found = group_by(ex, sales, "item", {"total": ("price", "sum")}, prepare=lambda table: [table])
    ...     found.table().sort_by("item").to_pylist()
    [{'item': 'a', 'total': 4}, {'item': 'b', 'total': 2}]
    """
    tables.arrow()
    names = (by,) if isinstance(by, str) else tuple(by)
    if not names:
        raise BadOption("by=()", "names no column", "Name one or more columns to group by.")
    for name, (_, how) in aggregate.items():
        if how not in _PARTS:
            raise BadOption(
                f"aggregate {name}={how!r}",
                "is none that can be put together from parts",
                f"Use {', '.join(_PARTS)}.",
            )
    if reducers is not None:
        whole("reducers", reducers)
    plan = _Plan(names, tuple((name, column, how) for name, (column, how) in aggregate.items()))
    inputs = list(inputs)
    clock = SystemClock()
    began = clock.now()
    fan = reducers or FAN
    written = executor.map_async(_mapper(plan, prepare, fan), inputs).results()
    mapped = clock.now()
    columns = exchange.columns(written) or [[]]
    shares = [[one] for one in columns] if reducers else shared_out(columns, executor.workers)
    reducing = executor.map_async(_reducer(plan), [exchange.joined(one) for one in shares])
    reducing.wait()
    failed = any(one.exception() is not None for one in reducing)
    exchange.forget(written)
    if failed:
        reducing.results()
    stages = (
        Stage(
            "map",
            len(inputs),
            mapped - began,
            pairs_in=sum(one.note[0] for one in written),
            pairs_out=sum(one.note[1] for one in written),
            bytes_out=sum(one.nbytes for one in written),
            objects=sum(bool(one.key) for one in written),
        ),
        Stage("reduce", len(shares), clock.now() - mapped),
    )
    return Grouped(reducing, stages)


def _mapper(plan: _Plan, prepare: Prepare | None, fan: int) -> Callable[[Any], Written]:
    """Return the task of stage 1."""

    def map_one(one: Any) -> Written:
        rows, held, taken, partial = [], 0, 0, None
        for table in one.batches() if prepare is None else prepare(one):
            rows.append(table)
            held += table.num_rows
            taken += table.num_rows
            if held >= ROWS:
                partial = _folded(plan, partial, _grouped(plan, rows, one))
                rows, held = [], 0
        if rows:
            partial = _folded(plan, partial, _grouped(plan, rows, one))
        if partial is None:
            return exchange.write([b""] * fan, note=(0, 0))
        parts = tables.spread(partial, plan.by, fan)
        return exchange.write(parts, note=(taken, partial.num_rows))

    return map_one


def _grouped(plan: _Plan, rows: list[Any], one: Any) -> pa.Table:
    """Group rows and sum them up."""
    pa = tables.arrow()
    table = pa.concat_tables(
        [pa.Table.from_batches([row]) if isinstance(row, pa.RecordBatch) else row for row in rows]
    )
    asked = plan.rows()
    missing = [
        name for name in (*plan.by, *(column for column, _ in asked)) if name not in table.column_names
    ]
    if missing:
        told = f"there is no column {missing[0]!r}, but {', '.join(map(repr, table.column_names))}"
        raise BadData(getattr(one, "url", repr(one)[:80]), 0, told)
    return tables.aggregated(table, plan.by, asked, [f"{column}:{how}" for column, how in asked])


def _folded(plan: _Plan, before: pa.Table | None, new: pa.Table) -> pa.Table:
    """Put two partial results together."""
    if before is None:
        return new
    return _refolded(plan, tables.arrow().concat_tables([before, new]))


def _refolded(plan: _Plan, table: pa.Table) -> pa.Table:
    again = {first: second for parts in _PARTS.values() for first, second in parts}
    names = [f"{column}:{how}" for column, how in plan.rows()]
    asked = [(name, again[how]) for name, (_, how) in zip(names, plan.rows(), strict=True)]
    return tables.aggregated(table, plan.by, asked, names)


def _reducer(plan: _Plan) -> Callable[[Sequence[Slice]], Any]:
    """Return the task of stage 2."""

    def reduce_one(slices: Sequence[Slice]) -> Any:
        found = [table for data in exchange.read(slices) for table in tables.unspread(data)]
        if not found:
            return None
        return tables.finished(_refolded(plan, tables.arrow().concat_tables(found)), plan.by, plan.wanted)

    return reduce_one
