"""Sends attempts to the function, as many requests at a time as the service takes.

    put ──▶ queue ──▶ threads, as many as the window has room ──▶ taken
              ▲                         │
              └── refused: sent again later, first in the queue

Nothing is ever dropped: what the service refuses for being too much waits and is sent again, until its attempt is
withdrawn. Decides the order and the waits; how many requests are open is decided in
:mod:`wrens.backends.aws_lambda.pacing`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import msgspec

from wrens.backends.aws_lambda import orders
from wrens.backends.aws_lambda.clients import Throttled, Unreachable
from wrens.backends.aws_lambda.pacing import Window
from wrens.clock import Clock
from wrens.wire.records import Invocation

Invoke = Callable[[str, bytes], None]
THREADS = 64
PATIENCE = 10
"""How often an attempt is sent while the service does not answer, before it counts as lost."""
ATTEMPT_BYTES = 20_000
"""Beyond this size an attempt travels alone, or orders of several would exceed a payload."""


class Withdrawn(Exception):
    """Nobody wants the attempt any more, and it has not been sent."""


@dataclass(slots=True, eq=False)
class _Waiting:
    invocation: Invocation
    function: str
    failures: int = 0


class Invoker:
    """Sends attempts from threads of its own.

    Args:
        invoke: Has a function invoked with a payload.
        clock: Tells the time.
        on_sent: Called, from one of its threads, with attempts that the service has taken.
        on_failed: Called likewise with attempts that were not sent and will not be, and why.
    """

    def __init__(
        self,
        invoke: Invoke,
        clock: Clock,
        on_sent: Callable[[Sequence[Invocation]], None],
        on_failed: Callable[[Sequence[Invocation], Exception], None],
    ) -> None:
        self.window = Window()
        self.requests = self.throttled = 0
        """Requests that were sent, and those of them that the service refused for being too much."""
        self._invoke, self._clock = invoke, clock
        self._on_sent, self._on_failed = on_sent, on_failed
        self._queue: deque[_Waiting] = deque()
        self._open: set[str] = set()
        """Attempts whose request is open."""
        self._unwanted: set[str] = set()
        """Those of them that nobody wants any more."""
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._not_before = 0.0
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether there is something that has not been sent."""
        return bool(self._queue or self.window.opened)

    def put(self, invocations: Sequence[Invocation], function_of: Callable[[Invocation], str]) -> None:
        """Send these attempts soon, each to its function."""
        with self._changed:
            self._queue.extend(_Waiting(one, function_of(one)) for one in invocations)
            wanted = min(THREADS, len(self._queue) - self._idle + len(self._threads))
            while len(self._threads) < wanted:
                name = f"wrens-invoke-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()
            self._changed.notify_all()

    def withdraw(self, attempts: Collection[str]) -> tuple[list[str], set[str]]:
        """Take back attempts that have not been sent.

        Returns:
            Those, and the others whose request is open at this moment. They are sent, or reported as
            :exc:`Withdrawn`.
        """
        with self._changed:
            back = [one.invocation.attempt for one in self._queue if one.invocation.attempt in attempts]
            if back:
                gone = set(back)
                self._queue = deque(one for one in self._queue if one.invocation.attempt not in gone)
            on_their_way = self._open.intersection(attempts)
            self._unwanted |= on_their_way
            return back, on_their_way

    def close(self) -> list[Invocation]:
        """Send nothing more; returns what was not sent."""
        with self._changed:
            self._closed = True
            left = [one.invocation for one in self._queue]
            self._queue.clear()
            self._changed.notify_all()
        return left

    # --- in the threads ---

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            self._send(*taken)

    def _take(self) -> tuple[list[_Waiting], int] | None:
        """Wait until something may be sent, and take it out of the queue; ``None`` at the end."""
        with self._changed:
            self._idle += 1
            try:
                while not self._closed:
                    wait = self._not_before - self._clock.now()
                    if self._queue and self.window.room and wait <= 0:
                        return self._next_order(), self.window.open()
                    self._changed.wait(wait if self._queue and wait > 0 else None)
                return None
            finally:
                self._idle -= 1

    def _next_order(self) -> list[_Waiting]:
        count = orders.together(len(self._queue), int(self.window.size))
        taken = [self._queue.popleft()]
        while len(taken) < count and self._queue and self._fits(taken[0], self._queue[0]):
            taken.append(self._queue.popleft())
        self._open.update(one.invocation.attempt for one in taken)
        return taken

    @staticmethod
    def _fits(first: _Waiting, other: _Waiting) -> bool:
        small = max(len(first.invocation.inputs), len(other.invocation.inputs)) < ATTEMPT_BYTES
        return small and first.function == other.function and not other.failures

    def _send(self, taken: list[_Waiting], era: int) -> None:
        order = orders.order_of([one.invocation for one in taken], taken[0].function, self._clock.wall())
        failure: Exception | None = None
        try:
            self._invoke(order.function, orders.encode(order))
            self._on_sent(order.invocations)
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempts must be accounted for
            failure = error
        with self._changed:
            self.requests += 1
            names = {one.invocation.attempt for one in taken}
            unwanted = [one for one in taken if one.invocation.attempt in self._unwanted]
            self._open -= names
            self._unwanted -= names
            if failure is None:
                self.window.taken()
                lost: list[_Waiting] = []
            else:
                wanted = [one for one in taken if one not in unwanted]
                lost = self._refused(wanted, failure, era)
            self._changed.notify()
        if failure is not None:
            self._report(unwanted, Withdrawn())
            self._report(lost, failure)

    def _report(self, attempts: Sequence[_Waiting], error: Exception) -> None:
        if attempts:
            self._on_failed([one.invocation for one in attempts], error)

    def _refused(self, taken: list[_Waiting], failure: Exception, era: int) -> list[_Waiting]:
        """Note a request that was not taken, and queue once more what it held; return what counts as lost."""
        if isinstance(failure, Throttled):
            self.throttled += 1
            self.window.refused(era)
            self._again(taken)
            self._pause(self.window.pause_s())
            return []
        self.window.failed()
        return self._failed(taken, failure)

    def _again(self, taken: Sequence[_Waiting]) -> None:
        if not self._closed:
            self._queue.extendleft(reversed(taken))

    def _failed(self, taken: list[_Waiting], failure: Exception) -> list[_Waiting]:
        if not isinstance(failure, Unreachable) or not taken:
            return taken
        for one in taken:
            one.failures += 1
            # It may have been taken all the same.
            one.invocation = msgspec.structs.replace(one.invocation, look_first=True)
        again = [one for one in taken if one.failures < PATIENCE]
        self._again(again)
        self._pause(min(5.0, 0.05 * 2.0 ** taken[0].failures))
        return [one for one in taken if one.failures >= PATIENCE]

    def _pause(self, longest_s: float) -> None:
        spread = 0.5 + os.urandom(1)[0] / 510  # between half and all of it, so that clients do not keep step
        self._not_before = max(self._not_before, self._clock.now() + longest_s * spread)
