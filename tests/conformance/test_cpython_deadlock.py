"""CPython's zoo of objects that crash, exit or raise at each point of a task's journey.

What is tested in every case: the future ends, with an error that says what happened, and the executor goes on
to do other work. CPython's pool, whose tests these are, is broken afterwards in most of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pickle import PicklingError, UnpicklingError  # noqa: TID251 - only the exceptions
from typing import Any

import pytest
from adapted import WrensMixin, applied, piece

from wrens.errors import CannotShip, WorkerLost

# CPython's tests are held to CPython's settings: they leave sockets and files to the collector.
pytestmark = pytest.mark.filterwarnings("default")

ERRORS = {BrokenProcessPool: WorkerLost, PicklingError: CannotShip}
"""CPython's error to the one that wrens raises in its place."""


@applied
class TestDeadlock(WrensMixin, piece("ExecutorDeadlockTest"), piece("BaseTestCase")):
    worker_count = 2

    def _check_crash(
        self, error: type[BaseException], func: Callable[..., Any], *args: Any, ignore_stderr: bool = False
    ) -> None:
        noise = piece("support").captured_stderr() if ignore_stderr else contextlib.nullcontext()
        with noise:
            future = self.executor.submit(func, *args)
            with pytest.raises(ERRORS.get(error, error)):
                future.result(timeout=self.TIMEOUT)
        assert self.executor.submit(pow, 2, 5).result(timeout=self.TIMEOUT) == 32

    def test_error_at_task_unpickle(self) -> None:
        self._check_crash(UnpicklingError, id, piece("ErrorAtUnpickle")())

    def test_exit_at_task_unpickle(self) -> None:
        self._check_crash(SystemExit, id, piece("ExitAtUnpickle")())

    def test_exit_during_result_pickle_on_worker(self) -> None:
        self._check_crash(CannotShip, piece("_return_instance"), piece("ExitAtPickle"))

    def test_error_during_result_unpickle_in_result_handler(self) -> None:
        self._check_crash(
            UnpicklingError, piece("_return_instance"), piece("ErrorAtUnpickle"), ignore_stderr=True
        )

    def test_exit_during_result_unpickle_in_result_handler(self) -> None:
        self._check_crash(SystemExit, piece("_return_instance"), piece("ExitAtUnpickle"))

    def test_shutdown_deadlock(self) -> None:
        future = self.executor.submit(piece("_crash"), delay=0.1)
        self.executor.shutdown(wait=True)
        with pytest.raises(WorkerLost):
            future.result(timeout=self.TIMEOUT)

    def test_shutdown_deadlock_pickle(self) -> None:
        self.executor.submit(id, 42).result()
        future = self.executor.submit(id, piece("ErrorAtPickle")())
        self.executor.shutdown(wait=False)
        with pytest.raises(CannotShip):
            future.result(timeout=self.TIMEOUT)
