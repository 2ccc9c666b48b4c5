"""Worker processes on this computer.

    launch ──▶ an idle process, or a new one ──▶ busy ──notice──▶ idle, kept warm
                                                  │
                                                  └── died, hung, cancelled ──▶ buried: Lost

A process runs one attempt at a time; processes are started only when there is work for them. Decides which
process gets an attempt, when one counts as hung, and when output is shown. What a process is, is in
:mod:`wrens.backends.process`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Collection, Sequence

import msgspec

from wrens.backends.base import Committed, Limits, Lost, Notice
from wrens.backends.cpus import usable_cpus
from wrens.backends.output import Crashes, Shown
from wrens.backends.process import Process
from wrens.clock import Clock, SystemClock
from wrens.errors import BadOption
from wrens.wire.records import Invocation, Loss, Refusal
from wrens.worker import page
from wrens.worker import talk as worker

TICK_S = 0.1
"""How late output may be shown."""
LOOK_S = 5.0
"""How often the processes' signs of life are compared."""
HUNG_S = 60.0
"""How long a process may give no sign of life and use no processor before it counts as hung."""
OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
"""Signals that somebody else has sent, or a system that is short of memory."""
STILLBORN = 3
"""After so many processes in a row that ended by themselves before they were ready, the next would, too."""
FAREWELL_S = 0.5
"""How long an idle process gets to leave by itself."""


