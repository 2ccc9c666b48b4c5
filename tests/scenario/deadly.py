"""A task that sometimes kills its own worker, and notes what it does.

    <folder>/<task>      begin <batch> <seconds since 1970>
                         kill | end

Decides by a seed, the task and the number of its calls so far whether a call kills, so that the same calls do in
every run. Tasks import this module and :mod:`ledger`, and nothing of the servers.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from ledger import Ledger, doze

from wrens import current_task
from wrens.clock import SystemClock


@dataclass(frozen=True)
class Deadly:
    """Takes a moment and returns the square of its input, or kills its worker half-way.

    Args:
        folder: Where the notes are.
        seconds: How long a call takes.
        share: The share of calls that kill.
        seed: Makes the choice.
    """

    folder: str
    seconds: float
    share: float
    seed: int = 1

    def __call__(self, x: int) -> int:
        notes = Ledger(Path(self.folder) / str(x))
        calls = sum(line.startswith("begin") for line in notes.lines())
        here = current_task()
        assert here is not None
        notes.note("begin", here.attempt.rpartition(".")[0], SystemClock().wall())
        doze(self.seconds / 2)
        if self.kills(x, calls):
            notes.note("kill")
            os.kill(os.getpid(), signal.SIGKILL)
        doze(self.seconds / 2)
        notes.note("end")
        return x * x

    def kills(self, task: int, calls: int) -> bool:
        """Whether this call of a task kills its worker."""
        drawn = blake2b(f"{self.seed}:{task}:{calls}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64


@dataclass
class Notes:
    """What the calls have left behind."""

    begun: list[tuple[int, str, float]] = field(default_factory=list)
    """Task, batch and time of each call."""
    killed: int = 0


def read(folder: Path) -> Notes:
    """Return what all calls have noted."""
    notes = Notes()
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            word, *rest = line.split()
            if word == "begin":
                notes.begun.append((int(path.name), rest[0], float(rest[1])))
            notes.killed += word == "kill"
    return notes
