"""Requests that change something on AWS, as data, and making them.

Decides that they are made one after the other, what is waited for in between, and what is said when one is
refused. Which ones there have to be is decided in :mod:`wrens.backends.aws_lambda.deploying`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wrens.backends.aws_lambda.account import Aws
from wrens.clock import Clock, SystemClock
from wrens.errors import CannotDeploy, ServiceError

ROLE_WAIT_S = 90.0
"""How long a new role may take until Lambda can act in it; AWS says "seconds"."""
ROLE_STEP_S = 2.0
"""How long to wait between two tries."""


@dataclass(frozen=True)
class Step:
    """One request that changes something.

    Args:
        text: What it does, for people; holds no secret.
        service, action, parameters: The request.
        then: What to wait for afterwards: a service and one of botocore's waiters.
    """

    text: str
    service: str
    action: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    then: tuple[str, str] | None = None


def carry_out(
    aws: Aws,
    steps: Sequence[Step],
    *,
    told: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> None:
    """Make the requests, one after the other, waiting for each to take effect.

    Args:
        aws: Where.
        steps: What, from :func:`plan`.
        told: Called with the text of each step that is done.
        clock: What to wait on for a new role.

    Raises:
        CannotDeploy: if one is refused; those before it stay, and the next run goes on from there.
    """
    clock = clock or SystemClock()
    done: list[str] = []
    for step in steps:
        try:
            _request(aws, step, clock)
        except ServiceError as error:
            kept = f"Done before, and kept: {'; '.join(done)}. " if done else "Nothing was changed. "
            raise CannotDeploy(
                step.text,
                f"{error.service}:{error.action} was refused: {error.code}: {error.message}",
                error.advice,
                f"{kept}The next 'wrens deploy aws' goes on from here.",
            ) from error
        done.append(step.text)
        told(step.text)


def _request(aws: Aws, step: Step, clock: Clock) -> None:
    end = clock.now() + ROLE_WAIT_S
    while True:
        try:
            aws.call(step.service, step.action, **step.parameters)
            break
        except ServiceError as error:
            if not _role_is_new(error) or clock.now() > end:
                raise
        clock.sleep(ROLE_STEP_S)
    if step.then is not None:
        service, waiter = step.then
        key = {"s3": "Bucket", "iam": "RoleName", "lambda": "FunctionName"}[service]
        aws.wait(service, waiter, **{key: step.parameters[key]})


def _role_is_new(error: ServiceError) -> bool:
    """Tell whether a refusal only says that a role is not known everywhere yet."""
    return error.code == "InvalidParameterValueException" and "assumed by Lambda" in error.message
