"""Every exception that wrens raises, sorted by what the reader of it does next.

    WrensError
    ├── fix the call
    │   ├── BadOption (ValueError)            an option that does not exist or cannot be
    │   ├── UnknownBackend (ValueError)       no backend has this name
    │   ├── UnknownJob (LookupError)          the store holds no such job
    │   ├── CannotShip (TypeError)            a function, input, result or exception that cannot travel
    │   └── Cancelled (CancelledError)        the task was cancelled before it had a result
    ├── fix the set-up
    │   ├── StoreError (OSError)
    │   │   ├── BadStoreURL (ValueError)      the URL names no store
    │   │   ├── ObjectMissing (FileNotFoundError)
    │   │   ├── AlreadyExists (FileExistsError)   put-if-absent found another object
    │   │   ├── UncertainWrite                it may have been written, and reading back did not tell
    │   │   ├── StoreDenied (PermissionError)
    │   │   ├── StoreFull                     no space left
    │   │   └── StoreUnavailable (ConnectionError)    worth another try
    │   ├── VersionMismatch                   made with another Python or wrens than there is here
    │   ├── CannotStart (BrokenExecutor)      worker processes end before they are ready
    │   └── InitializerFailed (BrokenExecutor)
    ├── a task that ended without a result
    │   ├── WorkerLost                        the worker went away in every attempt
    │   ├── TaskTimeout (TimeoutError)
    │   └── RemoteError                       stands for an exception that cannot be rebuilt here
    ├── a job that ended without all results
    │   ├── JobFailed (ExceptionGroup)        carries the results of the others
    │   └── JobIncomplete                     the client died before it had stored every input
    └── DamagedObject                         a stored record that does not decode

A user's own exception is none of these: it comes back as itself, with notes.

Facts are kept in ``args`` and the sentence is built by ``__str__``, so every class pickles. Decides no
policy; imports nothing of wrens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from difflib import get_close_matches
from typing import Any, Self

__all__ = [
    "AlreadyExists",
    "BadOption",
    "BadStoreURL",
    "Cancelled",
    "CannotShip",
    "CannotStart",
    "DamagedObject",
    "InitializerFailed",
    "JobFailed",
    "JobIncomplete",
    "ObjectMissing",
    "RemoteError",
    "StoreDenied",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TaskTimeout",
    "UncertainWrite",
    "UnknownBackend",
    "UnknownJob",
    "VersionMismatch",
    "WorkerLost",
    "WrensError",
]


class WrensError(Exception):
    """The base of every exception of wrens, so that ``except WrensError`` catches no user error."""


# --- fix the call ------------------------------------------------------------------------------------


class BadOption(WrensError, ValueError):
    """An option that does not exist, or whose value cannot be.

    Args:
        option: The option's name as the caller wrote it.
        problem: What is wrong with it, as the end of a sentence.
        advice: What to write instead.
    """

    def __init__(self, option: str, problem: str, advice: str = "") -> None:
        super().__init__(option, problem, advice)
        self.option, self.problem, self.advice = option, problem, advice

    def __str__(self) -> str:
        return _lines(f"{self.option} {self.problem}", self.advice)


class UnknownBackend(WrensError, ValueError):
    """No backend is registered under this name.

    Args:
        name: What was asked for.
        available: The names that can be used.
    """

    def __init__(self, name: str, available: Sequence[str] = ()) -> None:
        super().__init__(name, tuple(available))
        self.name, self.available = name, tuple(available)

    def __str__(self) -> str:
        near = get_close_matches(self.name, self.available, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return _lines(
            f"no backend is called {self.name!r}{hint}",
            f"ready to use: {', '.join(self.available) or 'none'}",
            "Another package can add one through the entry point group 'wrens.backends'.",
        )


class UnknownJob(WrensError, LookupError):
    """The store holds no manifest of this job.

    Args:
        job: The job id or name that was asked for.
        store: URL of the store that was searched.
    """

    def __init__(self, job: str, store: str = "") -> None:
        super().__init__(job, store)
        self.job, self.store = job, store

    def __str__(self) -> str:
        return _lines(
            f"there is no job {self.job!r} in {self.store or 'the store'}",
            "A job's data is deleted when its executor closes, unless it was named or kept: "
            "Executor(keep=True) or ex.options(name=...).",
            "'wrens jobs' lists what is there; --store URL looks elsewhere.",
        )


class CannotShip(WrensError, TypeError):
    """Something that would have to travel between processes cannot be pickled.

    Args:
        what: What it is, in the user's words: ``"the function resize"``, ``"input 17"``.
        path: Where inside it the offender sits, as one would write it: ``"closure variable db"``,
            ``".config['lock']"``; empty when it is the thing itself or was not found.
        kind: The offender's type, such as ``"_thread.lock"``.
        reason: What the pickler said.
        kept: What has happened to the rest.
    """

    def __init__(self, what: str, path: str = "", kind: str = "", reason: str = "", kept: str = "") -> None:
        super().__init__(what, path, kind, reason, kept)
        self.what, self.path, self.kind, self.reason, self.kept = what, path, kind, reason, kept

    def __str__(self) -> str:
        where = (
            f"{self.path} is a {self.kind}" if self.path else (f"it is a {self.kind}" if self.kind else "")
        )
        return _lines(
            f"cannot ship {self.what}" + (f": {where}" if where else ""),
            f"the pickler says: {self.reason}" if self.reason else "",
            self.kept,
            "Make it inside the function, or pass what is needed to make it (a path, a URL) as data.",
        )


class Cancelled(WrensError, CancelledError):
    """The task was cancelled before it had a result.

    Args:
        job: The job's id.
        task: The task's number.
    """

    def __init__(self, job: str = "", task: int = -1) -> None:
        super().__init__(job, task)
        self.job, self.task = job, task

    def __str__(self) -> str:
        return f"task {self.task} of job {self.job} was cancelled before it had a result"


# --- fix the set-up ----------------------------------------------------------------------------------


class StoreError(WrensError, OSError):
    """An operation of the store failed.

    Args:
        action: The verb that failed: ``"put"``, ``"get"``, ``"list"``, ``"delete"``, ``"open"``.
        key: The key or prefix concerned.
        store: The store's URL, without credentials.
        reason: What the store said.
    """

    advice = ""
    problem = "failed"

    def __init__(self, action: str, key: str = "", store: str = "", reason: str = "") -> None:
        super().__init__(action, key, store, reason)
        self.action, self.key, self.store, self.reason = action, key, store, reason

    def __str__(self) -> str:
        store = self.store or "the store"
        if self.action == "open":
            return _lines(f"cannot open {store}: {self.problem}", self.reason, self.advice)
        return _lines(
            f"{self.action} {self.key or '(the whole store)'} in {store}: {self.problem}",
            f"the store says: {self.reason}" if self.reason else "",
            self.advice,
        )


class BadStoreURL(StoreError, ValueError):
    """The URL does not name a store that wrens can open."""

    problem = "this URL names no store"
    advice = (
        "Write one of: a directory (/data/jobs or file:///data/jobs), memory://, s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix. Nothing was started."
    )


class ObjectMissing(StoreError, FileNotFoundError):
    """No object has this key."""

    problem = "there is no such object"


class AlreadyExists(StoreError, FileExistsError):
    """Put-if-absent found an object that somebody else had put there first."""

    problem = "somebody else had created it first; it was left as it is"


class UncertainWrite(StoreError):
    """A put-if-absent whose outcome is not known: no reply came, and reading back failed too."""

    problem = "it may or may not have been written"
    advice = "Read the object before deciding anything; writing it again is safe only with put-if-absent."


class StoreDenied(StoreError, PermissionError):
    """The store refused for want of permission."""

    problem = "permission denied"
    advice = "Check the owner and mode of the directory, or the credentials and policy of the bucket."


class StoreFull(StoreError):
    """The store has no space left."""

    problem = "no space left"
    advice = "Free space ('wrens clean --older-than 7d --dry-run' lists old jobs) or choose another store."


class StoreUnavailable(StoreError, ConnectionError):
    """The store did not answer, or asked to slow down; another try may succeed.

    Args:
        sent: Whether a request may have arrived there. Without a connection none has, and a write is certain
            not to have happened.
    """

    problem = "the store did not answer properly"
    advice = "wrens tried again as often as its policy allows; look at the network and the service."

    def __init__(
        self, action: str, key: str = "", store: str = "", reason: str = "", *, sent: bool = True
    ) -> None:
        super().__init__(action, key, store, reason)
        self.sent = sent
        if not sent:
            self.problem = "the store cannot be reached"
            self.advice = (
                "Nothing was sent, so nothing was changed there. Check the network, that the service runs, and "
                "its address: the URL's ?endpoint=... or AWS_ENDPOINT_URL name it when it is not the vendor's."
            )


class VersionMismatch(WrensError):
    """Something was made with another Python or wrens than there is where it is read.

    Args:
        what: ``"Python"`` or ``"wrens"``.
        made, here: The version that it was made with, and the one that there is.
        thing, where: What it is, such as a key; who tried to read it, or empty for this process.
    """

    def __init__(self, what: str, made: str, here: str, thing: str = "", where: str = "") -> None:
        super().__init__(what, made, here, thing, where)
        self.what, self.made, self.here, self.thing, self.where = what, made, here, thing, where

    def __str__(self) -> str:
        thing, where = self.thing or "what was sent", self.where or "this process"
        return _lines(
            f"{thing} was made with {self.what} {self.made}, and {where} has {self.what} {self.here}",
            "It was left as it is, like everything that is in the store.",
            f"Go on with {self.what} {self.made} (wrens.attach completes a job), or make the job anew.",
        )


class CannotStart(WrensError, BrokenExecutor):
    """Several workers in a row ended before they were ready; how the last one ended, and what it wrote."""

    def __str__(self) -> str:
        how, log = (*self.args, "", "")[:2]
        return _lines(
            f"no worker gets ready: several in a row ended at their start, the last one like this: {how}",
            f"It wrote:\n{log.rstrip()}" if log else "It wrote nothing.",
            "Look at sys.executable, and at PYTHONHOME and the like. What has a result is kept.",
        )


class InitializerFailed(WrensError, BrokenExecutor):
    """The executor's ``initializer`` raised in a worker, so no task can run.

    Args:
        name: The initializer's name.
        error: Its exception, as text with the traceback.
    """

    def __init__(self, name: str, error: str = "") -> None:
        super().__init__(name, error)
        self.name, self.error = name, error

    def __str__(self) -> str:
        return _lines(f"the initializer {self.name} raised in a worker; no task was run there", self.error)


# --- a task that ended without a result --------------------------------------------------------------


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
        return _lines(
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
    """

    def __init__(self, job: str, task: int, timeout_s: float, where: str = "") -> None:
        super().__init__(job, task, timeout_s, where)
        self.job, self.task, self.timeout_s, self.where = job, task, timeout_s, where

    def __str__(self) -> str:
        return _lines(
            f"task {self.task} of job {self.job} ran longer than its timeout of {self.timeout_s:g} s "
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
        return _lines(
            f"{self.type_name}: {self.message}",
            f"(the exception itself could not be brought here: {self.reason})" if self.reason else "",
        )


# --- a job that ended without all results ------------------------------------------------------------


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
        return _lines(
            f"job {self.job} has no end: the client that made it stopped after storing {self.known} tasks",
            f"All {self.known} of them are settled and kept (.results). Map the inputs that follow again.",
        )


class DamagedObject(WrensError):
    """A stored record does not decode.

    Args:
        key: The object's key.
        reason: What is wrong with it.
    """

    def __init__(self, key: str, reason: str = "") -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return _lines(
            f"the object {self.key} is damaged: {self.reason}",
            "It was left as it is. Unless the disk or a power loss cut it off, please report a bug.",
        )


def _lines(*parts: str) -> str:
    """Join the parts that say something, the first as the headline and the others below it."""
    head, *rest = (part for part in parts if part)
    return "\n  ".join([head, *rest])


def _causes(errors: Any) -> str:
    """Count the failures by type, the commonest first, so that a thousand read as three causes."""
    counts: dict[str, int] = {}
    for error in errors:
        counts[type(error).__name__] = counts.get(type(error).__name__, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{n} × {name}" for name, n in ranked[:5])
    return shown + (f" and {len(ranked) - 5} more kinds" if len(ranked) > 5 else "")
