"""What an exchange, and each stage beside it, asks of a bucket, counted there, is what the formula and the stage say."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crossings import expected, passed, some_parts
from emulators import Server, only_credentials
from s3_proxy import Proxy, proxied

import wrens
from wrens.models.exchange import Exchange, Packed, TwoLevel, choosing
from wrens.models.stages import Stage
from wrens.store import open_store
from wrens.wire.records import Requests

CLASSES = {"PutObject": "puts", "GetObject": "gets", "HeadObject": "gets", "ListObjectsV2": "lists"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_credentials(monkeypatch, tmp_path)


@pytest.fixture
def proxy(aws: Server) -> Iterator[Proxy]:
    aws.make_bucket("exchange")
    with proxied(aws.url) as found:
        yield found


@pytest.mark.parametrize(("n", "m"), [(9, 9), (10, 7), (2, 17), (12, 1)])
@pytest.mark.parametrize("way", ["packed", "two-level"])
def test_requests_are_those_of_the_formula(
    proxy: Proxy, tmp_path: Path, way: choosing.Way, n: int, m: int
) -> None:
    policy: Exchange = Packed() if way == "packed" else TwoLevel()
    parts, url = some_parts(n, m), f"s3://exchange/{tmp_path.name}?endpoint={proxy.url}"
    with wrens.Executor("inline", store=url) as ex:
        found = passed(ex, policy, parts)
        # What is in a bucket is signed, so digests were compared as well.
        assert found.got == expected(parts)
        # There is nothing to bring together for one reader.
        asked = choosing.requests("packed" if m == 1 else way, n, m)
        seen = Counter(one.operation for one in proxy.log() if "/exchange/" in one.key)
        assert (seen["PutObject"], seen["GetObject"]) == asked
        assert seen.keys() <= {"PutObject", "GetObject", "DeleteObject"}
        assert not [key for key in open_store(url).list("") if "/exchange/" in key]


def _one_round(at: wrens.Superstep, state: int, inbox: wrens.Inbox) -> int:
    for to in range(at.partitions) if at.data == "all" else [(at.partition + 1) % at.partitions]:
        at.send(to, at.partition)
    return state + sum(inbox)


@pytest.mark.parametrize(
    ("way", "to", "partitions", "writes", "reads"),
    [
        (wrens.Packed(), "all", 9, 0, 9 * 9),
        (wrens.TwoLevel(), "all", 9, 3 * 3, 9 * 3 + 9 * 3),
        (None, "all", 30, 5 * 5, 30 * 5 + 30 * 5),
        (None, "next", 30, 0, 30),
    ],
)
def test_messages_between_supersteps_take_as_few_requests(
    proxy: Proxy, tmp_path: Path, way: Exchange | None, to: str, partitions: int, writes: int, reads: int
) -> None:
    url = f"s3://exchange/{tmp_path.name}?endpoint={proxy.url}"
    with wrens.Executor("inline", store=url) as ex:
        given: Any = {"data": [to] * partitions, "supersteps": 2, "exchange": way}
        run = wrens.bsp(ex, _one_round, [0] * partitions, **given)
        seen = Counter(one.operation for one in proxy.log() if "/exchange/" in one.key)
        assert run.state(1) == (sum(range(partitions)) if to == "all" else 0)
    # First states with data, and states with messages of two supersteps; each first state and data are read once.
    assert seen["PutObject"] == 3 * partitions + writes
    assert seen["GetObject"] == 2 * partitions + reads


def _seen(proxy: Proxy) -> Counter[str]:
    return Counter(CLASSES[one.operation] for one in proxy.log() if one.operation in CLASSES)


def _told(stages: tuple[Stage, ...]) -> Requests:
    return sum((stage.requests for stage in stages), Requests())


def test_the_requests_of_stages_are_those_that_the_server_has_seen(proxy: Proxy, tmp_path: Path) -> None:
    place = f"s3://exchange/{tmp_path.name}"
    query = f"?endpoint={proxy.url}"
    text = b"".join(b"%08d %s\n" % (n * 7919 % 10**8, b"x" * 90) for n in range(4000))
    open_store(f"{place}{query}&signed=no").put("text/one", text)
    with wrens.Executor("local", store=f"{place}/jobs{query}", max_workers=2) as ex:
        list(ex.map(abs, range(2)))  # so that the driver's first sign of life is behind
        parts = wrens.partition(f"{place}/text{query}", size=100_000)
        proxy.clear()
        found = wrens.map_reduce(ex, parts, _digits, combine=operator.add, exchange=TwoLevel(), reducers=9)
        seen, told = _seen(proxy), _told(found.stages)
        # Partitions and parts are read by workers, each verdict once by the client.
        assert told.gets == seen["gets"] >= 2 * len(parts)
        # A sign of life, and a look whether there are verdicts, may be under way.
        assert 0 <= seen["puts"] - told.puts <= 1
        assert 0 <= seen["lists"] - told.lists <= 2
        reading = [one for one in proxy.log() if one.key.endswith("/text/one")]
        assert len(reading) >= len(parts)

        proxy.clear()
        done = wrens.sort(ex, f"{place}/text{query}", f"{place}/sorted{query}", border=100, size=100_000)
        seen, told = _seen(proxy), _told(done.stages)
        assert seen["gets"] - told.gets == 1  # whether the text is one object, before the first stage
        assert 1 <= seen["puts"] - told.puts <= 2  # the manifest
        assert 0 <= seen["lists"] - told.lists <= 4  # what is at the target, before and after


def _digits(part: wrens.Partition) -> Iterator[tuple[str, int]]:
    for line in part.lines():
        yield line[:2], 1
