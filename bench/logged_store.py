"""A store that writes down every request, whichever process makes it.

Registered for ``logged://`` addresses through the entry point that any package can use, so the workers open
it as the driver does and wrens itself is measured unchanged. Each request is one line in a file: process,
verb, key and bytes. :class:`wrens.store.MeteredStore` counts within one process; a job's requests come from
several.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wrens.store import MeteredStore, open_store
from wrens.store.port import Buffer, Mode, Store

HERE = Path(__file__).parent
ADDRESS = "logged://bench"
INNER, LOG = "WRENS_BENCH_INNER", "WRENS_BENCH_LOG"
"""Environment variables: the address of the store that answers, and the file of requests."""


@dataclass(frozen=True)
class Request:
    """One request as a service would bill it."""

    process: int
    verb: str
    key: str
    size: int


class LoggedStore:
    """Passes everything on, and writes down what it cost.

    Args:
        inner: The store that answers.
        url: The address under which another process opens the same.
        log: The file of requests.
    """

    trusted = True
    """What it passes on to is a directory of the script's own."""

    def __init__(self, inner: Store, url: str, log: str) -> None:
        self._inner = MeteredStore(inner)
        self.url = url
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object."""
        before = self._inner.reading().bytes_in
        try:
            self._inner.put(key, data, mode=mode)
        finally:
            self._note("put", key, self._inner.reading().bytes_in - before)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return bytes of an object."""
        size = 0
        try:
            found = self._inner.get(key, start=start, length=length)
            size = found.nbytes
        finally:
            self._note("get", key, size)
        return found

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield keys."""
        before = self._inner.reading().lists
        try:
            yield from self._inner.list(prefix, after=after)
        finally:
            for _ in range(self._inner.reading().lists - before):
                self._note("list", prefix, 0)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects."""
        keys = list(keys)
        before = self._inner.reading().deletes
        self._inner.delete(keys)
        for _ in range(self._inner.reading().deletes - before):
            self._note("delete", keys[0], 0)

    def _note(self, verb: str, key: str, size: int) -> None:
        # One write of one short line to a file opened for appending: lines of several processes do not mix.
        os.write(self._log, f"{os.getpid()} {verb} {size} {key}\n".encode())


def open_logged(url: str, *, create: bool = True) -> Store:
    """Open the store that the environment names; this is the entry point."""
    return LoggedStore(open_store(os.environ[INNER], create=create), url, os.environ[LOG])


def read_log(path: Path) -> list[Request]:
    """Return the requests that were written down, in order."""
    requests = []
    for line in path.read_text().splitlines():
        process, verb, size, key = line.split(" ", 3)
        requests.append(Request(int(process), verb, key, int(size)))
    return requests


def offer(folder: Path) -> None:
    """Put the entry point into ``folder``, for every process that has it on its path."""
    info = folder / "wrens_bench.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrens-bench\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[wrens.stores]\nlogged = logged_store:open_logged\n")


@contextmanager
def emulated_s3() -> Iterator[Path]:
    """Have an emulated S3 answer at :data:`ADDRESS`, for this process and its workers; yield the file of requests."""
    sys.path.append(str(HERE.parent / "tests" / "servers"))
    from emulators import ministack

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        sys.path[:0] = [str(home), str(HERE)]
        os.environ["PYTHONPATH"] = os.pathsep.join([str(home), str(HERE), os.environ.get("PYTHONPATH", "")])
        with ministack(home / "server") as server:
            server.make_bucket("bench")
            offer(home)
            os.environ.update(server.environment)
            os.environ.update({INNER: "s3://bench/store?signed=no", LOG: str(home / "log")})
            yield home / "log"
