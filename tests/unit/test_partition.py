"""Partitions: what is read of the data and how often, text in its encodings, Parquet, and data that are not as said."""

from __future__ import annotations

import bz2
import gzip
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wrens
from wrens import Partition, partition
from wrens.errors import BadData, BadOption, NoData
from wrens.models.partitions import partition as module
from wrens.store import MeteredStore, open_store
from wrens.store.metered import Reading

MB = 2**20
_names = itertools.count()
Metered = Callable[[], Reading]


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> Metered:
    """Count what partitions read; each call tells what was read since the one before."""
    store = MeteredStore(open_store("memory://partition-unit"))
    monkeypatch.setattr(module, "open_data", lambda url: store)
    last = store.reading()

    def since() -> Reading:
        nonlocal last
        before, last = last, store.reading()
        return last - before

    return since


def stored(data: bytes, suffix: str = ".txt") -> str:
    """Store an object and return its address."""
    name = f"{next(_names)}{suffix}"
    open_store("memory://partition-unit").put(name, data)
    return f"memory://partition-unit/{name}"


def lines_of(address: str, size: int, **more: str | bytes | int) -> list[list[str]]:
    return [list(part.lines()) for part in partition(address, size=size, **more)]  # type: ignore[arg-type]


# --- borders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "size", "expected"),
    [
        (b"", 10, [[]]),
        (b"\n", 10, [[""]]),
        (b"one\ntwo\n", 4, [["one"], ["two"]]),  # a delimiter just before the edge
        (b"one\ntwo\n", 3, [["one"], ["two"], []]),
        (b"ab\r\ncd\r\nef", 5, [["ab", "cd"], ["ef"]]),  # an edge between CR and LF
        (b"a" * 30 + b"\nb\n", 8, [["a" * 30], [], [], [], ["b"]]),  # a record longer than the chunk
        (b"a" * 30, 8, [["a" * 30], [], [], []]),  # no delimiter at all
        ("ü€𝄞\n𝄞€ü\n".encode(), 5, [["ü€𝄞"], [], ["𝄞€ü"], []]),  # letters of several bytes across edges
        (b"\n\n\n\n", 2, [["", ""], ["", ""]]),
    ],
)  # fmt: skip
def test_lines_and_edges(data: bytes, size: int, expected: list[list[str]]) -> None:
    assert lines_of(stored(data), size) == expected
    parts = partition(stored(data), size=size)
    assert b"".join(part.read() for part in parts) == data


def test_a_partition_is_small_and_travels() -> None:
    part = partition(stored(b"one\ntwo\n"), size=4)[1]
    with wrens.Executor("inline") as ex:
        sent = ex.put(part)
        assert sent.nbytes < 1000
        assert ex.submit(lambda found: list(found.lines()), sent).result() == ["two"]
    assert repr(part) == f"<Partition {part.url} bytes 4 to 8>"


def test_lines_of_an_object_that_is_not_cut_are_whole_although_it_is_read_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PIECE", 7)
    address = stored(b"first line\nsecond line\nthird")
    (part,) = partition(address, size=5, border="objects")
    assert list(part.lines()) == ["first line", "second line", "third"]
    assert list(part.records()) == [b"first line", b"second line", b"third"]
    assert [x for b in part.batches() for x in b["line"].to_pylist()] == [
        "first line",
        "second line",
        "third",
    ]
    assert b"".join(part.pieces(3)) == part.read() == b"first line\nsecond line\nthird"


# --- requests and bytes ----------------------------------------------------------------------------------


def test_a_small_partition_is_one_request_however_it_is_read(metered: Metered) -> None:
    data = b"".join(b"line %06d\n" % n for n in range(200_000))
    parts = partition(stored(data), size=MB)
    assert len(parts) == 3
    metered()  # planning reads nothing of the data through the store of this test
    for part in parts:
        for read in (
            lambda p: p.read(),
            lambda p: list(p.pieces()),
            lambda p: sum(1 for _ in p.lines()),
            lambda p: sum(1 for _ in p.records()),
            lambda p: sum(b.num_rows for b in p.batches()),
        ):
            read(part)
            found = metered()
            assert found.gets == 1
            assert found.bytes_out <= part.planned * 17 / 16 + 1


def test_planning_asks_for_sizes_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MeteredStore(open_store("memory://planning"))
    monkeypatch.setattr("wrens.store.data.open_data", lambda url: store)
    for n in range(5):
        store.put(f"logs/{n}", b"line\n" * 1000)
    before = store.reading()
    assert len(partition("memory://planning/logs/", size=1000)) == 25
    assert store.reading() - before == Reading(lists=1)