class LocalBackend:
    """Runs attempts in processes on this computer.

    Args:
        max_workers: How many processes at most; by default one for each processor that may be used.
        clock: The time.

    Raises:
        BadOption: if ``max_workers`` is less than 1.

    >>> backend = LocalBackend(2)
    >>> backend.limits.parallelism
    2
    >>> backend.close()
    """

    name = "local"

    def __init__(self, max_workers: int | None = None, *, clock: Clock | None = None) -> None:
        if max_workers is not None and max_workers < 1:
            raise BadOption(f"max_workers={max_workers}", "leaves nobody to work", "Use 1 or more, or None.")
        # A whole invocation fits into an idle worker's pipe, so that handing it over never waits.
        self.limits = Limits(max_workers or usable_cpus(), payload_bytes=60_000, launch_s=0.0005)
        self._clock = clock or SystemClock()
        self._waiting: deque[Invocation] = deque()
        self._idle: list[_Kept] = []
        self._busy: list[_Kept] = []
        self._leaving: list[_Kept] = []
        """Those that are about to end themselves."""
        self._seen: list[Notice] = []
        self._crashes = Crashes()
        self._stillborn = 0
        self._selector = selectors.DefaultSelector()
        self._waking = threading.RLock()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._next_tick = self._next_look = 0.0
        self._owner = os.getpid()
        self._closed = False

    def launch(self, invocations: Sequence[Invocation]) -> None:
        """Start these attempts; more than ``limits.parallelism`` wait for a free process."""
        self._waiting.extend(invocations)
        self._start()

    def poll(self, timeout_s: float) -> Sequence[Notice]:
        """Return what has been seen since, waiting up to ``timeout_s`` for something to be seen."""
        end = self._clock.now() + timeout_s
        while True:
            left = 0.0 if self._seen else end - self._clock.now()
            wait = min(left, TICK_S) if self._busy else left
            woken = False
            for key, _ in self._selector.select(max(0.0, wait)):
                if key.data is None:
                    woken = True
                    self._drain()
                else:
                    self._hear(key.data)
            self._tick()
            if self._seen or woken or left <= 0:
                found, self._seen = self._seen, []
                return found

    def wake(self) -> None:
        """Make a :meth:`poll` that waits return at once; callable from any thread."""
        with self._waking:
            # Once it is closed, the number of the pipe may be that of somebody else's file.
            if not self._closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake_in, b"w")

    def cancel(self, attempts: Collection[str]) -> None:
        """Kill the processes that run these attempts; withdraw those that wait."""
        for kept in self._busy:
            if kept.process.attempt in attempts:
                kept.process.cancelled = True
                kept.process.kill()
        for invocation in [one for one in self._waiting if one.attempt in attempts]:
            self._waiting.remove(invocation)
            self._lose_unbegun(invocation, "cancelled")

    def close(self) -> None:
        """End all processes: idle ones may leave by themselves, busy ones are killed."""
        with self._waking:
            if self._closed:
                return
            self._closed = True
        if os.getpid() == self._owner:
            everybody = self._idle + self._leaving + self._busy
            for kept in self._idle:
                kept.process.dismiss()
            for kept in self._busy + self._leaving:
                kept.process.kill()
            end = self._clock.now() + FAREWELL_S
            for kept in everybody:
                kept.process.await_end(max(0.0, end - self._clock.now()))
                kept.process.end()
                kept.show(whole=True)
                kept.process.free()
        self._idle, self._busy, self._leaving = [], [], []
        self._waiting.clear()
        self._selector.close()
        os.close(self._wake_out)
        os.close(self._wake_in)

    # Processes -----------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Give waiting attempts to idle processes, or to new ones."""
        while self._waiting and len(self._busy) < self.limits.parallelism:
            invocation = self._waiting.popleft()
            try:
                kept = self._take_idle(invocation.batch) if self._idle else self._engage()
            except OSError as error:
                self._lose_unbegun(invocation, f"no process could be started: {error}")
                continue
            self._busy.append(kept)
            kept.batch = invocation.batch
            kept.process.give(invocation, self._clock.now())

    def _take_idle(self, batch: str) -> _Kept:
        """Return the idle process whose last batch had this number, or else the one used last.

        In a program of many jobs that one may have kept what the batch needs, as supersteps do for their partitions.
        """
        place = next((i for i, kept in enumerate(self._idle) if kept.batch == batch), -1)
        return self._idle.pop(place)

    def _engage(self) -> _Kept:
        kept = _Kept(Process(self.name))
        self._selector.register(kept.process.notices, selectors.EVENT_READ, kept)
        if kept.process.pidfd >= 0:
            self._selector.register(kept.process.pidfd, selectors.EVENT_READ, kept)
        return kept

    def _lose_unbegun(self, invocation: Invocation, reason: str) -> None:
        loss = Loss(reason, invocation.attempt, self.name, started=False)
        self._seen.append(Lost(invocation.attempt, loss))

    def _hear(self, kept: _Kept) -> None:
        """Take in what a process has said, and see whether it has ended."""
        process = kept.process
        if process.freed:
            return  # a moment ago: it had two descriptors in this round
        # Looked at first: what it said before its end is in the pipe by then.
        dead = process.is_dead()
        said, silent = process.read()
        for notice in said:
            if notice.goes_on_as:
                process.attempt = notice.goes_on_as
                self._seen.append(Committed(notice.attempt, notice.goes_on_as))
            else:
                self._settle(kept, notice)
        if dead or silent:
            self._remove(kept)
        if said or dead or silent:
            self._start()

    def _settle(self, kept: _Kept, notice: worker.Notice) -> None:
        """Report the end of an attempt, and keep its process for the next."""
        self._stillborn = 0
        kept.show(whole=True)
        if notice.lost:
            loss = kept.process.loss(self._clock.now(), notice.lost)
            loss = msgspec.structs.replace(loss, refused=notice.refused)
            self._seen.append(Lost(notice.attempt, loss))
        else:
            self._seen.append(Committed(notice.attempt))
        kept.process.attempt = ""
        self._busy.remove(kept)
        if notice.leaves:
            self._leaving.append(kept)
        else:
            kept.empty()
            self._idle.append(kept)

    def _remove(self, kept: _Kept) -> None:
        """Bury a process, and report the attempt that it took with it."""
        process = kept.process
        self._selector.unregister(process.notices)
        if process.pidfd >= 0:
            self._selector.unregister(process.pidfd)
        process.end()
        kept.show(whole=True, crashes=self._crashes)
        if process.attempt:
            self._busy.remove(kept)
            self._seen.append(Lost(process.attempt, self._judged(kept)))
        else:
            (self._leaving if kept in self._leaving else self._idle).remove(kept)
        process.free()

    def _judged(self, kept: _Kept) -> Loss:
        """Say what is known of a lost attempt, and whether the next process would end like this one."""
        loss = kept.process.loss(self._clock.now(), kept.verdict)
        ended_itself = (loss.exit_code, loss.signal) != (None, None) and loss.signal not in OUTSIDE
        if kept.process.begun:
            self._stillborn = 0
        elif ended_itself:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                refused = Refusal("CannotStart", (f"{loss.where}: {loss.reason}", loss.log))
                return msgspec.structs.replace(loss, refused=refused)
        return loss

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_out, 4096)

    # What nobody tells ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Show new output, and look after processes that say nothing."""
        now = self._clock.now()
        if now < self._next_tick:
            return
        self._next_tick = now + TICK_S
        for kept in self._busy:
            kept.show()
        for kept in [*self._busy, *self._leaving, *self._idle]:
            if kept.process.pidfd < 0:
                self._hear(kept)
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            for kept in self._busy:
                if kept.silent_for(now) > HUNG_S:
                    kept.verdict = f"hung: no sign of life and no processor used for {HUNG_S:g} s"
                    kept.process.kill()


class _Kept:
    """A process, and what this backend remembers of it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.verdict = ""
        """Why it was killed, when it was."""
        self.batch = ""
        """The number of the batch that it was given last."""
        self._shown = (Shown(process.files[0], "stdout"), Shown(process.files[1], "stderr"))
        self._signs: tuple[object, ...] = ()
        self._silent_s = 0.0
        self._looked = 0.0

    def show(self, *, whole: bool = False, crashes: Crashes | None = None) -> None:
        """Show what is new of its output; what it writes before it is ready is evidence, should it never be."""
        if self.process.begun:
            for shown in self._shown:
                shown.show(whole=whole, crashes=crashes)

    def empty(self) -> None:
        """Free the space of output that has been shown."""
        for shown in self._shown:
            shown.empty()

    def silent_for(self, now: float) -> float:
        """Return for how many seconds there has been no sign of life while somebody was looking.

        Seconds in which this process was itself not looking (a suspended computer) do not count.
        """
        ticks = self.process.cpu_ticks()
        signs = (self.process.sent, self.process.page[page.BEAT], ticks)
        if ticks < 0 or signs != self._signs:
            self._signs, self._silent_s = signs, 0.0
        else:
            self._silent_s += min(now - self._looked, 2 * LOOK_S)
        self._looked = now
        return self._silent_s
