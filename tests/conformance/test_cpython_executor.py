"""CPython's tests of executors: calls, shutting down, initializers, and what a process pool adds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest
from adapted import EXCEPTIONS, WrensMixin, applied, await_end, is_alive, piece, unmet

import wrens

# CPython's tests are held to CPython's settings: they leave sockets and files to the collector.
pytestmark = pytest.mark.filterwarnings("default")


def set_authentication_key(key: bytes) -> None:
    multiprocessing.current_process().authkey = key


def tell_pid_and_linger(path: str, seconds: float) -> str:
    """Sleep on the first try, return at once on the second; the file tells them apart."""
    if Path(path).exists():
        return "the second try"
    part = Path(path + ".part")
    part.write_text(str(os.getpid()))
    part.rename(path)
    time.sleep(seconds)  # noqa: TID251 - to be killed meanwhile
    return "not killed"


def pid_after(seconds: float) -> int:
    time.sleep(seconds)  # noqa: TID251 - long enough for the others to begin
    return os.getpid()


def await_file(path: Path) -> str:
    until = time.monotonic() + 20  # noqa: TID251
    while not path.exists():
        assert time.monotonic() < until, f"no {path}"  # noqa: TID251
        time.sleep(0.01)  # noqa: TID251
    return path.read_text()


@applied
class TestExecutor(WrensMixin, piece("ProcessPoolExecutorTest"), piece("BaseTestCase")):
    def get_context(self) -> multiprocessing.context.BaseContext:
        return multiprocessing.get_context("spawn")

    def test_killed_child(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pid"
            future = self.executor.submit(tell_pid_and_linger, str(path), 30)
            os.kill(int(await_file(path)), signal.SIGKILL)
            assert future.result(timeout=20) == "the second try"
        assert self.executor.submit(pow, 2, 8).result(timeout=20) == 256

    def test_traceback(self) -> None:
        future = self.executor.submit(self._test_traceback)
        with pytest.raises(RuntimeError) as raised:
            future.result()
        assert raised.value.args == (123,)
        text = "".join(traceback.format_exception(raised.value))
        assert "raise RuntimeError(123) # some comment" in text

    def test_ressources_gced_in_workers(self) -> None:
        key = bytes(multiprocessing.current_process().authkey)
        with (
            self.get_context().Manager() as manager,
            self.executor_type(
                max_workers=2, initializer=set_authentication_key, initargs=(key,)
            ) as executor,
        ):
            obj = piece("EventfulGCObj")(manager)
            executor.submit(id, obj).result()
            freed = obj.event.wait(timeout=1)
            # Its destructor needs the manager.
            del obj
            piece("support").gc_collect()
        assert freed

    def test_saturation(self) -> None:
        pids = [self.executor.submit(pid_after, 0.01) for _ in range(15 * self.worker_count)]
        assert len({future.result() for future in pids}) <= self.worker_count

    def test_idle_process_reuse_one(self) -> None:
        assert len({self.executor.submit(os.getpid).result() for _ in range(3)}) == 1

    def test_idle_process_reuse_multiple(self) -> None:
        kept = []
        for _ in range(3):
            kept += [self.executor.submit(os.getpid), self.executor.submit(os.getpid)]
            kept[-1].result()
        assert len({future.result() for future in kept}) <= 3


@applied
class TestShutdown(WrensMixin, piece("ProcessPoolShutdownTest"), piece("BaseTestCase")):
    def pids(self, executor: wrens.Executor) -> set[int]:
        return set(executor.map(pid_after, [0.1] * 5, chunksize=1))

    def test_processes_terminate(self) -> None:
        pids = self.pids(self.executor)
        assert all(map(is_alive, pids))
        self.executor.shutdown()
        assert not any(map(is_alive, pids))

    def test_context_manager_shutdown(self) -> None:
        with self.executor_type(max_workers=5) as executor:
            assert list(executor.map(abs, range(-5, 5))) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
            pids = self.pids(executor)
        assert not any(map(is_alive, pids))

    def test_del_shutdown(self) -> None:
        executor = self.executor_type(max_workers=5)
        pids = self.pids(executor)
        results = executor.map(abs, range(-5, 5))
        del executor
        piece("support").gc_collect()
        assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
        assert await_end(pids) == set()

    def test_shutdown_no_wait(self) -> None:
        executor = self.executor_type(max_workers=5)
        pids = self.pids(executor)
        results = executor.map(abs, range(-5, 5))
        executor.shutdown(wait=False)
        assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
        assert await_end(pids) == set()

    def test_interpreter_shutdown(self) -> None:
        run = run_program(
            """
            from wrens import Executor
            from test.test_concurrent_futures import sleep_and_print
            t = Executor(max_workers=5)
            t.submit(sleep_and_print, 1.0, "apple")
            """
        )
        assert (run.stdout.strip(), run.stderr, run.returncode) == ("apple", "", 0)

    def test_submit_after_interpreter_shutdown(self) -> None:
        run = run_program(
            """
            import atexit
            @atexit.register
            def run_last():
                try:
                    t.submit(id, None)
                except RuntimeError:
                    print("runtime-error")
                    raise
            from wrens import Executor
            t = Executor(max_workers=5)
            t.submit(id, 42).result()
            """
        )
        assert "RuntimeError: cannot schedule new futures" in run.stderr
        assert run.stdout.strip() == "runtime-error"

    def test_hang_gh83386(self) -> None:
        run = run_program(
            """
            from wrens import Executor
            from test.test_concurrent_futures import sleep_and_print
            t = Executor(max_workers=3)
            t.submit(sleep_and_print, 1.0, "apple")
            t.shutdown(wait=False)
            """
        )
        assert (run.stdout.strip(), run.stderr, run.returncode) == ("apple", "", 0)


def run_program(source: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a new interpreter that imports from where this one does."""
    lines = [line.removeprefix(" " * 12) for line in source.strip("\n").splitlines()]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


@applied
class TestInitializer(WrensMixin, piece("InitializerMixin"), piece("BaseTestCase")):
    pass


@applied
class TestFailingInitializer(WrensMixin, piece("FailingInitializerMixin"), piece("BaseTestCase")):
    def test_initializer(self) -> None:
        get_status: Callable[[], str] = piece("get_init_status")
        with pytest.raises(BrokenExecutor, match="ValueError: error in initializer"):
            self.executor.submit(get_status).result(timeout=20)
        # From here on the executor is of no use, and a second call says so without a wait for a worker.
        with pytest.raises(BrokenExecutor):
            self.executor.submit(get_status).result(timeout=20)


def test_the_table_of_exceptions_names_only_tests_that_there_are() -> None:
    import test_cpython_deadlock  # noqa: F401 - its classes take their entries, too
    import test_cpython_futures  # noqa: F401

    # Newer versions of CPython have other tests; the table is written for 3.11's.
    assert sys.version_info[:2] != (3, 11) or unmet() == set()
    assert all(reason for _kind, reason in EXCEPTIONS.values())
