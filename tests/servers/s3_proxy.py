"""An HTTP proxy in front of an S3 server (or any of AWS's), for faults on command and for counting requests.

    with proxied(aws.url) as proxy:                     # aws: a running server, such as the fixture of that name
        store = open_store(f"s3://bucket/p?endpoint={proxy.url}")
        proxy.script = [Fault("lost_reply", "PutObject", key_contains="verdicts/", nth=3)]
        ...
        assert proxy.counts()["PutObject"] == 7         # by S3 operation, whatever became of them
        assert proxy.connections <= 2                   # that clients have opened

A **script** is a sequence of rules (:class:`Fault`) or a function from a :class:`Request` to a ``Fault`` or
``None``; it may be exchanged while the proxy runs. Every rule that fits counts the request, and the first one whose
turn it is decides. For disorder in measured amounts, draw in a function:

    dice = random.Random(7)
    proxy.script = lambda request: Fault("slow_down") if dice.random() < 0.05 else None

What was asked stands in ``proxy.log()``, a :class:`Request` for each, with its headers, sizes, status, fault and times,
in the order of arrival; ``proxy.clear()`` forgets it. Operations have AWS's names: PutObject, GetObject, HeadObject,
HeadBucket, ListObjectsV2, DeleteObject, DeleteObjects, CopyObject, CreateMultipartUpload, UploadPart,
UploadPartCopy, CompleteMultipartUpload, AbortMultipartUpload, ListMultipartUploads; for Lambda, Invoke; anything
else is called by its method. Names of buckets are expected in the path, as emulators have them.

Decides how a fault looks from the outside. Bodies are held in memory. One thread serves one connection of a client
and has one connection to the server; both are kept open. Signatures are passed on as they are, which servers that do
not check them accept. Some 900 puts/s with 8 clients, on two
processors that the server and the clients share.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from wrens.clock import SystemClock

Kind = Literal[
    "lost_reply",
    "lost_request",
    "cut_reply",
    "slow_down",
    "answer",
    "delay",
    "stall",
    "drop_headers",
    "duplicate",
]
NO_BODY = (204, 304)
_LAMBDA = re.compile(r"/20\d\d-\d\d-\d\d/functions/")
ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
)


@dataclass(frozen=True)
class Fault:
    """One rule of a script.

    Args:
        kind: ``lost_reply``: the server acts, and the client's connection ends without an answer.
            ``lost_request``: it ends before the server has seen anything. ``cut_reply``: it ends in the middle
            of the answer. ``slow_down``: S3's 503, and the server sees nothing. ``answer``: the same with
            ``status``, ``code``, ``body`` and ``headers`` of your own. ``delay``: ``seconds`` pass before the
            server sees it. ``stall``: nothing is answered for as long as the proxy runs. ``drop_headers``: the
            server does not see the headers that ``drop`` names. ``duplicate``: the server sees it twice, and the
            client gets the second answer.
        operation: Such as ``PutObject``; ``*`` is any.
        key_contains: Fit only keys, or prefixes of listings, that contain this.
        nth: Begin with the n-th request that fits, counted from 1.
        times: How many in a row it concerns; ``None`` is all that follow.
    """

    kind: Kind
    operation: str = "*"
    key_contains: str = ""
    nth: int = 1
    times: int | None = 1
    seconds: float = 0.0
    status: int = 503
    code: str = "SlowDown"
    message: str = "Please reduce your request rate."
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()

    def fits(self, request: Request) -> bool:
        """Whether this rule counts a request."""
        return self.operation in ("*", request.operation) and self.key_contains in request.key


THROTTLED = Fault(
    "answer",
    "Invoke",
    times=None,
    status=429,
    code="TooManyRequestsException",
    body=b'{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}',
    headers=(("Content-Type", "application/json"), ("x-amzn-ErrorType", "TooManyRequestsException")),
)
"""What Lambda answers to an invocation that is one too many."""


@dataclass
class Request:
    """What a client has asked; ``status`` is 0 until the server, or a fault in its place, has answered."""

    method: str
    target: str
    operation: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    """By names in lower case."""
    size: int = 0
    status: int = 0
    reply_size: int = 0
    fault: Fault | None = None
    at: float = 0.0
    """When it arrived, in seconds since 1970."""
    answered_at: float = 0.0
    """When the server, or a fault in its place, had answered; zero until then."""


Script = Sequence[Fault] | Callable[[Request], Fault | None]


class Proxy:
    """Listens on a free port of 127.0.0.1 until :meth:`close`; see the module.

    Args:
        upstream: URL of the server, such as ``http://127.0.0.1:5103``. ``None`` is no server: the script has to
            answer everything.
        script: What goes wrong.
    """

    def __init__(self, upstream: str | None, script: Script = ()) -> None:
        parts = urlsplit(upstream or "")
        self._upstream = (parts.hostname or "", parts.port or 80) if upstream else None
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._log: list[Request] = []
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self._seen: list[int] = []
        self.connections = 0
        self.script = script
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def script(self) -> Script:
        """What goes wrong; assigning it begins to count anew."""
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        with self._lock:
            self._script = script
            self._seen = [0] * (0 if callable(script) else len(script))

    def log(self) -> list[Request]:
        """Return what was asked since the last :meth:`clear`, in the order of arrival."""
        with self._lock:
            return list(self._log)

    def counts(self) -> Counter[str]:
        """Return how many requests there were of each operation."""
        return Counter(request.operation for request in self.log())

    def clear(self) -> None:
        """Forget what was asked and how many connections there were."""
        with self._lock:
            self._log.clear()
            self.connections = 0

    def close(self) -> None:
        """Stop listening, and end every connection."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Answer the requests of one connection, one after the other."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = _Server(self._upstream)
        try:
            with client.makefile("rb", buffering=256 * 1024) as stream:
                while (message := _read_message(stream, client)) is not None:
                    request = _request_of(message)
                    fault = self._due(request)
                    if not self._answer(client, server, message, request, fault):
                        return
        except (OSError, ValueError):
            return  # somebody went away: that is all that a client would notice of it too
        finally:
            server.close()
            with self._lock:
                self._open.discard(client)
            client.close()

    def _due(self, request: Request) -> Fault | None:
        """Note a request, and return the rule whose turn it is."""
        with self._lock:
            request.at = self._clock.wall()
            self._log.append(request)
            if callable(self._script):
                request.fault = self._script(request)
                return request.fault
            for i, rule in enumerate(self._script):
                if rule.fits(request):
                    self._seen[i] += 1
                    late = self._seen[i] - rule.nth
                    if request.fault is None and late >= 0 and (rule.times is None or late < rule.times):
                        request.fault = rule
            return request.fault

    def _answer(
        self, client: socket.socket, server: _Server, message: _Message, request: Request, fault: Fault | None
    ) -> bool:
        """Answer one request; returns whether the connection goes on."""
        kind = fault.kind if fault else None
        if kind == "lost_request":
            return False
        if kind == "stall":
            self._closed.wait()
            return False
        if fault and kind == "delay":
            self._closed.wait(fault.seconds)
        if fault and kind in ("slow_down", "answer"):
            request.status, request.answered_at = fault.status, self._clock.wall()
            client.sendall(_made_up(fault, request))
            return True
        if kind == "duplicate":
            server.ask(message)
        reply = server.ask(message, drop=fault.drop if fault and kind == "drop_headers" else ())
        request.status, request.reply_size = reply.status, len(reply.body)
        request.answered_at = self._clock.wall()
        if kind == "lost_reply":
            return False
        head = reply.head()
        if kind == "cut_reply":
            client.sendall(head + reply.body[: len(reply.body) // 2] if reply.body else head[:-4])
            return False
        client.sendall(head + reply.body)
        return not message.last


@contextlib.contextmanager
def proxied(upstream: str | None, script: Script = ()) -> Iterator[Proxy]:
    """Run a proxy until the end of the block."""
    proxy = Proxy(upstream, script)
    try:
        yield proxy
    finally:
        proxy.close()


@dataclass
class _Message:
    """A request or a reply as it came: its first line, its headers in order, its body."""

    first: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    method: str = ""
    """Of a reply: the method that was asked with."""

    @property
    def status(self) -> int:
        return int(self.first.split(" ", 2)[1])

    @property
    def last(self) -> bool:
        return self.header("connection").lower() == "close"

    def header(self, name: str) -> str:
        return next((value for known, value in self.headers if known.lower() == name), "")

    def head(self, drop: Sequence[str] = ()) -> bytes:
        """Return the lines before the body, with a length in the place of chunks."""
        left_out = {"transfer-encoding", "content-length", "expect", *map(str.lower, drop)}
        lines = [self.first, *(f"{n}: {v}" for n, v in self.headers if n.lower() not in left_out)]
        if self.method == "HEAD":
            lines.append(f"Content-Length: {self.header('content-length') or 0}")
        elif not (self.method and self.status in NO_BODY):
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class _Server:
    """The connection of one client's thread to the server."""

    address: tuple[str, int] | None
    connection: socket.socket | None = None
    stream: BinaryIO | None = field(default=None)

    def ask(self, message: _Message, drop: Sequence[str] = ()) -> _Message:
        if self.address is None:
            raise ValueError("there is no server, and the script does not answer this request")
        if self.connection is not None and select.select([self.connection], [], [], 0)[0]:
            self.close()  # it has ended while nothing was asked
        if self.connection is None:
            self.connection = socket.create_connection(self.address, timeout=120)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.stream = self.connection.makefile("rb", buffering=256 * 1024)
        self.connection.sendall(message.head(drop))
        self.connection.sendall(message.body)
        assert self.stream is not None
        reply = _read_message(self.stream, None, method=message.first.partition(" ")[0])
        if reply is None:
            raise ConnectionError("the server ended the connection")
        if reply.last:
            self.close()
        return reply

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        if self.connection is not None:
            self.connection.close()
        self.connection = self.stream = None


def _read_message(stream: BinaryIO, client: socket.socket | None, method: str = "") -> _Message | None:
    """Read a request (from a client) or the reply to ``method``; ``None`` when the other side has left."""
    while True:
        first = stream.readline(65536).decode("latin-1").strip()
        if not first:
            return None
        headers: list[tuple[str, str]] = []
        while line := stream.readline(65536).decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        message = _Message(first, headers, method=method)
        if not (method and message.status == 100):
            break
    if client is not None and message.header("expect"):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if method != "HEAD" and not (method and message.status in NO_BODY):
        message.body = _read_body(stream, message, reply=bool(method))
    return message


def _read_body(stream: BinaryIO, message: _Message, *, reply: bool) -> bytes:
    if message.header("transfer-encoding").lower() == "chunked":
        chunks = []
        while size := int(stream.readline(1024).partition(b";")[0], 16):
            chunks.append(stream.read(size))
            stream.readline(1024)
        while stream.readline(65536).strip():
            pass  # trailers
        return b"".join(chunks)
    length = message.header("content-length")
    if not length:
        return stream.read() if reply else b""
    body = stream.read(int(length))
    if len(body) < int(length):
        raise ConnectionError("the body ended early")
    return body


def _made_up(fault: Fault, request: Request) -> bytes:
    """Return the answer of a fault, in S3's words."""
    body = fault.body
    if body is None:
        body = ERROR.format(code=fault.code, message=fault.message).encode()
    named = {name.lower() for name, _ in fault.headers}
    headers = [*([] if "content-type" in named else [("Content-Type", "application/xml")]), *fault.headers]
    reply = _Message(f"HTTP/1.1 {fault.status} {fault.code}", headers, body, method=request.method)
    return reply.head() + (b"" if request.method == "HEAD" else body)


def _request_of(message: _Message) -> Request:
    method, target, _ = message.first.split(" ", 2)
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    headers = {name.lower(): value for name, value in message.headers}
    operation = _operation(method, unquote(parts.path), key, query, headers)
    if operation.startswith("List"):
        key = query.get("prefix", "")
    return Request(method, target, operation, bucket, key, query, headers, size=len(message.body))


def _operation(method: str, path: str, key: str, query: dict[str, str], headers: dict[str, str]) -> str:
    """Return AWS's name of what a request asks for."""
    if _LAMBDA.match(path):
        return "Invoke" if path.endswith("/invocations") else method
    if "uploadId" in query or "uploads" in query:
        copied = "Copy" if "x-amz-copy-source" in headers else ""
        names = {"PUT": f"UploadPart{copied}", "DELETE": "AbortMultipartUpload"}
        names["POST"] = "CompleteMultipartUpload" if "uploadId" in query else "CreateMultipartUpload"
        names["GET"] = "ListParts" if "uploadId" in query else "ListMultipartUploads"
        return names.get(method, method)
    if not key:
        whole = {"HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
        whole["GET"] = "GetBucketLocation" if "location" in query else "ListObjectsV2"
        whole["POST"] = "DeleteObjects" if "delete" in query else method
        return whole.get(method, method)
    put = "CopyObject" if "x-amz-copy-source" in headers else "PutObject"
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": put, "DELETE": "DeleteObject"}.get(
        method, method
    )
