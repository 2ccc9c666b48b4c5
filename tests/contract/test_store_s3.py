"""Buckets on servers that speak S3 pass the published exam: as they are, in parts, and with replies lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from emulators import CREDENTIALS, Server, moto
from s3_proxy import Fault, Request, proxied

from wrens.store import RetryingStore, Store, StoreRetry, open_store
from wrens.store.cloud import CloudStore, connect
from wrens.testing import StoreContract

BUCKET = "contract"
MB = 2**20
_names = itertools.count()


def at(endpoint: str) -> str:
    """Return the URL of a store that is new to everybody."""
    return f"s3://{BUCKET}/{next(_names)}?endpoint={endpoint}"


def in_parts(url: str) -> CloudStore:
    """Return a store that sends everything from 1 MB on in parts."""
    address, _, query = url.partition("?endpoint=")
    store = connect(address, {"endpoint": query})
    store._large, store._part = MB, 5 * MB
    store._copies = True  # what it tries before its first large object would be listed
    return store


class OnServer(StoreContract):
    """Each test has a prefix of its own: emptying a bucket takes these servers longer than the tests."""

    endpoint: str

    @pytest.fixture(autouse=True)
    def _server(self, aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            **CREDENTIALS,
            "AWS_CONFIG_FILE": "/no",
            "AWS_SHARED_CREDENTIALS_FILE": "/no",
        }.items():
            monkeypatch.setenv(name, value)
        aws.make_bucket(BUCKET)
        self.endpoint = aws.url

    def make_store(self) -> Store:
        return open_store(at(self.endpoint))


class TestMinistack(OnServer):
    """As in production: what opens by URL."""


class LostReplies:
    """Of all requests that change something, every seventh is carried out and not answered."""

    def __init__(self) -> None:
        self._turns = itertools.count(1)

    def __call__(self, request: Request) -> Fault | None:
        changes = request.method != "GET" and not request.operation.startswith("Head")
        return Fault("lost_reply") if changes and next(self._turns) % 7 == 0 else None


class TestMinistackInPartsWhoseRepliesAreLost(OnServer):
    """Small objects are one request here too, so this is the exam of both ways."""

    @pytest.fixture(autouse=True)
    def _proxy(self, _server: None) -> Iterator[None]:
        with proxied(self.endpoint, LostReplies()) as proxy:
            self.endpoint = proxy.url
            yield

    def make_store(self) -> Store:
        return RetryingStore(in_parts(at(self.endpoint)), StoreRetry(base_s=0.01))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        server.make_bucket(BUCKET)
        yield server


class TestMoto(StoreContract):
    """A second opinion about S3's interface. Its put-if-absent looks and writes in two steps, so that two writers
    can win: the tests that need one winner are left to the others."""

    @pytest.fixture(autouse=True)
    def _server(self, second: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            **CREDENTIALS,
            "AWS_CONFIG_FILE": "/no",
            "AWS_SHARED_CREDENTIALS_FILE": "/no",
        }.items():
            monkeypatch.setenv(name, value)
        self.endpoint = second.url

    def make_store(self) -> Store:
        return open_store(at(self.endpoint))

    test_of_many_putters_one_wins = None  # type: ignore[assignment]
