"""Tasks that behave as a script says, differently at each try.

The tries are counted in a directory, because a task that kills its worker can remember nothing else. Decides
which fates there are; a test decides what follows from them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

from wrens.clock import SystemClock

HANG_S = 60.0
"""How long a hanging task hangs at most, so that a failing test ends too."""


class ScriptedError(Exception):
    """What the fate ``raise`` raises."""


class Scripted:
    """A function of one number, the task's, whose n-th call for that number meets the n-th fate.

    The last fate of a script goes on for ever, and a task without a script is ``ok``. The fates:

    * ``ok`` returns the number; ``print`` also prints ``task <n>`` to stdout and ``warning <n>`` to stderr;
    * ``raise`` raises :class:`ScriptedError`; ``sysexit`` raises ``SystemExit(3)``;
    * ``exit`` ends the process with code 7, ``kill`` with SIGKILL, ``segv`` with a segmentation fault;
    * ``hang`` waits, up to a minute; ``slow:<s>`` waits so many seconds and returns the number;
    * ``close`` closes stdout and stderr down to the descriptors; ``fork`` forks, and the child returns too;
    * ``unpicklable`` returns something that cannot travel.

    Args:
        folder: A directory in which calls are counted.
        script: Task to its fates.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     task = Scripted(folder, {1: ["raise", "ok"]})
    ...     task(0), task.calls(0), task.calls(1)
    (0, 1, 0)
    """

    def __init__(self, folder: str | os.PathLike[str], script: Mapping[int, Sequence[str]]) -> None:
        self.folder = str(folder)
        self.script = {task: tuple(fates) for task, fates in script.items()}

    def __call__(self, task: int) -> object:
        """Meet the next fate of this task."""
        fates = self.script.get(task, ("ok",))
        fate, _, amount = fates[min(self._count(task), len(fates) - 1)].partition(":")
        result: object = getattr(self, f"_{fate}")(task, float(amount or 0))
        return result

    def calls(self, task: int) -> int:
        """Return how often this task has been begun, in any process."""
        return len(list(Path(self.folder).glob(f"{task}-*")))

    def _count(self, task: int) -> int:
        number = 0
        while True:
            try:
                Path(self.folder, f"{task}-{number}").touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                return number

    def _ok(self, task: int, _amount: float) -> object:
        return task

    def _print(self, task: int, _amount: float) -> object:
        print(f"task {task}")  # noqa: T201
        print(f"warning {task}", file=sys.stderr)  # noqa: T201
        return task

    def _raise(self, task: int, _amount: float) -> object:
        raise ScriptedError(task)

    def _sysexit(self, _task: int, _amount: float) -> object:
        raise SystemExit(3)

    def _exit(self, _task: int, _amount: float) -> object:
        os._exit(7)

    def _kill(self, _task: int, _amount: float) -> object:
        os.kill(os.getpid(), signal.SIGKILL)
        return self._hang(_task, _amount)

    def _segv(self, _task: int, _amount: float) -> object:
        return ctypes.string_at(0)

    def _hang(self, task: int, _amount: float) -> object:
        Event().wait(HANG_S)
        return task

    def _slow(self, task: int, amount: float) -> object:
        SystemClock().sleep(amount)
        return task

    def _close(self, task: int, _amount: float) -> object:
        sys.stdout.close()
        os.closerange(0, 3)
        return task

    def _fork(self, task: int, _amount: float) -> object:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return task

    def _unpicklable(self, _task: int, _amount: float) -> object:
        return (number for number in (1, 2))
