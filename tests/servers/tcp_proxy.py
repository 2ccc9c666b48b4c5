"""A connection that breaks at the worst moment: when the server has done its work, and before its reply arrives."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Line:
    """A way to a server on which replies can be lost.

    Attributes:
        url: Where it begins.
        losses: How many of the next replies are lost, each with its connection.
        lost: How many were.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        self.losses = self.lost = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, replies in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._carry, args=(source, sink, replies), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if replies and self._loses():
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _loses(self) -> bool:
        with self._lock:
            if not self.losses:
                return False
            self.losses -= 1
            self.lost += 1
            return True


@contextlib.contextmanager
def losing(port: int) -> Iterator[Line]:
    """Give a way to the server at a port."""
    line = Line(port)
    try:
        yield line
    finally:
        line.close()
