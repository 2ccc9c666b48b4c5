"""Fifty kills of workers while they sort. Run by ``make stress``; tests/scenario/test_sort.py is the short form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chaos import workers_of
from sort_chaos import sort_under_fire


@pytest.mark.timeout(300)
def test_fifty_workers_killed_during_sorts(tmp_path: Path) -> None:
    killed = sort_under_fire(
        tmp_path,
        records=400_000,
        parts=12,
        kills=50,
        seed=9,
        pause_s=0.7,
        pids=lambda: workers_of(os.getpid()),
    )
    assert killed == 50
