"""Makes an emulated S3 as tight-lipped as the real one: what is missing is denied.

    with strict(aws.url) as url:
        open_store(f"s3://bucket/prefix?endpoint={url}")

AWS answers 403 for a missing object unless the caller may list the bucket, and a right to list that is bound to a
prefix may not count, because reading names no prefix. The emulators always answer 404.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
SENT_ANEW = {"transfer-encoding", "connection", "content-length"}


@contextlib.contextmanager
def strict(upstream: str) -> Iterator[str]:
    """Run a proxy in front of an S3 server; yields its URL."""
    behind = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(behind, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            reply = connection.getresponse()
            said, status = reply.read(), reply.status
            of_an_object = urlsplit(self.path).path.strip("/").count("/") > 0
            if status == 404 and of_an_object and self.command in ("GET", "HEAD"):
                status, said = 403, DENIED
            self.send_response(status)
            for name, value in reply.getheaders():
                if name.lower() not in SENT_ANEW:
                    self.send_header(name, value)
            length = reply.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(said))
            self.send_header("Content-Length", "0" if self.command == "HEAD" and status == 403 else length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said)
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward  # noqa: N815 - names of the library

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="strict-s3", daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
