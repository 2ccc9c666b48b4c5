"""Thirty kills of workers in one run of a parameter server, before and after their ticks: the same arrays, to the last bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import wrens
from wrens import kv
from wrens.models import parameter_server as ps

pytestmark = [pytest.mark.this_computer, pytest.mark.timeout(300)]
CLOCKS = 15


def descend(worker: ps.Worker, given: tuple[float, str]) -> int:
    """Move towards a target; be killed in each clock, once, before or after what was done is told."""
    target, marks = given

    def die_once() -> None:
        mark = Path(marks, f"{worker.number}-{worker.clock}")
        if marks and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    while worker.clock < CLOCKS:
        for clock in worker.clocks(worker.clock + 1):
            worker.push("w", (target - worker.pull("w")) / 3)
            if clock % 2:
                die_once()
        die_once()  # after the tick
    return worker.clock


def test_thirty_kills_change_nothing(tmp_path: Path) -> None:
    found = []
    marks = tmp_path / "marks"
    marks.mkdir()
    with (
        kv.serve() as one,
        kv.serve() as other,
        wrens.Executor(store=tmp_path / "store", max_workers=2) as ex,
    ):
        for kills in "", str(marks):
            arrays = {"w": ps.Dense(101)}
            with ps.create(kv.connect([one, other]), arrays, consistency=ps.Synchronous()) as params:
                patient = ex.options(retry=wrens.Retry(lost=CLOCKS + 2))
                assert params.run(patient, descend, [(0.1, kills), (0.7, kills)]) == [CLOCKS, CLOCKS]
                found.append(params.pull("w"))
    assert len(list(marks.iterdir())) == 30
    assert np.array_equal(*found)
