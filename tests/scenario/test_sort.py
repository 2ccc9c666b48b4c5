"""A sort by workers that are killed gives the bytes of an undisturbed one. The long run is in tests/stress."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import all_workers
from sort_chaos import sort_under_fire

import wrens
from wrens.models.sort.records import KEY, WIDTH, write


@pytest.mark.this_computer("sorts files of this computer")
def test_workers_killed_during_a_sort(tmp_path: Path) -> None:
    killed = sort_under_fire(
        tmp_path, records=40_000, parts=6, kills=6, seed=4, pause_s=0.2, pids=all_workers
    )
    assert killed == 6


@pytest.mark.this_computer("limits the memory of processes")
def test_a_worker_with_too_little_memory_is_told_what_helps(tmp_path: Path) -> None:
    how = {"border": WIDTH, "key": slice(0, KEY)}
    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        write(ex, tmp_path / "in", 900_000, parts=1)
        limited = ex.options(resources=wrens.Resources(memory_mb=200))
        with pytest.raises(wrens.errors.JobFailed) as caught:
            wrens.sort(limited, tmp_path / "in", tmp_path / "out", size=200 * 2**20, **how)
        assert any("smaller size=" in note for note in caught.value.__notes__)
        wrens.sort(limited, tmp_path / "in", tmp_path / "out", size=8 * 2**20, overwrite=True, **how)
