"""Kills by the hundred. Run by ``make stress``; tests/scenario/test_many_kills.py is the short form."""

from __future__ import annotations

import os
import random  # noqa: TID251 - from a seed
from pathlib import Path

import pytest
from chaos import CLIENT, Work, check, kill_some, workers_of
from clients import Clients
from ledger import Ledger, doze

import wrens


@pytest.mark.parametrize("seed", [11, 12])
def test_200_kills_of_workers_during_one_job_of_20_000_tasks(
    tmp_path: Path, ledger: Ledger, seed: int
) -> None:
    tasks = 20_000
    with wrens.Executor(store=tmp_path / "store", max_workers=4) as ex:
        view = ex.options(name="job", retry=wrens.Retry(lost=1000))
        job = view.map_async(Work(ledger, 0.01), range(tasks))
        killed = 0
        for _ in kill_some(lambda: workers_of(os.getpid()), kills=200, seed=seed, pause_s=0.2):
            killed += 1
            assert not job.done(), f"the job was over after {killed} kills: give it more to do"
        assert job.results(600) == [x * x for x in range(tasks)]
    runs = check(tmp_path / "store", "job", ledger, tasks)
    print(f"{killed} kills; {runs.total()} runs of {tasks} tasks")


def test_20_kills_of_the_client_with_attach_after_each(
    clients: Clients, tmp_path: Path, ledger: Ledger
) -> None:
    store, chance, tasks = tmp_path / "store", random.Random(3), 6000
    for _ in range(20):
        client = clients.start(CLIENT, store, ledger.path, tasks, 0.01, 4)
        client.says("at work")
        doze(chance.uniform(0.0, 1.5))
        client.kill()
        clients.all_gone()
    clients.start(CLIENT, store, ledger.path, tasks, 0.01, 4).ok(300)
    assert wrens.attach("job", store=store, backend="inline").results(5) == [x * x for x in range(tasks)]
    runs = check(store, "job", ledger, tasks)
    print(f"{runs.total()} runs of {tasks} tasks")


def test_workers_and_clients_killed_at_once(clients: Clients, tmp_path: Path, ledger: Ledger) -> None:
    store, chance, tasks = tmp_path / "store", random.Random(9), 4000
    for seed in range(8):
        client = clients.start(CLIENT, store, ledger.path, tasks, 0.01, 3)
        client.says("at work")
        for _ in kill_some(clients.workers, kills=chance.randrange(1, 6), seed=seed, pause_s=0.2):
            pass
        client.kill()
        clients.all_gone()
    clients.start(CLIENT, store, ledger.path, tasks, 0.01, 3).ok(300)
    assert wrens.attach("job", store=store, backend="inline").results(5) == [x * x for x in range(tasks)]
    check(store, "job", ledger, tasks)
