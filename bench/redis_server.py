"""A Redis server for the scripts that need one, for the time of a block; Debian's, or Valkey's own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """Run Redis, and give its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise FileNotFoundError("redis-server: apt-get install redis-server redis-tools")
    with tempfile.TemporaryDirectory() as folder:
        words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen([program, *words], stdout=subprocess.DEVNULL) as process:
            try:
                while True:
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                        break
                yield port
            finally:
                process.terminate()
