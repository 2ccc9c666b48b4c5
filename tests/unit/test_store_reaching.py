"""Buckets whose service is not there, lets nobody in, or goes away: what is said, and when it is certain.

The services are small ones on this computer, and speak as much of S3's language as each test needs.
"""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - errors cross between processes like this
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import wrens
from wrens.clock import VirtualClock
from wrens.errors import (
    BadStoreURL,
    NoPutIfAbsent,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UncertainWrite,
    WrensError,
)
from wrens.store import RetryingStore, Store, StoreRetry, open_store
from wrens.store.cloud import connect
from wrens.store.port import Buffer

NOBODY = "http://127.0.0.1:9"

Answer = tuple[int, str] | None
"""Status and body; ``None`` breaks the connection without a word."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/no/such/file")
    # Whoever has no credentials asks here, and not this computer's cloud.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", NOBODY)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, str], Answer]], str]]:
    """Start a service that answers as a function of verb and path says; returns its endpoint."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str, str], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                found = answer(self.command, self.path)
                if found is not None:
                    body = found[1].encode()
                    self.send_response(found[0])
                    self.send_header("ETag", '"1"')
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body if self.command != "HEAD" else b"")
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        for verb in ("GET", "PUT", "HEAD"):
            setattr(Handler, f"do_{verb}", Handler._answer)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refused(store: str) -> WrensError:
    """Return the error with which an executor on this store ends before it has begun."""
    with pytest.raises(WrensError) as caught:
        wrens.Executor(store=store)
    assert "hunter2" not in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    return caught.value


# --- before any work starts -----------------------------------------------------------------------------


@pytest.mark.timeout(20)
def test_a_service_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    error = refused("s3://bucket/prefix")
    assert type(error) is StoreUnavailable
    assert not error.sent
    for said in (
        "open",
        "s3://bucket/prefix",
        f"no connection to {NOBODY}",
        "Connection refused",
        "AWS_ENDPOINT_URL",
    ):
        assert said in str(error)
    assert "Nothing was sent" in str(error)
    with pytest.raises(StoreUnavailable):
        wrens.attach("job", store="s3://bucket/prefix")


@pytest.mark.timeout(20)
def test_a_service_whose_name_nobody_knows() -> None:
    error = refused("s3://bucket?endpoint=http://no-such-host.invalid:9000")
    assert type(error) is StoreUnavailable
    assert "no connection to http://no-such-host.invalid:9000" in str(error)


@pytest.mark.timeout(20)
def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = refused("s3://bucket")
    assert type(error) is StoreDenied
    assert "no credentials are set" in str(error)
    assert "AWS_ACCESS_KEY_ID" in str(error)


