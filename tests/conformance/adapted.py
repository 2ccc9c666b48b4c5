"""CPython's executor tests, applied to ``wrens.Executor`` by subclassing, as CPython does for its own pools.

:data:`EXCEPTIONS` is the whole list of CPython's tests that are not run as they stand, each with the reason.
:func:`applied` holds the classes to it: an override that is not listed, or an entry that overrides nothing,
fails at import.
"""

from __future__ import annotations

import os
import time
import unittest
from typing import Any
from unittest import mock

import fetch_testsuite
import pytest

import wrens

try:
    fetch_testsuite.use()
except fetch_testsuite.NoTestsuite as problem:
    if os.environ.get("CI"):
        raise
    pytest.skip(str(problem), allow_module_level=True)

MODULES = tuple(fetch_testsuite.modules())

LEFT_OUT, CHANGED = "left out", "changed"

EXCEPTIONS: dict[str, tuple[str, str]] = {
    # How the tests are set up ---------------------------------------------------------------------------
    "ExecutorShutdownTest.test_interpreter_shutdown": (
        CHANGED,
        "its program takes the executor from concurrent.futures by name; ours takes it from wrens",
    ),
    "ExecutorShutdownTest.test_submit_after_interpreter_shutdown": (CHANGED, "the same"),
    "ExecutorShutdownTest.test_hang_gh83386": (CHANGED, "the same"),
    "ProcessPoolExecutorTest.test_ressources_gced_in_workers": (
        CHANGED,
        "a manager's proxies ask for a key that only multiprocessing's own children have; an initializer sets it",
    ),
    "ExecutorDeadlockTest.test_shutdown_deadlock": (CHANGED, "passes a multiprocessing context"),
    "ExecutorDeadlockTest.test_shutdown_deadlock_pickle": (
        CHANGED,
        "passes a multiprocessing context and joins the pool's private thread",
    ),
    # Private attributes of CPython's pools --------------------------------------------------------------
    "ProcessPoolShutdownTest.test_processes_terminate": (
        CHANGED,
        "reads _processes; ours asks the workers for their process ids",
    ),
    "ProcessPoolShutdownTest.test_context_manager_shutdown": (CHANGED, "the same"),
    "ProcessPoolShutdownTest.test_del_shutdown": (CHANGED, "the same"),
    "ProcessPoolShutdownTest.test_shutdown_no_wait": (CHANGED, "the same"),
    "ProcessPoolExecutorTest.test_saturation": (
        CHANGED,
        "reads _processes and inherits a semaphore through the fork; ours counts process ids",
    ),
    "ProcessPoolExecutorTest.test_idle_process_reuse_one": (
        CHANGED,
        "reads _processes; ours counts process ids",
    ),
    "ProcessPoolExecutorTest.test_idle_process_reuse_multiple": (CHANGED, "the same"),
    "FailingInitializerMixin.test_initializer": (
        CHANGED,
        "reads _broken and the log of concurrent.futures; the exception itself tells what the initializer raised",
    ),
    # Arguments that belong to ProcessPoolExecutor -------------------------------------------------------
    "ProcessPoolExecutorTest.test_max_workers_too_large": (LEFT_OUT, "a limit of Windows"),
    "ProcessPoolExecutorTest.test_max_tasks_per_child": (LEFT_OUT, "the constructor does not take it"),
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context": (LEFT_OUT, "the same"),
    "ProcessPoolExecutorTest.test_max_tasks_early_shutdown": (LEFT_OUT, "the same"),
    # What wrens promises more ---------------------------------------------------------------------------
    "ProcessPoolExecutorTest.test_killed_child": (
        CHANGED,
        "a dead worker breaks CPython's pool; here its task is run again and the executor goes on",
    ),
    "ExecutorDeadlockTest.test_error_at_task_unpickle": (
        CHANGED,
        "CPython's pool is broken by it; here the task fails, with the very exception",
    ),
    "ExecutorDeadlockTest.test_exit_at_task_unpickle": (CHANGED, "the same"),
    "ExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": (CHANGED, "the same"),
    "ExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": (CHANGED, "the same"),
    "ExecutorDeadlockTest.test_exit_during_result_pickle_on_worker": (
        CHANGED,
        "a result that ends the pickler cannot be shipped, and the error says so, with SystemExit as its cause",
    ),
    "ProcessPoolExecutorTest.test_traceback": (
        CHANGED,
        "the remote traceback is a note on the exception, not a private class as its cause",
    ),
}


def piece(name: str) -> Any:
    """Return a class or function of CPython's tests, wherever its version keeps it."""
    for module in MODULES:
        found = vars(module).get(name)
        if found is not None:
            return found
    raise LookupError(f"CPython's tests have no {name}")


def applied(cls: type[unittest.TestCase]) -> type[unittest.TestCase]:
    """Leave out of a test class what the table leaves out, and hold its overrides to the table."""
    theirs = {
        name: f"{base.__name__}.{name}"
        for base in reversed(cls.__mro__)
        if base.__module__.startswith(fetch_testsuite.MODULE)
        for name in vars(base)
        if name.startswith("test_")
    }
    ours = {name for base in cls.__mro__ if base.__module__ == cls.__module__ for name in vars(base)}
    for name, full in theirs.items():
        kind, _reason = EXCEPTIONS.get(full, ("", ""))
        assert (kind == CHANGED) == (name in ours), (
            f"{full} is {kind or 'not listed'} and yet overridden, or not"
        )
        if kind == LEFT_OUT:
            setattr(cls, name, None)
    _met.update(theirs.values())
    return cls


_met: set[str] = set()


def unmet() -> set[str]:
    """Return the entries of the table that no class above has had; call when all were imported."""
    return set(EXCEPTIONS) - _met


class WrensMixin(piece("ExecutorMixin")):
    """Makes the executor of each test, and sees to it that the test leaves nothing behind."""

    executor_type = wrens.Executor

    def setUp(self) -> None:
        support = piece("support")
        support.reap_children()  # what subprocesses of earlier tests have left is not this one's
        support.environment_altered = False
        super().setUp()

    def tearDown(self) -> None:
        super().tearDown()
        # CPython's own tearDown only prints what it finds: child processes and threads that are left.
        assert not piece("support").environment_altered, "a process or thread is left over"


class WrensFutureMixin:
    """Puts wrens's Future where CPython's tests make futures of their own."""

    def setUp(self) -> None:
        for module in MODULES:
            if hasattr(module, "Future"):
                self._replace(module, "Future", wrens.Future)
        constants = {}
        for module in MODULES:
            for name, value in list(vars(module).items()):
                if name.endswith("_FUTURE"):
                    make = piece("create_future")
                    constants.setdefault(
                        name, make(state=value._state, exception=value._exception, result=value._result)
                    )
                    self._replace(module, name, constants[name])
        super().setUp()

    def _replace(self, module: Any, name: str, value: Any) -> None:
        patch = mock.patch.object(module, name, value)
        patch.start()
        self.addCleanup(patch.stop)


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process, one that nobody has waited for included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def await_end(pids: set[int], timeout_s: float = 10.0) -> set[int]:
    """Return which of the processes are still there after ``timeout_s``; none, soon, when all goes well."""
    until = time.monotonic() + timeout_s  # noqa: TID251 - the real time is what passes for a real process
    while (left := {pid for pid in pids if is_alive(pid)}) and time.monotonic() < until:  # noqa: TID251
        time.sleep(0.01)  # noqa: TID251
    return left
