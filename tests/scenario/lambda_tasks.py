"""Tasks for ``test_lambda.py``, apart from it so that workers need none of its packages."""

from __future__ import annotations

import os
import signal
import time


def sleeps(s: float) -> float:
    """Take a while."""
    time.sleep(s)  # noqa: TID251 - a task that takes its time
    return s


def killed_unless_large(_: int) -> int:
    """Stand for a task that needs more memory than the small function has: the emulator limits none."""
    size = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
    if size < 1024:
        hold = bytearray(int(0.93 * size * 1e6))
        hold[::4096] = b"x" * len(hold[::4096])
        sleeps(0.6)  # until the watchdog has read how much is used
        os.kill(os.getpid(), signal.SIGKILL)
    return size


def exits(code: int) -> None:
    """Say something, and end the process."""
    print("last words", flush=True)
    os._exit(code)
