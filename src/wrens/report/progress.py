"""Showing the line of :mod:`wrens.report.tally` while somebody waits.

    events ──▶ Progress: counts, under a lock ◀── a timer thread, which draws

Decides where the line is shown and when: in a terminal or a notebook, for work that takes longer than a
second, and not while the terminal is used for something else. Observers are called in a driver's thread, so
an event costs a few additions; the thread that draws exists only while tasks are open.

The terminal's line is written here and not by rich, which would have to be loaded into the user's program
(a third of a second), holds back what the user prints until a line is whole, and wraps it anew. Here what is
printed passes unchanged: the line steps aside before it and comes back after it. ``WRENS_PROGRESS=0`` turns
everything off; ``WRENS_PROGRESS=1`` writes a line now and then even where there is no terminal.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from wrens import events
from wrens.clock import Clock, SystemClock
from wrens.report import texts
from wrens.report.tally import Tally, line

PATIENCE_S = 1.0
"""Work shorter than this shows nothing."""
TICK_S = 0.1
"""How often the line is drawn anew."""
FORCED_TICK_S = 10.0
"""The same for plain lines."""
LINGER_S = 2.0
"""How long the drawing thread stays without open tasks, so that many small jobs do not start many threads."""

Observer = events.Observer


class Screen(Protocol):
    """Where the line is shown. All methods are called from one thread."""

    tick_s: float

    def show(self, text: str) -> None:
        """Show this instead of what was shown before."""
        ...

    def clear(self, last: str) -> None:
        """Show nothing any more; ``last`` says how it ended, for screens that cannot be wiped."""
        ...


class Progress:
    """Counts events of all jobs of this process and shows one line for those that have open tasks.

    Args:
        screen: Where to show it.
        clock: That of the events.

    >>> from wrens.clock import VirtualClock
    >>> class Paper:
    ...     tick_s = 1.0
    ...     show = staticmethod(print)
    ...     clear = staticmethod(print)
    >>> progress = Progress(Paper(), VirtualClock(), threaded=False)
    >>> progress(events.TasksPlanned("j", 3, 1, at=0.0))
    >>> _ = progress.draw(0.5)
    >>> _ = progress.draw(2.0)
    wrens: a job 0/? tasks
    """

    def __init__(self, screen: Screen, clock: Clock | None = None, *, threaded: bool = True) -> None:
        self._screen = screen
        self._clock = clock or SystemClock()
        self._threaded = threaded
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._busy_since: float | None = None
        self._thread: threading.Thread | None = None
        self._drawing = threading.Lock()
        self._shown: list[Tally] = []
        self._packing = ""
        self._visible = False
        self._closed = False
        self._pid = os.getpid()

    def __call__(self, event: events.Event) -> None:
        """Take up one event; this is the observer."""
        if isinstance(event, events.EnvironmentEvent):
            self._pack(event)
            return
        with self._lock:
            tally = self._tallies.get(event.job)
            if tally is None:
                if isinstance(event, events.JobEnded):
                    return
                tally = self._tallies[event.job] = Tally(event.job, event.at)
            tally.take(event)
            if tally.over:
                del self._tallies[event.job]
            if tally.open:
                self._wake(event.at)
        if self._shown and tally.ended:
            # Wiped here and not by the thread's next turn: whoever waits for this job learns of its end only
            # after its observers did, so the program's next words find an empty line.
            self.draw(event.at)

    def _pack(self, event: events.EnvironmentEvent) -> None:
        """Note that packages for the workers are being put together, or are there."""
        with self._lock:
            going_on = isinstance(event, events.EnvironmentWanted)
            count = texts.count(len(event.packages), "package")
            self._packing = f"wrens: packing {count} for the workers" if going_on else ""
            if going_on:
                self._wake(event.at)
        if not going_on:
            self.draw(event.at)

    def draw(self, now: float) -> bool:
        """Show what is to be shown at this moment; returns whether anything is at work."""
        with self._drawing:
            with self._lock:
                at_work = [tally for tally in self._tallies.values() if tally.at_work(now)]
                packing = self._packing
                if not (at_work or packing):
                    self._busy_since = None
                due = self._busy_since is not None and now - self._busy_since >= PATIENCE_S
                text = (packing or line(at_work, now)) if due and not self._closed else ""
            if text:
                self._shown, self._visible = at_work, True
                self._screen.show(text)
            elif self._visible:
                last, self._shown, self._visible = _farewell(self._shown), [], False
                self._screen.clear(last)
        return bool(at_work or packing)

    def close(self) -> None:
        """Show nothing any more."""
        self._closed = True
        if self._pid != os.getpid():
            return  # forked: the thread that may hold the locks does not exist here
        self.draw(self._clock.now())

    def _wake(self, now: float) -> None:
        if self._busy_since is None:
            self._busy_since = now
        if self._thread is None and self._threaded and not self._closed:
            self._thread = threading.Thread(target=self._work, name="wrens-progress", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        wait = threading.Event().wait
        idle_s = 0.0
        while True:
            tick_s = self._screen.tick_s if self._visible else TICK_S
            wait(tick_s)
            idle_s = 0.0 if self.draw(self._clock.now()) else idle_s + tick_s
            with self._lock:
                # Under the lock, so that no event takes a thread for granted that is about to leave.
                open_ = self._packing or any(tally.open for tally in self._tallies.values())
                if idle_s >= LINGER_S and not open_:
                    self._thread = None
                    return


def _farewell(tallies: list[Tally]) -> str:
    if not tallies:
        return "wrens: packing has ended"
    settled = sum(tally.settled for tally in tallies)
    failed = sum(tally.failed for tally in tallies)
    took = max(tally.changed_at for tally in tallies) - min(tally.began_at for tally in tallies)
    return f"wrens: {texts.count(settled, 'task')} in {texts.duration(took)}" + (
        f" · {failed:,} failed" if failed else ""
    )


# --- screens -----------------------------------------------------------------------------------------


class Terminal:
    """One line at the cursor of a terminal, which steps aside for whatever is printed.

    Args:
        stream: The terminal.
    """

    tick_s = TICK_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._drawn = ""
        self._pid = os.getpid()
        self._proxies: list[tuple[str, _Aside]] = []

    def show(self, text: str) -> None:
        """Draw the line, unless the terminal is in the middle of something else."""
        if _at_prompt():
            self.wipe()
            return
        with self._lock:
            self._stand_by()
            if any(proxy.inside_line for _, proxy in self._proxies):
                return
            try:
                columns = os.get_terminal_size(self._stream.fileno()).columns or 80
            except (OSError, ValueError):
                columns = 80
            text = text[: max(1, columns - 1)]
            if text != self._drawn:
                self._write(f"\r{text}\x1b[K\r")
                self._drawn = text

    def clear(self, last: str) -> None:
        """Wipe the line and leave nothing; ``last`` is not shown."""
        del last
        self.wipe()
        with self._lock:
            for name, proxy in self._proxies:
                if getattr(sys, name) is proxy:
                    setattr(sys, name, proxy.stream)
            self._proxies = []

    def wipe(self) -> None:
        """Make room."""
        if self._pid != os.getpid():
            return  # forked: the thread that may hold the lock does not exist here, and the line is not ours
        with self._lock:
            if self._drawn:
                self._drawn = ""
                self._write("\r\x1b[K")

    def _stand_by(self) -> None:
        """Learn of what is printed: from now on it goes through here, unchanged."""
        if self._proxies:
            return
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, _Aside):
                # Somebody who had exchanged the stream has put back what was there then.
                self._proxies.append((name, stream))
            elif is_terminal(stream):
                proxy = _Aside(stream, self.wipe)
                self._proxies.append((name, proxy))
                setattr(sys, name, proxy)

    def _write(self, text: str) -> None:
        # A terminal that has gone away is no reason to stop anything.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


class _Aside:
    """A stream that calls somebody before it is written to."""

    def __init__(self, stream: TextIO, before: Callable[[], None]) -> None:
        self.stream = stream
        self.inside_line = False
        self._before = before

    def write(self, text: str) -> int:
        self._before()
        if text:
            self.inside_line = not text.endswith(("\n", "\r"))
        return self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        for text in lines:
            self.write(text)

    def __iter__(self) -> Any:
        return iter(self.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Notebook:
    """A display of a notebook's cell that is updated in place.

    Args:
        display: ``IPython.display.display``.
    """

    tick_s = 0.5

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None
        self._text = ""

    def show(self, text: str) -> None:
        """Update the display, or make one."""
        if text == self._text:
            return
        self._text = text
        if self._handle is None:
            self._handle = self._display({"text/plain": text}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": text}, raw=True)

    def clear(self, last: str) -> None:
        """Leave how it ended, because a display cannot be taken back; the next job gets its own."""
        self.show(last)
        self._handle, self._text = None, ""


class Lines:
    """Plain lines, now and then, for a log; only when they were asked for.

    Args:
        stream: Where to write them.
    """

    tick_s = FORCED_TICK_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, text: str) -> None:
        """Write the line."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def clear(self, last: str) -> None:
        """Write how it ended."""
        self.show(last)


