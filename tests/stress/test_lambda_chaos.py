"""2,000 tasks, 200 in flight, while everything goes wrong at once. Run by ``make chaos``; it needs 6 GB."""

from __future__ import annotations

from pathlib import Path

import pytest
from lambda_job import Shares, cloud, run, warm


def test_2_000_tasks_200_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud(tmp_path / "aws") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        warm(found, 200)
        figures = run(
            found, "job", tmp_path, tasks=2_000, in_flight=200, seconds=1.0, shares=Shares(), limit_s=1500
        )
    print(figures)
    assert figures.late == []
    assert figures.peak >= 200
