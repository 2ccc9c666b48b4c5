"""What can be wrong with a set-up on AWS, looked at piece by piece.

Each check makes the harmless request that a job would make, so what it says was seen and not guessed. Decides what
is looked at, in which order, what counts as right, and which command mends what is not. Prints nothing and runs no
task: ``wrens doctor`` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.account import Aws, is_denied, is_missing
from wrens.backends.aws_lambda.deployed import POLICY, document, locate
from wrens.backends.aws_lambda.naming import (
    KEY_VARIABLE,
    PYTHON_VARIABLE,
    VERSION_VARIABLE,
    Place,
    default_function,
    is_ours,
    python_version,
)
from wrens.errors import BadSigningKey, ServiceError, WrensError
from wrens.store.signing_keys import SigningKey, decoded

Outcome = Literal["passed", "failed", "skipped"]
PASSED: Outcome = "passed"
FAILED: Outcome = "failed"
SKIPPED: Outcome = "skipped"
ALLOWED = "allowed"


def outcome(good: bool) -> Outcome:  # noqa: FBT001 - it is the one thing that matters
    """Return what a condition means.

    >>> outcome(1 < 2)
    'passed'
    """
    return PASSED if good else FAILED


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What it is.
        outcome: Whether it is as it should be; ``"skipped"`` when it could not be looked at, which is no failure.
        evidence: What was seen.
        fix: What to run when it is not.
    """

    name: str
    outcome: Outcome
    evidence: str
    fix: str = ""


@dataclass(frozen=True)
class Client:
    """What this client is, as far as a function has to agree with it.

    Args:
        wrens: Its version.
        signing_key: What it signs with.
    """

    wrens: str
    signing_key: SigningKey


def account(region: str | None, function: str, store: str) -> tuple[list[Check], Aws | None, Place | None]:
    """Look at region and credentials.

    Returns:
        The checks, and AWS and the place there when all is well.
    """
    try:
        aws = Aws(region)
    except WrensError as error:
        return [Check("region", FAILED, *_in_two(error))], None, None
    checks = [Check("region", PASSED, f"{aws.region}")]
    try:
        place = locate(aws, function, store)
        who = aws.call("sts", "GetCallerIdentity")["Arn"]
    except ServiceError as error:
        told = f"{error.code}: {error.message}"
        return [*checks, Check("credentials", FAILED, told, error.advice)], None, None
    except WrensError as error:
        return [*checks, Check("store", FAILED, *_in_two(error))], None, None
    return [*checks, Check("credentials", PASSED, f"{who} (sts:GetCallerIdentity)")], aws, place


def _in_two(error: WrensError) -> tuple[str, str]:
    head, _, rest = str(error).partition("\n")
    return head, " ".join(rest.split())


def deploy_command(place: Place) -> str:
    """Return the command that makes this deployment, or brings it up to date.

    >>> deploy_command(Place("eu-central-1", "1", default_function("big"), "lab", "jobs"))
    'wrens deploy aws --store s3://lab/jobs --region eu-central-1 --name big'
    """
    said = f"wrens deploy aws --store {place.store} --region {place.region}"
    ours, _, name = place.function.partition(default_function())
    if ours or not (name.startswith("-") or place.function == default_function()):
        return f"{said}   makes {default_function()}; without --function it is used"
    return f"{said} --name {name[1:]}" if name else said


def policies_command(place: Place) -> str:
    """Return the command that prints what has to be allowed."""
    return f"wrens deploy aws --store {place.store} --print-policies"


