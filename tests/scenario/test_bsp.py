"""Bulk-synchronous programs whose workers and clients are killed come to the same states."""

from __future__ import annotations

import os
import signal
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest
from clients import Clients
from ledger import Ledger, hold, until

import wrens
from wrens.store import open_store
from wrens.wire import keys

pytestmark = pytest.mark.timeout(90)
SUPERSTEPS, PARTITIONS = 10, 3
Places = Set[tuple[int, int]]


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


def test_a_worker_is_killed_in_every_superstep_of_every_partition(tmp_path: Path, ledger: Ledger) -> None:
    kills = {(number, p) for number in range(SUPERSTEPS) for p in range(PARTITIONS)}
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        found = run(ex.options(retry=wrens.Retry(lost=10)), Mixing(ledger, kills))
        assert list(found.states()) == expected(tmp_path)
    assert len(ledger.lines()) >= 2 * len(kills)


CLIENT = """
    import sys, wrens
    from ledger import Ledger
    from test_bsp import Mixing, run

    store, ledger, place = sys.argv[1], Ledger(sys.argv[2]), tuple(map(int, sys.argv[3:]))
    with wrens.Executor(store=store, max_workers=2) as ex:
        run(ex, Mixing(ledger, hangs={place}), name="run", resume=True)
    """


def test_the_client_is_killed_five_times_and_the_run_goes_on(
    clients: Clients, tmp_path: Path, ledger: Ledger
) -> None:
    store = tmp_path / "store"
    for number, p in ((0, 1), (2, 0), (2, 2), (5, 1), (9, 2)):
        client = clients.start(CLIENT, store, ledger.path, number, p)
        until(lambda: f"{number} {p}" in ledger.lines() or client.popen.poll() is not None, 20)  # noqa: B023
        assert client.popen.poll() is None, client.err
        client.kill()
        clients.all_gone()
    with wrens.Executor(store=store, max_workers=2) as ex:
        found = run(ex, Mixing(ledger), name="run", resume=True)
        assert list(found.states()) == expected(tmp_path)
        assert found.supersteps == SUPERSTEPS
    opened = open_store(store)
    assert len(list(opened.list(f"{keys.exchange('run')}/"))) >= PARTITIONS
    assert len(list(opened.list(keys.supersteps("run")))) == 1