def test_credentials_that_this_computer_does_not_give(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[..., str]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", serve(lambda *_: (403, "no")))
    error = refused("s3://bucket")
    assert type(error) is StoreDenied
    assert "no credentials are set" in str(error)


@pytest.mark.parametrize(
    ("answer", "kind", "said", "asked"),
    [
        ((403, "<Error><Code>InvalidAccessKeyId</Code></Error>"), StoreDenied, "InvalidAccessKeyId", ["PUT"]),
        ((403, "<Error><Code>AccessDenied</Code></Error>"), StoreDenied, "somebody else's", ["PUT", "GET"]),
        ((404, "<Error><Code>NoSuchBucket</Code></Error>"), BadStoreURL, "there is no such bucket", ["PUT"]),
        ((501, "<Error><Code>NotImplemented</Code></Error>"), NoPutIfAbsent, "NotImplemented", ["PUT"]),
        ((400, "<Error><Code>BadDigest</Code></Error>"), StoreError, "BadDigest", ["PUT"]),
    ],
)
def test_a_service_that_lets_nobody_in(
    serve: Callable[..., str], answer: Answer, kind: type[StoreError], said: str, asked: list[str]
) -> None:
    verbs: list[str] = []
    endpoint = serve(lambda verb, path: (verbs.append(verb), answer)[1])
    error = refused(f"s3://bucket?endpoint={endpoint}")
    assert type(error) is kind
    assert said in str(error)
    assert verbs == asked, "nothing is asked twice"


@pytest.mark.parametrize("answer", [(412, ""), (503, "<Error><Code>SlowDown</Code></Error>"), None])
def test_a_service_that_is_there_is_let_be(serve: Callable[..., str], answer: Answer) -> None:
    endpoint = serve(lambda verb, _: answer if verb == "PUT" or answer is None else (200, "another's"))
    wrens.Executor("inline", store=f"s3://bucket?endpoint={endpoint}").shutdown()


@pytest.mark.parametrize("endpoint", ["localhost:9000", "127.0.0.1", "ftp://x"])
def test_an_endpoint_without_its_scheme(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """The library underneath panics when it meets one of these."""
    assert "http://" in str(refused(f"s3://bucket?endpoint={endpoint}"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    error = refused("s3://bucket")
    assert type(error) is BadStoreURL
    assert f"AWS_ENDPOINT_URL={endpoint}" in str(error)


@pytest.mark.parametrize(
    ("url", "name", "value", "said"),
    [
        ("az://container", "", "", "?account_name="),
        ("gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file", "/no/such/file"),
    ],
)
def test_an_environment_that_makes_no_sense(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str, value: str, said: str
) -> None:
    if name:
        monkeypatch.setenv(name, value)
    error = refused(url)
    assert type(error) is BadStoreURL
    assert said in str(error)


# --- later ----------------------------------------------------------------------------------------------


def service(endpoint: str) -> tuple[RetryingStore, VirtualClock]:
    """Return a patient store of a bucket there, that waits on a virtual clock."""
    clock = VirtualClock()
    return RetryingStore(connect("s3://b", {"endpoint": endpoint}), clock=clock), clock


def test_without_a_connection_it_is_certain_that_nothing_was_written() -> None:
    store, clock = service(NOBODY)
    with pytest.raises(StoreUnavailable) as caught:
        store.put("k", b"v")
    assert not caught.value.sent
    assert clock.now() > 0, "it may come back, so it is tried again"


def test_a_write_whose_reply_was_lost_stays_uncertain(serve: Callable[..., str]) -> None:
    verbs: list[str] = []
    store, _ = service(serve(lambda verb, _: verbs.append(verb)))
    with pytest.raises(UncertainWrite):
        store.put("k", b"v")
    assert verbs == ["PUT"] * 5 + ["GET"], "each try is one request, and the last word is a look"


@pytest.mark.parametrize("sent", [[True, False, False], [False, True, False], [False, False, False]])
def test_one_try_that_was_sent_makes_it_uncertain(sent: list[bool]) -> None:
    script = list(sent)

    class Going:
        url = "s3://b"

        def put(self, key: str, data: Buffer, *, mode: str = "if_absent") -> None:
            raise StoreUnavailable("put", key, self.url, "going", sent=script.pop(0))

        def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
            raise StoreUnavailable("get", key, self.url, "gone", sent=False)

    going: Any = Going()
    store: Store = RetryingStore(going, StoreRetry(attempts=3), VirtualClock())
    with pytest.raises(UncertainWrite if any(sent) else StoreUnavailable):
        store.put("k", b"v")


def test_a_service_that_comes_back_is_written_to(serve: Callable[..., str]) -> None:
    answers: list[Answer] = [None, (503, "<Error><Code>SlowDown</Code></Error>"), (200, "")]
    store, _ = service(serve(lambda *_: answers.pop(0)))
    store.put("k", b"v")
    assert not answers


def test_the_query_of_a_request_is_not_shown_for_it_may_be_a_signature(serve: Callable[..., str]) -> None:
    store = connect("s3://b", {"endpoint": serve(lambda *_: (500, ""))})
    with pytest.raises(StoreUnavailable) as caught:
        next(store.list("jobs/"), None)
    assert "500" in caught.value.reason
    assert "prefix=" not in caught.value.reason


def test_an_error_that_was_not_sent_says_so_in_other_processes_too() -> None:
    error = StoreUnavailable("put", "k", "s3://b", "no connection", sent=False)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.sent) == (StoreUnavailable, str(error), False)
    assert pickle.loads(pickle.dumps(StoreUnavailable("get", "k"))).sent
    assert not isinstance(error, StoreFull)
    assert open_store("memory://untouched", check=True).url == "memory://untouched"
