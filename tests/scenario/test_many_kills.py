"""Workers and clients killed at random, many times: every result comes, once. The long runs are in tests/stress."""

from __future__ import annotations

import random  # noqa: TID251 - from a seed
from pathlib import Path

import pytest
from chaos import CLIENT, LATENESS_S, Work, all_workers, check, kill_some
from clients import Clients
from ledger import Ledger, doze

import wrens

pytestmark = pytest.mark.timeout(100)


@pytest.mark.parametrize("seed", [1])
def test_thirty_kills_of_workers_during_two_thousand_tasks(tmp_path: Path, ledger: Ledger, seed: int) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        view = ex.options(name="job", retry=wrens.Retry(lost=100))
        job = view.map_async(Work(ledger, 0.003), range(2000))
        for _ in kill_some(all_workers, kills=30, seed=seed, pause_s=0.15):
            if job.done():
                break
        assert job.results(60) == [x * x for x in range(2000)]
    runs = check(tmp_path / "store", "job", ledger, 2000)
    # A kill costs what its worker had begun and not yet handed in, which is one batch's worth.
    assert runs.total() < 2000 * 3


def test_kills_with_tiny_batches_and_copies(tmp_path: Path, ledger: Ledger) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=3) as ex:
        view = ex.options(
            name="job", retry=wrens.Retry(lost=100), packing=wrens.Packing(size=3), backup=wrens.Backup()
        )
        job = view.map_async(Work(ledger, 0.01), range(300))
        for _ in kill_some(all_workers, kills=12, seed=5, pause_s=0.12):
            if job.done():
                break
        assert job.results(60) == [x * x for x in range(300)]


def test_clients_killed_one_after_the_other(
    clients: Clients, tmp_path: Path, ledger: Ledger, stops_s: float
) -> None:
    store, chance = tmp_path / "store", random.Random(7)
    for _ in range(5):
        client = clients.start(CLIENT, store, ledger.path, 400, 0.01, 2)
        client.says("at work")
        doze(chance.uniform(0.0, 0.8))
        client.kill()
        clients.all_gone()
    clients.start(CLIENT, store, ledger.path, 400, 0.01, 2).ok(40)
    assert wrens.attach("job", store=store, backend="inline").results(5) == [x * x for x in range(400)]
    # Elsewhere a worker learns at the end of its batch that its client is gone, and another has settled it.
    check(store, "job", ledger, 400, LATENESS_S + stops_s)