# --- which screen ------------------------------------------------------------------------------------


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream is a terminal that can draw a line over itself."""
    try:
        return bool(stream.isatty()) and os.environ.get("TERM", "dumb") != "dumb"
    except (AttributeError, ValueError):
        return False


def find_screen() -> Screen | None:
    """Return where this process can show progress, or ``None``.

    IPython is looked for, never loaded: when it is not there already, this is no notebook.
    """
    wanted = os.environ.get("WRENS_PROGRESS", "")
    if wanted == "0":
        return None
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and getattr(shell, "kernel", None) is not None:
        from importlib import import_module

        return Notebook(import_module("IPython.display").display)
    if is_terminal(sys.stderr):
        return Terminal(sys.stderr)
    return Lines(sys.stderr) if wanted == "1" else None


_progress: Progress | None = None
_pid = 0
_lock = threading.Lock()


def observer() -> Observer | None:
    """Return what shows the progress of all executors of this process, or ``None`` when nothing can.

    One for the process, so that several executors share one line and do not draw over each other.
    """
    global _progress, _pid
    with _lock:
        # After a fork the thread that draws is gone, and the lock may be held by it.
        if _progress is None or _pid != os.getpid():
            screen = find_screen()
            if screen is None:
                return None
            _progress, _pid = Progress(screen), os.getpid()
            atexit.register(_progress.close)
        return _progress


def _at_prompt() -> bool:
    """Tell whether the main thread shows a prompt, of Python's own or of its debugger.

    A line drawn over what somebody is typing is worse than none. In an interactive session the main thread
    is at the prompt unless it is inside of something that waits for tasks.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
    interactive = hasattr(sys, "ps1")
    waiting = False
    while frame is not None:
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top in {"pdb", "bdb"}:
            return True
        waiting = waiting or top in {"wrens", "concurrent"}
        frame = frame.f_back
    return interactive and not waiting
