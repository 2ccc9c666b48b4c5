"""The tests' own proxy: faults look to a client as they should, and everything is counted."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from emulators import CREDENTIALS, Server
from s3_proxy import THROTTLED, Fault, Proxy, Request, proxied

from wrens.backends.aws_lambda.clients import Throttled
from wrens.backends.aws_lambda.service import Service


@pytest.fixture
def proxy(aws: Server) -> Iterator[Proxy]:
    aws.make_bucket("proxied")
    with proxied(aws.url) as found:
        yield found


def ask(proxy: Proxy, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request(method, f"/proxied{path}", body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_requests_pass_on_one_connection_and_are_counted(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    large = bytes(range(256)) * 8192
    for method, path, body in [
        ("PUT", "/passing/a%20b", large),
        ("PUT", "/passing/c", b""),
        ("HEAD", "/passing/c", b""),
        ("GET", "/passing/a%20b", b""),
        ("GET", "?list-type=2&prefix=passing/", b""),
        ("DELETE", "/passing/c", b""),
        ("GET", "/passing/c", b""),
    ]:
        connection.request(method, f"/proxied{path}", body)
        reply = connection.getresponse()
        found = reply.read()
        if (method, path) == ("GET", "/passing/a%20b"):
            assert found == large
    assert reply.status == 404
    connection.close()
    assert [(request.operation, request.key, request.status) for request in proxy.log()] == [
        ("PutObject", "passing/a b", 200),
        ("PutObject", "passing/c", 200),
        ("HeadObject", "passing/c", 200),
        ("GetObject", "passing/a b", 200),
        ("ListObjectsV2", "passing/", 200),
        ("DeleteObject", "passing/c", 204),
        ("GetObject", "passing/c", 404),
    ]
    assert (proxy.log()[0].size, proxy.log()[3].reply_size) == (len(large), len(large))
    assert proxy.connections == 1
    proxy.clear()
    assert (proxy.counts(), proxy.connections) == ({}, 0)


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("POST", "/k?uploads", "CreateMultipartUpload"),
        ("PUT", "/k?partNumber=1&uploadId=x", "UploadPart"),
        ("POST", "/k?uploadId=x", "CompleteMultipartUpload"),
        ("DELETE", "/k?uploadId=x", "AbortMultipartUpload"),
        ("POST", "?delete", "DeleteObjects"),
        ("HEAD", "", "HeadBucket"),
        ("PUT", "/p/functions/x", "PutObject"),
    ],
)
def test_operations_have_their_names(proxy: Proxy, method: str, target: str, operation: str) -> None:
    proxy.script = [Fault("answer", status=204, body=b"")]
    assert ask(proxy, method, target)[0] == 204
    assert proxy.counts() == {operation: 1}


def test_a_lost_reply_leaves_what_was_written_and_a_lost_request_nothing(proxy: Proxy) -> None:
    proxy.script = [
        Fault("lost_reply", "PutObject", key_contains="lost/"),
        Fault("lost_request", "PutObject", nth=2),
    ]
    for key in ("lost/1", "lost/2"):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(proxy, "PUT", f"/{key}", b"x")
    assert ask(proxy, "GET", "/lost/1") == (200, b"x")
    assert ask(proxy, "GET", "/lost/2")[0] == 404
    assert [request.status for request in proxy.log()] == [200, 0, 200, 404]


def test_answers_in_the_place_of_the_server(proxy: Proxy) -> None:
    proxy.script = [Fault("slow_down", times=2), Fault("answer", nth=3, status=409, code="Conflict")]
    status, body = ask(proxy, "PUT", "/answers", b"x")
    assert (status, b"<Code>SlowDown</Code>" in body) == (503, True)
    assert ask(proxy, "PUT", "/answers", b"x")[0] == 503
    assert ask(proxy, "PUT", "/answers", b"x")[0] == 409
    assert ask(proxy, "GET", "/answers")[0] == 404


def test_headers_are_dropped_and_replies_cut(proxy: Proxy) -> None:
    ask(proxy, "PUT", "/held", b"first")
    proxy.script = [
        Fault("drop_headers", "PutObject", drop=("If-None-Match",)),
        Fault("cut_reply", "GetObject"),
    ]
    assert ask(proxy, "PUT", "/held", b"second", **{"If-None-Match": "*"})[0] == 200
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask(proxy, "GET", "/held")
    assert ask(proxy, "GET", "/held") == (200, b"second")


def test_a_request_is_carried_out_twice_and_answered_once(proxy: Proxy) -> None:
    proxy.script = [Fault("duplicate", "PutObject")]
    assert ask(proxy, "PUT", "/twice", b"x", **{"If-None-Match": "*"})[0] == 412, (
        "the second found the first's"
    )
    (request,) = proxy.log()
    assert request.at <= request.answered_at


def test_lambda_throttles_in_its_own_words(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(name, value)
    proxy.script = [THROTTLED]
    with pytest.raises(Throttled, match="TooManyRequestsException: Rate Exceeded"):
        Service(region="us-east-1").invoke("any", b"{}")
    assert proxy.counts() == {"Invoke": 1}


def test_a_stall_ends_with_the_proxy(aws: Server) -> None:
    with proxied(aws.url, lambda request: Fault("stall") if request.key == "never" else None) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request("GET", "/proxied/never")
        assert ask(proxy, "GET", "/else")[0] == 404
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        connection.getresponse()
    connection.close()


def test_without_a_server_the_script_answers() -> None:
    def said(request: Request) -> Fault:
        return Fault(
            "answer", status=403, code="AccessDenied", headers=(("x-amz-bucket-region", "eu-west-1"),)
        )

    with proxied(None, said) as proxy:
        status, body = ask(proxy, "GET", "/k")
    assert (status, b"AccessDenied" in body) == (403, True)
