"""Data in buckets: what an address names there, what is requested for it, and how one gets there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emulators import Server, only_credentials
from s3_proxy import Proxy, proxied

from wrens import partition
from wrens.errors import BadStoreURL, NoData
from wrens.store import data, open_store
from wrens.store.data import find

pytestmark = pytest.mark.timeout(120)
_names = itertools.count()


@pytest.fixture
def proxy(aws: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    """A service that the environment names, and what it was asked for."""
    only_credentials(monkeypatch, tmp_path)
    aws.make_bucket("data")
    with proxied(aws.url) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        data.open_data.cache_clear()
        data._reached.cache_clear()
        yield found


@pytest.fixture
def place(proxy: Proxy) -> str:
    return f"s3://data/{next(_names)}"


def put(place: str, **objects: bytes) -> None:
    store = open_store(f"{place}?signed=no")
    for name, content in objects.items():
        store.put(name, content)


def names(address: str, place: str) -> list[str]:
    return [one.url.removeprefix(f"{place}/") for one in find(address)]


def test_what_an_address_names(place: str) -> None:
    objects = [
        "a.txt",
        "deep/b.txt",
        "deep/er/c.txt",
        "deep/_SUCCESS",
        "with space/[1].txt",
        "x?y.txt",
        "deeper/d",
    ]
    put(place, **dict.fromkeys(objects, b"12345"))
    assert names(f"{place}/a.txt", place) == ["a.txt"]
    assert names(f"{place}/deep", place) == names(f"{place}/deep/", place) == ["deep/b.txt", "deep/er/c.txt"]
    assert names(f"{place}/*.txt", place) == ["a.txt", "x?y.txt"]
    assert names(f"{place}/**/*.txt", place) == [
        "a.txt", "deep/b.txt", "deep/er/c.txt", "with space/[1].txt", "x?y.txt",
    ]  # fmt: skip
    assert names(f"{place}/with space/[1].txt", place) == ["with space/[1].txt"]
    assert names(f"{place}/x?y.txt", place) == ["x?y.txt"]
    assert names(f"{place}/d*/*", place) == ["deep/b.txt", "deeper/d"]
    assert {one.nbytes for one in find(f"{place}/**")} == {5}
    for nothing in ("nothing", "nothing/", "dee", "*.csv", "nothing/**"):
        with pytest.raises(NoData) as caught:
            find(f"{place}/{nothing}")
        assert caught.value.url == f"{place}/{nothing}"


def test_an_address_may_name_the_service(aws: Server, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, **{"a?b.txt": b"one\n"})
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    there = f"region=us-east-1&endpoint={aws.url}"
    assert [one.url for one in find(f"{place}/*.txt?{there}")] == [f"{place}/a?b.txt"]
    (part,) = partition(f"{place}?{there}")
    assert list(part.lines()) == ["one"]


def test_objects_that_consoles_make_in_the_place_of_directories_are_no_data(aws: Server, place: str) -> None:
    put(place, **{"dir/a.txt": b"1"})
    boto3.client("s3", endpoint_url=aws.url).put_object(
        Bucket="data", Key=f"{place.removeprefix('s3://data/')}/dir/", Body=b""
    )
    for address in ("dir", "dir/", "dir/*", "**"):
        assert names(f"{place}/{address}", place) == ["dir/a.txt"], address


def test_a_listing_of_several_pages(place: str, proxy: Proxy) -> None:
    store = open_store(f"{place}?signed=no")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(f"many/{n:05d}", b"x" * (n % 7)), range(1100)))
    find(f"{place}/many/00000")
    proxy.clear()
    assert len(partition(f"{place}/many/")) == 1100
    assert [request.operation for request in proxy.log()] == ["ListObjectsV2"] * 2


def test_a_small_partition_is_one_ranged_request(place: str, proxy: Proxy) -> None:
    content = b"".join(b"line %06d\n" % n for n in range(100_000))
    put(place, **{"lines.txt": content})
    parts = partition(f"{place}/lines.txt", size=500_000)
    assert len(parts) == 3
    proxy.clear()
    lines = [line for part in parts for line in part.lines()]
    assert lines == content.decode().splitlines()
    assert [(r.operation, r.headers["range"]) for r in proxy.log()] == [
        ("GetObject", "bytes=0-424999"),
        ("GetObject", "bytes=399999-824999"),
        ("GetObject", "bytes=799999-1199999"),
    ]
    proxy.clear()
    assert b"".join(parts[1].pieces(150_000)) == parts[1].read()
    assert len(proxy.log()) == 4


def test_parquet(place: str, proxy: Proxy) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": range(50_000), "t": ["text"] * 50_000}), sink, row_group_size=5000)
    content = sink.getvalue().to_pybytes()
    put(place, **{"a.parquet": content, "b.parquet": content})
    proxy.clear()
    parts = partition(f"{place}/*.parquet", size=100_000, border="parquet")
    assert [r.operation for r in proxy.log()].count("GetObject") == 2
    found = [n for part in parts for batch in part.batches(columns=["n"]) for n in batch["n"].to_pylist()]
    assert found == [*range(50_000)] * 2


def test_a_bucket_in_another_region_is_found(aws: Server, proxy: Proxy) -> None:
    aws.make_bucket("data-ireland", region="eu-west-1")
    open_store("s3://data-ireland?region=eu-west-1&signed=no").put("a.txt", b"one\n", mode="replace")
    (part,) = partition("s3://data-ireland/a.txt")
    assert "region=eu-west-1" in part.store
    assert part.url == "s3://data-ireland/a.txt"
    assert list(part.lines()) == ["one"]


def test_a_bucket_that_is_not_there(proxy: Proxy) -> None:
    with pytest.raises(BadStoreURL, match="there is no such bucket"):
        find("s3://no-such-bucket/words/")
