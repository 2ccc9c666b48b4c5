"""A thread that looks after the attempt while the main thread is in the user's code.

    every tick      beat, follow the parent, see which task runs and since when
    ran long        hand on what has not been begun, and go on with the running task alone
    task too long   settle what is over, fail that task, hand on the rest, end the process
    stop_at near    settle what is over, hand on the rest, end the process
    parent gone     the same
    every 10 s      leave a heartbeat in the store

Decides when. How the main thread is stopped without a lock in its loop is told in
:mod:`wrens.worker.running`. The thread sleeps while the worker has been idle for a second, and a short attempt
does not pay for waking it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

from wrens.errors import StoreError, TaskTimeout
from wrens.serialize import describe_failure
from wrens.wire import envelope, keys
from wrens.wire.handing_on import cut
from wrens.wire.records import Child, Failure, Heartbeat
from wrens.worker import blame, page
from wrens.worker.host import EXIT_DEADLINE, EXIT_ORPHAN, EXIT_TIMEOUT, Host
from wrens.worker.memory import resident_bytes
from wrens.worker.running import Running
from wrens.worker.settle import commit
from wrens.worker.talk import REASON, Notice

TICK_S = 0.02
LINGER_S = 1.0
"""How long it goes on ticking after the last attempt."""
REST_S = 5.0
"""How often it looks for its parent while it rests."""
MEMORY_S = 0.25
HEARTBEAT_S = 10.0
MARGIN_S = 1.0
"""How long before ``stop_at`` it begins to settle."""


class Watchdog:
    """Looks after one attempt at a time.

    Args:
        host: The worker. It must be able to ``leave``.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._run: Running | None = None
        self._rested = threading.Condition()
        self._resting = False
        self._since = 0.0
        self._index = -1
        self._next_memory = self._next_heartbeat = 0.0
        self._idle_since = 0.0

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name="wrens-watchdog", daemon=True).start()

    def begin(self, run: Running) -> None:
        """Look after this attempt from now on."""
        self._run = run
        if self._resting:
            with self._rested:
                self._rested.notify()

    def end(self) -> None:
        """Look after it no longer."""
        self._run = None

    def _work(self) -> None:
        host = self._host
        wait = threading.Event().wait
        seen: Running | None = None
        while True:
            run, now = self._run, host.clock.now()
            if run is not None:
                if run is not seen:
                    seen, self._index = run, -1
                    self._next_memory = now
                    self._next_heartbeat = now + HEARTBEAT_S
                self._idle_since = now
                with contextlib.suppress(MemoryError):  # the user's task has taken all there was
                    self.look(run, now)
            else:
                # Held no longer than it runs: the task's arguments are the user's to be freed.
                seen = None
                if now - self._idle_since > LINGER_S:
                    self._rest()
                    continue
            run = None
            wait(TICK_S)

    def _rest(self) -> None:
        """Sleep until there is an attempt, or it is time to look for the parent."""
        host = self._host
        host.page[page.BEAT] = 0
        with self._rested:
            self._resting = True
            # ``begin`` sets the attempt first and looks at ``_resting`` second, so one of us sees the other.
            if self._run is None:
                self._rested.wait(REST_S)
            self._resting = False
        if host.orphaned():
            self._leave(EXIT_ORPHAN)

    def look(self, run: Running, now: float) -> None:
        """Look at an attempt once, and do what is due.

        Args:
            run: The attempt.
            now: The time, in seconds of the host's clock.
        """
        host, policy = self._host, run.invocation.policy
        host.page[page.BEAT] = int(now * 1e9)
        if now >= self._next_memory:
            self._next_memory = now + MEMORY_S
            host.page[page.MEMORY] = reading = resident_bytes()
            host.page[page.PEAK] = max(reading, host.page[page.PEAK])
        # Setting up is not the first task's time.
        index = len(run.results) if run.phase == "running" else -1
        if index != self._index:
            self._index, self._since = index, now
        stop_at = run.invocation.stop_at
        if host.orphaned():
            self._abandon(run, EXIT_ORPHAN)
        elif stop_at is not None and host.clock.wall() >= stop_at - MARGIN_S:
            self._abandon(run, EXIT_DEADLINE)
        elif run.phase != "running":
            pass
        elif policy.timeout_s is not None and now - self._since >= policy.timeout_s:
            self._time_out(run, index, policy.timeout_s)
        elif self._is_long(run, now):
            self._share(run)
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_S
            self._beat(run)

    def _is_long(self, run: Running, now: float) -> bool:
        after_s = run.invocation.sharing.after_s
        return after_s is not None and now - run.began - run.setup_s >= after_s and run.unbegun() > 0

    def _share(self, run: Running) -> None:
        """Hand on what has not been begun, and let the main thread go on with the running task alone."""
        with run.lock:
            if run.phase != "running":
                return
            stop, busy = run.halt()
            # When nothing is left, it has just begun the last one, and will settle the batch itself.
            if stop + busy < run.last:
                self._part(run, stop, busy=busy)

    def _part(self, run: Running, stop: int, *, busy: bool) -> None:
        """Settle what is over and hand on the rest; a task that is running goes on as a child of its own."""
        children = self._rest_of(run, stop + busy)
        before, following = run.attempt, keys.going_on(run.attempt)
        if busy:
            invocation = run.invocation
            child = Child(invocation.start + stop, 1, invocation.tries, invocation.losses, following)
            children.insert(0, child)
            if invocation.unheard:
                # First, so that who finds the verdict knows by then that this worker is not free.
                self._beat(run, following)
        if not self._commit(run, stop, children):
            return
        if busy:
            run.go_on(stop, following)
            self._host.notify(Notice(before, following))
        else:
            run.phase = "over"

    def _time_out(self, run: Running, index: int, timeout_s: float) -> None:
        """Fail the task that takes too long, and the process with it: a thread cannot be stopped."""
        with run.lock:
            if run.phase != "running":
                return
            invocation = run.invocation
            stop, busy = run.halt()
            if stop != index or not busy:
                # It ended just now. What was kept from beginning is handed on, and this process goes on.
                if stop + busy < run.last:
                    self._part(run, stop, busy=busy)
                return
            task = invocation.start + index
            error = TaskTimeout(invocation.job, task, timeout_s, blame.stack(self._host.main_thread))
            rest = self._rest_of(run, index + 1)
            if invocation.tries + 1 < invocation.policy.tries and blame.retried(
                error, invocation.policy.retry_on
            ):
                again = Child(task, 1, invocation.tries + 1, invocation.losses)
                self._commit(run, stop, [again, *rest])
            else:
                self._commit(run, stop, rest, [(index, describe_failure(error, kind="system"))])
            self._depart(run, EXIT_TIMEOUT)

    def _abandon(self, run: Running, code: int) -> None:
        """Settle what is over, hand on everything else, and end the process.

        A task that was the first of its attempt and still did not end in time will hardly end in time elsewhere,
        so this counts as a loss for it. When it had most of the time itself, the second time is its failure; when
        setting up took it, a worker that is warm by now may do better. A later task just began too late.
        """
        with run.lock:
            if run.phase == "running":
                stop, busy = run.halt()
            elif run.phase == "setup":
                stop, busy = 0, False
            else:
                return
            invocation = run.invocation
            children = self._rest_of(run, stop + busy)
            whole = busy and stop == run.first and code == EXIT_DEADLINE
            failures: list[tuple[int, Failure]] = []
            had_s = self._host.clock.now() - self._since
            if whole and invocation.losses and 2 * had_s > self._host.clock.now() - run.began:
                failures = [(stop, self._out_of_time(run, invocation.start + stop, had_s))]
            elif busy:
                children.insert(
                    0, Child(invocation.start + stop, 1, invocation.tries, invocation.losses + whole)
                )
            if stop > run.first or code == EXIT_DEADLINE:
                self._commit(run, stop, children, failures)
            else:
                run.lost = "the client is gone"
            self._depart(run, code)

    def _out_of_time(self, run: Running, task: int, had_s: float) -> Failure:
        """Say that a task has had most of the time that the platform gives a worker."""
        where = blame.stack(self._host.main_thread)
        error = TaskTimeout(run.invocation.job, task, had_s, where, limit="worker's time on this platform")
        return describe_failure(error, kind="system")

    def _rest_of(self, run: Running, index: int) -> list[Child]:
        """Return the tasks from ``index`` on as children."""
        invocation = run.invocation
        count = run.last - index
        if invocation.sharing.after_s is None:
            pieces: tuple[tuple[int, int], ...] = ((invocation.start + index, count),) if count > 0 else ()
        else:
            pieces = cut(invocation.start + index, count, run.per_task_s(index), invocation.sharing)
        return [Child(*piece, invocation.tries, invocation.losses) for piece in pieces]

    def _commit(
        self, run: Running, stop: int, children: list[Child], failures: Sequence[tuple[int, Failure]] = ()
    ) -> bool:
        """Commit; otherwise let the main thread stop as soon as its task ends, with nothing to settle."""
        try:
            if commit(run, stop, children, failures):
                return True
        except Exception as error:  # noqa: BLE001 - packing runs the user's __reduce__; the store may fail
            run.lost = f"{type(error).__name__}: {error}"
        run.phase = "over"
        return False

    def _depart(self, run: Running, code: int) -> None:
        """Say how the attempt ended, and end the process."""
        run.phase = "over"
        self._host.notify(Notice(run.attempt, lost=run.lost[:REASON], leaves=True))
        self._leave(code)

    def _leave(self, code: int) -> None:
        if self._host.leave is not None:
            self._host.leave(code)

    def _beat(self, run: Running, attempt: str = "") -> None:
        """Leave a sign of life in the store; it is only evidence, so a store that refuses is no matter."""
        host, invocation = self._host, run.invocation
        sign = Heartbeat(
            attempt=attempt or run.attempt,
            at=host.clock.wall(),
            task=host.page[page.TASK],
            memory_mb=host.page[page.MEMORY] / 1e6,
            cpu_s=time.process_time(),
            where=host.where,
        )
        key = keys.evidence(invocation.job, sign.attempt, "heartbeat")
        with contextlib.suppress(StoreError):
            host.put(invocation.store, key, [envelope.to_json(sign)], mode="replace")
