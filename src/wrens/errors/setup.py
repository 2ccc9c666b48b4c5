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
        advice: What to do; by default what helps with what is in a store.
    """

    def __init__(
        self, what: str, made: str, here: str, thing: str = "", where: str = "", advice: str = ""
    ) -> None:
        super().__init__(what, made, here, thing, where, advice)
        self.what, self.made, self.here, self.thing, self.where = what, made, here, thing, where
        self.advice = advice

    def __str__(self) -> str:
        thing, where = self.thing or "what was sent", self.where or "this process"
        return lines(
            f"{thing} was made with {self.what} {self.made}, and {where} has {self.what} {self.here}",
            self.advice
            or "It was left as it is, like everything that is in the store.\n"
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


class MissingPackage(WrensError, ImportError):
    """A package that only some of wrens needs is not installed here.

    Args:
        package: Its name.
        what: What needs it, as the beginning of "... need it".
        advice: What to do.
    """

    def __init__(self, package: str, what: str = "", advice: str = "") -> None:
        super().__init__(package, what, advice)
        self.package, self.what, self.advice = package, what, advice

    def __str__(self) -> str:
        return lines(f"{self.what} need {self.package}, which is not installed here", self.advice)


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


class BadEnvironment(WrensError):
    """The packages that a function needs cannot be given to the workers; the kinds below say why."""


class MissingModule(BadEnvironment, ImportError):
    """A function imports a module that is neither installed here nor one of the user's own.

    Args:
        module: Its name.
        by: Who imports it, in words.
        missing_in: Where it is missing; empty for this process's installation.
    """

    def __init__(self, module: str, by: str, missing_in: str = "") -> None:
        super().__init__(module, by, missing_in)
        self.module, self.by, self.missing_in = module, by, missing_in

    def __str__(self) -> str:
        if self.missing_in:
            return lines(
                f"{self.by} imports {self.module!r}, which {self.missing_in} does not hold",
                f"Add the package that has {self.module!r} there. Nothing was launched.",
            )
        return lines(
            f"{self.by} imports {self.module!r}, which is not installed here, so nobody knows which version "
            "the workers should have",
            "Install it in this environment, name it with environment=wrens.Environment(also=(...,)), or "
            "import it inside try/except ImportError when it can be done without. Nothing was launched.",
        )


class WrongPython(BadEnvironment):
    """The workers have another minor version of Python, so functions and packages of this one cannot run there.

    Args:
        here: The version of this process.
        there: The version of the workers.
        backend: The name of the backend.
    """

    def __init__(self, here: str, there: str, backend: str) -> None:
        super().__init__(here, there, backend)
        self.here, self.there, self.backend = here, there, backend

    def __str__(self) -> str:
        return lines(
            f"this is Python {self.here}, and the workers of {self.backend!r} have Python {self.there}; "
            "pickled functions and compiled packages fit one minor version only",
            f"Run this program with Python {self.there}, or deploy workers for Python {self.here} under a name "
            "of their own. Nothing was launched.",
        )


class CannotResolve(BadEnvironment):
    """No set of versions satisfies everything that is asked for, or the packages cannot be had.

    Args:
        wanted: What was asked for, such as ``"numpy==2.1.0"``.
        platform: For which platform.
        said: What the resolver says, shortened.
    """

    _advice = (
        "Give other versions with environment=wrens.Environment(requirements=(...,)), or a lock file with "
        "lock=, or use workers whose container image holds them (provided=True). Nothing was launched."
    )

    def __init__(self, wanted: tuple[str, ...], platform: str, said: str) -> None:
        super().__init__(wanted, platform, said)
        self.wanted, self.platform, self.said = wanted, platform, said

    def __str__(self) -> str:
        asked = ", ".join(self.wanted)
        headline = f"the packages for the workers cannot be put together for {self.platform}: {asked}"
        return lines(headline, self.said.strip().replace("\n", "\n  "), self._advice)


class NoWheel(CannotResolve):
    """A package has no wheel that runs on the workers' platform.

    Args:
        wanted: Its name and version, such as ``"numpy==2.4.6"``.
        platform: For which platform.
        said: What the resolver says, shortened.
        hint: What may help with this platform.
    """

    def __init__(self, wanted: tuple[str, ...], platform: str, said: str, hint: str = "") -> None:
        super().__init__(wanted, platform, said)
        self.args, self.hint = (wanted, platform, said, hint), hint

    def __str__(self) -> str:
        return lines(
            f"{', '.join(self.wanted)} has no wheel for {self.platform}, and packages are not compiled for "
            "workers",
            self.said.strip().replace("\n", "\n  "),
            self.hint,
            self._advice,
        )


class EnvironmentTooLarge(BadEnvironment):
    """The packages need more disk than a worker has.

    Args:
        nbytes: What they take up, unpacked.
        limit: What there is.
        biggest: The largest packages, with their sizes in words.
        where: Whose limit it is.
    """

    def __init__(
        self, nbytes: int = 0, limit: int = 0, biggest: tuple[str, ...] = (), where: str = ""
    ) -> None:
        super().__init__(nbytes, limit, biggest, where)
        self.nbytes, self.limit, self.biggest, self.where = nbytes, limit, biggest, where

    def __str__(self) -> str:
        return lines(
            f"the packages take up {self.nbytes / 1e6:.0f} MB, unpacked, and {self.where or 'a worker'} has "
            f"room for {self.limit / 1e6:.0f} MB",
            f"The largest are {', '.join(self.biggest)}." if self.biggest else "",
            "Import less, give workers more disk, or use a container image that holds them "
            "(environment=wrens.Environment(provided=True)).",
        )


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


class BadShard(WrensError):
    """A Redis server cannot be used.

    Args:
        url: Its address.
        problem: What is wrong, as a sentence without a full stop.
        advice: What to do.
    """

    def __init__(self, url: str, problem: str, advice: str = "") -> None:
        super().__init__(url, problem, advice)
        self.url, self.problem, self.advice = url, problem, advice

    def __str__(self) -> str:
        return lines(f"{self.url}: {self.problem}", self.advice, "Nothing was started.")
