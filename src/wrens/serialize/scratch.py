"""Private directories of this process, removed when it ends.

A process that is killed cannot tidy up. So each holds a lock on a file in its directory for as long as it
lives, and a process that makes one removes those that nobody locks any more. Decides where and how long; what
is in them is the caller's business.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "wrens-modules-"
_DRAFT = ".wrens-modules-"
_made: dict[int, Path] = {}
_locks: list[int] = []


def scratch() -> Path:
    """Return this process's directory, making it at the first call.

    >>> scratch() == scratch(), scratch().is_dir()
    (True, True)
    """
    here = _made.get(os.getpid())
    if here is None:
        parent = Path(tempfile.gettempdir())
        _sweep(parent)
        # Made under another name and locked before it gets its own, or a sweep could come in between.
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=parent))
        lock = os.open(draft / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _locks.append(lock)  # stays open, and so locked, until the process is gone
        here = draft.rename(parent / (_PREFIX + draft.name.removeprefix(_DRAFT)))
        _made[os.getpid()] = here
        atexit.register(_remove, here, os.getpid())
    return here


def tidy() -> None:
    """Remove this process's directory now, for a process that leaves without running its exit handlers.

    >>> directory = scratch()
    >>> tidy()
    >>> directory.exists()
    False
    """
    here = _made.pop(os.getpid(), None)
    if here is not None:
        _remove(here, os.getpid())


def _remove(directory: Path, owner: int) -> None:
    """Remove a directory if this process made it; a forked child leaves it alone."""
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what killed processes of this user left behind."""
    for old in parent.glob(_PREFIX + "*"):
        try:
            lock = os.open(old / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another user's, or just being made or removed
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except OSError:  # locked: its process lives
            continue
        finally:
            os.close(lock)
