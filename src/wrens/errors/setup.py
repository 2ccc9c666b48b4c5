"""Errors that are mended in the set-up: versions, processes, initializers, packages and cloud services."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor

from wrens.errors.base import WrensError, lines


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
        return lines(
            f"{thing} was made with {self.what} {self.made}, and {where} has {self.what} {self.here}",
            "It was left as it is, like everything that is in the store.",
            f"Go on with {self.what} {self.made} (wrens.attach completes a job), or make the job anew.",
        )


class CannotStart(WrensError, BrokenExecutor):
    """Several workers in a row ended before they were ready; how the last one ended, and what it wrote."""

    def __str__(self) -> str:
        how, log = (*self.args, "", "")[:2]
        return lines(
            f"no worker gets ready: several in a row ended at their start, the last one like this: {how}",
            f"It wrote:\n{log.rstrip()}" if log else "It wrote nothing.",
            "Look at sys.executable, and at PYTHONHOME and the like. What has a result is kept.",
        )


class BackendError(WrensError):
    """The platform that a backend stands for cannot be used as it is set up.

    Args:
        backend: The backend's name.
        problem: What is wrong, as a sentence without a full stop.
        evidence: What the platform said.
        advice: What to do.
    """

    def __init__(self, backend: str, problem: str, evidence: str = "", advice: str = "") -> None:
        super().__init__(backend, problem, evidence, advice)
        self.backend, self.problem, self.evidence, self.advice = backend, problem, evidence, advice

    def __str__(self) -> str:
        return lines(
            f"{self.backend}: {self.problem}",
            f"the platform says: {self.evidence}" if self.evidence else "",
            self.advice,
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
        return lines(f"the initializer {self.name} raised in a worker; no task was run there", self.error)


class ServiceError(WrensError):
    """A cloud service refused a request, or could not be asked.

    Args:
        service: Its name, such as ``"lambda"``.
        action: The request, such as ``"CreateFunction"``.
        code: What the service calls it, such as ``"AccessDenied"``; ``"NoCredentials"``, ``"NoRegion"`` and
            ``"Unreachable"`` when no request was made.
        message: What the service said.
        advice: What to do.
    """

    def __init__(
        self, service: str, action: str, code: str = "", message: str = "", advice: str = ""
    ) -> None:
        super().__init__(service, action, code, message, advice)
        self.service, self.action, self.code, self.message = service, action, code, message
        self.advice = advice

    def __str__(self) -> str:
        return lines(f"{self.service}:{self.action} was refused: {self.code}", self.message, self.advice)


class NotOurs(WrensError):
    """Something of this name exists that wrens has not made, so it is left alone.

    Args:
        thing: What it is, such as ``"the function wrens-py311"``.
        evidence: How that was seen.
        advice: What to do.
    """

    def __init__(self, thing: str, evidence: str = "", advice: str = "") -> None:
        super().__init__(thing, evidence, advice)
        self.thing, self.evidence, self.advice = thing, evidence, advice

    def __str__(self) -> str:
        return lines(
            f"{self.thing} exists and was not made by wrens; it was left as it is", self.evidence, self.advice
        )


class CannotDeploy(WrensError):
    """What workers need on a service cannot be built or put there.

    Args:
        what: What cannot be done, as the end of "cannot ...".
        evidence: Why.
        advice: What to do.
        kept: What was done before, and stays.
    """

    def __init__(self, what: str, evidence: str = "", advice: str = "", kept: str = "") -> None:
        super().__init__(what, evidence, advice, kept)
        self.what, self.evidence, self.advice, self.kept = what, evidence, advice, kept

    def __str__(self) -> str:
        return lines(f"cannot {self.what}", self.evidence, self.advice, self.kept)
