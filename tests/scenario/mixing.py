"""A bulk-synchronous program that any lost or doubled message would change, and that kills its workers where it is asked."""

from __future__ import annotations

import os
import signal
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from ledger import Ledger, hold

import wrens

SUPERSTEPS, PARTITIONS = 10, 3
Places = AbstractSet[tuple[int, int]]


class Mixing:
    """A step whose states depend on all that was sent and told before; where it is asked it kills its worker, once, or hangs."""

    def __init__(self, ledger: Ledger, kills: Places = frozenset(), hangs: Places = frozenset()) -> None:
        self.ledger, self.kills, self.hangs = ledger, kills, hangs

    def __call__(self, at: wrens.Superstep, state: int, inbox: wrens.Inbox) -> int:
        place = at.number, at.partition
        again = f"{at.number} {at.partition}" in self.ledger.lines()
        self.ledger.note(*place)
        new = hash((state, tuple(inbox), at.aggregated.get("sum", 0), at.data))
        for to in range(at.partitions):
            at.send(to, new % 1000 + to)
        at.aggregate("sum", new % 97)
        if place in self.kills and not again:
            os.kill(os.getpid(), signal.SIGKILL)
        if place in self.hangs and not again:
            hold()
        return new


def run(ex: wrens.Executor, step: Mixing, **options: Any) -> wrens.Run:
    """Run the program."""
    first, data = list(range(PARTITIONS)), [10 * p for p in range(PARTITIONS)]
    return wrens.bsp(ex, step, first, data=data, aggregate={"sum": "sum"}, supersteps=SUPERSTEPS, **options)


def expected(tmp_path: Path) -> list[int]:
    """Return what the program comes to in peace."""
    with wrens.Executor("inline", store="memory://peace") as ex:
        return list(run(ex, Mixing(Ledger(tmp_path / "peace"))).states())


def killed(tmp_path: Path, ledger: Ledger, kills: Places, store: str = "", **options: Any) -> None:
    """Run the program while workers are killed, and compare."""
    with wrens.Executor(store=store or tmp_path / "store", max_workers=2) as ex:
        found = run(ex.options(retry=wrens.Retry(lost=10)), Mixing(ledger, kills), **options)
        assert list(found.states()) == expected(tmp_path)
    assert all(ledger.counts()[f"{number} {p}"] >= 2 for number, p in kills)
