"""Rows of one index come to what a plain loop over them comes to, whoever combines them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wrens.models.bsp.columns import by_index, joined, sum_type, typed

INTEGERS = [np.dtype(order + kind + size) for order in "<>" for kind in "iu" for size in "1248"]
LOOPS = {"sum": lambda a, b: a + b, "min": min, "max": max}
NEAR = 40
"""How far numbers lie apart at most that are near each other."""

Rows = list[tuple[int, int]]


@st.composite
def rows_and_types(draw: st.DrawFn) -> tuple[np.dtype[Any], np.dtype[Any], Rows]:
    """Draw the type of an index, that of a column, and for each row a number of both: near an end, anywhere, or equal."""
    types = draw(st.sampled_from(INTEGERS)), draw(st.sampled_from([*INTEGERS, np.dtype(bool)]))
    low, high = (int(getattr(np.iinfo(types[0]), end)) for end in ("min", "max"))
    begin = draw(
        st.one_of(st.sampled_from([low, high - NEAR, max(low, -NEAR // 2)]), st.integers(low, high - NEAR))
    )
    index = draw(st.sampled_from([st.integers(begin, begin + NEAR), st.integers(low, high), st.just(begin)]))
    value = (
        st.integers(0, 1) if types[1].kind == "b" else st.integers(0 if types[1].kind == "u" else -128, 127)
    )
    return *types, draw(st.lists(st.tuples(index, value), min_size=1, max_size=60))


@settings(max_examples=300, deadline=None)
@given(rows_and_types(), st.sampled_from(sorted(LOOPS)), st.integers(1, 4))
@example((np.dtype("i1"), np.dtype("u1"), [(i, 200) for i in range(-128, 128)]), "sum", 2)
@example((np.dtype("u8"), np.dtype("i1"), [(2**64 - 1, 1), (2**64 - 2, 2)]), "sum", 1)
@example((np.dtype("i8"), np.dtype("i1"), [(-(2**63), 1), (2**63 - 1, 2)]), "sum", 1)
def test_combined_rows_are_those_of_a_plain_loop(
    drawn: tuple[np.dtype[Any], np.dtype[Any], Rows], way: str, senders: int
) -> None:
    of_index, of_column, rows = drawn
    expected: dict[int, int] = {}
    for i, value in rows:
        expected[i] = LOOPS[way](expected[i], value) if i in expected else value

    index = np.array([i for i, _ in rows], of_index)
    columns = {
        "one": np.array([value for _, value in rows], of_column),
        "float": np.array([value for _, value in rows], float),
        "pair": np.array([[value, 1] for _, value in rows], of_column),
    }
    cuts = np.array_split(np.arange(len(rows)), senders)
    sent = [typed({name: c[cut] for name, c in columns.items()}, index[cut], way) for cut in cuts]
    apart = [joined([one], way) for one in sent]
    for found, made in (by_index(index, columns, way), joined(sent, way), joined(apart, way)):
        assert found is not None
        assert np.array_equal(found, np.sort(found))
        assert dict(zip(found.tolist(), made["one"].tolist(), strict=True)) == expected
        assert made["float"].tolist() == made["pair"][:, 0].tolist() == made["one"].tolist()
        for name, column in made.items():
            told = columns[name].dtype
            assert column.dtype.newbyteorder("=") == (
                sum_type(told) if way == "sum" else told.newbyteorder("=")
            )
            assert all(one[name].dtype == column.dtype.newbyteorder("=") for _, one in apart)
