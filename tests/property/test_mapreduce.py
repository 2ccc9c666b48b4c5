"""MapReduce and grouping give what a dictionary and a loop would give, whatever the data, the reducers and the memory."""

from __future__ import annotations

import datetime as dt
import enum
import math
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wrens
from wrens.errors import BadPair
from wrens.models.mapreduce import grouping
from wrens.models.mapreduce.keying import number_of


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


numbers = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.fractions(),
    st.decimals(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.sampled_from(Level),
)
plain = st.one_of(
    numbers,
    st.none(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from(Colour),
)
KEYS = st.recursive(
    plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)


@pytest.fixture(scope="module")
def ex() -> Iterator[wrens.Executor]:
    with wrens.Executor("inline", store="memory://mapreduce-properties") as executor:
        yield executor


@settings(max_examples=60, deadline=None)
@given(
    inputs=st.lists(st.lists(st.tuples(KEYS, st.integers() | st.text(max_size=3)), max_size=12), max_size=5),
    reducers=st.none() | st.integers(1, 4),
)
def test_groups_are_those_of_a_dictionary(
    ex: wrens.Executor, inputs: list[list[tuple[Any, Any]]], reducers: int | None
) -> None:
    expected: dict[Any, list[Any]] = {}
    for pairs in inputs:
        for key, value in pairs:
            expected.setdefault(key, []).append(value)
    found = wrens.map_reduce(ex, inputs, lambda pairs: pairs, reducers=reducers)
    assert found.collect() == expected
    assert len(found) == len(expected)
    if reducers is not None:
        assert len(found.parts) == (reducers if any(inputs) else len(found.parts))


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 50) | st.text(max_size=2), st.integers()), max_size=300),
    budget=st.integers(1, 20_000),
    ranges=st.integers(1, 7),
    fan=st.integers(1, 9),
    combined=st.booleans(),
)
def test_little_memory_changes_nothing_and_not_the_order_either(
    pairs: list[tuple[Any, int]], budget: int, ranges: int, fan: int, combined: bool
) -> None:
    combine = (lambda a, b: a + b) if combined else None

    def parts(budget: int) -> list[memoryview]:
        found = []
        for table in grouping.tables(iter(pairs), combine, budget):
            segments = grouping.segments(table.numbered(), fan)
            found.append(memoryview(b"".join(buffer for part in segments for buffer in part)))
        return found

    whole = list(grouping.in_memory(parts(1 << 40), combine))
    assert list(grouping.in_memory(parts(budget), combine)) == whole
    assert list(grouping.by_ranges(lambda: parts(budget), combine, ranges)) == whole
    assert len(dict(whole)) == len(whole) == len({key for key, _ in pairs})


@given(key=numbers)
def test_equal_numbers_of_different_types_have_one_number(key: Any) -> None:
    for kind in (int, float, Fraction, Decimal, complex, bool):
        try:
            other = kind(key)
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            continue
        if other == key:
            assert number_of(other) == number_of(key)
            assert number_of((other, "x")) == number_of((key, "x"))


def test_numpy_s_numbers_are_numbers() -> None:
    import numpy as np

    assert number_of(np.int32(7)) == number_of(np.float64(7)) == number_of(7)
    assert number_of(np.str_("seven")) == number_of("seven")
    assert number_of(np.bool_(True)) == number_of(1)


@pytest.mark.parametrize(
    "key", [math.nan, (1, math.nan), Decimal("nan"), complex(0, math.nan), object(), (1, object()), Ellipsis]
)
def test_what_has_no_number_is_told(key: Any) -> None:
    with pytest.raises(BadPair, match="is no key"):
        number_of(key)


KNOWN = """
import datetime as dt, uuid
from decimal import Decimal
from fractions import Fraction
from wrens.models.mapreduce.keying import number_of
keys = ["", "a\\udc80", b"a", 0, -1, 2**70, 1.5, float("inf"), None, True, Decimal("1.1"), Fraction(1, 3), (1, ("a", None)),
        frozenset({"a", "b", 3}), dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 1), dt.timedelta(1, 2, 3),
        dt.datetime(2024, 2, 29, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), uuid.UUID(int=5), 1 + 2j]
print([number_of(key) for key in keys])
"""


