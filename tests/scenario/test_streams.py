"""The random numbers of a task, on workers that fail and are lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ledger import Ledger
from numpy.random import SeedSequence, default_rng

import wrens

pytestmark = pytest.mark.timeout(60)
ENTROPY = [2017, 9, 24]


class Unlucky:
    """Draws numbers, and then raises or ends its worker when it is called for the first time for some tasks."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __call__(self, x: int) -> list[float]:
        found = default_rng(wrens.seed_sequence(ENTROPY)).random(3).tolist()
        self.ledger.note(x)
        first = self.ledger.counts()[str(x)] == 1
        if first and x in (1, 6):
            raise ConnectionError(x)
        if first and x == 4:
            os._exit(3)
        return found


@pytest.mark.parametrize("size", [1, 5])
def test_they_are_the_same_whatever_happens_to_tasks(size: int, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "calls")
    with wrens.Executor(max_workers=2, store=tmp_path / "store") as ex:
        view = ex.options(retry=wrens.Retry(on=ConnectionError), packing=wrens.Packing(size=size))
        found = list(view.map(Unlucky(ledger), range(8)))
    assert found == [default_rng(seed).random(3).tolist() for seed in SeedSequence(ENTROPY).spawn(8)]
    assert all(ledger.counts()[task] >= 2 for task in "146")
