"""A connection that breaks at the worst moment: when the server has done its work, and before its reply arrives."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class Line:
    """A way to a server on which replies can be lost.

    Attributes:
        url: Where it begins.
        losses: How many of the next replies are lost, each with its connection.
        lost: How many were.
        cuts: How many of the next requests are lost before they arrive, each with its connection.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        self.losses = self.lost = self.cuts = 0
        self._lock, self._closed = threading.Lock(), False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with self._listening, contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far, contextlib.suppress(OSError):
            while not self._closed:
                for source in select.select([near, far], [], [], 0.05)[0]:
                    data = source.recv(1 << 16)
                    if not data or (self._loses() if source is far else self._cuts()):
                        return
                    (near if source is far else far).sendall(data)

    def _cuts(self) -> bool:
        with self._lock:
            if not self.cuts:
                return False
            self.cuts -= 1
            return True

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
