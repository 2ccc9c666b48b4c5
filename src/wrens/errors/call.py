"""Errors that are mended in the call: options, names, and things that cannot travel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from difflib import get_close_matches

from wrens.errors.base import WrensError, lines


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
        return lines(f"{self.option} {self.problem}", self.advice)


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
        return lines(
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
        return lines(
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
        return lines(
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