def test_what_is_streamed_is_read_once(metered: Metered) -> None:
    data = b"".join(b"line %06d\n" % n for n in range(200_000))
    (part,) = partition(stored(data), size=len(data))
    assert sum(len(piece) for piece in part.pieces(64 * 1024)) == len(data)
    found = metered()
    assert found.gets <= -(-len(data) // 65_000) + 1
    assert found.bytes_out <= len(data) + 64 * found.gets


def test_a_record_that_is_longer_than_many_partitions_is_read_by_its_owner_and_passed_over_once_by_others(
    metered: Metered,
) -> None:
    data = b"a" * (4 * MB) + b"\nb\n"
    parts = partition(stored(data), size=64 * 1024)
    assert [len(part.read()) for part in parts if part.read()] == [4 * MB + 1, 2]
    metered()
    for part in parts:
        for _ in part.pieces():
            pass
    # Were each to look for the end of the record, it would be 32 times the data.
    assert metered().bytes_out < 3 * len(data)
    for part in parts[1:-1]:
        begin, end = part.bounds()
        assert begin == end
    assert metered().bytes_out < 2 * len(data)


def test_a_file_is_read_as_libraries_ask_for_it(metered: Metered) -> None:
    data = b"".join(b"line %06d\n" % n for n in range(100_000))
    (part,) = partition(stored(data), size=len(data))
    with part.open() as file:
        assert sum(1 for _ in file) == 100_000
    assert metered().gets == 2
    with part.open() as file:
        file.seek(-12, 2)
        assert file.read() == b"line 099999\n"
        assert file.tell() == len(data)
        with pytest.raises(ValueError, match="seek"):
            file.seek(-1)
    assert metered().bytes_out == 12


def test_what_comes_next_is_read_while_one_piece_is_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(b"line %06d\n" % n for n in range(20_000))
    monkeypatch.setattr(module, "is_near", lambda store: False)
    (part,) = partition(stored(data), size=len(data))
    assert b"".join(part.pieces(10_000)) == data
    assert len(list(part.lines())) == 20_000
    pieces = part.pieces(10_000)
    next(pieces)
    pieces.close()  # what was asked for is forgotten


# --- text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_text_in_its_encoding(encoding: str) -> None:
    text = "grün\nöde\r\nende"
    parts = partition(stored(text.encode(encoding)), size=5, encoding=encoding)
    assert [line for part in parts for line in part.lines()] == ["grün", "öde", "ende"]
    assert [x for p in parts for b in p.batches() for x in b["line"].to_pylist()] == ["grün", "öde", "ende"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_no_part_of_the_first_line_only(encoding: str) -> None:
    address = stored("\ufeffone\n\ufefftwo\n".encode(encoding))
    assert lines_of(address, 1000, encoding=encoding) == [["one", "\ufefftwo"]]
    (part,) = partition(address, encoding=encoding)
    assert [b["line"].to_pylist() for b in part.batches()] == [["one", "\ufefftwo"]]
    assert next(iter(part.records())) == "\ufeffone".encode(encoding)
    assert lines_of(stored(b"\xef\xbb\xbf"), 10) == [[]]


def test_a_delimiter_of_ones_own() -> None:
    address = stored("a;b\n;;c".encode("utf-16-be"))
    mark = ";".encode("utf-16-be")
    parts = lines_of(address, 4, border=mark, encoding="utf-16-be")
    assert [line for part in parts for line in part] == ["a", "b\n", "", "c"]
    with pytest.raises(BadOption, match="is not utf-16-be"):
        partition(address, border=b";", encoding="utf-16-be")


def test_text_that_is_not_in_the_encoding_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wrens.models.partitions.reading.BITE", 64)
    data = b"line\n" * 100 + b"caf\xe9 au lait\n" + b"line\n" * 100
    address = stored(data)
    for read in (
        lambda p: list(p.lines()),
        lambda p: list(p.batches()),
        lambda p: list(p.lines("ascii")),
    ):
        with pytest.raises(BadData) as caught:
            [read(part) for part in partition(address, size=300)]
        assert caught.value.url == address
        assert caught.value.offset == data.index(b"\xe9")
        assert "latin-1" in str(caught.value)
    assert "café au lait" in list(partition(address)[0].lines("latin-1"))


def test_a_delimiter_that_is_no_text() -> None:
    (part,) = partition(stored(b"a\xffb\xff"), border=b"\xff")
    assert list(part.records()) == [b"a", b"b"]
    assert list(part.lines("latin-1")) == ["a", "b"]
    with pytest.raises(BadOption, match=r"part\.records"):
        list(part.lines())


def test_encodings_that_cannot_be() -> None:
    address = stored(b"one\n")
    for encoding in ("utf-16", "utf_32", "no-such", "rot13", "hex", 8):
        with pytest.raises(BadOption, match="encoding"):
            partition(address, encoding=encoding)  # type: ignore[arg-type]
    with pytest.raises(BadOption, match="utf-16-le' when the object begins with"):
        partition(address, encoding="utf-16")
    (part,) = partition(address)
    with pytest.raises(BadOption, match="was for utf-8"):
        list(part.lines("utf-16-le"))
    with pytest.raises(BadOption, match="cp037"):
        list(part.lines("cp037"))
    for border in (4, "objects", "parquet"):
        with pytest.raises(BadOption, match="encoding='latin-1' says how lines"):
            partition(address, border=border, encoding="latin-1")


# --- records of a fixed width ----------------------------------------------------------------------------


def test_records_of_a_fixed_width_as_arrays() -> None:
    kind = np.dtype([("key", ">u4"), ("value", "<f8")])
    rows = np.array([(n, n / 2) for n in range(100)], kind)
    parts = partition(stored(rows.tobytes(), ".bin"), size=200, border=kind.itemsize)
    assert len(parts) == 7
    assert (np.concatenate([part.array(kind) for part in parts]) == rows).all()
    assert parts[0].array().shape == (15, 12)
    with pytest.raises(BadOption, match="has 8 bytes, and a record has 12"):
        parts[0].array("f8")
    with pytest.raises(BadOption, match="needs records of a fixed width"):
        partition(stored(b"a\n"))[0].array()
    with pytest.raises(BadOption, match="end with a delimiter"):
        list(parts[0].lines())


def test_a_width_that_does_not_divide_names_the_object_and_the_byte() -> None:
    address = stored(b"x" * 1234, ".bin")
    with pytest.raises(BadData, match="the last record has 34 of 100 bytes") as caught:
        partition(address, border=100)
    assert (caught.value.url, caught.value.offset) == (address, 1200)


# --- options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": 1.5},
        {"size": True},
        {"border": "csv"},
        {"border": b""},
        {"border": 0},
        {"border": None},
    ],
)
def test_options_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(BadOption):
        partition(stored(b"one\n"), **options)


