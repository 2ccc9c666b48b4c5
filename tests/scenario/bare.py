"""A backend whose workers are interpreters without any package, like those of a cloud's functions.

Each attempt is a process of its own: it has the standard library, wrens, and what wrens needs; it makes the
packages ready that its invocation names, and runs the attempt. It shares the store with the client and nothing
else.
"""

from __future__ import annotations

import platform as machine
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import uv

import wrens
from wrens.backends.base import Committed, Limits, Lost, Notice
from wrens.environments.platform import Platform
from wrens.wire.records import Invocation, Loss

PROVIDED = ("cloudpickle", "msgspec", "obstore")
PROGRAM = """
import sys
sys.path += sys.argv[1:3]
import msgspec
from wrens.store import open_store
from wrens.wire.records import Invocation
from wrens.worker.environment import ready
invocation = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Invocation)
if invocation.environment:
    found = ready(open_store(invocation.store), invocation.environment, root=sys.argv[3])
    sys.path.append(found.folder)
from wrens.serialize import set_resolver
from wrens.worker.attempt import run
from wrens.worker.host import Host
from wrens.worker.refs import Refs
host = Host("bare", "a bare interpreter")
set_resolver(Refs(host))
report = run(invocation, host)
sys.stdout.write(report.lost)
"""


def platform(python: str = "", libc: str = "manylinux_2_28", **more: object) -> Platform:
    """Return the platform of this computer."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    provided = frozenset({"wrens", "typing-extensions", *PROVIDED})
    return Platform(python or here, machine.machine(), libc, provided, **more)  # type: ignore[arg-type]


class Bare:
    """An interpreter without packages, and wrens with what it needs beside it.

    Args:
        folder: Where to make them.
    """

    def __init__(self, folder: Path) -> None:
        tool = uv.find_uv_bin()
        self.python = folder / "bare" / "bin" / "python"
        self.runtime = folder / "runtime"
        pins = [f"{name}=={version(name)}" for name in PROVIDED]
        venv = [tool, "venv", "--quiet", "--python", sys.executable, str(folder / "bare")]
        install = [
            tool,
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--target",
            str(self.runtime),
        ]
        subprocess.run(venv, check=True)
        subprocess.run([*install, *pins], check=True)
        self.source = Path(wrens.__file__).parents[1]

    def can_import(self, module: str) -> bool:
        """Whether the interpreter, with what wrens needs, has a module."""
        program = f"import sys; sys.path += sys.argv[1:]; import {module}"
        words = [str(self.python), "-I", "-c", program, str(self.source), str(self.runtime)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


class BareBackend:
    """Runs each attempt in a process of its own, two at a time.

    Args:
        bare: The interpreter.
        root: Where workers keep packages.
        platform: What to tell of them.
    """

    name = "bare"

    def __init__(self, bare: Bare, root: Path, platform: Platform) -> None:
        self.limits = Limits(2, platform=platform, launch_s=0.3)
        self.invocations: list[Invocation] = []
        self._bare, self._root = bare, root
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._seen: list[Notice] = []
        self._changed = threading.Condition()

    def launch(self, invocations: Sequence[Invocation]) -> None:
        """Start a process for each."""
        for invocation in invocations:
            self.invocations.append(invocation)
            words = [str(self._bare.python), "-I", "-c", PROGRAM, str(self._bare.source)]
            process = subprocess.Popen(
                [*words, str(self._bare.runtime), str(self._root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            self._running[invocation.attempt] = process
            threading.Thread(target=self._follow, args=(invocation, process), daemon=True).start()

    def _follow(self, invocation: Invocation, process: subprocess.Popen[bytes]) -> None:
        out, err = process.communicate(msgspec.msgpack.encode(invocation))
        with self._changed:
            del self._running[invocation.attempt]
            if process.returncode or out:
                loss = Loss((out + err).decode()[-2000:], exit_code=process.returncode)
                self._seen.append(Lost(invocation.attempt, loss))
            else:
                self._seen.append(Committed(invocation.attempt))
            self._changed.notify_all()

    def poll(self, timeout_s: float) -> Sequence[Notice]:
        """Return what has ended."""
        with self._changed:
            if not self._seen:
                self._changed.wait(timeout_s)
            seen, self._seen = self._seen, []
            return seen

    def wake(self) -> None:
        """Make a poll return."""
        with self._changed:
            self._changed.notify_all()

    def cancel(self, attempts: Collection[str]) -> None:
        """End these processes."""
        for attempt in attempts:
            if (process := self._running.get(attempt)) is not None:
                process.kill()

    def close(self) -> None:
        """End all processes."""
        self.cancel(list(self._running))
