"""A sort gives what Python's own gives, for every kind of data, wherever it is cut."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wrens
from wrens.models.sort.ordering import first_out_of_order, order_of, words_of_fixed, words_of_lines
from wrens.models.sort.validating import summed, validate
from wrens.store import open_store

PLACE = "memory://sort-property"
_names = count()


@pytest.fixture(scope="module")
def ex() -> Iterator[wrens.Executor]:
    with wrens.Executor("inline") as executor:
        yield executor


def stored(objects: list[bytes]) -> str:
    """Put objects where a sort can read them, and return the address of their directory."""
    folder = f"in/{next(_names)}"
    for i, data in enumerate(objects):
        open_store(PLACE).put(f"{folder}/{i:03}", data)
    return f"{PLACE}/{folder}/"


def sorted_by_wrens(ex: wrens.Executor, objects: list[bytes], size: int, **how: Any) -> list[bytes]:
    """Sort objects, validate the result, and return the objects of it."""
    source, target = stored(objects), f"{PLACE}/out/{next(_names)}"
    done = wrens.sort(ex, source, target, size=size, **how)
    same = {name: value for name, value in how.items() if name in {"border", "key"}}
    valid = validate(ex, target, same_as=summed(ex, source, **same), **same)
    assert valid.records == done.records
    store = open_store(PLACE)
    return [bytes(store.get(url.removeprefix(f"{PLACE}/"))) for url in done.urls]


def rows_of(data: bytes, width: int) -> list[bytes]:
    return [data[at : at + width] for at in range(0, len(data), width)]


def lines_of(data: bytes, mark: bytes) -> list[bytes]:
    found = data.split(mark)
    return found[:-1] if not found[-1] else found


letters = st.sampled_from([b"a", b"b", b"\x00", b"\xff", b"ab", b"aaaaaaaa", b"aaaaaaaaa"])


@given(st.data(), st.integers(1, 12), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_records_of_one_width(ex: wrens.Executor, data: st.DataObject, width: int, size: int) -> None:
    begin = data.draw(st.integers(0, width - 1))
    key = slice(begin, data.draw(st.integers(begin + 1, width)))
    some = st.lists(
        st.binary(min_size=width, max_size=width) | letters.map(lambda b: (b * 12)[:width]), max_size=40
    )
    objects = [b"".join(records) for records in data.draw(st.lists(some, min_size=1, max_size=3))]
    found = sorted_by_wrens(ex, objects, size, border=width, key=key)
    assert rows_of(b"".join(found), width) == sorted(
        rows_of(b"".join(objects), width), key=lambda row: row[key]
    )


@given(
    st.lists(
        st.lists(
            st.sampled_from([b"", b"a", b"b\r", b"ab", b"a\x00", b"z" * 9, b"z" * 70]) | st.binary(),
            max_size=30,
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([b"\n", b"\r\n", b"-|", b"\xe2\x82\xac"]),
    st.integers(1, 100),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_lines(ex: wrens.Executor, lines: list[list[bytes]], mark: bytes, size: int, ended: bool) -> None:
    objects = [mark.join(some) + (mark if ended and some else b"") for some in lines]
    found = sorted_by_wrens(ex, objects, size, border=mark)
    assert lines_of(b"".join(found), mark) == sorted(
        line for data in objects for line in lines_of(data, mark)
    )
    assert all(data.endswith(mark) for data in found if data)


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=40), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_by_what_a_function_says(ex: wrens.Executor, lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)

    def key(line: bytes) -> tuple[int, bytes]:
        return -len(line), line[:1]

    found = sorted_by_wrens(ex, [data], size, key=key)
    assert lines_of(b"".join(found), b"\n") == sorted(lines, key=key)


values = {
    "int": (pa.int64(), st.integers(-3, 3)),
    "text": (pa.string(), st.sampled_from(["", "a", "ü", "ab", "\U0001f600", "\uffff"])),
    "float": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, -2.0, float("inf"), float("nan")])),
    "time": (pa.timestamp("ns"), st.integers(-5, 5)),
    "truth": (pa.bool_(), st.booleans()),
}


def comparable(value: Any, *, descending: bool) -> tuple[int, Any]:
    if value is None:
        return 2, 0
    if value != value:
        return 1, 0
    number = (
        sorted(set(map(str.encode, ["", "a", "ü", "ab", "\U0001f600", "\uffff"]))).index(value.encode())
        if isinstance(value, str)
        else value
    )
    return 0, -number if descending else number


@given(st.data(), st.integers(1, 3), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_rows_by_columns(ex: wrens.Executor, data: st.DataObject, files: int, groups: int) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=2, unique=True))
    downs = [data.draw(st.booleans()) for _ in names]
    rows: list[tuple[Any, ...]] = []
    objects = []
    for _ in range(files):
        some = data.draw(st.lists(st.tuples(*(st.none() | values[name][1] for name in names)), max_size=30))
        columns = {name: pa.array([row[i] for row in some], values[name][0]) for i, name in enumerate(names)}
        columns["n"] = pa.array(range(len(rows), len(rows) + len(some)), pa.int64())
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file, row_group_size=groups)
        objects.append(file.getvalue())
        rows += some
    key = [f"-{name}" if down else name for name, down in zip(names, downs, strict=True)]
    found = sorted_by_wrens(ex, objects, data.draw(st.sampled_from([1, 500, 10**6])), key=key)
    came = pa.concat_tables([pq.read_table(io.BytesIO(one)) for one in found])
    want = sorted(
        range(len(rows)),
        key=lambda i: [
            comparable(value, descending=down) for value, down in zip(rows[i], downs, strict=True)
        ],
    )
    assert came.column("n").to_pylist() == want


@given(st.lists(letters, max_size=60), st.integers(1, 20))
def test_the_order_of_records_in_memory(records: list[bytes], width: int) -> None:
    data = b"".join((record * 20)[:width] for record in records)
    rows = np.frombuffer(data, np.uint8).reshape(-1, width)
    words = words_of_fixed(rows, 0, width)
    want = sorted(range(len(records)), key=lambda i: data[i * width : (i + 1) * width])
    assert order_of(words).tolist() == want
    assert (first_out_of_order(words) is None) == (want == list(range(len(want))))


@given(st.lists(st.binary(max_size=20) | letters, max_size=60))
def test_the_order_of_lines_in_memory(lines: list[bytes]) -> None:
    data = np.frombuffer(b"".join(lines), np.uint8)
    edges = np.cumsum([0, *map(len, lines)])
    words = words_of_lines(data, edges[:-1], np.diff(edges))
    assert order_of(words).tolist() == sorted(range(len(lines)), key=lines.__getitem__)