def test_numbers_are_the_same_in_every_process() -> None:
    def told(seed: str) -> str:
        words = [sys.executable, "-c", KNOWN]
        return subprocess.run(
            words, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout

    assert told("0") == told("1") == told("12345")
    moment = dt.datetime(2024, 2, 29, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert number_of(moment) == number_of(dt.datetime(2024, 2, 29, tzinfo=dt.UTC))
    assert number_of(uuid.UUID(int=5)) == number_of(uuid.UUID(int=5))


# --- columns ---

COLUMNS = {
    pa.int16(): st.integers(-3, 3),
    pa.uint64(): st.integers(0, 3) | st.just(2**64 - 1),
    pa.string(): st.text("ab", max_size=2),
    pa.large_binary(): st.binary(max_size=1),
    pa.float64(): st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf]),
    pa.float32(): st.sampled_from([0.0, -0.0, 1.5, math.nan]),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(dt.date(2024, 1, 1), dt.date(2024, 1, 3)),
    pa.date64(): st.dates(dt.date(2024, 1, 1), dt.date(2024, 1, 3)),
    pa.time32("s"): st.sampled_from([dt.time(1), dt.time(2)]),
    pa.time64("us"): st.sampled_from([dt.time(1), dt.time(2)]),
    pa.duration("ms"): st.sampled_from([dt.timedelta(1), dt.timedelta(0)]),
    pa.timestamp("us"): st.sampled_from(
        [dt.datetime.fromisoformat(day) for day in ("2024-01-01", "1960-01-01")]
    ),
    pa.decimal128(9, 2): st.sampled_from([Decimal("1.25"), Decimal("-3.00")]),
    pa.dictionary(pa.int8(), pa.string()): st.text("ab", max_size=2),
    pa.binary(2): st.sampled_from([b"ab", b"cd"]),
    pa.null(): st.none(),
}
AGGREGATES = {
    "n": ("x", "count"),
    "total": ("x", "sum"),
    "least": ("x", "min"),
    "most": ("x", "max"),
    "mean": ("x", "mean"),
    "some": ("flag", "any"),
    "every": ("flag", "all"),
}


def reference(rows: list[dict[str, Any]], by: list[str]) -> dict[Any, dict[str, Any]]:
    """Group rows with a loop."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(same(row[name]) for name in by), []).append(row)
    found = {}
    for key, mine in groups.items():
        x = [row["x"] for row in mine if row["x"] is not None]
        flags = [row["flag"] for row in mine if row["flag"] is not None]
        found[key] = {
            "n": len(x),
            "total": sum(x) if x else None,
            "least": min(x, default=None),
            "most": max(x, default=None),
            "mean": sum(x) / len(x) if x else None,
            "some": any(flags) if flags else None,
            "every": all(flags) if flags else None,
        }
    return found


def same(value: Any) -> Any:
    """Return a value that is equal for all that are one key: NaN, and both zeros."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


@st.composite
def some_tables(draw: st.DrawFn) -> tuple[list[pa.Table], list[str]]:
    kinds = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=2))
    by = [f"k{i}" for i in range(len(kinds))]
    row = st.tuples(
        *(st.none() | COLUMNS[kind] for kind in kinds),
        st.none() | st.integers(-1000, 1000),
        st.none() | st.booleans(),
    )
    tables = []
    for rows in draw(st.lists(st.lists(row, max_size=10), max_size=4)):
        columns = list(zip(*rows, strict=True)) or [()] * (len(by) + 2)
        types = [*kinds, pa.int64(), pa.bool_()]
        arrays = [pa.array(list(column), kind) for column, kind in zip(columns, types, strict=True)]
        tables.append(pa.table(dict(zip([*by, "x", "flag"], arrays, strict=True))))
    return tables, by


@settings(max_examples=120, deadline=None)
@given(
    data=some_tables(),
    reducers=st.none() | st.integers(1, 3),
    budget=st.sampled_from([1, 500, 10**9]),
)
def test_group_by_is_a_loop_over_rows(
    ex: wrens.Executor, data: tuple[list[pa.Table], list[str]], reducers: int | None, budget: int
) -> None:
    tables, by = data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wrens.models.stages.budget_of", lambda *_: budget)
        grouped = wrens.group_by(
            ex, tables, by, AGGREGATES, prepare=lambda table: table.to_batches(3), reducers=reducers
        )
    found = grouped.table()
    assert found.column_names == [*by, *AGGREGATES]
    rows = found.to_pylist()
    keys = [tuple(same(row[name]) for name in by) for row in rows]
    assert len(set(keys)) == len(keys), "a key is there twice"
    told = {key: {name: row[name] for name in AGGREGATES} for key, row in zip(keys, rows, strict=True)}
    assert told == reference([row for table in tables for row in table.to_pylist()], by)
