"""What is asked of Lambda and of its logs, and what its refusals mean.

Decides which questions make up what this client has to know of a function, and whether that function can run what
this client sends. Does not decide when something is sent.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wrens.backends.aws_lambda.clients import (
    DEPLOY,
    DOCTOR,
    Throttled,
    Unreachable,
    client,
    or_none,
    session,
    told,
)
from wrens.backends.aws_lambda.orders import Answer
from wrens.errors import BackendError, VersionMismatch
from wrens.version import __version__
from wrens.wire import decoders


@dataclass(frozen=True, slots=True)
class Facts:
    """What the service says of a function. Megabytes are those of the service (2**20 bytes), times are seconds."""

    name: str
    memory_mb: int
    time_s: int
    disk_mb: int
    concurrency: int
    """How many of its invocations may run at a time: its own share, or what the account has left."""
    machine: str
    state: str
    python: str = ""
    """Minor version of its Python; empty when it is not known, as for a container image."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Names and values of its environment that are no secrets."""


class Service:
    """One account's Lambda in one region.

    Args:
        region: By default that of the standard chain.
        connections: How many requests may be open at a time.

    Raises:
        BackendError: if boto3 is not installed or no region is known.
    """

    def __init__(self, *, region: str | None = None, connections: int = 10) -> None:
        shared = session()
        self._lambda = client("lambda", region=region, connections=connections, tries=1, of=shared)
        self._asking = client("lambda", region=region, of=shared)
        self._logs: Any = None  # made when something has to be looked up, which is seldom
        self.region: str = self._lambda.meta.region_name

    def describe(self, name: str) -> Facts:
        """Return what the service says of a function.

        Raises:
            BackendError: if there is no such function, or it cannot be asked for.
        """
        try:
            return self._described(name)
        except (Throttled, Unreachable) as error:
            problem = f"Lambda in {self.region} did not tell what the function {name} is"
            advice = (
                "Look at the network, at AWS_ENDPOINT_URL if it is set, and try again. Nothing was started."
            )
            raise BackendError("lambda", problem, str(error), advice) from error

    def _described(self, name: str) -> Facts:
        with told(f"lambda:GetFunctionConfiguration on {name}", self.region, name):
            found = self._asking.get_function_configuration(FunctionName=name)
        shared = or_none(lambda: self._asking.get_function_concurrency(FunctionName=name))
        own = (shared or {}).get("ReservedConcurrentExecutions")
        with told("lambda:GetAccountSettings", self.region, name):
            account = self._asking.get_account_settings().get("AccountLimit", {})
        left = account.get("UnreservedConcurrentExecutions", account.get("ConcurrentExecutions", 1000))
        return Facts(
            name=name,
            memory_mb=int(found.get("MemorySize", 128)),
            time_s=int(found.get("Timeout", 3)),
            disk_mb=int(found.get("EphemeralStorage", {}).get("Size", 512)),
            concurrency=int(own if own is not None else left),
            machine="aarch64" if "arm64" in found.get("Architectures", ()) else "x86_64",
            state=str(found.get("State") or "Active"),
            python=str(found.get("Runtime") or "").removeprefix("python"),
            variables=found.get("Environment", {}).get("Variables", {}),
        )

    def invoke(self, name: str, payload: bytes) -> None:
        """Have a function invoked asynchronously.

        Raises:
            Throttled: if the service takes no more at this moment.
            Unreachable: if it did not answer; the invocation may have been taken.
            BackendError: if it never will.
        """
        with told(f"lambda:InvokeFunction on {name}", self.region, name):
            self._lambda.invoke(FunctionName=name, InvocationType="Event", Payload=payload)

    def close(self) -> None:
        """Close the connections."""
        for each in (self._lambda, self._asking, self._logs):
            if each is not None:
                each.close()

    def try_out(self, name: str, payload: bytes) -> Answer:
        """Have a function carry out a trial, and wait for its answer.

        Raises:
            Throttled, Unreachable: if that says nothing about the function.
            BackendError: if it cannot be loaded, or may not be invoked.
        """
        with told(f"lambda:InvokeFunction on {name}", self.region, name):
            found = self._asking.invoke(FunctionName=name, Payload=payload)
            text = found["Payload"].read()
        if "FunctionError" in found:
            said = text.decode("utf-8", "replace")[:2000]
            problem = f"the function {name} cannot carry out anything"
            raise BackendError("lambda", problem, said, f"Make it anew: {DEPLOY}   {DOCTOR}")
        return decoders.from_json(Answer, text)

    def log_of(self, name: str, words: str, since_ms: int) -> list[str]:
        """Return the log lines of the invocation whose first line contains ``words``, to its end.

        Args:
            name: The function.
            words: What tells the invocation from others.
            since_ms: Milliseconds since 1970 from which to look.

        Returns:
            The lines, oldest first; none when the invocation has left none, or the log cannot be read.
        """
        if self._logs is None:
            self._logs = client("logs", region=self.region)
        group = f"/aws/lambda/{name}"
        query = {"logGroupName": group, "startTime": since_ms}
        first = or_none(lambda: self._logs.filter_log_events(**query, filterPattern=f'"{words}"'))
        events = (first or {}).get("events", [])
        if not events:
            return []
        found = or_none(
            lambda: self._logs.get_log_events(
                logGroupName=group,
                logStreamName=events[0]["logStreamName"],
                startTime=int(events[0]["timestamp"]),
                startFromHead=True,
            )
        )
        lines = [str(event["message"]).rstrip("\n") for event in (found or {}).get("events", [])]
        at = next((i for i, line in enumerate(lines) if words in line), None)
        return [] if at is None else lines[at:]


def check(facts: Facts, *, wrens: str = __version__) -> None:
    """Refuse a function that cannot run what this client would send.

    Raises:
        VersionMismatch: if it has another wrens, or another minor version of Python.
        BackendError: if it is not ready.
    """
    where = f"the function {facts.name}"
    here = ".".join(platform.python_version_tuple()[:2])
    theirs = facts.variables.get("WRENS_PYTHON") or facts.python
    if theirs and theirs != here:
        advice = (
            f"Run this program with Python {theirs}, or deploy workers for Python {here} from it: {DEPLOY}"
        )
        raise VersionMismatch("Python", here, theirs, "this client's code", where, advice)
    made = facts.variables.get("WRENS_VERSION")
    if made and made != wrens:
        raise VersionMismatch("wrens", wrens, made, "this client", where, f"Update the function: {DEPLOY}")
    if facts.state not in {"Active", "Inactive"}:
        advice = f"Wait until it is active, or make it anew: {DEPLOY}"
        raise BackendError("lambda", f"{where} is not ready", f"its state is {facts.state}", advice)