def function(aws: Aws, place: Place, client: Client) -> Iterator[Check]:
    """Look at the function, and at each permission to use it."""
    mend = deploy_command(place)
    named = {"FunctionName": place.function}
    ask = _Asking(aws, place)
    config = ask("lambda:GetFunctionConfiguration", "UseTheFunction", "lambda", **named)
    if config is None:
        code = ask.error.code if ask.error else ""
        if ask.error and is_missing(ask.error):
            told = f"there is no function {place.function} in {place.region} ({code})"
            yield Check("function", FAILED, told, mend)
        else:
            yield ask.check
        return
    yield ask.check
    yield _state(config, mend)
    yield from _versions(config, client, mend)
    yield _key(config, client, mend)
    tags = ask("lambda:ListTags", "UseTheFunction", "lambda", Resource=place.function_arn)
    yield ask.check
    if tags is not None and not is_ours(tags.get("Tags", {})):
        yield Check("made by wrens", FAILED, "it lacks the tag wrens=1", f"{mend} --name OTHER")
    yield from _concurrency(ask, named)
    yield from _retries(ask, named, mend)
    yield _role(aws, place, config, mend)
    ask("lambda:InvokeFunction", "UseTheFunction", "lambda", **named, InvocationType="DryRun")
    yield ask.check
    yield from _logs(ask, place, mend)


class _Asking:
    """Requests that each are a check of a permission."""

    def __init__(self, aws: Aws, place: Place) -> None:
        self._aws, self._place = aws, place
        self.error: ServiceError | None = None
        self.check = Check("", SKIPPED, "")

    def __call__(self, permission: str, sid: str, service: str, **parameters: Any) -> dict[str, Any] | None:
        """Make a request; ``check`` says whether it was allowed, and ``error`` why there is no answer."""
        self.error = None
        action = permission.partition(":")[2].replace("InvokeFunction", "Invoke")
        try:
            answer = self._aws.call(service, action, **parameters)
        except ServiceError as error:
            self.error = error
            seen = f"{error.code}: {error.message}"
            if not is_denied(error):
                # Somebody who may not ask is not told that a thing is missing.
                self.check = Check(permission, outcome(is_missing(error)), seen, error.advice)
                return None
            fix = f"{policies_command(self._place)}   prints what to allow: the statement {sid} of 'user'"
            self.check = Check(permission, FAILED, seen, fix)
            return None
        self.check = Check(permission, PASSED, ALLOWED)
        return answer


def _state(config: Mapping[str, Any], mend: str) -> Check:
    state = str(config.get("State") or "Active")
    update = str(config.get("LastUpdateStatus") or "Successful")
    held = (
        f"{config.get('Runtime', 'image')}, {'/'.join(config.get('Architectures', ['x86_64']))}, "
        f"{config.get('MemorySize')} MB, {config.get('Timeout')} s, "
        f"{config.get('EphemeralStorage', {}).get('Size', 512)} MB of disk"
    )
    # A function that nobody used for weeks is inactive, and becomes active by being used.
    good = state in {"Active", "Inactive"} and update == "Successful"
    if "Pending" in (state, update) or update == "InProgress":
        mend = "wait some seconds, and run wrens doctor again: it is being made or changed"
    why = " ".join(str(config.get(field, "")) for field in ("StateReason", "LastUpdateStatusReason")).strip()
    return Check(
        "function", outcome(good), f"{state.lower()}: {held}" + (f"; {why}" if why and not good else ""), mend
    )


def _versions(config: Mapping[str, Any], client: Client, mend: str) -> Iterator[Check]:
    variables = config.get("Environment", {}).get("Variables", {})
    python = str(variables.get(PYTHON_VARIABLE) or config.get("Runtime", "").removeprefix("python"))
    here = python_version()
    if python:
        yield Check("Python", outcome(python == here), f"{python} there, {here} here", mend)
    else:
        yield Check("Python", SKIPPED, f"an image does not say; {here} here")
    wrens = str(variables.get(VERSION_VARIABLE, ""))
    if wrens:
        yield Check("wrens", outcome(wrens == client.wrens), f"{wrens} there, {client.wrens} here", mend)
    elif config.get("PackageType") == "Image":
        yield Check("wrens", SKIPPED, f"an image does not say; {client.wrens} here")
    else:
        yield Check("wrens", FAILED, f"the function does not say; {client.wrens} here", mend)


