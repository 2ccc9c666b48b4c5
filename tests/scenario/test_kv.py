"""The key-value tier against real servers: Debian's Redis where it is installed, else Valkey, and the one that wrens brings."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import emulators
import pytest
import redis
from emulators import Server
from hypothesis import given, settings
from hypothesis import strategies as st
from tcp_proxy import losing

import wrens
from wrens import kv
from wrens.errors import BadOption, BadShard, BadValue, ShardFull, ShardLost
from wrens.kv import operations

pytestmark = [pytest.mark.this_computer, pytest.mark.timeout(120)]


def address(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with emulators.redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    with kv.serve() as url:
        yield url


@pytest.fixture(params=["embedded", "redis", "both"])
def tier(request: pytest.FixtureRequest, server: Server, embedded: str) -> Iterator[kv.KeyValue]:
    urls = {"embedded": [embedded], "redis": [address(server)], "both": [address(server), embedded]}[
        request.param
    ]
    with kv.connect(urls, namespace=f"{request.node.name}/") as found:
        yield found


def test_values_are_what_was_put(tier: kv.KeyValue) -> None:
    assert tier.get("a") is None
    tier.put("a", b"\0\xff")
    tier.put("b", memoryview(b"later"))
    assert tier.get_many(["b", "nothing", "a"]) == [b"later", None, b"\0\xff"]
    tier.delete("a", "nothing")
    assert tier.get("a") is None
    tier.put_many({f"k{i}": bytes([i]) for i in range(200)})
    assert tier.get_many(f"k{i}" for i in range(200)) == [bytes([i]) for i in range(200)]


def test_numbers_are_added_to(tier: kv.KeyValue) -> None:
    assert [tier.add("n"), tier.add("n", 41), tier.add("n", -2)] == [1, 42, 40]
    assert tier.get("n") == b"40"
    assert tier.add("n", 0.5) == 40.5
    assert tier.add_many({"x": 2**62, "y": -1.25}) == {"x": 2**62, "y": -1.25}
    assert tier.add("x", 1) == 2**62 + 1
    tier.put("text", b"no number")
    with pytest.raises(BadValue, match="'text'"):
        tier.add("text")
    assert tier.get("text") == b"no number"


def test_whole_numbers_and_others_add_up(tier: kv.KeyValue) -> None:
    assert tier.add("mixed", 2.5) == 2.5
    assert tier.add("mixed", 1) == 3.5
    assert tier.add("mixed", 0.5) == 4.0
    assert tier.add("mixed", 2**62) == 2**62 + 4
    assert [
        type(tier.add(key, amount)) for key, amount in (("f", 2.0), ("f", 1e300), ("f", 1), ("i", 1))
    ] == [
        float,
        float,
        float,
        int,
    ]


def test_a_value_is_set_if_another_one_is_there(tier: kv.KeyValue) -> None:
    assert tier.compare_and_set("a", None, b"1")
    assert not tier.compare_and_set("a", None, b"2")
    assert not tier.compare_and_set("a", b"", b"2")
    assert tier.compare_and_set("a", b"1", b"")
    assert tier.get("a") == b""
    assert tier.compare_and_set("a", b"", None)
    assert tier.get("a") is None


def test_values_expire(tier: kv.KeyValue) -> None:
    tier.put("put", b"", expires_s=0.01)
    tier.compare_and_set("set", None, b"", expires_s=0.01)
    tier.put("later", b"")
    assert tier.expire("later", 0.01)
    assert not tier.expire("nothing", 0.01)
    tier.put("stays", b"", expires_s=100)
    while any(value is not None for value in tier.get_many(["put", "set", "later"])):
        pass
    assert tier.get("stays") == b""


def test_what_travels_together_comes_back_in_order(tier: kv.KeyValue) -> None:
    batch = [operations.add(f"k{i % 7}", 1) for i in range(2500)]
    found = tier.carry_out([*batch, operations.get("k0")])
    assert found[-1] == str(found[2499 - 2499 % 7]).encode()
    assert found[:-1] == [i // 7 + 1 for i in range(2500)]


def test_threads_and_processes_add_to_one_number(tier: kv.KeyValue) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tier.add, ["n"] * 400))
    with wrens.Executor(max_workers=2) as ex:
        list(ex.map(add_once, [tier] * 100))
    assert tier.get("n") == b"500"


def add_once(tier: kv.KeyValue) -> None:
    tier.add("n")


def test_what_a_lost_reply_hides_is_not_done_twice(server: Server) -> None:
    with losing(server.port) as line, kv.connect(line.url, namespace="lossy/") as tier:
        seen = []
        for i in range(20):
            line.losses = i % 3
            seen.append(tier.add("n"))
        assert line.lost == 19
        assert seen == list(range(1, 21))
        line.losses = 2
        assert tier.compare_and_set("a", None, b"mine")
        line.losses = 2
        assert tier.add_many({f"k{i}": 1 for i in range(100)}) == {f"k{i}": 1 for i in range(100)}
        line.losses = 3
        with pytest.raises(ShardLost, match="not known whether"):
            tier.add("n")
        assert tier.get("n") in {b"20", b"21"}
        assert tier.add("n") in {21, 22}


def test_a_batch_whose_reply_is_lost_is_carried_out_once(server: Server) -> None:
    with losing(server.port) as line, kv.connect(line.url, namespace="batch/") as tier:
        tier.get("warm")
        line.losses = 1
        found = tier.carry_out([operations.put("a", b"1"), operations.add("a", 1), operations.get("a")])
        assert found == [None, 2, b"2"]
        line.losses = 1
        found = tier.carry_out([operations.delete("b"), operations.compare_and_set("b", None, b"me")])
        assert found == [None, True]
        assert tier.get_many("ab") == [b"2", b"me"]
        line.losses = 1
        tier.put("c", b"10", expires_s=100)
        assert line.lost == 3


def test_a_server_that_was_emptied_is_noticed_at_once(tmp_path: Path) -> None:
    with emulators.redis(tmp_path) as server:
        tier = kv.connect(address(server))
        tier.add("n", 5)
        redis.Redis(port=server.port).flushall()
        for call in (lambda: tier.get("n"), lambda: tier.add("n"), lambda: tier.put("n", b"")):
            with pytest.raises(ShardLost, match="emptied"):
                call()


def test_a_server_whose_scripts_were_flushed_is_given_them_again(server: Server) -> None:
    with kv.connect(address(server)) as tier:
        assert tier.add("flushed", 1) == 1
        with redis.Redis(port=server.port) as other:
            other.script_flush()
        assert tier.add("flushed", 1) == 2


def test_a_server_that_drops_values_is_refused(tmp_path: Path) -> None:
    with (
        emulators.redis(tmp_path, **{"maxmemory-policy": "allkeys-lru"}) as server,
        pytest.raises(BadShard, match="allkeys-lru"),
    ):
        kv.connect(address(server))


def test_what_was_opened_is_closed(server: Server) -> None:
    asking = redis.Redis(port=server.port)
    before = len(asking.client_list())
    for i in range(3):
        with kv.connect(address(server), namespace=f"closed/{i}/") as tier:
            tier.add("n")
    assert len(asking.client_list()) == before
    asking.close()


def test_a_forked_process_is_a_client_of_its_own(server: Server, embedded: str) -> None:
    tier = kv.connect([address(server), embedded], namespace="forked/")
    names = [f"n{i}" for i in range(20)]
    tier.add_many(dict.fromkeys(names, 1))
    child = os.fork()
    if not child:
        try:
            tier.add_many(dict.fromkeys(names, 1))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert set(tier.get_many(names)) == {b"2"}


def test_a_server_that_has_lost_its_values_is_not_taken_for_the_same(tmp_path: Path) -> None:
    with emulators.redis(tmp_path) as server:
        tier = kv.connect(address(server))
        tier.put("a", b"1")
        port = server.port
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ShardLost, match="does not answer"):
            tier.get("a")
    with emulators.redis(tmp_path, port=port), pytest.raises(ShardLost, match="emptied"):
        tier.add("a")


def test_a_full_server_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with emulators.redis(tmp_path, maxmemory="3mb", **{"maxmemory-policy": "noeviction"}) as server:
        tier = kv.connect(address(server))
        tier.put("small", b"1")
        with pytest.raises(ShardFull, match="'large"):
            tier.put_many({f"large{i}": bytes(10**6) for i in range(10)})
        assert tier.get("small") == b"1"


def test_a_server_of_its_own_ends_with_its_block_and_its_process(tmp_path: Path) -> None:
    with kv.connect() as tier:
        (url,) = tier.urls
        again = copy.copy(tier)
        again.put("a", b"1")
        assert tier.get("a") == b"1"
    assert not Path(url.removeprefix("unix://")).exists()
    program = (
        "import sys; from wrens import kv; t = kv.connect(); print(t.urls[0], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert kv.connect(url).get("nothing") is None
        process.kill()
    while Path(url.removeprefix("unix://")).exists():
        pass


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: kv.connect("http://x"), "is no address"),
        (lambda: kv.connect([]), "names no server"),
        (lambda: kv.connect("redis://me:secret@host"), "password"),
        (lambda: kv.connect(["http://me:secret@host"] * 2), "password"),
        (lambda: kv.connect("redis://host?password=secret"), "password"),
        (lambda: kv.connect(["redis://localhost:1", "redis://localhost:1"]), "one twice"),
        (lambda: operations.put("a", "text"), "is not bytes"),  # type: ignore[arg-type]
        (lambda: operations.put("a", b"", expires_s=0), "must be positive"),
        (lambda: operations.put("a", b"", expires_s=float("inf")), "30,000 years"),
        (lambda: operations.add("a", float("nan")), "is no number"),
        (lambda: operations.add("a", 2**63), "64 bits"),
    ],
)
def test_what_cannot_be_is_told(call: object, told: str) -> None:
    with pytest.raises(BadOption, match=told) as error:
        call()  # type: ignore[operator]
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(BadShard, match=r"redis://127\.0\.0\.1:1"):
        kv.connect("redis://127.0.0.1:1")


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from([b"", b"1", b"-7", b"x"])
STEPS = st.one_of(
    st.tuples(st.just("get"), NAMES),
    st.tuples(st.just("put"), NAMES, VALUES),
    st.tuples(st.just("add"), NAMES, st.integers(-9, 9)),
    st.tuples(st.just("compare_and_set"), NAMES, st.none() | VALUES, st.none() | VALUES),
    st.tuples(st.just("delete"), NAMES),
)


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(STEPS, max_size=30))
def test_it_is_a_dict(embedded: str, steps: list[tuple[str, ...]]) -> None:
    """Any operations, sent one by one, do to a server what they do to a dict."""
    tier, model = kv.connect(embedded, namespace="dict/"), dict[str, bytes]()
    tier.delete("a", "b", "c")
    for name, key, *args in steps:
        expected = expect(model, name, key, args)
        if isinstance(expected, type):
            with pytest.raises(expected):
                getattr(tier, name)(key, *args)
        else:
            assert getattr(tier, name)(key, *args) == expected
    assert tier.get_many("abc") == [model.get(key) for key in "abc"]


def expect(model: dict[str, bytes], name: str, key: str, args: list[object]) -> object:
    """Do it to the dict, and return the result or the error's class."""
    old = model.get(key)
    if name == "get":
        return old
    if name == "put":
        model[key] = args[0]  # type: ignore[assignment]
    elif name == "delete":
        model.pop(key, None)
    elif name == "compare_and_set":
        if old != args[0]:
            return False
        if args[1] is None:
            model.pop(key, None)
        else:
            model[key] = args[1]  # type: ignore[assignment]
        return True
    elif old in {b"", b"x"}:
        return BadValue
    else:
        model[key] = str(int(old or 0) + args[0]).encode()  # type: ignore[operator]
        return int(model[key])
    return None
