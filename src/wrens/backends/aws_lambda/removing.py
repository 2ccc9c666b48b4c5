"""What has to be done so that there are no workers on AWS any longer.

Decides what is removed: the function and its logs, and the role when asked for and nobody else's function uses it.
Only what wrens has made; never a bucket, nor anything in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wrens.backends.aws_lambda.account import Aws
from wrens.backends.aws_lambda.deployed import (
    DATA_POLICY,
    POLICY,
    RESULTS_POLICY,
    Found,
    lacks_tag,
    role_tags,
)
from wrens.backends.aws_lambda.naming import Place, is_ours
from wrens.backends.aws_lambda.steps import Step
from wrens.errors import NotOurs


@dataclass(frozen=True)
class Removal:
    """What is removed, and what stays.

    Args:
        steps: The requests.
        kept: What stays, each with the reason.
    """

    steps: tuple[Step, ...]
    kept: tuple[str, ...]


def users_of(aws: Aws, role_arn: str) -> list[str]:
    """Return the names of the functions of this region that act in a role.

    Raises:
        ServiceError: if functions may not be listed.
    """
    functions = aws.pages("lambda", "ListFunctions", "Functions")
    return [function["FunctionName"] for function in functions if function.get("Role") == role_arn]


def plan_removal(place: Place, found: Found, *, users: Sequence[str] | None = None) -> Removal:
    """Return what has to be removed.

    Args:
        place: Where, and under which names; the bucket does not matter.
        found: What there is.
        users: The functions that act in the role, when the role is to be removed as well.

    Raises:
        NotOurs: if the function was not made by wrens.

    >>> plan_removal(Place("r", "1", "f", "b"), Found()).steps
    ()
    """
    steps, kept = [], []
    if found.function is not None:
        if not is_ours(found.tags):
            told = "Nothing was removed. 'aws lambda delete-function' does, if it is yours."
            raise NotOurs(f"the function {place.function}", lacks_tag(found.tags), told)
        named = {"FunctionName": place.function}
        steps.append(Step(f"delete function {place.function}", "lambda", "DeleteFunction", named))
    if found.log_group is not None:
        if is_ours(found.log_tags):
            named = {"logGroupName": place.log_group}
            steps.append(Step(f"delete log group {place.log_group}", "logs", "DeleteLogGroup", named))
        else:
            kept.append(f"log group {place.log_group}: {lacks_tag(found.log_tags)}")
    if found.role is not None:
        others = sorted(set(users or ()) - {place.function})
        if not is_ours(role_tags(found.role)):
            kept.append(f"role {place.role}: {lacks_tag(role_tags(found.role))}")
        elif users is None:
            kept.append(f"role {place.role}: --role removes it too")
        elif others:
            kept.append(f"role {place.role}: {', '.join(others)} still act in it")
        else:
            steps += _role_steps(place, found)
    return Removal(tuple(steps), tuple(kept))


def _role_steps(place: Place, found: Found) -> list[Step]:
    named = {"RoleName": place.role}
    steps = []
    if found.role_policy is not None:
        gone = named | {"PolicyName": POLICY}
        steps.append(Step(f"delete the policy of role {place.role}", "iam", "DeleteRolePolicy", gone))
    if found.data_policy is not None:
        gone = named | {"PolicyName": DATA_POLICY}
        steps.append(Step(f"delete what lets role {place.role} read data", "iam", "DeleteRolePolicy", gone))
    if found.results_policy is not None:
        gone = named | {"PolicyName": RESULTS_POLICY}
        steps.append(
            Step(f"delete what lets role {place.role} write results", "iam", "DeleteRolePolicy", gone)
        )
    # AWS refuses when somebody has attached more to it; that is then said, and is theirs to undo.
    return [*steps, Step(f"delete role {place.role}", "iam", "DeleteRole", named)]
