"""Packages of a hundred megabytes for workers that have none. Run by ``make stress``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bare import Bare, BareBackend, platform

import wrens
from wrens.core import reading


@pytest.fixture
def ex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wrens.Executor]:
    """An executor whose workers have no packages; nothing is remembered from other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    backend = BareBackend(Bare(tmp_path), tmp_path / "root", platform())
    with wrens.Executor(backend, store=tmp_path / "store") as executor:
        yield executor


def test_what_models_import_is_there_too(ex: wrens.Executor, tmp_path: Path) -> None:
    for i in range(2):
        pq.write_table(pa.table({"item": ["a", "b", "a"], "price": [i, 1, 2]}), tmp_path / f"{i}.parquet")
    (tmp_path / "words.txt").write_text("b a b\n")
    parts = wrens.partition(tmp_path / "*.parquet", border="parquet")
    words = wrens.map_reduce(
        ex,
        wrens.partition(tmp_path / "words.txt"),
        lambda part: ((word, 1) for line in part.lines() for word in line.split()),
        lambda _, ones: sum(ones),
    )
    assert words.collect() == {"a": 1, "b": 2}
    assert reading.read_manifest(ex.store, words.job.id).environment == "", "Python's own library does"
    sold = wrens.group_by(ex, parts, "item", {"total": ("price", "sum")})
    assert sorted(map(tuple, map(dict.values, sold.table().to_pylist()))) == [("a", 5), ("b", 2)]
    found = wrens.map_reduce(
        ex, parts, lambda part: ((item, 1) for batch in part.batches() for item in batch["item"].to_pylist())
    )
    assert found.collect() == {"a": [1, 1, 1, 1], "b": [1, 1]}
