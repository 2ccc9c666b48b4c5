"""Bulk-synchronous programs whose workers and clients are killed come to the same states."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from clients import Clients
from emulators import Server
from ledger import Ledger, until
from mixing import PARTITIONS, SUPERSTEPS, Mixing, expected, killed, run

import wrens
from wrens.store import open_store
from wrens.wire import keys

pytestmark = pytest.mark.timeout(90)


def test_a_worker_is_killed_in_every_superstep(tmp_path: Path, ledger: Ledger) -> None:
    killed(tmp_path, ledger, {(number, number % PARTITIONS) for number in range(SUPERSTEPS)})


def test_a_worker_is_killed_while_messages_go_by_a_stage_in_the_middle(
    tmp_path: Path, ledger: Ledger
) -> None:
    killed(tmp_path, ledger, {(1, 0), (4, 2), (9, 1)}, exchange=wrens.TwoLevel())


def whereabouts(_at: wrens.Superstep, state: list[int], _inbox: wrens.Inbox) -> list[int]:
    return [*state, os.getpid()]


@pytest.mark.this_computer("there, the platform chooses the worker")
def test_a_partition_comes_to_the_worker_that_has_kept_its_data(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path, max_workers=2) as ex:
        states = list(wrens.bsp(ex, whereabouts, [[], []], supersteps=12).states())
    one, other = ({*state[-8:]} for state in states)
    assert len(one) == len(other) == 1
    assert one != other


@pytest.mark.this_computer("names its own store")
def test_workers_are_killed_while_all_is_in_a_bucket(
    tmp_path: Path, ledger: Ledger, aws: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.make_bucket("supersteps")
    killed(tmp_path, ledger, {(0, 2), (3, 0), (7, 1)}, "s3://supersteps/jobs")


CLIENT = """
    import sys, wrens
    from ledger import Ledger
    from mixing import Mixing, run

    store, ledger, way, place = sys.argv[1], Ledger(sys.argv[2]), sys.argv[3], tuple(map(int, sys.argv[4:]))
    with wrens.Executor(store=store, max_workers=2) as ex:
        run(ex, Mixing(ledger, hangs={place}), name="run", resume=True, exchange=getattr(wrens, way)())
    """


@pytest.mark.parametrize("way", ["Chosen", "TwoLevel"])
def test_the_client_is_killed_five_times_and_the_run_goes_on(
    clients: Clients, tmp_path: Path, ledger: Ledger, way: str
) -> None:
    store = tmp_path / "store"
    for number, p in ((0, 1), (2, 0), (2, 2), (5, 1), (9, 2)):
        client = clients.start(CLIENT, store, ledger.path, way, number, p)
        until(lambda: f"{number} {p}" in ledger.lines() or client.popen.poll() is not None, 90)  # noqa: B023
        assert client.popen.poll() is None, client.err
        client.kill()
        clients.all_gone()
    with wrens.Executor(store=store, max_workers=2) as ex:
        found = run(ex, Mixing(ledger), name="run", resume=True, exchange=getattr(wrens, way)())
        assert list(found.states()) == expected(tmp_path)
        assert found.supersteps == SUPERSTEPS
    opened = open_store(store)
    assert len(list(opened.list(f"{keys.exchange('run')}/"))) >= PARTITIONS
    assert len(list(opened.list(keys.supersteps("run")))) == 1
