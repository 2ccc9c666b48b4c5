"""A sort from and to a bucket: large objects travel in parts, and nothing but the result is left there."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from sort_chaos import contents

import wrens
from wrens.errors import TargetTaken
from wrens.models.sort.records import KEY, WIDTH, write
from wrens.models.sort.target import MANIFEST, target_of
from wrens.models.sort.validating import validate
from wrens.store import open_store
from wrens.store.port import sizes

if TYPE_CHECKING:
    from emulators import Server

LARGE = 66 * 2**20
_numbers = itertools.count()


def names(target: str) -> list[str]:
    place = target_of(target)
    return [key for key, _ in sizes(open_store(place.store), place.prefix)]


@pytest.fixture
def bucket(aws: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own, at the service that the environment names."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    name = f"sort-{os.getpid()}-{next(_numbers)}"
    aws.make_bucket(name)
    return name


def test_a_sort_in_a_bucket(bucket: str) -> None:
    how = {"border": WIDTH, "key": slice(0, KEY)}
    with wrens.Executor(store=f"s3://{bucket}/store", max_workers=2) as ex:
        before = write(ex, f"s3://{bucket}/in", 20_000, seed=1, parts=4)
        done = wrens.sort(ex, f"s3://{bucket}/in/", f"s3://{bucket}/deep/out", size=500_000, **how)
        assert validate(ex, f"s3://{bucket}/deep/out", same_as=before, **how) == before
        assert names(f"s3://{bucket}/deep/out") == [MANIFEST, *(f"part-{i:05}" for i in range(4))]
        with pytest.raises(TargetTaken):
            wrens.sort(ex, f"s3://{bucket}/in/", f"s3://{bucket}/deep/out", **how)
        again = wrens.sort(
            ex, f"s3://{bucket}/in/", f"s3://{bucket}/deep/out", overwrite=True, size=10**6, **how
        )
        assert names(f"s3://{bucket}/deep/out") == [MANIFEST, "part-00000", "part-00001"]
        assert (done.records, again.records) == (20_000, 20_000)
    assert not list(open_store(f"s3://{bucket}/?signed=no").list("store/jobs/"))


def test_a_sort_in_a_bucket_writes_the_same_bytes_each_way(bucket: str, shard: str) -> None:
    how = {"border": WIDTH, "key": slice(0, KEY)}
    ways = {None: "packed", wrens.TwoLevel(): "two-level", wrens.Redis(shard): "redis"}
    with wrens.Executor("inline", store=f"s3://{bucket}/store") as ex:
        write(ex, f"s3://{bucket}/in", 6000, seed=2, parts=3)
        found = []
        for way, name in ways.items():
            target = f"s3://{bucket}/{name}"
            done = wrens.sort(ex, f"s3://{bucket}/in/", target, size=100_000, exchange=way, **how)
            assert done.exchange.startswith(f"{name}: ")
            found.append(contents(target))
        assert not [key for key in ex.store.list("jobs/") if "/exchange/" in key]
    assert len(found[0]) == 7
    assert found[0] == found[1] == found[2]


def test_large_objects_travel_in_parts_and_leave_nothing(bucket: str) -> None:
    target = target_of(f"s3://{bucket}/large")
    data = bytes(1000) + os.urandom(1000)
    data *= LARGE // 2000
    target.put("part-00000", [data[:1000], data[1000:]])
    target.put("part-00000", [data])
    with pytest.raises(TargetTaken):
        target.put("part-00000", [data[1:] + b"x"])
    target.tidy()
    assert names(f"s3://{bucket}/large") == ["part-00000"]
