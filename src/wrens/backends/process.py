"""One worker process on this computer: started, spoken to, watched and buried.

    backend                         worker process (its own session)
      invocations ──── pipe ─────▶
                  ◀─── pipe ──────  notices
      status page ◀── memory ─────  which task, last sign of life, memory
      two files   ◀───────────────  stdout, stderr

The files and the page have no name in the file system, so a client that is killed leaves nothing behind.
Decides how a process is started and what is known of it when it is gone; which attempt it runs is
:mod:`wrens.backends.local`'s decision.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wrens.wire import decoders
from wrens.wire.records import Invocation, Loss
from wrens.worker import page
from wrens.worker.output import read_tail
from wrens.worker.talk import Frames, Notice, Setup, frame, write_all

BOOT = (
    "import sys; sys.path[:] = sys.argv.pop(2).split('\\n'); "
    "from wrens.worker.main import start; start(sys.argv)"
)


class Process:
    """A worker process, from its start to its end.

    Args:
        backend: Name of the backend.
        where: The place in words, as it stands in verdicts; by default this computer.
        folders: Packages of the job, before those that this process has; see :func:`search_path`.

    Raises:
        OSError: if the system will not start one more process.
    """

    def __init__(self, backend: str, *, where: str = "", folders: Sequence[str] = ()) -> None:
        self.attempt = ""
        """The attempt that it runs, under its last name; empty when it is idle."""
        self.cancelled = self.freed = False
        self._is_ours = True
        self.sent = 0
        self.began = 0.0
        """When it was given its attempt."""
        self.files = (_file(), _file())
        """What its stdout and stderr are written to."""
        self._begins = (0, 0)
        self._memory_limit_mb = 0
        self._frames = Frames()
        shared = _file()
        os.ftruncate(shared, page.BYTES)
        self.page = memoryview(mmap.mmap(shared, page.BYTES)).cast("q")
        self._ends: list[int] = []
        source, self._sink = self._pipe()
        self.notices, sink = self._pipe()
        os.set_blocking(self.notices, False)
        try:
            self._popen = _spawn((source, sink, shared), self.files, folders)
        except OSError:
            self._close_all()
            raise
        finally:
            for fd in (source, sink, shared):
                os.close(fd)
        self._ends = [self._sink, self.notices, *self.files]
        self.pid = self._popen.pid
        self.pidfd = _pidfd(self.pid)
        self.where = where or f"{backend} worker {self.pid} at {os.uname().nodename}"
        self._tell(frame(Setup(backend, self.where, os.getpid())))

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._ends += ends
        return ends

    def _close_all(self) -> None:
        for fd in (self._sink, self.notices, *self.files):
            os.close(fd)

    def give(self, invocation: Invocation, now: float) -> None:
        """Hand it an attempt. It must be idle."""
        self.attempt, self.began, self.cancelled = invocation.attempt, now, False
        self.sent += 1
        self._memory_limit_mb = (invocation.policy.memory_mb or 0) if sys.platform == "linux" else 0
        self._begins = (os.fstat(self.files[0]).st_size, os.fstat(self.files[1]).st_size)
        self._tell(frame(invocation))

    def _tell(self, data: bytes) -> None:
        # When it is dead already, the end of its pipe will tell.
        with contextlib.suppress(BrokenPipeError):
            write_all(self._sink, data)

    @property
    def begun(self) -> bool:
        """Whether it has begun its first attempt."""
        return self.page[page.SERIAL] > 0

    def read(self) -> tuple[list[Notice], bool]:
        """Return what it has said since, and whether that was the last."""
        notices: list[Notice] = []
        while True:
            try:
                data = os.read(self.notices, 65_536)
            except BlockingIOError:
                return notices, False
            if not data:
                return notices, True
            notices += (decoders.from_msgpack(Notice, each) for each in self._frames.feed(data))
            if len(data) < 65_536:
                return notices, False

    def is_dead(self) -> bool:
        """Tell whether it has ended; it stays a zombie, so that its process id is still its own."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            # Somebody else has collected it, such as a SIGCHLD handler of the user's.
            self._is_ours = False
            return True

    def kill(self) -> None:
        """End it at once, and everything that its tasks have started."""
        if self._is_ours:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Tell it that there will be no more attempts."""
        os.close(self._sink)
        self._ends.remove(self._sink)

    def await_end(self, timeout_s: float) -> None:
        """Wait for its end, up to ``timeout_s``."""
        if self.pidfd >= 0:
            ended = select.poll()
            ended.register(self.pidfd, select.POLLIN)
            ended.poll(timeout_s * 1000)

    def end(self) -> None:
        """End it and everything that its tasks have started, and wait until it has ended."""
        self.kill()
        self._popen.wait()
        self._is_ours = False

    def free(self) -> None:
        """Free what it used; call after :meth:`end`."""
        self.freed = True
        for fd in (*self._ends, *((self.pidfd,) if self.pidfd >= 0 else ())):
            os.close(fd)

    def loss(self, now: float, reason: str = "") -> Loss:
        """Describe what is known of the attempt that it has left without a verdict; call after its end."""
        # When there is a reason, it was we who ended it, and the signal would only mislead.
        code = None if reason or self.cancelled else self._popen.returncode
        number = -code if code is not None and code < 0 else None
        started = self.page[page.SERIAL] >= self.sent
        return Loss(
            reason=reason or ("cancelled" if self.cancelled else _cause(code)),
            attempt=self.attempt,
            where=self.where,
            exit_code=code if number is None else None,
            signal=number,
            task=self.page[page.TASK] if started else -1,
            ran_s=now - self.began,
            memory_mb=self.page[page.MEMORY] / 1e6,
            memory_limit_mb=self._memory_limit_mb,
            log=read_tail((self.files[0], self.files[1]), self._begins),
            started=started,
        )

    def cpu_ticks(self) -> int:
        """Return a number that grows while it computes; -1 when the system does not tell."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:  # noqa: PTH123 - cheaper than a Path
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return -1
        return int(fields[11]) + int(fields[12])


