"""Who watches every executor, beside the observers that it was given.

The core may not import what is built on it, so those that watch by default are named as text, as backends
are, and are imported only where there is somebody to look: in a terminal or a notebook. Decides that; what
they show is theirs to decide. And says what a program that has come to its end still waits for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from wrens import events
from wrens.worker.context import current_task

default_observers = ["wrens.report.progress:observer"]
"""Functions that return an observer, or ``None`` when they have nothing to watch for."""


def watched(observers: Sequence[events.Observer], *, in_process: bool) -> list[events.Observer]:
    """Return the observers of an executor, with those that watch by default.

    There are none of these inside a task, whose output is not the user's screen, and none when the work is
    done in this process: there it is run for a debugger, which has the terminal for itself.

    Args:
        observers: Those that the executor was given.
        in_process: Whether the backend works in this process.

    >>> watched([], in_process=True)
    []
    """
    found = list(observers)
    if in_process or current_task() is not None or not _somebody_looks():
        return found
    for name in default_observers:
        module, _, attribute = name.partition(":")
        observer = getattr(import_module(module), attribute)()
        if observer is not None:
            found.append(observer)
    return found


def waited_for(tasks: int) -> None:
    """Say what the end of the program waits for, where somebody looks who might wonder."""
    if current_task() is None and _somebody_looks():
        what = f"{tasks:,} tasks have" if tasks != 1 else "1 task has"
        with contextlib.suppress(Exception):  # whatever stderr is by now
            sys.stderr.write(
                f"wrens: the program ends when {what} ended. Ctrl-C ends it now; what is settled of jobs that "
                "are named or kept stays, for wrens.attach.\n"
            )
            sys.stderr.flush()


def _somebody_looks() -> bool:
    wanted = os.environ.get("WRENS_PROGRESS")
    if wanted in {"0", "1"}:
        return wanted == "1"
    try:
        return "IPython" in sys.modules or sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False  # stderr is closed, or there is none
