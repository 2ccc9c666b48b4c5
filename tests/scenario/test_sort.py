"""A sort by workers that are killed gives the bytes of an undisturbed one. The long run is in tests/stress."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import all_workers
from sort_chaos import sort_under_fire


@pytest.mark.this_computer("sorts files of this computer")
def test_workers_killed_during_a_sort(tmp_path: Path) -> None:
    killed = sort_under_fire(
        tmp_path, records=40_000, parts=6, kills=6, seed=4, pause_s=0.2, pids=all_workers
    )
    assert killed == 6
