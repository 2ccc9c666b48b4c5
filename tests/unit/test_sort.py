"""What a sort refuses, what it leaves behind, and that its validator sees what went wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wrens
from wrens.errors import BadData, BadOption, NoData, TargetTaken
from wrens.models.sort.lending import lent
from wrens.models.sort.records import KEY, WIDTH, write
from wrens.models.sort.target import MANIFEST, target_of
from wrens.models.sort.validating import summed, validate

BINARY: dict[str, Any] = {"border": WIDTH, "key": slice(0, KEY)}


@pytest.fixture(scope="module")
def ex() -> Iterator[wrens.Executor]:
    with wrens.Executor("inline") as executor:
        yield executor


def read(folder: Path) -> bytes:
    """Return the objects of a sort, one after the other."""
    parts = json.loads((folder / MANIFEST).read_bytes())["parts"]
    return b"".join((folder / one["name"]).read_bytes() for one in parts)


# --- data that are hard to part ---


@pytest.mark.parametrize(
    "objects",
    [
        [b""],
        [b"", b"", b""],
        [b"b\n", b"", b"a"],
        [b"one record"],
        [b"x" * 5000 + b"\n" + b"a\n" * 3, b"y" * 3000],
        [b"\n\n\n"],
    ],
    ids=["empty", "several empty", "no end", "one record", "longer than a partition", "only ends"],
)
def test_odd_objects(ex: wrens.Executor, tmp_path: Path, objects: list[bytes]) -> None:
    (tmp_path / "in").mkdir()
    for i, data in enumerate(objects):
        (tmp_path / f"in/{i}").write_bytes(data)
    done = wrens.sort(ex, tmp_path / "in", tmp_path / "out", size=100)
    lines = sorted(line for data in objects for line in data.removesuffix(b"\n").split(b"\n") if data)
    assert read(tmp_path / "out") == b"".join(line + b"\n" for line in lines)
    assert done.records == len(lines)
    validate(ex, tmp_path / "out", same_as=summed(ex, tmp_path / "in"))


def keys_of(kind: str, i: int, count: int) -> int:
    return {"equal": 7, "heavy": 7 if i % 10 else i, "sorted": i, "reverse": count - i}[kind]


@pytest.mark.parametrize("kind", ["equal", "heavy", "sorted", "reverse"])
def test_ranges_are_even_and_equal_keys_keep_their_order(
    ex: wrens.Executor, tmp_path: Path, kind: str
) -> None:
    count = 20_000
    rows = [b"%08d%08d" % (keys_of(kind, i, count), i) for i in range(count)]
    for i in range(4):
        (tmp_path / f"in-{i}").write_bytes(b"".join(rows[count * i // 4 : count * (i + 1) // 4]))
    done = wrens.sort(ex, tmp_path / "in-*", tmp_path / "out", border=16, key=slice(0, 8), size=20_000)
    assert read(tmp_path / "out") == b"".join(sorted(rows, key=lambda row: row[:8]))
    sizes = [records for _, _, records in done.parts]
    assert len(sizes) == 16
    assert max(sizes) < 1.6 * count / 16


def test_a_small_object_has_no_more_say_than_its_size(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(100):
        (tmp_path / f"in/small-{i}").write_bytes(b"z%03d\n" % i)
    (tmp_path / "in/large").write_bytes(b"".join(b"%05d\n" % i for i in range(20_000)))
    done = wrens.sort(ex, tmp_path / "in", tmp_path / "out", size=12_000)
    sizes = [nbytes for _, nbytes, _ in done.parts]
    assert max(sizes) < 2 * sum(sizes) / len(sizes)


def test_rows_of_files_with_other_columns_are_refused(ex: wrens.Executor, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [2, 1], "b": ["x", "y"]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [2, 1], "b": [1, 2]}), tmp_path / "1.parquet")
    with pytest.raises(BadData, match=r"1\.parquet, byte 0: its columns .* 'b' is int64 and not string"):
        wrens.sort(ex, tmp_path / "*.parquet", tmp_path / "out", key="a")
    with pytest.raises(BadOption, match=r"'c'.* is no column of .*0\.parquet, which has 'a', 'b'"):
        wrens.sort(ex, tmp_path / "0.parquet", tmp_path / "out", key="c")


# --- bad input ---


def raising(line: bytes) -> int:
    return int(line)


def test_a_key_function_that_fails_is_told_with_object_and_byte(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"3\n1\n" * 300)
    (tmp_path / "in/b").write_bytes(b"3\n1\n" * 300 + b"2\nnone\n5\n" + b"1\n" * 300)
    with pytest.raises(BadData) as caught:
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", key=raising, size=500)
    assert caught.value.url == str(tmp_path / "in/b")
    assert caught.value.offset == 1202
    assert "ValueError" in str(caught.value)
    assert "b'none'" in str(caught.value)
    assert "Nothing was written" in caught.value.__notes__[-1]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("size", [10**6, 10])
def test_keys_that_do_not_compare(ex: wrens.Executor, tmp_path: Path, size: int) -> None:
    (tmp_path / "in").write_bytes(b"1\n2\n3\nx\n4\n")
    with pytest.raises(BadData, match="do not compare") as caught:
        wrens.sort(
            ex,
            tmp_path / "in",
            tmp_path / "out",
            size=size,
            key=lambda line: int(line) if line.isdigit() else "x",
        )
    assert caught.value.url == str(tmp_path / "in")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"border": 3, "key": slice(0, 4)}, "no range of bytes"),
        ({"border": 3, "key": slice(2, 2)}, "no range of bytes"),
        ({"key": slice(0, 4)}, "needs records of a fixed width"),
        ({"border": "objects"}, "cannot be sorted"),
        ({"border": b"\n\n"}, "overlaps itself"),
        ({"border": 3, "key": "name"}, "names columns"),
        ({"border": "parquet"}, "names no columns"),
        ({"key": 7}, "is no key"),
        ({"size": 0}, "size"),
    ],
)
def test_options_that_do_not_fit(ex: wrens.Executor, tmp_path: Path, how: dict[str, Any], told: str) -> None:
    (tmp_path / "in").write_bytes(b"abcdef")
    with pytest.raises(BadOption, match=told):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_bad_sources(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "in").write_bytes(b"x" * 250)
    with pytest.raises(NoData, match="nothing is in this directory"):
        wrens.sort(ex, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(NoData, match="there is no such file or directory"):
        wrens.sort(ex, tmp_path / "missing", tmp_path / "out")
    with pytest.raises(BadData, match=r"in, byte 200: the last record has 50 of 100 bytes"):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", border=100)
    with pytest.raises(BadData, match="no Parquet file"):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", key="a")


# --- the target ---


def test_what_is_at_the_target_is_kept(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"b\na\n")
    wrens.sort(ex, tmp_path / "in", tmp_path / "out")
    with pytest.raises(TargetTaken, match="overwrite=True"):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out")
    (tmp_path / "in").write_bytes(b"d\nc\n")
    wrens.sort(ex, tmp_path / "in", tmp_path / "out", overwrite=True)
    assert read(tmp_path / "out") == b"c\nd\n"
    (tmp_path / "out/mine.txt").write_text("precious")
    with pytest.raises(TargetTaken, match=r"mine\.txt was not made by a sort"):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", overwrite=True)
    with pytest.raises(TargetTaken, match="It is a file"):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out/mine.txt", overwrite=True)
    assert read(tmp_path / "out") == b"c\nd\n"


def test_a_failure_deletes_nothing_that_was_there(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"2\n1\n")
    wrens.sort(ex, tmp_path / "in", tmp_path / "out", key=raising)
    (tmp_path / "in").write_bytes(b"2\nx\n")
    with pytest.raises(BadData):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", key=raising, overwrite=True)
    assert read(tmp_path / "out") == b"1\n2\n"


def test_a_sort_that_did_not_end_has_no_manifest_and_says_so(
    ex: wrens.Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").write_bytes(b"b\na\n" * 1000)

    def interrupted(*_args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wrens.models.sort.sorting.as_json", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            wrens.sort(ex, tmp_path / "in", tmp_path / "out", size=500)
    assert "Sort again with overwrite=True" in caught.value.__notes__[-1]
    assert not (tmp_path / "out" / MANIFEST).exists()
    with pytest.raises(NoData, match="has not ended"):
        validate(ex, tmp_path / "out")
    with pytest.raises(TargetTaken, match="There is no manifest, so a sort has not ended here"):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out")
    wrens.sort(ex, tmp_path / "in", tmp_path / "out", size=800, overwrite=True)
    assert read(tmp_path / "out") == b"a\n" * 1000 + b"b\n" * 1000


def test_a_name_is_that_of_the_last_stage_and_not_taken_twice(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"b\na\n" * 1000)
    with wrens.Executor("inline", store=tmp_path / "store") as ex:
        named = ex.options(name="sorted")
        done = wrens.sort(named, tmp_path / "in", tmp_path / "out", size=1000)
        assert len(wrens.attach("sorted", store=tmp_path / "store")) == len(done.parts) > 1
        with pytest.raises(BadOption, match="is taken") as caught:
            wrens.sort(named, tmp_path / "in", tmp_path / "again")
    assert caught.value.__notes__ == [f"Nothing was written to {tmp_path}/again."]
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("in", "in/sorted", "lies in"),
        ("in", "in", "holds what is to be sorted"),
        ("in/a", "in", "holds what is to be sorted"),
        ("**/a", "in/b/c", "lies in"),
        ("link", "in/sorted", "lies in"),
        ("", "in/sorted", "lies in"),
    ],
)
def test_source_and_target_lie_apart(
    ex: wrens.Executor, tmp_path: Path, source: str, target: str, told: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"b\na\n")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(BadOption, match=told):
        wrens.sort(ex, tmp_path / source, tmp_path / target, overwrite=True)
    assert (tmp_path / "in/a").read_bytes() == b"b\na\n"


def test_a_target_beside_the_source_may_begin_alike(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"b\na\n")
    wrens.sort(ex, tmp_path / "in", tmp_path / "in-sorted")
    assert read(tmp_path / "in-sorted") == b"a\nb\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_target_that_cannot_be_written_is_told_before_work_begins(
    ex: wrens.Executor, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(b"b\na\n")
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(wrens.errors.StoreDenied):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out")


def test_a_trial_may_be_tried_again_when_its_worker_was_lost(tmp_path: Path) -> None:
    target = target_of(tmp_path / "out")
    target.try_out("one")
    target.try_out("one")
    target.see("one")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_object_is_written_once(tmp_path: Path) -> None:
    target = target_of(tmp_path / "out")
    target.put("part-00000", [b"ab", b"c"])
    target.put("part-00000", [b"abc"])
    for other in (b"abd", b"ab", b"abcd"):
        with pytest.raises(TargetTaken, match="Another sort writes to the same place"):
            target.put("part-00000", [other])
    assert (tmp_path / "out/part-00000").read_bytes() == b"abc"


# --- the validator ---

Harm = Callable[[Path], None]


def swap_records(folder: Path) -> None:
    file = folder / "part-00001"
    data = file.read_bytes()
    file.write_bytes(data[:100] + data[200:300] + data[100:200] + data[300:])


def lose_a_record(folder: Path) -> None:
    file = folder / "part-00001"
    file.write_bytes(file.read_bytes()[100:])


def double_a_record(folder: Path) -> None:
    file = folder / "part-00001"
    file.write_bytes(file.read_bytes()[:100] + file.read_bytes())


def double_one_and_lose_one(folder: Path) -> None:
    file = folder / "part-00001"
    data = file.read_bytes()
    file.write_bytes(data[:100] + data[:100] + data[200:])


def change_a_byte(folder: Path) -> None:
    file = folder / "part-00001"
    data = file.read_bytes()
    file.write_bytes(data[:150] + b"!" + data[151:])


def move_a_byte_between_records(folder: Path) -> None:
    file = folder / "part-00001"
    data = bytearray(file.read_bytes())
    data[115], data[215] = data[215], data[115]
    data[99], data[199] = data[199], data[99]
    file.write_bytes(data)


def swap_parts(folder: Path) -> None:
    first, second = folder / "part-00001", folder / "part-00002"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def swap_parts_and_sizes(folder: Path) -> None:
    swap_parts(folder)
    told = json.loads((folder / MANIFEST).read_bytes())
    told["parts"][1]["bytes"], told["parts"][2]["bytes"] = (
        told["parts"][2]["bytes"],
        told["parts"][1]["bytes"],
    )
    (folder / MANIFEST).write_text(json.dumps(told))


def lose_a_part(folder: Path) -> None:
    (folder / "part-00001").unlink()


def add_a_part(folder: Path) -> None:
    (folder / "part-99999").write_bytes((folder / "part-00001").read_bytes())


def lose_the_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (swap_records, r"part-00001, byte 200: this record is less than the one before it"),
        (lose_a_record, r"part-00001, byte .* the manifest|part-00001, byte .*_manifest.json says"),
        (double_a_record, r"part-00001, byte .*_manifest.json says"),
        (double_one_and_lose_one, "the checksum is not that of the source"),
        (change_a_byte, "the checksum is not that of the source"),
        (move_a_byte_between_records, "the checksum is not that of the source"),
        (swap_parts, r"part-0000[12], byte"),
        (swap_parts_and_sizes, r"part-00002, byte 0: this record is less than the last one of .*part-00001"),
        (lose_a_part, "no such object"),
        (add_a_part, "part-99999, byte 0: _manifest.json does not list"),
        (lose_the_manifest, "has not ended"),
    ],
)
def test_the_validator_sees(ex: wrens.Executor, tmp_path: Path, harm: Harm, told: str) -> None:
    before = write(ex, tmp_path / "in", 2000, seed=3, parts=2)
    wrens.sort(ex, tmp_path / "in", tmp_path / "out", size=50_000, **BINARY)
    assert validate(ex, tmp_path / "out", same_as=before, **BINARY) == before
    harm(tmp_path / "out")
    with pytest.raises((BadData, NoData), match=told):
        validate(ex, tmp_path / "out", same_as=before, **BINARY)


def test_the_validator_sees_lines_that_changed_places_with_others(ex: wrens.Executor, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"".join(b"%d\n" % (i * 7919 % 1000) for i in range(1000)))
    before = summed(ex, tmp_path / "in")
    wrens.sort(ex, tmp_path / "in", tmp_path / "out", size=1000)
    part = tmp_path / "out/part-00001.txt"
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([lines[0], lines[0], *lines[2:]]))
    with pytest.raises(BadData):
        validate(ex, tmp_path / "out", same_as=before)


def test_the_generator_writes_the_same_records_in_any_number_of_objects(
    ex: wrens.Executor, tmp_path: Path
) -> None:
    one = write(ex, tmp_path / "one", 1001, seed=5, parts=1)
    assert one == write(ex, tmp_path / "seven", 1001, seed=5, parts=7)
    assert one != write(ex, tmp_path / "other", 1001, seed=6)
    assert read(tmp_path / "one") == read(tmp_path / "seven")
    assert summed(ex, tmp_path / "seven", border=WIDTH) == one
    with pytest.raises(TargetTaken):
        write(ex, tmp_path / "one", 10)
    assert write(ex, tmp_path / "one", 0, overwrite=True).records == 0


def test_lent_memory_is_lent_to_one_at_a_time() -> None:
    with lent(1000) as one, lent(1000) as other:
        one[:] = 1
        other[:] = 2
        assert one.sum() == 1000
    with lent(500) as again:
        assert len(again) == 500
