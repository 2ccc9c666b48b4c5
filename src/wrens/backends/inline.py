"""No workers at all: attempts run one after another in the driver's own thread.

For the debugger, for coverage and for tiny programs: a breakpoint in a task stops where it should, and output
goes where it always goes. The same worker code runs as everywhere, but nothing can be stopped while it runs,
so a timeout is noticed only afterwards. Decides nothing more.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Collection, Sequence

from wrens.backends.base import Committed, Limits, Lost, Notice
from wrens.clock import Clock, SystemClock
from wrens.serialize import resolving
from wrens.wire.records import Invocation, Loss, Refusal
from wrens.worker.attempt import run
from wrens.worker.host import Host
from wrens.worker.refs import Refs


class InlineBackend:
    """Runs each attempt inside :meth:`poll`.

    Args:
        max_workers: Taken for the sake of one signature for all backends; there is always one.
        clock: The time.

    >>> InlineBackend().limits.in_process
    True
    """

    name = "inline"

    def __init__(self, max_workers: int | None = None, *, clock: Clock | None = None) -> None:  # noqa: ARG002
        self.limits = Limits(1, payload_bytes=1 << 30, launch_s=0.0, in_process=True)
        self._clock = clock or SystemClock()
        self._queue: deque[Invocation] = deque()
        self._seen: list[Notice] = []
        self._woken = threading.Event()
        self._host: Host | None = None

    def launch(self, invocations: Sequence[Invocation]) -> None:
        """Queue these attempts for the next polls."""
        self._queue.extend(invocations)

    def poll(self, timeout_s: float) -> Sequence[Notice]:
        """Run one attempt that waits and report it; when none waits, wait for :meth:`wake`.

        Raises:
            KeyboardInterrupt: when the user interrupts a task. Its attempt is reported by the next poll.
        """
        if self._queue and not self._seen:
            self._run(self._queue.popleft())
        elif not self._seen:
            self._woken.wait(max(0.0, timeout_s))
        self._woken.clear()
        found, self._seen = self._seen, []
        return found

    def wake(self) -> None:
        """Make a :meth:`poll` that waits return at once; callable from any thread."""
        self._woken.set()

    def cancel(self, attempts: Collection[str]) -> None:
        """Withdraw those that have not begun; there is no other kind."""
        for invocation in [one for one in self._queue if one.attempt in attempts]:
            self._queue.remove(invocation)
            self._lose(invocation, "cancelled", started=False)

    def close(self) -> None:
        """Forget what waits."""
        self._queue.clear()

    def _run(self, invocation: Invocation) -> None:
        if self._host is None or self._host.pid != os.getpid():
            self._host = Host(self.name, f"{self.name} in process {os.getpid()}", self._clock)
        host = self._host
        try:
            with resolving(Refs(host)):
                report = run(invocation, host)
        except KeyboardInterrupt:
            self._lose(invocation, "interrupted by Ctrl-C", started=True, interrupted=True)
            raise
        if report.lost:
            self._lose(invocation, report.lost, started=True, refused=report.refused)
        else:
            self._seen.append(Committed(report.attempt))

    def _lose(
        self,
        invocation: Invocation,
        reason: str,
        *,
        started: bool,
        refused: Refusal | None = None,
        interrupted: bool = False,
    ) -> None:
        where = f"{self.name} in process {os.getpid()}"
        loss = Loss(reason, invocation.attempt, where, started=started, refused=refused)
        self._seen.append(Lost(invocation.attempt, loss, interrupted))
