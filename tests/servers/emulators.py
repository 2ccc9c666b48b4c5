"""Starts servers for tests: emulators of AWS (ministack: S3, Lambda, IAM, …; moto; AWS's own for Lambda's runtime), and Redis.

Each listens on 127.0.0.1 on a free port, keeps its files in a folder of the test's, and is ended by its process
id. Decides how they are started and when they are ready; :mod:`install` puts them in place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parent))
import install

from wrens.clock import SystemClock

if TYPE_CHECKING:
    import pytest

START_S = 30.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
"""What the emulators take for an account's credentials; they do not check them."""


def only_credentials(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Leave of the environment's AWS settings, and of the files of whoever runs the tests, only what the emulators want."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("HOME", str(home))
    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    url: str
    port: int
    pid: int
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes clients of AWS in a process speak to this server."""
        return {**CREDENTIALS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": self.url}

    def make_bucket(self, name: str, region: str = "") -> str:
        """Make a bucket, by default in us-east-1, and return its URL for wrens."""
        where = f"<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        request = urllib.request.Request(
            f"{self.url}/{name}", method="PUT", data=where.encode() if region else None
        )
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
            pass
        return f"s3://{name}"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextlib.contextmanager
def ministack(folder: Path, **settings: str) -> Iterator[Server]:
    """Run ministack; ``settings`` are environment variables of its own."""
    port = free_port()
    environment = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(folder), **settings}
    command = [str(install.PYTHON.with_name("ministack"))]
    with running(command, port, folder / "ministack.log", environment) as server:
        yield server


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """Run moto's server. Its put-if-absent can have two winners."""
    port = free_port()
    command = [str(install.PYTHON.with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, folder / "moto.log", {"TMPDIR": str(folder)}) as server:
        yield server


@contextlib.contextmanager
def redis(folder: Path, *, port: int = 0, **settings: str) -> Iterator[Server]:
    """Run a Redis server, or Valkey where there is none.

    What it holds is gone when it ends. Its address is ``redis://127.0.0.1:PORT``.

    Args:
        folder: For its log.
        port: Where it listens; 0 finds one.
        settings: Its own, such as ``maxmemory``.
    """
    port = port or free_port()
    program = shutil.which("redis-server") or str(install.VALKEY_SERVER)
    given = {"port": str(port), "bind": "127.0.0.1", "save": "", "dir": str(folder), **settings}
    command = [program, *(word for name, value in given.items() for word in (f"--{name}", value))]
    with running(command, port, folder / f"redis-{port}.log", {}) as server:
        yield server


@contextlib.contextmanager
def runtime(folder: Path, code: Path, handler: str, **settings: str) -> Iterator[Server]:
    """Run AWS's own emulator of Lambda's runtime interface with a function's code, and AWS's runtime client.

    It carries out one invocation at a time. The name of the function is ``function``.

    Args:
        folder: For its files.
        code: The folder with the function's code.
        handler: ``module.function``.
        settings: The function's environment.
    """
    port, inside = free_port(), free_port()
    command = [
        *(str(install.RIE), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{inside}", str(install.PYTHON), "-m", "awslambdaric", handler),
    ]
    environment = {"PYTHONPATH": str(code), "LAMBDA_TASK_ROOT": str(code), **settings}
    with running(command, port, folder / "runtime.log", environment) as server:
        yield server


@contextlib.contextmanager
def running(command: Sequence[str], port: int, log: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a command until the end of the block, from when it listens on its port."""
    if not install.installed():
        raise RuntimeError("run 'python tests/servers/install.py' first, as 'make test' does")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_port(process, port, log)
            yield Server(f"http://127.0.0.1:{port}", port, process.pid, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    clock = SystemClock()
    end = clock.now() + START_S
    while clock.now() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        clock.sleep(0.02)
    said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"no server on port {port} after {START_S:g} s; exit code {process.poll()}:\n{said}")
