"""Partitions side by side are the data, byte for byte and record for record, wherever they were cut and however read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrens.models.partitions.borders import Delimiter
from wrens.models.partitions.partition import Partition, partition
from wrens.models.partitions.reading import Range, bites
from wrens.store import open_store

_names = count()
MARKS = [b"\n", b"\r\n", b"\n\n", b"aba", b"\xe2\x82\xac"]


def stored(data: bytes) -> str:
    """Put data where partitions can read them, and return their address."""
    name = f"records/{next(_names)}"
    open_store("memory://partition-property").put(name, data)
    return f"memory://partition-property/{name}"


@contextmanager
def looking(near: int) -> Iterator[None]:
    """Let borders be looked for in so few bytes at a time, and partitions be streamed in so small pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wrens.models.partitions.borders.NEAR", near)
        patch.setattr("wrens.models.partitions.borders.FARTHEST", 4 * near)
        patch.setattr("wrens.models.partitions.reading.LEAST_BEYOND", near)
        patch.setattr("wrens.models.partitions.reading.SHORT", near)
        patch.setattr("wrens.models.partitions.partition.PIECE", near)
        yield


def split(data: bytes, mark: bytes) -> list[bytes]:
    """Split data as whoever reads it from its beginning does."""
    found = data.split(mark)
    return found[:-1] if not found[-1] else found


@st.composite
def texts(draw: st.DrawFn, marks: list[bytes] = MARKS) -> tuple[bytes, bytes]:
    """Data that hold their mark often, at edges, doubled, in parts, or not at all."""
    mark = draw(st.sampled_from(marks))
    some = st.sampled_from([b"", b"a", b"b", b"\r", b"\n", b"word ", "ü€".encode(), mark, mark, mark[:1]])
    return b"".join(draw(st.lists(some, max_size=40))), mark


def read_alike(part: Partition, data: bytes, nbytes: int) -> None:
    """A partition is the same bytes in one piece, in many, and where it says that it lies."""
    begin, end = part.bounds()
    assert bytes(part.read()) == data[begin:end]
    pieces = [bytes(piece) for piece in part.pieces(nbytes)]
    assert b"".join(pieces) == data[begin:end]
    assert all(pieces)


@given(texts(), st.integers(1, 30), st.sampled_from([1, 3, 64]))
@settings(max_examples=250, deadline=None)
def test_nothing_is_lost_doubled_or_cut(given: tuple[bytes, bytes], size: int, near: int) -> None:
    data, mark = given
    with looking(near):
        parts = partition(stored(data), size=size, border=mark)
        assert b"".join(bytes(part.read()) for part in parts) == data
        assert [record for part in parts for record in part.records()] == split(data, mark)
        for part in parts:
            read_alike(part, data, near)
            # Every piece is whole records: split alone, pieces give those of the partition.
            alone = [record for piece in part.pieces(near) for record in split(bytes(piece), mark)]
            assert alone == list(part.records())


@given(texts(), st.integers(0, 70), st.integers(0, 70), st.integers(1, 40))
@settings(max_examples=250, deadline=None)
def test_a_range_is_read_once_and_little_beyond(
    given: tuple[bytes, bytes], start: int, stop: int, nbytes: int
) -> None:
    data, mark = given
    start, stop = sorted((min(start, len(data)), min(stop, len(data))))
    asked: list[tuple[int, int]] = []

    def fetch(begin: int, end: int) -> memoryview:
        assert 0 <= begin < end <= len(data)
        asked.append((begin, end))
        return memoryview(data)[begin:end]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wrens.models.partitions.reading.LEAST_BEYOND", 8)
        span = Range(start, stop, len(data), Delimiter(mark))
        found = b"".join(bytes(piece) for _, piece in span.pieces(fetch, nbytes, ahead=False))
    longest = max((len(record) + len(mark) for record in split(data, mark)), default=0)
    read = sum(end - begin for begin, end in asked)
    behind = Delimiter(mark).behind
    # Each piece may read again what tells whether a border is at its beginning; a long record as much again as it has.
    assert read <= (stop - start) + behind * len(asked) + 8 + 3 * longest + 2 * len(found)
    begin, end = span.bounds(lambda a, b: memoryview(data)[a:b])
    assert found == data[begin:end]


@given(st.text("ab\r\nü€𝄞", max_size=60), st.integers(1, 30), st.sampled_from([1, 3, 64]))
@settings(max_examples=250, deadline=None)
def test_lines_are_those_of_the_whole_text(text: str, size: int, near: int) -> None:
    expected = text.replace("\r\n", "\n").split("\n")
    expected = expected if expected[-1] else expected[:-1]
    for encoding in ("utf-8", "utf-16-le", "utf-32-be"):
        with looking(near):
            parts = partition(stored(text.encode(encoding)), size=size, encoding=encoding)
            assert [line for part in parts for line in part.lines()] == expected, encoding
            batched = [batch.column("line").to_pylist() for part in parts for batch in part.batches()]
            assert [line for batch in batched for line in batch] == expected, encoding


@given(st.binary(max_size=60), st.integers(1, 30), st.sampled_from([1, 3, 64]))
@settings(max_examples=250, deadline=None)
def test_a_mark_of_two_byte_letters_counts_only_where_a_letter_begins(
    data: bytes, size: int, near: int
) -> None:
    # Letters whose bytes, out of step, look like a new line.
    data = data.translate(bytes([b"\n\0\n\x0b"[n % 4] for n in range(256)]))
    data += b"\0" * (len(data) % 2)
    letters = [data[i : i + 2] for i in range(0, len(data), 2)]
    expected, line = [], b""
    for letter in letters:
        if letter == b"\n\0":
            expected.append(line)
        line = b"" if letter == b"\n\0" else line + letter
    with looking(near):
        parts = partition(stored(data), size=size, encoding="utf-16-le")
        assert b"".join(bytes(part.read()) for part in parts) == data
        assert [record for part in parts for record in part.records()] == expected + [line] * bool(line)
        for part in parts:
            read_alike(part, data, near)


@given(st.integers(1, 20), st.integers(0, 30), st.integers(1, 100), st.integers(1, 50))
def test_records_of_one_width(width: int, rows: int, size: int, nbytes: int) -> None:
    data = bytes(range(256))[:width] * rows
    parts = partition(stored(data), size=size, border=width)
    assert b"".join(bytes(part.read()) for part in parts) == data
    assert all(part.stop - part.start <= max(size, width) for part in parts)
    found = [record for part in parts for batch in part.batches() for record in batch["record"].to_pylist()]
    assert found == [record for part in parts for record in part.records()] == [data[:width]] * rows
    for part in parts:
        read_alike(part, data, nbytes)
        assert all(len(piece) % width == 0 for piece in part.pieces(nbytes))
        assert part.array().shape == (len(part.read()) // width, width)


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


@given(texts(), st.integers(1, 20))
def test_bites_are_whole_records(given: tuple[bytes, bytes], nbytes: int) -> None:
    data, mark = given
    found = [bytes(bite) for _, bite in bites(Delimiter(mark), memoryview(data), nbytes)]
    assert b"".join(found) == data
    assert [record for bite in found for record in split(bite, mark)] == split(data, mark)
