"""``wrens doctor``: is everything there that jobs need, and if not, what to run.

Decides what belongs to each backend, how the checks are printed, and the exit code: 0 only when nothing failed.
What is looked at on AWS is decided in :mod:`wrens.backends.aws_lambda.checking`.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Annotated

import typer

from wrens import Executor
from wrens.backends.aws_lambda.checking import FAILED, PASSED, SKIPPED, Check
from wrens.backends.aws_lambda.naming import FUNCTION_VARIABLE, chosen_function, python_version
from wrens.backends.registry import available
from wrens.cli.screen import checks as print_checks
from wrens.cli.screen import data
from wrens.clock import SystemClock
from wrens.environments import installer
from wrens.errors import BadEnvironment, BadOption, StoreDenied, StoreError, WrensError
from wrens.report import texts
from wrens.store import default_store_url, open_store
from wrens.store.checking import try_reading, try_verbs, try_writing
from wrens.store.signing_keys import signing_key
from wrens.version import __version__

BACKENDS = ("lambda", "local")
TASK_S = 120.0
"""How long the task may take; a cold worker takes some seconds."""


def doctor(
    store: Annotated[
        str | None, typer.Option("--store", help="URL of the store; by default that of Executor().")
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", help="lambda or local; by default what suits the store.")
    ] = None,
    function: Annotated[
        str | None, typer.Option("--function", help="The function on AWS; by default this Python's.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", help="AWS's region; by default that of AWS's own tools.")
    ] = None,
    read: Annotated[
        list[str] | None, typer.Option("--read", help="Data beside the store that tasks read; repeatable.")
    ] = None,
    write: Annotated[
        list[str] | None, typer.Option("--write", help="Where tasks write results beside it; repeatable.")
    ] = None,
) -> None:
    """Check everything that jobs need, one by one, and say what to run for what is missing."""
    url = store or default_store_url()
    chosen = backend or ("lambda" if url.lower().startswith("s3://") else "local")
    if chosen not in BACKENDS:
        raise BadOption(f"--backend {chosen}", "cannot be checked", f"Use {' or '.join(BACKENDS)}.")
    found = []
    beside = _Beside(tuple(read or ()), tuple(write or ()))
    asked = (
        _lambda(url, function or chosen_function(), region, beside)
        if chosen == "lambda"
        else _local(url, beside)
    )
    for check in asked:
        print_checks([(check.outcome, check.name, check.evidence, check.fix)])
        found.append(check)
    failed = [check for check in found if check.outcome == FAILED]
    skipped = [check for check in found if check.outcome == SKIPPED]
    if failed:
        data(
            f"{texts.count(len(failed), 'check')} of {len(found)} failed; the first is the one to mend first."
        )
        raise typer.Exit(1)
    left = f", {len(skipped)} could not be looked at" if skipped else ""
    data(f"All is well: {texts.count(len(found) - len(skipped), 'check')} passed{left}.")


@dataclass(frozen=True)
class _Beside:
    """Addresses beside the store that tasks read and write."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def trials(self) -> list[tuple[str, Callable[[str], str], str]]:
        """What is tried: its name, and what does it with which address."""
        found: list[tuple[str, Callable[[str], str], str]] = []
        found += [(f"read {one}", try_reading, one) for one in self.reads]
        return found + [(f"write {one}", try_writing, one) for one in self.writes]

    @property
    def options(self) -> str:
        """What makes ``wrens deploy aws`` allow all of it."""
        return "".join(f" --read {one}" for one in self.reads) + "".join(
            f" --write {one}" for one in self.writes
        )


def _local(url: str, beside: _Beside) -> Iterator[Check]:
    yield Check("Python", PASSED, f"{python_version()} at {sys.executable}; wrens {__version__}")
    well = True
    for check in _store(url, "Choose another directory: --store DIRECTORY, or WRENS_STORE."):
        well = well and check.outcome != FAILED
        yield check
    if well:
        yield _task("local", url)
        yield from _data("local", url, beside, "see that this user may do that there", "as above")


