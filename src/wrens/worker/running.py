"""One attempt while it runs: what the main thread and the watchdog share.

    tasks     the inputs, a list; the main thread iterates over it, the watchdog may empty it
    results   one entry for each task that is over, in order
    failures  index -> Failure, written before the entry in ``results``
    again     indexes whose failure the policy wants repeated

**Why no task is settled twice.** The main thread takes its inputs from a list iterator, each step of which
is atomic. To stop it, the watchdog empties the list: from that moment no further task begins. *Then* it
reads how many results there are, say ``n``. Tasks before ``n`` belong to the verdict that it writes; the
next one, if begun, belongs to the child in which the main thread goes on, also when it ends at this very
moment; the others were not begun and never will be here. The main thread learns of the cut only after its
last task, under the lock, when it asks what is left for it to settle. So the loop itself takes no lock.

Decides which tasks belong to which verdict; when to cut is :mod:`wrens.worker.watchdog`'s decision.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from msgspec.structs import replace

from wrens.serialize import Pack
from wrens.wire.handing_on import runs
from wrens.wire.records import Child, Failure, Invocation, Metered, Refusal, Requests
from wrens.worker.context import TaskContext
from wrens.worker.host import Host

Phase = Literal["setup", "running", "closing", "over"]
FAILED = object()
"""Stands in ``results`` for a task that has none."""


class Running:
    """The state of one attempt.

    Args:
        invocation: What to run.
        host: Where.
    """

    def __init__(self, invocation: Invocation, host: Host) -> None:
        self.invocation, self.host = invocation, host
        self.batch, self.attempt = invocation.batch, invocation.attempt
        self.lock = threading.Lock()
        """Held to change ``phase``, ``batch``, ``attempt``, ``first`` and ``last``, and while the watchdog
        commits."""
        self.phase: Phase = "setup"
        self.first, self.last = 0, invocation.count
        """The tasks that are still to be settled here, as indexes: ``first`` up to before ``last``."""
        self.tasks: list[Any] = []
        self.feed: Iterator[Any] = iter(self.tasks)
        self.results: list[Any] = []
        self.failures: dict[int, Failure] = {}
        self.again: set[int] = set()
        self.pack: Pack | None = None
        self.pack_first = 0
        """The packed inputs, and the place of the first task's among them."""
        self.lazy = False
        """Whether ``tasks`` holds places in the pack instead of the inputs themselves."""
        self.stamps: list[float] = []
        """When the loop began and when each task ended; given up when tasks are short."""
        self.name = "the function"
        self.memory_mb = invocation.policy.memory_mb if host.leave and sys.platform == "linux" else None
        """The memory limit that is held here: by Linux, for a process of our own."""
        self.lost = ""
        """Why there will be no verdict from here."""
        self.refused: Refusal | None = None
        """The error behind that, when one is known."""
        self.metered: Metered | None = None
        """By what the platform bills what is not in a verdict yet."""
        self.restart()
        self.metered = invocation.metered

    def restart(self) -> None:
        """Begin to count anew what the attempt uses; for the child in which it goes on."""
        self.began, self.began_at = self.host.clock.now(), self.host.clock.wall()
        self.setup_s = self.fetch_s = 0.0
        self.cpu_from = time.process_time()
        self.traffic_from = (self.host.traffic.read, self.host.traffic.written)
        self.requests_from = self.host.requests()
        if self.metered is not None:
            self.metered = replace(self.metered, since=self.began_at, invocations=0, requests=Requests())

    def feed_with(self, tasks: list[Any]) -> None:
        """Give the inputs; from here on the watchdog may cut."""
        self.tasks, self.feed = tasks, iter(tasks)
        self.setup_s = self.host.clock.now() - self.began
        with self.lock:
            if self.phase == "setup":
                self.phase = "running"
            else:
                self.tasks.clear()

    def unbegun(self) -> int:
        """Return about how many tasks have not been begun."""
        return max(0, len(self.tasks) - len(self.results) - 1)

    def halt(self) -> tuple[int, bool]:
        """Let no further task begin.

        Returns:
            How many tasks are over, and whether one more has begun.
        """
        self.tasks.clear()
        # An exhausted list iterator reduces to two things, one that can go on to three, the last being its
        # position: the number of tasks that it has given out.
        state: Any = self.feed.__reduce__()
        over = len(self.results)
        return over, len(state) == 3 and state[2] > over

    def context(self) -> TaskContext:
        """Return what the user's code may know of the task that runs now."""
        given = self.invocation
        task = min(len(self.results), given.count - 1) + given.start
        return TaskContext(given.job, task, self.attempt, self.host.backend, given.store, given.environment)

    def per_task_s(self, over: int) -> float:
        """Return what a task has taken on average, or what the first has taken so far."""
        return (self.host.clock.now() - self.began - self.setup_s) / max(1, over - self.first)

    # What a verdict says of the tasks that are over ---------------------------------------------------

    def values(self, stop: int, without: AbstractSet[int]) -> tuple[list[Any], tuple[int, ...]]:
        """Return the results from ``first`` to before ``stop``, and the index of each when some are missing."""
        if without:
            good = tuple(i for i in range(self.first, stop) if i not in without)
            return [self.results[i] for i in good], good
        if self.phase == "closing" and self.first == 0:
            return self.results, ()
        # A copy, because while the watchdog packs it the main thread may add one.
        return self.results[self.first : stop], ()

    def bad(self, stop: int) -> tuple[dict[int, Failure], list[int]]:
        """Return the failures of the tasks before ``stop``, and those tasks that are to be run again."""
        # Copied in one step each: the main thread may be adding that of the task which runs now.
        failures, again = self.failures.copy(), self.again.copy()
        return (
            {i: failure for i, failure in failures.items() if self.first <= i < stop},
            sorted(i for i in again if self.first <= i < stop),
        )

    def retries(self, again: list[int], stop: int) -> list[Child]:
        """Return a child for each run of tasks whose failure is to be repeated."""
        if not again:
            return []
        start, tries = self.invocation.start, self.invocation.tries + 1
        pieces = runs([start + i for i in again], self.per_task_s(stop), self.invocation.sharing.target_s)
        return [Child(*piece, tries, self.invocation.losses) for piece in pieces]

    def go_on(self, index: int, attempt: str) -> None:
        """Make the one task at ``index``, which is running, all that is left to settle, as ``attempt``."""
        self.first, self.last, self.attempt = index, index + 1, attempt
        self.batch = attempt.rpartition(".")[0]
        self.restart()
