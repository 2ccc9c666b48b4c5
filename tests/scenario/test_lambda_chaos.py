"""Throttled, delivered twice, killed and slowed down at once: every result comes, once. The long run is in tests/stress."""

from __future__ import annotations

from pathlib import Path

import pytest
from lambda_job import Shares, cloud, run


@pytest.mark.timeout(110)
def test_200_tasks_while_everything_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cloud(tmp_path / "aws") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        figures = run(
            found, "job", tmp_path, tasks=200, in_flight=16, seconds=0.3, shares=Shares(), limit_s=90
        )
    assert figures.late == []
    assert min(figures.throttled, figures.duplicated, figures.killed, figures.slowed) > 0
    # A call is repeated when its worker was killed or its invocation was delivered twice, and not for throttling.
    assert figures.calls <= 200 + figures.killed + figures.attempts
