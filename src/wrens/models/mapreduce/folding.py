"""The tasks of :mod:`wrens.models.mapreduce.aggregating`: rows grouped where they are read, and once more where they come together.

Decides which aggregates can be put together from parts, and when a worker writes what it has because its memory is used up.
The driver is not imported here, so that a worker does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrens.errors import BadData, BadOption
from wrens.models import exchange
from wrens.models.exchange import Exchange, Packed, Slice, Written
from wrens.models.mapreduce import results
from wrens.models.mapreduce.results import Rows
from wrens.models.partitions import tables
from wrens.serialize.functions import name_of

if TYPE_CHECKING:
    import pyarrow as pa

Prepare = Callable[[Any], Any]

ROWS = 1 << 20
"""Rows that are held before they are grouped."""
PARTS = {
    "sum": (("sum", "sum"),),
    "min": (("min", "min"),),
    "max": (("max", "max"),),
    "count": (("count", "sum"),),
    "any": (("any", "any"),),
    "all": (("all", "all"),),
    "mean": (("sum", "sum"), ("count", "sum")),
}
"""Each aggregate as what is done with rows, and with the results of that."""
_AGAIN = dict(each for parts in PARTS.values() for each in parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Args:
        by: The columns to group by.
        wanted: Name of the result, column, aggregate.
    """

    by: tuple[str, ...]
    wanted: tuple[tuple[str, str, str], ...]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What is asked of rows, each thing once: column, aggregate."""
        return list(
            dict.fromkeys((column, first) for _, column, how in self.wanted for first, _ in PARTS[how])
        )

    @property
    def columns(self) -> list[str]:
        """The columns that are needed."""
        return list(dict.fromkeys((*self.by, *(column for column, _ in self.asked))))

    def grouped(self, table: pa.Table) -> pa.Table:
        """Return rows grouped and summed up: a partial result."""
        names = [f"{column}:{how}" for column, how in self.asked]
        return tables.aggregated(table, self.by, self.asked, names)

    def folded(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Return partial results as one."""
        names = [f"{column}:{how}" for column, how in self.asked]
        asked = [(name, _AGAIN[how]) for name, (_, how) in zip(names, self.asked, strict=True)]
        return tables.aggregated(tables.together(parts), self.by, asked, names)

    def finished(self, partial: pa.Table) -> pa.Table:
        """Return a partial result, of which there is no more to come, as what the user wants."""
        return tables.finished(partial, self.by, self.wanted)


@dataclass(frozen=True, slots=True)
class Note:
    """What a task of the first stage tells beside where its parts are.

    Args:
        taken: Rows that it has read.
        left: Groups.
        schema: That of its partial results, serialized; empty when there were no tables at all.
        source: What was read, for errors.
    """

    taken: int
    left: int
    schema: bytes
    source: str


class Folder:
    """The task of the first stage.

    Args:
        plan: What is to be done.
        prepare: Makes tables of an input; ``None`` for inputs that have batches.
        fan: How many parts are written.
        budget: Bytes of rows that are held at a time.
    """

    def __init__(self, plan: Plan, prepare: Prepare | None, fan: int, budget: int) -> None:
        self.plan, self.prepare, self.fan, self.budget = plan, prepare, fan, budget
        self.way: Exchange = Packed()
        name = "group by " + ", ".join(plan.by)
        self.__module__, self.__qualname__ = "", name if prepare is None else f"{name} of {name_of(prepare)}"

    def __call__(self, one: Any) -> list[Written]:
        """Write what is made of an input: one object, or several when there is more than fits into memory.

        Raises:
            BadData: if a column is missing, or does not go with what is asked of it.
        """
        source = str(getattr(one, "url", "")) or repr(one)[:80]
        partial: list[pa.Table] = []
        written: list[Written] = []
        taken = held = 0
        for table in self._tables(one, source):
            # Half for what is held, half for what comes of putting it together.
            if partial and (held + table.nbytes) * 2 > self.budget:
                partial = [self._folded(partial, source)]
                held = partial[0].nbytes
                if held * 2 > self.budget:
                    written.append(self._written(partial[0], taken, source))
                    partial, taken, held = [], 0, 0
            taken += table.num_rows
            partial.append(self._grouped(table, source))
            held += partial[-1].nbytes
        if partial or not written:
            whole = self._folded(partial, source) if len(partial) > 1 else (partial or [None])[0]
            written.append(self._written(whole, taken, source))
        return written

    def _tables(self, one: Any, source: str) -> Iterator[pa.Table]:
        """Yield the columns that are needed, some thousand rows at a time or more."""
        rows: list[Any] = []
        count = nbytes = 0
        for table in self._given(one):
            missing = [name for name in self.plan.columns if name not in table.schema.names]
            if missing:
                told = f"there is no column {missing[0]!r}, but {', '.join(map(repr, table.schema.names))}"
                raise BadData(source, 0, told)
            rows.append(table.select(self.plan.columns))
            count += table.num_rows
            nbytes += rows[-1].nbytes
            if count >= ROWS or nbytes * 4 >= self.budget:
                yield tables.together(rows)
                rows, count, nbytes = [], 0, 0
        if rows:
            yield tables.together(rows)

    def _given(self, one: Any) -> Iterable[Any]:
        if self.prepare is not None:
            found = self.prepare(one)
            return [found] if hasattr(found, "num_rows") else found
        if not hasattr(one, "batches"):
            raise BadOption(
                f"input {one!r:.80}",
                "has no batches() of its own",
                "Pass prepare=, which makes tables of an input.",
            )
        return one.batches()  # type: ignore[no-any-return]

    def _grouped(self, table: pa.Table, source: str) -> pa.Table:
        for name in self.plan.by:
            if not tables.family(table.schema.field(name).type):
                raise BadData(
                    source, 0, f"column {name!r} is {table.schema.field(name).type}, which is no key"
                )
        with tables.told(source):
            return self.plan.grouped(table)

    def _folded(self, partial: Sequence[pa.Table], source: str) -> pa.Table:
        with tables.told(source):
            return self.plan.folded(partial)

    def _written(self, partial: pa.Table | None, taken: int, source: str) -> Written:
        if partial is None:
            return self.way.write([b""] * self.fan, note=Note(0, 0, b"", source))
        note = Note(taken, partial.num_rows, partial.schema.serialize().to_pybytes(), source)
        return self.way.write(tables.spread(partial, self.plan.by, self.fan), note=note)


class Finisher:
    """The task of the second stage.

    Args:
        plan: What is to be done.
        budget: Bytes of rows that are held at a time, beside the groups.
    """

    def __init__(self, plan: Plan, budget: int) -> None:
        self.plan, self.budget = plan, budget
        self.__module__, self.__qualname__ = "", "group by " + ", ".join(plan.by)

    def __call__(self, slices: Sequence[Slice]) -> Rows:
        """Return the groups that are in these slices, and keep them in the store."""
        partial: list[pa.Table] = []
        held = 0
        for data in exchange.read(slices):
            for table in tables.unspread(data):
                partial.append(table)
                held += table.nbytes
            if held * 2 > self.budget and len(partial) > 1:
                partial = [self.plan.folded(partial)]
                held = partial[0].nbytes
        if not partial:
            return Rows(0, 0)
        return results.rows_of(self.plan.finished(self.plan.folded(partial)))