def _key(config: Mapping[str, Any], client: Client, mend: str) -> Check:
    theirs = config.get("Environment", {}).get("Variables", {}).get(KEY_VARIABLE)
    here = client.signing_key.fingerprint
    if theirs is None:
        return Check("signing key", FAILED, f"none there, {here} here", mend)
    try:
        there = decoded(theirs, f"the function's {KEY_VARIABLE}").fingerprint
    except BadSigningKey as error:
        return Check("signing key", FAILED, str(error).partition("\n")[0], mend)
    return Check("signing key", outcome(there == here), f"{there} there, {here} here", mend)


def _concurrency(ask: _Asking, named: Mapping[str, str]) -> Iterator[Check]:
    answer = ask("lambda:GetFunctionConcurrency", "UseTheFunction", "lambda", **named)
    yield ask.check
    own = (answer or {}).get("ReservedConcurrentExecutions")
    answer = ask("lambda:GetAccountSettings", "ReadLimits", "lambda")
    yield ask.check
    if answer is None:
        return
    limits = answer.get("AccountLimit", {})
    left = limits.get("UnreservedConcurrentExecutions", limits.get("ConcurrentExecutions", 0))
    most = left if own is None else own
    told = f"{most:,} workers at a time, " + (
        "reserved for it" if own is not None else "shared in the account"
    )
    more = "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384"
    yield Check("concurrency", outcome(most > 0), told, f"{more} --desired-value 1000")


def _retries(ask: _Asking, named: Mapping[str, str], mend: str) -> Iterator[Check]:
    answer = ask("lambda:GetFunctionEventInvokeConfig", "UseTheFunction", "lambda", **named)
    yield ask.check
    if answer is None and ask.check.outcome != PASSED:
        return
    # Without a setting of its own, a function is tried three times.
    again = (answer or {}).get("MaximumRetryAttempts", 2)
    yield Check(
        "retries by Lambda", outcome(again == 0), f"{again}; wrens repeats what has to be, and counts", mend
    )


def _role(aws: Aws, place: Place, config: Mapping[str, Any], mend: str) -> Check:
    name = "role"
    if config.get("Role") != place.role_arn:
        return Check(name, SKIPPED, f"{config.get('Role')} is a role of your own; the task below tells")
    try:
        answer = aws.call("iam", "GetRolePolicy", RoleName=place.role, PolicyName=POLICY)
    except ServiceError as error:
        if is_missing(error):
            return Check(name, FAILED, f"{place.role} has no policy {POLICY} ({error.code})", mend)
        return Check(name, SKIPPED, f"you may not look into it ({error.code}); the task below tells")
    wanted = permissions.document(permissions.worker(place))
    found = document(answer["PolicyDocument"])
    if found == wanted:
        return Check(name, PASSED, f"{place.role} may do what workers need below {place.store}, and no more")
    have = {statement.get("Sid"): statement for statement in found.get("Statement", ())}
    off = [one["Sid"] for one in wanted["Statement"] if have.pop(one["Sid"], None) != one] + sorted(
        map(str, have)
    )
    told = f"the policy of {place.role} is not what workers need for {place.store}: {', '.join(off)}"
    return Check(name, FAILED, told, mend)


def _logs(ask: _Asking, place: Place, mend: str) -> Iterator[Check]:
    group = {"logGroupName": place.log_group}
    ask("logs:FilterLogEvents", "ReadLogs", "logs", **group, limit=1)
    yield _made(ask, mend)
    ask("logs:GetLogEvents", "ReadLogs", "logs", **group, logStreamName="wrens-doctor", limit=1)
    # No stream has this name: to be told so takes the permission.
    told = ask.error is not None and is_missing(ask.error) and "stream" in ask.error.message.lower()
    yield Check(ask.check.name, PASSED, ALLOWED) if told else _made(ask, mend)


def _made(ask: _Asking, mend: str) -> Check:
    if ask.error is not None and is_missing(ask.error):
        return Check(ask.check.name, FAILED, f"there is no log group: {ask.error.message}", mend)
    return ask.check
