"""An exchange while things go wrong: attempts that lose, servers that are full, dead or forgetful, objects that were changed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis as client
from crossings import expected, passed, some_parts
from emulators import Server, redis
from ledger import Ledger, until

import wrens
from wrens.errors import BadOption, BadShard, BadSignature, ExchangeLost, JobFailed, ObjectMissing
from wrens.kv import servers
from wrens.models import exchange
from wrens.models.exchange import Chosen, Exchange, Packed, Redis, TwoLevel, Written
from wrens.store import open_store

PARTS = some_parts(4, 5)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


@pytest.fixture
def executor(store: str) -> Iterator[wrens.Executor]:
    with wrens.Executor("inline", store=store) as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A Redis server for one test."""
    with redis(tmp_path) as found:
        yield found


def address(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}"


def connected(url: str) -> client.Redis:
    return client.Redis.from_url(url)


def answers(server: Server) -> bool:
    try:
        return bool(connected(address(server)).ping())
    except client.exceptions.ConnectionError:
        return False


def kill(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not answers(server), what="the end of the server")


def the_only(failed: JobFailed) -> set[type[BaseException]]:
    """Return the types of what a job failed with."""
    return {type(error) for error in failed.exceptions}


# --- exactly once ---


@pytest.mark.this_computer("a task that kills its process")
@pytest.mark.parametrize("way", ["packed", "two-level", "redis"])
def test_what_an_attempt_wrote_that_lost_is_not_read(
    ledger: Ledger, store: str, shard: str, way: str
) -> None:
    policies: dict[str, Exchange] = {"packed": Packed(), "two-level": TwoLevel(), "redis": Redis(shard)}

    def write(way: Exchange, row: Sequence[bytes]) -> Written:
        if row == PARTS[1] and not ledger.lines():
            ledger.note("wrote what nobody is to read")
            way.write([b"of a lost attempt "] * len(row))
            os.kill(os.getpid(), signal.SIGKILL)
        return way.write(row)

    with wrens.Executor(max_workers=2, store=store) as ex:
        found = passed(ex.options(packing=wrens.Packing(size=1)), policies[way], PARTS, write=write)
    assert ledger.lines()
    assert [b"".join(some) for some in found.got] == [b"".join(some) for some in expected(PARTS)]
    for key in connected(shard).scan_iter("*"):
        assert connected(shard).ttl(key) > 0  # the lost attempt's go when their time has come
        connected(shard).delete(key)


# --- Redis ---


def test_nothing_is_left_in_redis_and_nothing_was_in_the_store(
    executor: wrens.Executor, shard: str, store: str
) -> None:
    lasting = []

    def between(written: list[Written]) -> None:
        keys = list(connected(shard).scan_iter("wrens/*"))
        lasting.extend(connected(shard).ttl(key) for key in keys)
        assert not [one for one in written if one.key]

    found = passed(executor, Redis(shard, expires_s=600), PARTS, between=between)
    assert [b"".join(some) for some in found.got] == [b"".join(some) for some in expected(PARTS)]
    assert len(lasting) == 20
    assert all(0 < left <= 600 for left in lasting)
    assert connected(shard).dbsize() == 0
    assert found.told.startswith("redis: 1 shard, about ")


def test_values_are_spread_over_shards(executor: wrens.Executor, server: Server, shard: str) -> None:
    counts = []
    parts = some_parts(10, 20)

    def between(_: list[Written]) -> None:
        counts.extend(connected(url).dbsize() for url in (shard, address(server)))

    found = passed(executor, Redis([shard, address(server)]), parts, between=between)
    assert [b"".join(some) for some in found.got] == [b"".join(some) for some in expected(parts)]
    assert sum(counts) == 200
    assert min(counts) > 50


def test_what_a_full_shard_does_not_take_goes_to_the_store(executor: wrens.Executor, tmp_path: Path) -> None:
    parts = [[os.urandom(50_000) for _ in range(5)] for _ in range(40)]
    spilt, kept = [], []
    with redis(tmp_path, maxmemory="6mb") as small:

        def between(written: list[Written]) -> None:
            spilt.extend(one for one in written if one.key)
            kept.append(connected(address(small)).dbsize())

        found = passed(executor, Redis(address(small)), parts, between=between)
    assert found.got == expected(parts)
    assert spilt
    assert kept[0] > 10
    assert "the rest goes to the store" in found.told
    assert " of them to the store" in found.told


def test_what_will_not_fit_is_told_before_anything_runs(executor: wrens.Executor, tmp_path: Path) -> None:
    begun = []
    with (
        redis(tmp_path, maxmemory="2mb") as small,
        pytest.raises(BadShard, match="are needed there") as caught,
    ):
        passed(
            executor,
            Redis(address(small), spill=False),
            [[bytes(3_000_000)]],
            write=lambda way, row: begun.append(1) or way.write(row),
        )
    assert not begun
    assert caught.value.url == address(small)


def test_a_shard_that_drops_what_it_has_is_refused(executor: wrens.Executor, tmp_path: Path) -> None:
    dropping = {"maxmemory": "50mb", "maxmemory-policy": "allkeys-lru"}
    with redis(tmp_path, **dropping) as bad, pytest.raises(BadShard, match="maxmemory-policy is allkeys-lru"):
        passed(executor, Redis(address(bad)), PARTS)


