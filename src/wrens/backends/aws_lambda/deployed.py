"""What there is of a deployment on AWS.

Decides what is looked at and how it is remembered; changes nothing, and judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.account import Aws, is_denied, is_missing
from wrens.backends.aws_lambda.naming import OURS, Address, Place, address_of
from wrens.errors import ServiceError

POLICY = "wrens-worker"
"""The name of the policy inside the role."""
DATA_POLICY = "wrens-data"
"""The name of the one beside it, when tasks read data that lie beside the store."""
RESULTS_POLICY = "wrens-results"
"""The name of a third, when tasks write results there."""


@dataclass(frozen=True)
class Found:
    """What there is. ``None`` is: nothing of this name."""

    bucket_region: str | None = None
    role: Mapping[str, Any] | None = None
    role_policy: permissions.Policy | None = None
    log_group: Mapping[str, Any] | None = None
    log_tags: Mapping[str, str] = field(default_factory=dict)
    function: Mapping[str, Any] | None = None
    code: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    retries: Mapping[str, Any] | None = None
    data_policy: permissions.Policy | None = None
    results_policy: permissions.Policy | None = None


def locate(aws: Aws, function: str, store: str | None = None) -> Place:
    """Return where things are, or would be; asks AWS only whose credentials these are.

    Args:
        aws: In the region of the function.
        function: Its name.
        store: The store's URL; without it the bucket stays empty.

    Raises:
        BadStoreURL: if the store is none on S3.
        ServiceError: if there are no credentials that AWS knows.
    """
    address = address_of(store) if store else Address("", "")
    who = aws.call("sts", "GetCallerIdentity")
    return Place(aws.region, who["Account"], function, address.bucket, address.prefix, aws.partition)


def look(aws: Aws, place: Place) -> Found:
    """Return what there is of a deployment; changes nothing.

    Raises:
        ServiceError: if something may not be read.
    """
    role = _or_none(lambda: aws.call("iam", "GetRole", RoleName=place.role)["Role"])
    names = (POLICY, DATA_POLICY, RESULTS_POLICY)
    policy, data_policy, results_policy = (role and _policy(aws, place, name) for name in names)
    log_group = _log_group(aws, place)
    function = _or_none(lambda: aws.call("lambda", "GetFunction", FunctionName=place.function))
    concurrency, retries = None, None
    if function is not None:
        named = {"FunctionName": place.function}
        answer = aws.call("lambda", "GetFunctionConcurrency", **named)
        concurrency = answer.get("ReservedConcurrentExecutions")
        retries = _or_none(lambda: aws.call("lambda", "GetFunctionEventInvokeConfig", **named))
    return Found(
        bucket_region=bucket_region(aws, place.bucket) if place.bucket else None,
        role=role,
        role_policy=policy,
        log_group=log_group,
        log_tags=_log_tags(aws, place) if log_group else {},
        function=function and function["Configuration"],
        code=(function or {}).get("Code", {}),
        tags=(function or {}).get("Tags", {}),
        concurrency=concurrency,
        retries=retries,
        data_policy=data_policy,
        results_policy=results_policy,
    )


def _policy(aws: Aws, place: Place, name: str) -> permissions.Policy | None:
    named = {"RoleName": place.role, "PolicyName": name}
    found: permissions.Policy | None = _or_none(
        lambda: aws.call("iam", "GetRolePolicy", **named)["PolicyDocument"]
    )
    return found


def bucket_region(aws: Aws, bucket: str) -> str | None:
    """Return the region of a bucket, or ``None`` when there is none of this name.

    Raises:
        ServiceError: if it belongs to somebody else, or cannot be asked for.
    """
    try:
        answer = aws.call("s3", "HeadBucket", Bucket=bucket)
    except ServiceError as error:
        if is_missing(error):
            return None
        if is_denied(error):
            raise ServiceError(
                "s3",
                "HeadBucket",
                error.code,
                f"the bucket {bucket} belongs to somebody else, or you may not see it",
                "Buckets share their names with the whole world: choose another name in --store, or have "
                "s3:ListBucket allowed on this one.",
            ) from error
        raise
    return str(answer.get("BucketRegion") or aws.region)


def _log_group(aws: Aws, place: Place) -> Mapping[str, Any] | None:
    named = aws.pages("logs", "DescribeLogGroups", "logGroups", logGroupNamePrefix=place.log_group)
    return next((found for found in named if found["logGroupName"] == place.log_group), None)


def _log_tags(aws: Aws, place: Place) -> Mapping[str, str]:
    tags: Mapping[str, str] = aws.call("logs", "ListTagsForResource", resourceArn=place.log_group_arn)["tags"]
    return tags


def _or_none(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ServiceError as error:
        if is_missing(error):
            return None
        raise


def role_tags(role: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a role, which IAM has as a list.

    >>> role_tags({"Tags": [{"Key": "wrens", "Value": "1"}]})
    {'wrens': '1'}
    """
    return {tag["Key"]: tag["Value"] for tag in role.get("Tags", ())}


def document(found: Any) -> Any:
    """Return a policy as data, however it came: IAM sends it as text, and botocore mostly decodes it.

    >>> document("%7B%22Version%22%3A%20%222012-10-17%22%7D")
    {'Version': '2012-10-17'}
    """
    return json.loads(unquote(found)) if isinstance(found, str) else found


def lacks_tag(tags: Mapping[str, str]) -> str:
    """Say how it was seen that something is not ours.

    >>> lacks_tag({"team": "x"})
    'It lacks the tag wrens=1; its tags: team=x.'
    """
    shown = ", ".join(f"{key}={value}" for key, value in sorted(tags.items())) or "none"
    return f"It lacks the tag {OURS}=1; its tags: {shown}."
