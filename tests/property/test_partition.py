"""Partitions side by side are the data, byte for byte and record for record, wherever they were cut."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrens.models.borders import Delimiter
from wrens.models.partition import partition
from wrens.store import open_store

_names = count()
MARKS = [b"\n", b"\r\n", b"\n\n", b"aba", b"\xe2\x82\xac"]


def stored(data: bytes) -> str:
    """Put data where partitions can read them, and return their address."""
    name = f"records/{next(_names)}"
    open_store("memory://partition-property").put(name, data)
    return f"memory://partition-property/{name}"


def split(data: bytes, mark: bytes) -> list[bytes]:
    """Split data as whoever reads it from its beginning does."""
    found = data.split(mark)
    return found[:-1] if not found[-1] else found


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Data that hold their mark often, at edges, doubled, in parts, or not at all."""
    mark = draw(st.sampled_from(MARKS))
    some = st.sampled_from([b"", b"a", b"b", b"\r", b"\n", b"word ", "ü€".encode(), mark, mark, mark[:1]])
    return b"".join(draw(st.lists(some, max_size=40))), mark


@given(texts(), st.integers(1, 30), st.sampled_from([1, 3, 64]))
@settings(max_examples=600, deadline=None)
def test_nothing_is_lost_doubled_or_cut(given: tuple[bytes, bytes], size: int, near: int) -> None:
    data, mark = given
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wrens.models.borders.NEAR", near)
        patch.setattr("wrens.models.borders.FARTHEST", 4 * near)
        patch.setattr("wrens.models.reading.LEAST_BEYOND", near)
        parts = partition(stored(data), size=size, border=mark)
        assert b"".join(bytes(part.read()) for part in parts) == data
        assert [record for part in parts for record in part.records()] == split(data, mark)
        for part in parts:
            begin, end = part.bounds()
            assert bytes(part.read()) == data[begin:end]
            assert b"".join(map(bytes, part.pieces(near))) == data[begin:end]
            assert all(bytes(piece) for piece in part.pieces(near))


@given(st.integers(1, 20), st.integers(0, 30), st.integers(1, 100))
def test_records_of_one_width(width: int, rows: int, size: int) -> None:
    data = bytes(range(256))[:width] * rows
    parts = partition(stored(data), size=size, border=width)
    assert b"".join(bytes(part.read()) for part in parts) == data
    assert all(len(part.read()) % width == 0 for part in parts)
    assert all(part.stop - part.start <= max(size, width) for part in parts)


@given(texts(), st.integers(0, 60))
def test_a_border_is_where_whoever_reads_from_the_beginning_is(given: tuple[bytes, bytes], at: int) -> None:
    data, mark = given
    borders = {0, len(data)}
    i = data.find(mark)
    while i >= 0:
        borders.add(i + len(mark))
        i = data.find(mark, i + len(mark))
    at = min(at, len(data))
    assert Delimiter(mark).cut(lambda start, n: data[start : start + n], at, len(data)) in borders
