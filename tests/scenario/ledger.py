"""What tasks leave behind for a test to count, in whichever process they ran and however it ended."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wrens.clock import SystemClock

PATIENCE_S = 15.0
"""How long a test waits for what has to happen; far longer than it takes on a busy computer."""
clock = SystemClock()


class Ledger:
    """A file to which every process appends lines, each with one write, so that none is torn or lost."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)

    def note(self, *words: object) -> None:
        """Append a line."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, (" ".join(map(str, words)) + "\n").encode())
        finally:
            os.close(fd)

    def lines(self) -> list[str]:
        """Return the lines that are there now."""
        try:
            return Path(self.path).read_text().splitlines()
        except FileNotFoundError:
            return []

    def counts(self) -> Counter[str]:
        """Return how often each line is there."""
        return Counter(self.lines())

    def noted(self, task: Callable[[Any], Any]) -> Noted:
        """Return the function with a line of its input before each call."""
        return Noted(self, task)


def doze(seconds: float) -> None:
    """Take time, as a slow task does."""
    clock.sleep(seconds)


def hold(seconds: float = 60.0) -> None:
    """Hang, but not for ever, so that a failing test ends too."""
    threading.Event().wait(seconds)


class Noted:
    """A function that notes each input before it is called."""

    def __init__(self, ledger: Ledger, task: Callable[[Any], Any]) -> None:
        self.ledger, self.task = ledger, task

    def __call__(self, x: Any) -> Any:
        self.ledger.note(x)
        return self.task(x)


def until(
    condition: Callable[[], Any], within_s: float = PATIENCE_S, what: str = "what was waited for"
) -> Any:
    """Wait until the condition returns something true, and return that.

    Raises:
        AssertionError: if it does not happen in time.
    """
    end = clock.now() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert clock.now() < end, f"{what} did not happen within {within_s:g} s"
        clock.sleep(0.01)


class Stopwatch:
    """Tells how many seconds have passed since it was made."""

    def __init__(self) -> None:
        self._began = clock.now()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return clock.now() - self._began