def _spawn(
    pipes: tuple[int, int, int], files: tuple[int, int], folders: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start the process, in a session of its own: Ctrl-C passes it by, and one kill takes its children too."""
    here = os.getcwd()  # noqa: PTH109 - as text
    path = [entry or here for entry in sys.path if isinstance(entry, str)]
    home = str(Path(__file__).resolve().parents[2])
    if home not in path:
        path.append(home)
    if folders:
        path = search_path(path, home, folders)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", BOOT, ",".join(map(str, pipes)), "\n".join(path)],
        stdin=subprocess.DEVNULL,
        stdout=files[0],
        stderr=files[1],
        pass_fds=pipes,
        start_new_session=True,
    )


def search_path(path: Sequence[str], home: str, folders: Sequence[str]) -> list[str]:
    """Return where a worker looks for modules, with the packages that the job has brought among them.

    What it brought was resolved for the user's function and comes before what the platform happens to have, such
    as the AWS library in Lambda's runtime. Python's own modules and what lies beside wrens come first: the worker
    was built from those.

    Args:
        path: Where this process looks.
        home: The folder in which wrens is.
        folders: The packages of the job.

    >>> import os
    >>> library = os.path.dirname(os.__file__)
    >>> found = search_path(["/var/task", "/var/runtime", library, library + "/site-packages"], "/var/task", ["/e"])
    >>> found == ["/var/task", library, "/e", "/var/runtime", library + "/site-packages"]
    True
    """
    library = sysconfig.get_path("stdlib")
    archive = Path(library).parent / f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    own = {home, library, str(archive), str(Path(library, "lib-dynload"))}
    first = [entry for entry in path if entry in own]
    return [*first, *folders, *(entry for entry in path if entry not in first)]


def _file() -> int:
    """Return a descriptor of a file without a name, to which all writers append."""
    with tempfile.TemporaryFile(buffering=0) as file:
        fd = os.dup(file.fileno())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return fd


def _pidfd(pid: int) -> int:
    """Return a descriptor that becomes readable when the process ends; -1 where there are none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return -1


def _cause(code: int | None) -> str:
    """Say how a process ended.

    >>> _cause(3), _cause(-9)
    ('the worker process ended with exit code 3', 'the worker process was ended by signal 9 (SIGKILL)')
    """
    if code is None:
        return "the worker process went away"
    if code >= 0:
        return f"the worker process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "a real-time signal"
    return f"the worker process was ended by signal {-code} ({name})"