def _lambda(url: str, function: str, region: str | None, beside: _Beside) -> Iterator[Check]:
    from wrens.backends.aws_lambda import checking

    yield _python()
    yield _uv()
    checks, aws, place = checking.account(region, function, url)
    yield from checks
    if aws is None or place is None:
        return
    well = True
    with _in_region(aws.region, function):
        mend = checking.deploy_command(place)
        denied = (
            f"{checking.policies_command(place)}   prints what to allow: UseTheStore, ListTheStore of 'user'"
        )
        client = checking.Client(__version__, signing_key())
        for check in chain(_store(url, mend, denied), checking.function(aws, place, client)):
            well = well and check.outcome != FAILED
            yield check
        if well:
            yield _task("lambda", url)
            print_them = f"{checking.policies_command(place)}{beside.options}   prints what to allow: 'data'"
            yield from _data("lambda", url, beside, print_them, f"{mend}{beside.options}")
        else:
            yield Check("task", SKIPPED, "not run, because of what failed above")


@contextmanager
def _in_region(region: str, function: str) -> Iterator[None]:
    """Let store and backend find the region and function that were asked for."""
    wanted = {"AWS_REGION": region, FUNCTION_VARIABLE: function}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _python() -> Check:
    from wrens.backends.aws_lambda.naming import runtime

    try:
        return Check(
            "client", PASSED, f"wrens {__version__}, Python {python_version()}: {runtime()} on Lambda"
        )
    except WrensError as error:
        return Check("client", FAILED, str(error).partition("\n")[0], "use one of the Pythons of Lambda")


def _uv() -> Check:
    """Look for what finds and fetches the packages of functions."""
    try:
        return Check("uv", PASSED, installer.program())
    except BadEnvironment:
        return Check("uv", FAILED, "it is not installed; it fetches packages", "pip install 'wrens[aws]'")


def _store(url: str, mend: str, mend_denied: str = "") -> Iterator[Check]:
    """Try the store.

    Args:
        url: Its address.
        mend: What to run when it is not there.
        mend_denied: What to run when something is not allowed.
    """

    def fix(error: StoreError) -> str:
        return mend_denied if mend_denied and isinstance(error, StoreDenied) else mend

    try:
        store = open_store(url, check=True)
    except StoreError as error:
        yield Check("store", FAILED, f"{url}: {error.reason or error.problem}", fix(error))
        return
    yield Check("store", PASSED, f"{store.url} answers")
    for tried in try_verbs(store):
        name = f"store: {tried.what}"
        if tried.error is not None:
            yield Check(name, FAILED, f"{tried.error.problem}: {tried.error.reason}", fix(tried.error))
        elif tried.problem:
            yield Check(name, FAILED, tried.problem, "use another service for the store")
        else:
            yield Check(name, PASSED, "works")


def _data(backend: str, url: str, beside: _Beside, mend_here: str, mend_there: str) -> Iterator[Check]:
    """Try what lies beside the store, here and on a worker.

    Args:
        backend: Where workers run.
        url: The store.
        beside: What to try.
        mend_here: What to run when this client may not.
        mend_there: What to run when workers may not.
    """
    if not beside.trials:
        return
    with Executor(backend, store=url, max_workers=1) as ex:
        there = [(name, ex.submit(trying, address)) for name, trying, address in beside.trials]
        for name, trying, address in beside.trials:
            yield _seen(f"{name}, here", partial(trying, address), mend_here)
        for name, future in there:
            yield _seen(f"{name}, by a worker", partial(future.result, TASK_S), mend_there)


def _seen(name: str, look: Callable[[], str], mend: str) -> Check:
    try:
        return Check(name, PASSED, look())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user has to see
        told = f"{error.problem}: {error.reason}" if isinstance(error, StoreError) else str(error)
        return Check(name, FAILED, told.partition("\n")[0], mend)


def _task(backend: str, url: str) -> Check:
    """Run a task on a worker, from the client to the store and back."""
    if backend not in available():
        return Check("task", SKIPPED, f"this version of wrens has no backend {backend!r}")
    clock = SystemClock()
    began = clock.now()
    try:
        with Executor(backend, store=url, max_workers=1) as ex:
            # A function of the standard library, because workers have no command.
            where = ex.submit(platform.platform).result(timeout=TASK_S)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user has to see
        told = f"{type(error).__name__}: {error}"
        return Check("task", FAILED, told, "wrens logs, and the log group of the function, say more")
    return Check("task", PASSED, f"run by {where} in {texts.duration(clock.now() - began)}")
