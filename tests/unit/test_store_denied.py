"""A bucket that says "denied" of what is missing, as AWS does to those who may only list below a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from strict_s3 import strict

import wrens
from wrens.errors import ObjectMissing
from wrens.store import open_store
from wrens.store.port import Store

if TYPE_CHECKING:
    from emulators import Server


@pytest.fixture
def url(aws: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    aws.make_bucket("tight-lipped")
    with strict(aws.url) as proxy:
        yield f"s3://tight-lipped/prefix?endpoint={proxy}"


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url, check=True)


@pytest.mark.parametrize("length", [None, 0, 16])
def test_what_is_missing_is_called_missing(store: Store, length: int | None):
    store.put("verdicts/00000002", b"2")
    store.put("verdicts/00000001.10", b"1.10")
    with pytest.raises(ObjectMissing):
        store.get("verdicts/00000001", length=length)
    with pytest.raises(ObjectMissing):
        store.get("verdicts/00000001.1", length=length)
    with pytest.raises(ObjectMissing):
        store.get("top", length=length)


def test_what_is_there_is_read(store: Store):
    store.put("there", b"it is")
    assert bytes(store.get("there")) == b"it is"


def test_jobs_run_as_anywhere(url: str):
    with wrens.Executor("inline", store=url) as ex:
        assert list(ex.map(abs, [-1, -2, -3])) == [1, 2, 3]
