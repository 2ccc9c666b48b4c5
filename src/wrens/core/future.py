"""The future of one task.

Decides what a ``concurrent.futures.Future`` of wrens can do beside the standard one: name its task, travel
among the inputs of other tasks, and ask the driver to withdraw its task. Does not decide when it is settled.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from wrens.errors import CannotShip
from wrens.serialize import load_reference
from wrens.wire.records import ResultRef

T = TypeVar("T")
_log = logging.getLogger("concurrent.futures")


NOWHERE = ResultRef("", "", "", -1)
"""Where a future is whose task has not been stored."""


class Future(concurrent.futures.Future[T]):
    """The result of one task, now or later.

    It is a ``concurrent.futures.Future``: ``result``, ``exception``, ``add_done_callback``, ``cancel``,
    :func:`concurrent.futures.wait` and :func:`asyncio.wrap_future` work. As an argument of another task it
    stands for its result, which the worker reads from the store.

    Attributes:
        job_id: The job's id; empty until the task has been stored.
        task: The task's number in its job; -1 until the task has been stored.

    >>> from wrens import Executor
    >>> with Executor("inline") as ex:
    ...     ex.submit(pow, 2, 5).result()
    32
    """

    job_id: str = ""
    task: int = -1
    _home: ResultRef = NOWHERE
    _batch: str = ""
    _on_cancel: Callable[[Future[Any]], None] | None = None
    _has_data: Callable[[str], bool] | None = None

    def cancel(self) -> bool:
        """Withdraw the task if no worker has been given it yet.

        Returns:
            Whether the task is cancelled. A task that is running is not; see :meth:`wrens.Job.cancel`.
        """
        cancelled = super().cancel()
        if cancelled and self._on_cancel is not None:
            self._on_cancel(self)
        return cancelled

    def reference(self) -> ResultRef:
        """Return where the result is.

        Raises:
            CannotShip: if the task has no result yet, or never was stored.
        """
        if not self._batch:
            raise CannotShip(
                "a Future that has no result yet",
                reason="only futures among the arguments themselves are waited for",
                kept="Pass the future as an argument, or in a list, tuple or dict that is one.",
            )
        return ResultRef(self._home.store, self.job_id, self._batch, self.task, self._home.made)

    def __reduce__(self) -> tuple[Any, ...]:
        return (load_reference, (self.reference(),))

    # --- for the driver ---

    def bind(
        self,
        home: ResultRef,
        task: int,
        on_cancel: Callable[[Future[Any]], None] | None,
        has_data: Callable[[str], bool] | None = None,
    ) -> None:
        """Name the task that this future stands for.

        Args:
            home: Its job, and where that is.
            task: Its number.
            on_cancel: Who is to be told when it is cancelled.
            has_data: Tells whether the data of a job is still there.
        """
        self.job_id, self.task, self._home = home.job, task, home
        self._on_cancel, self._has_data = on_cancel, has_data

    def stored_in(self, store_url: str) -> bool:
        """Return whether the result is in this store, so that a worker can read it there."""
        there = self._has_data is None or self._has_data(self.job_id)
        return bool(self._batch) and there and self._home.store == store_url

    def begin(self) -> bool:
        """Mark the task as handed to a worker.

        Returns:
            ``False`` if it has been cancelled before; those who wait for it are told then.
        """
        # One locked section, or a cancel could come between the look and the change.
        with self._condition:
            if self._state == "RUNNING":
                return True
            return self._state in {"PENDING", "CANCELLED"} and self.set_running_or_notify_cancel()

    def settle(self, batch: str, value: T | None, error: BaseException | None) -> None:
        """Set the result or exception that the verdict of ``batch`` holds; a cancelled future stays so."""
        if not self.begin():
            return
        self._batch = batch
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)  # type: ignore[arg-type]

    def settle_cancelled(self) -> None:
        """Mark the task as cancelled although a worker may have begun it: the whole job was."""
        with self._condition:
            if self._state == "RUNNING":
                self._state = "PENDING"
            if self._state == "PENDING":
                self._state = "CANCELLED"
                self._condition.notify_all()
            cancelled = self._state == "CANCELLED"
            if cancelled:
                self.set_running_or_notify_cancel()
        if cancelled:
            self._invoke_callbacks()

    def _invoke_callbacks(self) -> None:
        # As in the standard library, but a callback that calls sys.exit() must not end the driver either.
        for callback in self._done_callbacks:  # type: ignore[attr-defined]
            try:
                callback(self)
            except (Exception, SystemExit):  # noqa: BLE001 - the user's code
                _log.exception("exception calling callback for %r", self)