def test_a_slip_in_the_size_does_not_fill_the_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(BadOption, match=r"156,250,000 partitions of 10,000,000,000 bytes"):
        partition(tmp_path, size=64)
    assert len(partition(tmp_path, size=64 * MB)) == 150


# --- compressed objects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "pack", "unpack"), [(".gz", gzip.compress, gzip.open), (".bz2", bz2.compress, bz2.open)]
)
def test_a_compressed_object_is_taken_whole(suffix: str, pack: Callable, unpack: Callable) -> None:
    packed = pack(b"one\ntwo\n" * 1000)
    address = stored(packed, f".txt{suffix}")
    for border in ("lines", b";", 10):
        with pytest.raises(BadData, match="border='objects'") as caught:
            partition(address, border=border)
        assert caught.value.url == address
    (part,) = partition(address, border="objects", size=10)
    assert part.read() == packed
    with unpack(part.open(), "rt") as file:
        assert sum(1 for _ in file) == 2000
    for read in (part.lines, part.records, part.batches):
        with pytest.raises(BadData, match="compressed"):
            list(read())


# --- Parquet ---------------------------------------------------------------------------------------------


def parquet(rows: int, group: int, seed: int = 0) -> bytes:
    sink = pa.BufferOutputStream()
    numbers = np.random.default_rng(seed).integers(0, 2**60, rows)
    table = pa.table({"n": range(rows), "noise": numbers, "text": [f"row {n}" for n in range(rows)]})
    pq.write_table(table, sink, row_group_size=group)
    return sink.getvalue().to_pybytes()


