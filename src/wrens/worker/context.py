"""What a running task can learn about itself.

Decides nothing; :func:`current_task` is for user code that wants a key to make its side effects repeatable, and
for an ``Executor`` made inside a task, which has to know that it is inside one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TaskContext:
    """Which task this is, and where it runs.

    Args:
        job: The job's id.
        task: The task's number in the job.
        attempt: Name of the attempt; another try of the task has another one, so ``(job, task)`` is the key
            for what must happen once.
        backend: Name of the backend.
        store: URL of the store that holds the job.
        environment: Digest of the packages that its worker was given; empty when it has its own.
    """

    job: str
    task: int
    attempt: str
    backend: str
    store: str
    environment: str = field(default="", repr=False)


Teller = Callable[[], TaskContext]
_thread = threading.local()
_process: Teller | None = None


def current_task() -> TaskContext | None:
    """Return the context of the task that is running, or ``None`` outside of one.

    In a worker process it answers in every thread; under the ``inline`` backend only in the thread that
    runs the task.

    >>> current_task() is None
    True
    """
    tell: Teller | None = getattr(_thread, "tell", None) or _process
    return None if tell is None else tell()


def enter(tell: Teller | None, *, whole_process: bool) -> Teller | None:
    """Make ``tell`` answer :func:`current_task` from now on; return what answered before, to be put back."""
    global _process
    before: Teller | None
    if whole_process:
        before, _process = _process, tell
    else:
        before = getattr(_thread, "tell", None)
        _thread.tell = tell
    return before
