"""Where and when the line of progress is drawn."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

import wrens
from wrens import events
from wrens.clock import VirtualClock
from wrens.core import watching
from wrens.report import progress
from wrens.report.progress import Lines, Notebook, Progress, Terminal, find_screen, is_terminal

SCRIPT = """
import sys, time
import wrens

def work(x):
    time.sleep({seconds})
    return x

with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
    for result in ex.map(work, range(16)):
        print("result", result)
print("the end")
"""
ROOT = str(Path(wrens.__file__).parents[1])


class Tty(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Recorder:
    tick_s = 0.1

    def __init__(self) -> None:
        self.said: list[str] = []

    def show(self, text: str) -> None:
        self.said.append(text)

    def clear(self, last: str) -> None:
        self.said.append(f"[{last}]")


@pytest.fixture
def screen() -> Recorder:
    return Recorder()


@pytest.fixture
def shown(screen: Recorder) -> tuple[Progress, VirtualClock]:
    clock = VirtualClock()
    return Progress(screen, clock, threaded=False), clock


@pytest.fixture
def term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("WRENS_PROGRESS", raising=False)


def plan(job: str, count: int, at: float) -> list[events.Event]:
    return [
        events.JobStarted(job, "f", at),
        events.TasksPlanned(job, count, 1, at),
        events.InputsEnded(job, count, at),
    ]


def settle(job: str, ok: int, at: float) -> events.Event:
    return events.BatchSettled(job, "0", "0.a", ok, 0, 0, 1.0, at)


# --- when --------------------------------------------------------------------------------------------


def test_short_work_shows_nothing(shown: tuple[Progress, VirtualClock], screen: Recorder):
    observe, clock = shown
    for event in plan("j", 2, 0.0):
        observe(event)
    clock.advance(0.9)
    observe.draw(clock.now())
    observe(settle("j", 2, 0.95))
    observe(events.JobEnded("j", 2, 0, 0.95))
    clock.advance(10)
    observe.draw(clock.now())
    assert screen.said == []


def test_packing_is_told_until_the_packages_are_there(shown: tuple[Progress, VirtualClock], screen: Recorder):
    progress, clock = shown
    progress(events.EnvironmentWanted(("numpy==2.0", "six==1.15"), at=0.0))
    assert progress.draw(0.5)
    assert screen.said == []
    clock.advance(2.0)
    assert progress.draw(2.0)
    assert screen.said == ["wrens: packing 2 packages for the workers"]
    progress(events.EnvironmentFailed(("numpy==2.0", "six==1.15"), "no wheel", at=3.0))
    assert screen.said[1:] == ["[wrens: packing has ended]"]
    assert not progress.draw(3.0)


def test_the_line_is_wiped_before_the_waiter_learns_of_the_end(
    shown: tuple[Progress, VirtualClock], screen: Recorder
):
    observe, clock = shown
    for event in plan("j", 4, 0.0):
        observe(event)
    clock.advance(2)
    observe.draw(clock.now())
    observe(settle("j", 4, 2.0))
    assert screen.said == ["wrens: f 0/4 tasks", "[wrens: 4 tasks in 2.0 s]"]


def test_a_thousand_short_jobs_in_a_row_show_nothing_for_each(
    shown: tuple[Progress, VirtualClock], screen: Recorder
):
    observe, clock = shown
    for n in range(1000):
        for event in [*plan(f"j{n}", 1, clock.now()), settle(f"j{n}", 1, clock.now())]:
            observe(event)
        observe(events.JobEnded(f"j{n}", 1, 0, clock.now()))
        observe.draw(clock.now())
        clock.advance(0.01)
    assert screen.said == []
    assert not observe._tallies


def test_nothing_is_drawn_after_close(shown: tuple[Progress, VirtualClock], screen: Recorder):
    observe, clock = shown
    for event in plan("j", 4, 0.0):
        observe(event)
    observe.close()
    clock.advance(5)
    observe.draw(clock.now())
    assert screen.said == []


def test_an_end_of_an_unknown_job_is_no_job(shown: tuple[Progress, VirtualClock]):
    observe, _ = shown
    observe(events.JobEnded("other", 1, 0, 0.0))
    assert not observe._tallies


# --- the terminal ------------------------------------------------------------------------------------


def test_the_line_steps_aside_for_what_is_printed(monkeypatch: pytest.MonkeyPatch, term: None):
    out = Tty()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    terminal = Terminal(out)
    terminal.show("working")
    print("result")
    terminal.show("working")
    terminal.clear("done")
    assert out.getvalue() == (
        "\rworking\x1b[K\r" + "\r\x1b[K" + "result\n" + "\rworking\x1b[K\r" + "\r\x1b[K"
    )
    assert sys.stdout is out
    assert sys.stderr is out


def test_a_line_that_is_being_printed_is_left_alone(monkeypatch: pytest.MonkeyPatch, term: None):
    out = Tty()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", Tty())
    terminal = Terminal(out)
    terminal.show("working")
    print("a half", end="")
    written = out.getvalue()
    terminal.show("working on")
    assert out.getvalue() == written
    print(" line")
    terminal.show("working on")
    assert out.getvalue().endswith("\rworking on\x1b[K\r")
    terminal.clear("")


def test_piped_output_does_not_pass_through_the_terminal(monkeypatch: pytest.MonkeyPatch, term: None):
    piped, err = io.StringIO(), Tty()
    monkeypatch.setattr(sys, "stdout", piped)
    monkeypatch.setattr(sys, "stderr", err)
    terminal = Terminal(err)
    terminal.show("working")
    assert sys.stdout is piped
    terminal.clear("")


def test_an_unchanged_line_is_not_drawn_again(term: None):
    out = Tty()
    terminal = Terminal(out)
    terminal.show("working")
    once = out.getvalue()
    terminal.show("working")
    assert out.getvalue() == once
    terminal.clear("")


def test_a_terminal_that_is_gone_stops_nothing(term: None):
    out = Tty()
    terminal = Terminal(out)
    out.close()
    terminal.show("working")
    terminal.clear("")


def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have(
    monkeypatch: pytest.MonkeyPatch, term: None
):
    out = Tty()
    terminal = Terminal(out)
    terminal.show("working")
    written = out.getvalue()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with terminal._lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        print("in the child", file=progress._Aside(io.StringIO(), terminal.wipe))
    done.set()
    thread.join()
    assert out.getvalue() == written
    terminal.clear("")


def test_a_stream_that_was_exchanged_meanwhile_is_put_right(monkeypatch: pytest.MonkeyPatch, term: None):
    out = Tty()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    terminal = Terminal(out)
    terminal.show("working")
    with contextlib.redirect_stdout(io.StringIO()):
        terminal.clear("")
    assert sys.stdout is not out
    terminal.show("working")
    terminal.clear("")
    assert sys.stdout is out


def test_a_prompt_is_left_alone(monkeypatch: pytest.MonkeyPatch, term: None):
    monkeypatch.setattr(progress, "_at_prompt", lambda: True)
    out = Tty()
    Terminal(out).show("working")
    assert out.getvalue() == ""


def test_an_interactive_session_is_at_its_prompt_unless_it_waits_for_tasks(monkeypatch: pytest.MonkeyPatch):
    def ask() -> bool:
        """Look as the drawing thread does, while the main thread waits for it."""
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(progress._at_prompt()))
        thread.start()
        thread.join()
        return found[0]

    assert not ask()
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert ask()
    waiting: dict[str, Any] = {"__name__": "wrens.core.job", "ask": ask}
    exec("found = ask()", waiting)
    assert waiting["found"] is False


# --- notebooks and logs ------------------------------------------------------------------------------


def test_a_notebook_updates_one_display():
    calls: list[tuple[str, str]] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            assert raw
            calls.append(("update", data["text/plain"]))

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        calls.append(("display", data["text/plain"]))
        return Handle()

    notebook = Notebook(display)
    notebook.show("1/2")
    notebook.show("1/2")
    notebook.show("2/2")
    notebook.clear("2 tasks")
    notebook.show("1/3")
    assert calls == [("display", "1/2"), ("update", "2/2"), ("update", "2 tasks"), ("display", "1/3")]


def test_a_kernel_is_found_when_one_runs(monkeypatch: pytest.MonkeyPatch, term: None):
    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    display.display = print  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert isinstance(find_screen(), Notebook)
    monkeypatch.setenv("WRENS_PROGRESS", "0")
    assert find_screen() is None


def test_without_a_terminal_there_are_lines_only_on_demand(monkeypatch: pytest.MonkeyPatch, term: None):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert find_screen() is None
    monkeypatch.setenv("WRENS_PROGRESS", "1")
    assert isinstance(find_screen(), Lines)


def test_what_is_no_terminal(monkeypatch: pytest.MonkeyPatch, term: None):
    closed = io.StringIO()
    closed.close()
    assert not is_terminal(None)
    assert not is_terminal(closed)
    assert is_terminal(Tty())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Tty())


# --- who watches -------------------------------------------------------------------------------------


def test_an_executor_in_a_terminal_is_watched(monkeypatch: pytest.MonkeyPatch, term: None):
    monkeypatch.setattr(sys, "stderr", Tty())
    monkeypatch.setattr(progress, "_progress", None)
    mine: list[events.Event] = []
    found = watching.watched([mine.append], in_process=False)
    assert found[0] == mine.append
    assert isinstance(found[1], Progress)
    assert watching.watched([], in_process=True) == []
    found[1].close()


def test_nobody_watches_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, term: None):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert watching.watched([], in_process=False) == []
    monkeypatch.setattr(sys, "stderr", Tty())
    monkeypatch.setenv("WRENS_PROGRESS", "0")
    assert watching.watched([], in_process=False) == []


# --- whole programs ----------------------------------------------------------------------------------


def run(tmp_path: Path, seconds: float, **env: str) -> tuple[int, str, str]:
    """Run the script with stderr on a terminal and stdout in a pipe."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(seconds=seconds))
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            stderr=theirs,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm", **env},
            text=True,
        ) as process:
            out, _ = process.communicate(timeout=60)
        os.set_blocking(ours, False)
        try:
            err = os.read(ours, 1 << 20).decode()
        except BlockingIOError:
            err = ""
        return process.returncode, out, err
    finally:
        os.close(theirs)
        os.close(ours)


def test_a_line_appears_in_a_terminal_and_is_gone_at_the_end(tmp_path: Path):
    code, out, err = run(tmp_path, 0.3)
    assert code == 0
    assert "wrens: work " in err
    assert "/16 tasks" in err
    assert err.endswith("\r\x1b[K")
    assert out.splitlines()[-1] == "the end"
    assert "wrens:" not in out


def test_short_work_in_a_terminal_shows_nothing(tmp_path: Path):
    assert run(tmp_path, 0.0)[2] == ""


def test_it_can_be_turned_off(tmp_path: Path):
    assert run(tmp_path, 0.15, WRENS_PROGRESS="0")[2] == ""


def test_nothing_is_shown_when_piped(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(seconds=0.15))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "store")],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "the end"
