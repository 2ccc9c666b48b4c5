"""A task that ended without a result, and a job that ended without all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from wrens.errors.base import WrensError, lines


class WorkerLost(WrensError):
    """The worker went away without a verdict in every attempt that the policy allows.

    Args:
        job: The job's id.
        task: The task's number.
        attempts: One line of evidence for each attempt: where, after how long, exit code or signal, last
            memory reading.
        likely: A guess at the cause, and shown as one; empty when the evidence suggests none.
        log: The last lines that the worker wrote.
    """

    def __init__(
        self, job: str, task: int, attempts: Sequence[str] = (), likely: str = "", log: str = ""
    ) -> None:
        super().__init__(job, task, tuple(attempts), likely, log)
        self.job, self.task, self.attempts, self.likely, self.log = job, task, tuple(attempts), likely, log

    def __str__(self) -> str:
        n = len(self.attempts)
        return lines(
            f"task {self.task} of job {self.job} left no result: its worker was lost in "
            + (f"all {n} attempts" if n > 1 else "its only attempt"),
            *(f"  attempt {i}: {line}" for i, line in enumerate(self.attempts, 1)),
            f"Likely cause (a guess): {self.likely}" if self.likely else "",
            "The other tasks are not affected; their results are kept.",
            f"Last output of the worker:\n{self.log}" if self.log else "",
        )


class TaskTimeout(WrensError, TimeoutError):
    """A task ran longer than its ``timeout``.

    Args:
        job: The job's id.
        task: The task's number.
        timeout_s: The limit, in seconds.
        where: The Python stack of the task when time was up, as text.
        limit: Whose limit it was, when it was not the option ``timeout``.
    """

    def __init__(
        self, job: str, task: int, timeout_s: float, where: str = "", limit: str = "timeout"
    ) -> None:
        super().__init__(job, task, timeout_s, where, limit)
        self.job, self.task, self.timeout_s, self.where, self.limit = job, task, timeout_s, where, limit

    def __str__(self) -> str:
        return lines(
            f"task {self.task} of job {self.job} ran longer than its {self.limit} of {self.timeout_s:g} s "
            "and was stopped; the other tasks are not affected",
            f"It was here:\n{self.where}" if self.where else "",
        )


class RemoteError(WrensError):
    """Stands for an exception of the user's function that cannot be rebuilt in this process.

    Args:
        type_name: Full name of the exception's type, such as ``"mypkg.errors.Refused"``.
        message: What the exception said.
        reason: Why it could not be rebuilt.
    """

    def __init__(self, type_name: str, message: str = "", reason: str = "") -> None:
        super().__init__(type_name, message, reason)
        self.type_name, self.message, self.reason = type_name, message, reason

    def __str__(self) -> str:
        return lines(
            f"{self.type_name}: {self.message}",
            f"(the exception itself could not be brought here: {self.reason})" if self.reason else "",
        )


class JobFailed(WrensError, ExceptionGroup[Exception]):
    """Some tasks of a job failed; the others' results are here.

    Attributes:
        job: The job's id.
        failures: Task number to exception, for the tasks that failed.
        results: Task number to result, for the tasks that did not.
    """

    job: str
    failures: dict[int, Exception]
    results: dict[int, Any]

    def __new__(
        cls, job: str, failures: Mapping[int, Exception], results: Mapping[int, Any] | None = None
    ) -> Self:
        """Build the group from the failures, titled with what was kept."""
        results = {} if results is None else results
        total = len(failures) + len(results)
        title = (
            f"{len(failures)} of {total} tasks of job {job} failed; "
            f"{len(results)} results are kept (.results); {_causes(failures.values())}"
        )
        self = super().__new__(cls, title, list(failures.values()))
        self.job, self.failures, self.results = job, dict(failures), dict(results)
        return self

    def __init__(self, *facts: Any) -> None:
        super().__init__(*facts)

    def __reduce__(self) -> tuple[Any, ...]:
        # ExceptionGroup would be rebuilt from its title; this class is rebuilt from its facts.
        return (type(self), (self.job, self.failures, self.results), self.__dict__)

    def derive(self, excs: Sequence[Any]) -> ExceptionGroup[Any]:
        """Return a plain group of ``excs``, as ``except*`` and ``split`` need it."""
        return ExceptionGroup(self.message, excs)


class JobIncomplete(WrensError):
    """The client that made the job died before it had stored every input.

    Args:
        job: The job's id.
        known: How many tasks are stored.
        results: Task number to result, for those.
    """

    def __init__(self, job: str, known: int, results: Mapping[int, Any] | None = None) -> None:
        super().__init__(job, known, dict(results or {}))
        self.job, self.known, self.results = job, known, dict(results or {})

    def __str__(self) -> str:
        return lines(
            f"job {self.job} has no end: the client that made it stopped after storing {self.known} tasks",
            f"All {self.known} of them are settled and kept (.results). Map the inputs that follow again.",
        )


def _causes(errors: Any) -> str:
    """Count the failures by type, the commonest first, so that a thousand read as three causes."""
    counts: dict[str, int] = {}
    for error in errors:
        counts[type(error).__name__] = counts.get(type(error).__name__, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{n} × {name}" for name, n in ranked[:5])
    return shown + (f" and {len(ranked) - 5} more kinds" if len(ranked) > 5 else "")