def test_parquet_is_parted_between_row_groups(metered: Metered) -> None:
    data = parquet(100_000, 10_000)
    address = stored(data, ".parquet")
    parts = partition(address, size=len(data) // 4, border="parquet")
    assert metered().gets == 1
    assert 4 <= len(parts) <= 6
    assert [part.border.first for part in parts[1:]] == [part.border.last for part in parts[:-1]]  # type: ignore[union-attr]
    found = [n for part in parts for batch in part.batches(3000) for n in batch["n"].to_pylist()]
    assert found == list(range(100_000))
    assert max(batch.num_rows for batch in parts[0].batches(3000)) == 3000
    assert "row groups 0:" in repr(parts[0])


def test_of_parquet_only_the_columns_that_are_wanted_are_read_and_the_directory_once(
    metered: Metered,
) -> None:
    data = parquet(100_000, 10_000, seed=1)
    parts = partition(stored(data, ".parquet"), size=len(data) // 4, border="parquet")
    metered()
    seen = [batch.schema.names for part in parts for batch in part.batches(columns=["n"])]
    assert {tuple(names) for names in seen} == {("n",)}
    found = metered()
    assert found.bytes_out < len(data) * 0.6
    assert found.gets <= 12  # one for each row group, and one or two for the directory
    list(parts[0].batches(columns=["n"]))
    assert metered().gets == parts[0].border.last  # type: ignore[union-attr]
    with pytest.raises(BadData, match="no column 'm', but 'n', 'noise', 'text'"):
        list(parts[0].batches(columns=["m"]))


def test_parquet_without_rows() -> None:
    (part,) = partition(stored(parquet(0, 10), ".parquet"), border="parquet")
    assert list(part.batches()) == []


def test_parquet_has_no_bytes_or_lines() -> None:
    (part,) = partition(stored(parquet(10, 10), ".parquet"), border="parquet")
    for read in (part.read, lambda: list(part.pieces()), part.bounds):
        with pytest.raises(BadOption, match="rows and not bytes"):
            read()
    with pytest.raises(BadOption):
        list(part.lines())
    with pytest.raises(BadOption, match="needs a Parquet file"):
        list(partition(stored(b"a\n"))[0].batches(columns=["a"]))
    assert pq.ParquetFile(part.open()).metadata.num_rows == 10


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"one\ntwo\n" * 10, parquet(100, 10)[:-10], b"x" * 8 + b"PAR1"]
)
def test_what_is_no_parquet_is_named(data: bytes) -> None:
    address = stored(data, ".parquet")
    with pytest.raises(BadData, match="is no Parquet file") as caught:
        partition(address, border="parquet")
    assert caught.value.url == address


def test_parquet_that_was_written_anew_or_is_damaged_is_told(metered: Metered) -> None:
    data = parquet(1000, 100)
    address = stored(data, ".parquet")
    parts = partition(address, size=1, border="parquet")
    assert len(parts) == 10
    key = address.rpartition("/")[2]
    store = open_store("memory://partition-unit")
    other = parquet(1000, 50)
    store.put(key, other + bytes(max(0, len(data) - len(other))), mode="replace")
    with pytest.raises(BadData):
        list(parts[3].batches())
    fresh = parquet(1000, 100, seed=2)
    address = stored(fresh, ".parquet")
    parts = partition(address, size=1, border="parquet")
    group = pq.read_metadata(pa.BufferReader(fresh)).row_group(3).column(0)
    at = group.dictionary_page_offset or group.data_page_offset
    damaged = fresh[:at] + b"\xff" * 40 + fresh[at + 40 :]
    store.put(address.rpartition("/")[2], damaged, mode="replace")
    with pytest.raises(BadData, match="row group 3 cannot be read") as caught:
        list(parts[3].batches())
    assert (caught.value.url, caught.value.offset) == (address, at)
    assert sum(batch.num_rows for batch in parts[2].batches()) == 100


# --- data that change ------------------------------------------------------------------------------------


def reads(part: Partition) -> list[Callable[[], object]]:
    return [part.read, lambda: list(part.pieces()), lambda: list(part.lines()), lambda: list(part.batches())]


def test_an_object_that_has_shrunk_is_never_read_as_if_it_were_whole(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"line\n" * 1000)
    parts = partition(file, size=1000)
    file.write_bytes(b"line\n" * 500)
    for read in reads(parts[-1]):
        with pytest.raises(BadData, match="had 5,000 bytes when it was partitioned") as caught:
            read()
        assert (caught.value.url, caught.value.offset) == (str(file), 2500)
    assert parts[0].read() == b"line\n" * 200


def test_an_object_that_has_grown_is_read_as_it_was_planned(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"line\n" * 1000)
    parts = partition(file, size=1000)
    with file.open("ab") as more:
        more.write(b"new\n" * 1000)
    assert b"".join(part.read() for part in parts) == b"line\n" * 1000


def test_an_object_that_is_gone_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"line\n" * 1000)
    parts = partition(file, size=1000)
    file.unlink()
    for read in reads(parts[0]):
        with pytest.raises(NoData, match="is gone") as caught:
            read()
        assert caught.value.url == str(file)


# --- workers ---------------------------------------------------------------------------------------------


def test_partitions_are_inputs_of_a_map(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(f"some words of file {n}\n" * 1000)

    def words(part: Partition) -> int:
        return sum(len(line.split()) for line in part.lines())

    with wrens.Executor("local", max_workers=2, store=tmp_path / ".store") as ex:
        parts = partition(tmp_path / "*.txt", size=5000)
        assert len(parts) == 15
        assert sum(ex.map(words, parts)) == 15_000
        (tmp_path / "1.txt").unlink()
        with pytest.raises(NoData, match=r"1\.txt: the object is gone"):
            ex.submit(words, parts[7]).result()