def test_a_shard_that_is_not_there_is_told_before_anything_runs(executor: wrens.Executor) -> None:
    with pytest.raises(BadShard, match="does not answer"):
        passed(executor, Redis("redis://127.0.0.1:1"), PARTS)


def test_a_shard_that_dies_while_tasks_write_costs_nothing(
    executor: wrens.Executor, server: Server, shard: str
) -> None:
    times = []

    def write(way: Exchange, row: Sequence[bytes]) -> Written:
        times.append(1)
        if len(times) == 3:  # what was there before is lost with it, so there was nothing
            kill(server)
        return way.write(row if len(times) > 2 else [b""] * len(row))

    found = passed(executor, Redis([shard, address(server)]), PARTS, write=write)
    assert [b"".join(some) for some in found.got] == [b"".join(some) for some in expected(PARTS[2:])]


def test_a_shard_that_dies_between_the_stages_is_a_named_error(
    executor: wrens.Executor, server: Server
) -> None:
    with pytest.raises(JobFailed) as caught:
        passed(executor, Redis(address(server)), PARTS, between=lambda _: kill(server))
    assert the_only(caught.value) == {ExchangeLost}


def test_a_shard_that_forgets_is_a_named_error(executor: wrens.Executor, server: Server) -> None:
    def forget(written: list[Written]) -> None:
        _, name = next(written[1].values())
        assert connected(address(server)).delete(name) == 1

    with pytest.raises(JobFailed) as caught:
        passed(executor, Redis(address(server)), PARTS, between=forget)
    (lost,) = caught.value.exceptions
    assert isinstance(lost, ExchangeLost)
    assert "it is not there any more" in str(lost)


def test_a_value_that_somebody_changed_is_refused(executor: wrens.Executor, server: Server) -> None:
    def change(written: list[Written]) -> None:
        _, name = next(written[1].values())
        there = connected(address(server))
        value = there.get(name)
        assert isinstance(value, bytes)
        there.set(name, value[:-1] + b"!")

    with pytest.raises(JobFailed) as caught:
        passed(executor, Redis(address(server)), PARTS, between=change)
    assert the_only(caught.value) == {BadSignature}


def test_addresses_hold_no_passwords() -> None:
    with pytest.raises(BadOption, match="has a password in it") as caught:
        Redis("redis://user:secret@cache:6379")
    assert "secret" not in str(caught.value)
    assert "WRENS_REDIS_PASSWORD" in str(caught.value)


def test_a_password_is_taken_from_the_environment(
    executor: wrens.Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis(tmp_path, requirepass="open sesame") as server:
        with pytest.raises(BadShard, match="WRENS_REDIS_PASSWORD"):
            passed(executor, Redis(address(server)), PARTS)
        servers.client.cache_clear()
        monkeypatch.setenv("WRENS_REDIS_PASSWORD", "open sesame")
        found = passed(executor, Redis(address(server)), PARTS)
        servers.client.cache_clear()
    assert [b"".join(some) for some in found.got] == [b"".join(some) for some in expected(PARTS)]


# --- the store ---


@pytest.mark.parametrize("way", [Packed(), TwoLevel()], ids=["packed", "two-level"])
def test_an_object_that_somebody_changed_is_refused(tmp_path: Path, way: Exchange) -> None:
    url = f"file://{tmp_path}/store"

    def change(written: list[Written]) -> None:
        path = Path(f"{tmp_path}/store", written[1].key)
        found = bytearray(path.read_bytes())
        found[-1] ^= 1
        path.write_bytes(found)

    with wrens.Executor("inline", store=f"{url}?signed=yes") as ex, pytest.raises(JobFailed) as caught:
        passed(ex, way, PARTS, between=change)
    assert the_only(caught.value) == {BadSignature}


def test_an_object_that_is_gone_is_a_named_error(executor: wrens.Executor, store: str) -> None:
    with pytest.raises(JobFailed) as caught:
        passed(executor, None, PARTS, between=lambda written: open_store(store).delete([written[0].key]))
    assert the_only(caught.value) == {ObjectMissing}


@pytest.mark.parametrize("way", [None, TwoLevel()], ids=["chosen", "two-level"])
def test_the_store_is_as_before(executor: wrens.Executor, store: str, way: Exchange | None) -> None:
    found = passed(executor, way, PARTS)
    assert found.got == expected(PARTS)
    assert not [key for key in open_store(store).list("") if "/exchange/" in key]


def test_objects_go_when_readers_fail(executor: wrens.Executor, store: str) -> None:
    with pytest.raises(ZeroDivisionError):
        passed(executor, None, PARTS, between=lambda _: 1 // 0)
    with exchange.crossing(None, executor, writers=4, readers=5) as step:
        way = step.way
        written = executor.map_async(way.write, PARTS).results()
        step.delivered(written, [exchange.joined([one]) for one in exchange.columns(written)])
        assert [key for key in open_store(store).list("") if "/exchange/" in key]
    left = [key for key in open_store(store).list("") if key in {one.key for one in written}]
    assert not left


# --- the choice ---


def test_redis_is_chosen_only_where_it_fits(executor: wrens.Executor, shard: str, tmp_path: Path) -> None:
    assert "redis: " in passed(executor, Chosen(redis=Redis(shard)), PARTS).told
    with redis(tmp_path, maxmemory="2mb") as small:
        told = passed(executor, Chosen(redis=Redis(address(small))), [[bytes(3_000_000)]]).told
    assert told.startswith("not redis: ")
