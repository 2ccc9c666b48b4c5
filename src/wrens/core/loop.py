"""The life of the driver's thread: started when there is something to do, ended when nothing is left.

    open ──drain──▶ draining ──nothing left──▶ ended ──tidied up──▶ closed
      └────────────abandon──────────────────────▲

Decides who calls :meth:`Loop.step`, and that every request is either carried out or refused to the face of who
asks: between the last look for requests and the end nobody can slip one in. What a step is, and what is tidied
up, is the driver's business.
"""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable


class Loop(ABC):
    """Serves requests of other threads in one thread, or where there is none in the callers'.

    Args:
        name: The thread's name.
        has_thread: Whether there is one; otherwise those who ask call :meth:`step` themselves.
    """

    def __init__(self, name: str, *, has_thread: bool) -> None:
        self.made_in = os.getpid()
        self.died: BaseException | None = None
        self._name = name
        self._has_thread = has_thread
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._requests: deque[Callable[[], None]] = deque()
        self._gate = threading.Lock()
        """Held to take up a request, and to end."""
        self._draining = self._abandoned = self._ended = self._ran_here = False
        self._closed = threading.Event()

    @abstractmethod
    def step(self, *, wait: bool = True) -> None:
        """Do what is due, and wait for something to do."""

    @abstractmethod
    def has_work(self) -> bool:
        """Whether there is, or may come, something to work for beside requests."""

    @abstractmethod
    def wake(self) -> None:
        """Make a step that waits return; from any thread."""

    @abstractmethod
    def let_go(self, error: BaseException | None) -> None:
        """Tidy up after the last step; ``error`` says why, when work is left."""

    # --- from any thread ---

    def post(self, request: Callable[[], None]) -> None:
        """Have ``request`` called in the driver's thread, soon.

        Raises:
            RuntimeError: when the driver has ended; and in a process that was forked from the one that made
                it, because threads and workers do not come along.
        """
        if os.getpid() != self.made_in:
            raise RuntimeError(
                f"this executor was made in process {self.made_in} and does not work in its fork {os.getpid()}; "
                "make an Executor there"
            )
        with self._gate:
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._requests.append(request)
        self._wake()

    def _wake(self) -> None:
        if self._thread is None and self._has_thread:
            self._start()
        if not self._ended:
            self.wake()

    def drain(self) -> None:
        """End as soon as nothing is left to do: at once, and here, when there is no thread to do it."""
        self._draining = True
        with self._starting:
            here = (
                self._thread is None and not self._ran_here and (not self._has_thread or not self.goes_on())
            )
            self._ran_here = self._ran_here or here
        if here:
            self.run()
        else:
            self._wake()

    def abandon(self) -> None:
        """End without finishing what is left; returns when that is done."""
        self._abandoned = True
        self.drain()
        self.wait_closed()

    def wait_closed(self, timeout_s: float | None = None) -> bool:
        """Wait until the driver has ended and everything is tidied up; tell whether it has within the time."""
        return self._thread is threading.current_thread() or self._closed.wait(timeout_s)

    # --- in the thread ---

    @property
    def requested(self) -> bool:
        """Whether a request waits."""
        return bool(self._requests)

    def serve_requests(self) -> None:
        """Carry out what was asked for, in order."""
        while self._requests:
            self._requests.popleft()()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self.run, name=self._name, daemon=True)
                self._thread.start()

    def run(self) -> None:
        """Step until drained or abandoned, then tidy up, whatever happens."""
        if threading.current_thread() is self._thread:
            # Ctrl-C is for the main thread: taken by this one, it would not wake that from waiting for a result.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        error: BaseException | None = None
        try:
            while self.goes_on():
                self.step()
            if self._abandoned:
                error = RuntimeError("the executor was left before this had a result")
        except BaseException as unforeseen:  # noqa: BLE001 - whatever it is, no future may wait for ever
            error = self.died = unforeseen
        try:
            with self._gate:
                self._ended = True
            self.let_go(error)
        finally:
            self._closed.set()

    def goes_on(self) -> bool:
        """Whether there is, or may come, something to work for; afterwards nothing is taken up any more."""
        if self._abandoned:
            return False
        if not self._draining:
            return True
        with self._gate:
            self._ended = not (self._requests or self.has_work())
            return not self._ended
