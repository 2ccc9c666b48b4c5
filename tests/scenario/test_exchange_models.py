"""MapReduce, grouping and sorting give the same results whichever way the data go between their stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis as client
from sort_chaos import contents

import wrens
from wrens.errors import BadOption
from wrens.models.sort.records import KEY, WIDTH, write
from wrens.models.sort.validating import summed, validate

TEXTS = [" ".join(f"w{(i * k) % 97}" for k in range(200)) for i in range(12)]


def words(text: str) -> list[tuple[str, int]]:
    return [(word, 1) for word in text.split()]


def counted(executor: wrens.Executor, way: Any, **more: Any) -> tuple[list[tuple[Any, Any]], str]:
    found = wrens.map_reduce(
        executor, TEXTS, words, lambda _, ones: sum(ones), reducers=9, exchange=way, **more
    )
    return list(found), found.exchange


def test_the_results_are_the_same(tmp_path: Path, shard: str) -> None:
    with wrens.Executor("inline", store=f"file://{tmp_path}") as ex:
        expected, told = counted(ex, None)
        assert told.startswith("packed: 12 × 9 parts")
        for way, begins in (
            (wrens.Packed(), "packed: "),
            (wrens.TwoLevel(), "two-level: "),
            (wrens.Redis(shard), "redis: "),
        ):
            found, told = counted(ex, way)
            assert found == expected
            assert told.startswith(begins)
    assert dict(expected)["w0"] == sum(text.split().count("w0") for text in TEXTS)
    assert client.Redis.from_url(shard).dbsize() == 0


def test_what_is_written_in_pieces_goes_each_way(tmp_path: Path, shard: str) -> None:
    rows = [[(i, str(k) * 100) for k in range(3000)] for i in range(3)]
    with wrens.Executor("inline", store=f"file://{tmp_path}") as ex:
        found = [
            wrens.map_reduce(ex, rows, lambda row: row, memory_mb=1, exchange=way).collect()
            for way in (None, wrens.TwoLevel(), wrens.Redis(shard))
        ]
    assert found[0] == found[1] == found[2] == {i: [str(k) * 100 for k in range(3000)] for i in range(3)}


def test_groups_are_the_same(tmp_path: Path, shard: str) -> None:
    pa = pytest.importorskip("pyarrow")
    tables = [pa.table({"k": [f"k{(i * k) % 31}" for k in range(100)], "x": range(100)}) for i in range(7)]
    with wrens.Executor("inline", store=f"file://{tmp_path}") as ex:
        found = [
            wrens.group_by(
                ex, tables, "k", {"n": ("x", "sum")}, prepare=lambda one: one, reducers=5, exchange=way
            )
            for way in (None, wrens.TwoLevel(), wrens.Redis(shard))
        ]
        sorted_ = [one.table().sort_by("k") for one in found]
    assert sorted_[0].equals(sorted_[1])
    assert sorted_[0].equals(sorted_[2])
    assert found[2].exchange.startswith("redis: ")


@pytest.mark.parametrize("kind", ["records", "lines", "rows"])
def test_a_sort_writes_the_same_bytes(tmp_path: Path, shard: str, kind: str) -> None:
    how: dict[str, Any] = {"border": WIDTH, "key": slice(0, KEY)}
    with wrens.Executor("inline", store=f"file://{tmp_path}/store") as ex:
        if kind == "records":
            write(ex, tmp_path / "in", 4000, seed=3, parts=4)
        elif kind == "lines":
            (tmp_path / "in").mkdir()
            (tmp_path / "in/a").write_text("\n".join(f"{i * 7919 % 997} {i}" for i in range(9000)))
            how = {"key": lambda line: line.split()[0]}
        else:
            pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
            table = pa.table(
                {"k": [i * 7919 % 97 or None for i in range(30_000)], "x": map(str, range(30_000))}
            )
            pq.write_table(table, tmp_path / "in", row_group_size=5000)
            how = {"key": ["-k"]}
        ways = {"packed": wrens.Packed(), "two-level": wrens.TwoLevel(), "redis": wrens.Redis(shard)}
        found = {}
        for name, way in ways.items():
            done = wrens.sort(ex, tmp_path / "in", tmp_path / name, size=15_000, exchange=way, **how)
            assert done.exchange.startswith(f"{name}: ")
            found[name] = contents(str(tmp_path / name))
        assert len(done.parts) > 2
        assert validate(ex, tmp_path / "redis", **how) == summed(ex, tmp_path / "in", **how)
    assert found["packed"] == found["two-level"] == found["redis"]
    assert client.Redis.from_url(shard).dbsize() == 0


def test_a_sort_of_no_records_goes_each_way(tmp_path: Path, shard: str) -> None:
    (tmp_path / "in").write_bytes(b"")
    with wrens.Executor("inline", store=f"file://{tmp_path}/store") as ex:
        redis_ = wrens.Redis(shard)
        for i, way in enumerate((None, wrens.TwoLevel(), redis_, wrens.Chosen(redis=redis_))):
            assert wrens.sort(ex, tmp_path / "in", tmp_path / str(i), exchange=way).records == 0


@pytest.mark.parametrize("way", ["redis", wrens.Packed])
def test_what_is_no_way_is_told_and_nothing_is_written(tmp_path: Path, way: Any) -> None:
    (tmp_path / "in").write_text("b\na\n")
    with (
        wrens.Executor("inline", store=f"file://{tmp_path}/store") as ex,
        pytest.raises(BadOption, match="is no way through an exchange") as caught,
    ):
        wrens.sort(ex, tmp_path / "in", tmp_path / "out", exchange=way)
    assert f"Nothing was written to {tmp_path}/out." in caught.value.__notes__
