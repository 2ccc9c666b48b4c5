"""Programs that use wrens, run as processes of their own so that they can be killed.

Every process that such a program starts inherits a mark in its environment, by which those that it leaves
behind are found.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

from ledger import until

import wrens

MARK = "WRENS_TEST_MARK"
SOURCES = str(Path(wrens.__file__).parents[1])


def path_of_imports() -> str:
    """Return the ``PYTHONPATH`` of a program: this checkout, the modules of these tests, and what is set here."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([SOURCES, str(Path(__file__).parent), *filter(None, inherited)])


class Client:
    """One running program."""

    def __init__(self, popen: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.popen, self._out, self._err = popen, out, err

    @property
    def out(self) -> str:
        """What it has written to stdout."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return self._err.read_text()

    def wait(self, within_s: float = 20.0) -> int:
        """Wait for its end and return the exit code."""
        return self.popen.wait(within_s)

    def ok(self, within_s: float = 20.0) -> str:
        """Wait for its end, which has to be a good one, and return what it wrote."""
        code = self.wait(within_s)
        assert code == 0, f"exit code {code}\n{self.err}"
        return self.out

    def says(self, text: str, within_s: float = 15.0) -> None:
        """Wait until it has written this to stdout."""
        until(lambda: text in self.out or self.popen.poll() is not None, within_s, f"{text!r} on stdout")
        assert text in self.out, self.err

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.popen.kill()
        self.popen.wait()

    def interrupt(self) -> None:
        """Press Ctrl-C: SIGINT goes to its whole process group."""
        os.killpg(self.popen.pid, signal.SIGINT)


class Clients:
    """Starts programs in a folder and remembers them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mark = uuid.uuid4().hex
        self._started: list[Client] = []

    def start(self, script: str, *args: object, name: str = "client.py", **env: str) -> Client:
        """Run a script in a process group of its own."""
        n = len(self._started)
        path = self._folder / name
        path.write_text(textwrap.dedent(script))
        out, err = self._folder / f"out{n}.txt", self._folder / f"err{n}.txt"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            popen = subprocess.Popen(
                [sys.executable, "-u", str(path), *map(str, args)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": path_of_imports(), MARK: self._mark, **env},
                start_new_session=True,
            )
        client = Client(popen, out, err)
        self._started.append(client)
        return client

    def alive(self) -> list[int]:
        """Return the processes that carry the mark and still run."""
        return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and self._is_marked(p)]

    def workers(self) -> list[int]:
        """Return the worker processes among them."""
        return [pid for pid in self.alive() if b"wrens.worker.main" in _read(Path(f"/proc/{pid}/cmdline"))]

    def all_gone(self, within_s: float = 15.0) -> None:
        """Wait until no process is left."""
        until(lambda: not self.alive(), within_s, "the end of every process")

    def kill_all(self) -> None:
        """End whatever is left."""
        for pid in self.alive():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for client in self._started:
            client.popen.wait()

    def _is_marked(self, process: Path) -> bool:
        # A zombie has no environment any more, so it does not count.
        return f"{MARK}={self._mark}".encode() in _read(process / "environ").split(b"\0")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
