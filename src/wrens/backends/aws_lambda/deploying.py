"""What has to be done so that there are workers on AWS: bucket, role, logs and function.

What there is (:mod:`~wrens.backends.aws_lambda.deployed`) and what is wished for give the requests that are to be
made (:mod:`~wrens.backends.aws_lambda.steps`). That is a pure function, so a second run finds nothing to do, and a
dry run prints exactly what a real one would request. Decides what is made and with which settings; what is not
said stays as it is. What wrens has not made is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.deployed import (
    DATA_POLICY,
    POLICY,
    RESULTS_POLICY,
    Found,
    document,
    lacks_tag,
    role_tags,
)
from wrens.backends.aws_lambda.naming import HANDLER, KEY_VARIABLE, Place, is_ours
from wrens.backends.aws_lambda.packaging import Package
from wrens.backends.aws_lambda.steps import Step
from wrens.errors import BadOption, CannotDeploy, NotOurs
from wrens.wire import keys

MEMORY_MB, TIMEOUT_S, EPHEMERAL_MB = 1769, 900, 512
"""What a new function gets when nothing is said: memory for one whole processor, the longest time, the least disk."""
MEMORY_RANGE, TIMEOUT_RANGE, EPHEMERAL_RANGE = (128, 10_240), (1, 900), (512, 10_240)
"""What Lambda allows."""
EVENT_AGE_S = 3600
"""How long an invocation may wait in Lambda's own queue while there is no room for it."""
LOG_DAYS = 14
"""After how many days logs are deleted."""
ABORT_UPLOADS_DAYS = 7
"""After how many days a bucket that wrens has made forgets uploads that were begun and not ended."""


@dataclass(frozen=True)
class Wish:
    """What is to be there. ``None`` is: as it is, or the default when it is made.

    Args:
        place: Where, and under which names.
        tags: On everything that is made.
        package: The code as a zip; or
        image: the URI of a container image.
        versions: Variables that tell a client which wrens and Python the function holds.
        runtime: Lambda's name for the Python.
        arch: The processor.
        memory_mb, timeout_s, ephemeral_mb: Of each worker.
        concurrency: How many workers at most; 0 for no limit of its own.
        signing_key: What payloads are signed with.
        reads: Addresses of data beside the store that tasks read.
        writes: Addresses beside the store that tasks write results to.
    """

    place: Place
    tags: Mapping[str, str]
    package: Package | None = None
    image: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    arch: str = "x86_64"
    memory_mb: int | None = None
    timeout_s: int | None = None
    ephemeral_mb: int | None = None
    concurrency: int | None = None
    signing_key: str | None = field(default=None, repr=False)
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, (least, most) in (
            ("--memory", self.memory_mb, MEMORY_RANGE),
            ("--timeout", self.timeout_s, TIMEOUT_RANGE),
            ("--ephemeral", self.ephemeral_mb, EPHEMERAL_RANGE),
        ):
            if value is not None and not least <= value <= most:
                raise BadOption(f"{name} {value}", "is not what Lambda has", f"Use {least} to {most}.")
        if self.concurrency is not None and self.concurrency < 0:
            raise BadOption(f"--concurrency {self.concurrency}", "is less than none", "0 is: no limit.")


def plan(wish: Wish, found: Found) -> tuple[Step, ...]:
    """Return what has to be done, in order; nothing when all is as it should be.

    Raises:
        NotOurs: if the role or the function was not made by wrens.
        CannotDeploy: if a function of the other kind (zip, image) has this name, or the bucket is elsewhere.
    """
    place = wish.place
    if found.bucket_region not in (None, place.region):
        raise CannotDeploy(
            f"deploy to {place.region}",
            f"the bucket {place.bucket} is in {found.bucket_region}: every byte would travel between the two, "
            "and be paid for.",
            f"Deploy where the bucket is (--region {found.bucket_region}), or choose another bucket. "
            "Nothing was changed.",
        )
    if found.role is not None and not is_ours(role_tags(found.role)):
        raise _not_ours(f"the role {place.role}", role_tags(found.role))
    if found.function is not None and not is_ours(found.tags):
        raise _not_ours(f"the function {place.function}", found.tags)
    return (
        *_bucket_steps(wish, found),
        *_role_steps(wish, found),
        *_data_steps(wish, found),
        *_log_steps(wish, found),
        *_function_steps(wish, found),
        *_limit_steps(wish, found),
    )


def _not_ours(thing: str, tags: Mapping[str, str]) -> NotOurs:
    return NotOurs(thing, lacks_tag(tags), "Deploy under another name: --name NAME. Nothing was changed.")


def _bucket_steps(wish: Wish, found: Found) -> list[Step]:
    place, bucket = wish.place, {"Bucket": wish.place.bucket}
    if found.bucket_region is not None:
        return []
    # The first region of AWS is the one that must not be named.
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": place.region}}
    where = {} if place.region == "us-east-1" else elsewhere
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    abort = {
        "ID": "wrens-abort-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_UPLOADS_DAYS},
    }
    listed = [{"Key": key, "Value": value} for key, value in wish.tags.items()]
    name = f"bucket {place.bucket}"
    return [
        Step(
            f"create {name} in {place.region}", "s3", "CreateBucket", bucket | where, ("s3", "bucket_exists")
        ),
        Step(
            f"block public access to {name}",
            "s3",
            "PutPublicAccessBlock",
            bucket | {"PublicAccessBlockConfiguration": dict.fromkeys(blocks, True)},
        ),
        Step(f"tag {name}", "s3", "PutBucketTagging", bucket | {"Tagging": {"TagSet": listed}}),
        Step(
            f"let {name} forget broken uploads after {ABORT_UPLOADS_DAYS} days",
            "s3",
            "PutBucketLifecycleConfiguration",
            bucket | {"LifecycleConfiguration": {"Rules": [abort]}},
        ),
    ]


def _role_steps(wish: Wish, found: Found) -> list[Step]:
    place, named = wish.place, {"RoleName": wish.place.role}
    trust = permissions.trust()
    policy = permissions.document(permissions.worker(place))
    steps = []
    if found.role is None:
        parameters = {
            "AssumeRolePolicyDocument": json.dumps(trust),
            "Description": "What workers of wrens may do; made by 'wrens deploy aws'.",
            "Tags": [{"Key": key, "Value": value} for key, value in wish.tags.items()],
        }
        steps.append(
            Step(f"create role {place.role}", "iam", "CreateRole", named | parameters, ("iam", "role_exists"))
        )
    elif document(found.role.get("AssumeRolePolicyDocument")) != trust:
        steps.append(
            Step(
                f"let only Lambda act in role {place.role}",
                "iam",
                "UpdateAssumeRolePolicy",
                named | {"PolicyDocument": json.dumps(trust)},
            )
        )
    if found.role is None or document(found.role_policy) != policy:
        steps.append(
            Step(
                f"allow role {place.role} what workers need below {place.store}",
                "iam",
                "PutRolePolicy",
                named | {"PolicyName": POLICY, "PolicyDocument": json.dumps(policy)},
            )
        )
    return steps


def _data_steps(wish: Wish, found: Found) -> list[Step]:
    """Return what lets the role read and write beside the store; what is not said stays as it is."""
    return [
        *_beside_steps(wish, DATA_POLICY, "read", wish.reads, permissions.data, found.data_policy),
        *_beside_steps(
            wish, RESULTS_POLICY, "write to", wish.writes, permissions.results, found.results_policy
        ),
    ]


def _beside_steps(
    wish: Wish,
    name: str,
    verb: str,
    addresses: tuple[str, ...] | None,
    allowed: Callable[[Place, tuple[str, ...]], tuple[permissions.Statement, ...]],
    now: permissions.Policy | None,
) -> list[Step]:
    named = {"RoleName": wish.place.role, "PolicyName": name}
    if addresses is None:
        return []
    if not addresses:
        told = f"let role {wish.place.role} {verb} nothing beside {wish.place.store}"
        return [Step(told, "iam", "DeleteRolePolicy", named)] if now is not None else []
    policy = permissions.document(allowed(wish.place, addresses))
    if document(now) == policy:
        return []
    told = f"let role {wish.place.role} {verb} {', '.join(addresses)}"
    return [Step(told, "iam", "PutRolePolicy", named | {"PolicyDocument": json.dumps(policy)})]


def _log_steps(wish: Wish, found: Found) -> list[Step]:
    named = {"logGroupName": wish.place.log_group}
    steps = []
    if found.log_group is None:
        steps.append(
            Step(
                f"create log group {wish.place.log_group}",
                "logs",
                "CreateLogGroup",
                named | {"tags": dict(wish.tags)},
            )
        )
    elif not is_ours(found.log_tags):
        return []
    if (found.log_group or {}).get("retentionInDays") != LOG_DAYS:
        steps.append(
            Step(
                f"keep logs for {LOG_DAYS} days",
                "logs",
                "PutRetentionPolicy",
                named | {"retentionInDays": LOG_DAYS},
            )
        )
    return steps


def _function_steps(wish: Wish, found: Found) -> list[Step]:
    place, function = wish.place, found.function
    settings = _settings(wish, found)
    shown = ", ".join(f"{name} {_shown(value)}" for name, value in settings.items() if name != "Environment")
    if function is None:
        packed = {"PackageType": "Image"} if wish.image else {"Runtime": wish.runtime, "Handler": HANDLER}
        made = (
            settings
            | packed
            | {
                "FunctionName": place.function,
                "Role": place.role_arn,
                "Architectures": [wish.arch],
                "Tags": dict(wish.tags),
                "Code": _code(wish),
            }
        )
        create = Step(
            f"create function {place.function} ({shown})",
            "lambda",
            "CreateFunction",
            made,
            ("lambda", "function_active_v2"),
        )
        return _through_bucket(wish, create)
    if (function.get("PackageType", "Zip") == "Image") != bool(wish.image):
        kind = "an image" if function.get("PackageType") == "Image" else "a zip"
        raise CannotDeploy(
            f"change the function {place.function}",
            f"It was made from {kind}, and Lambda does not change that.",
            "Deploy under another name (--name NAME), or remove this one first (wrens undeploy aws). "
            "Nothing was changed.",
        )
    return [*_code_steps(wish, found), *_setting_steps(wish, function, settings), *_tag_steps(wish, found)]


def _shown(value: Any) -> str:
    return str(value.get("Size", value)) if isinstance(value, Mapping) else str(value)


def _settings(wish: Wish, found: Found) -> dict[str, Any]:
    """Return the settings that the function should have, those that nobody has asked for as they are."""
    now = found.function or {}
    disk = wish.ephemeral_mb or now.get("EphemeralStorage", {}).get("Size", EPHEMERAL_MB)
    variables = {**now.get("Environment", {}).get("Variables", {}), **wish.versions}
    if wish.signing_key is not None:
        variables[KEY_VARIABLE] = wish.signing_key
    return {
        "MemorySize": wish.memory_mb or now.get("MemorySize", MEMORY_MB),
        "Timeout": wish.timeout_s or now.get("Timeout", TIMEOUT_S),
        "EphemeralStorage": {"Size": disk},
        "Environment": {"Variables": variables},
    }


def _code(wish: Wish) -> dict[str, Any]:
    package = wish.package
    if package is None:
        return {"ImageUri": wish.image}
    if package.fits:
        return {"ZipFile": package.data}
    return {"S3Bucket": wish.place.bucket, "S3Key": _code_key(wish.place, package)}


def _code_key(place: Place, package: Package) -> str:
    return place.key(keys.deployment(package.stamp.content))


def _through_bucket(wish: Wish, step: Step) -> list[Step]:
    """Return a step with the upload before it and the deletion after it, when the code is too large for itself."""
    package = wish.package
    if package is None or package.fits:
        return [step]
    named = {"Bucket": wish.place.bucket, "Key": _code_key(wish.place, package)}
    upload = f"upload {len(package.data) / 1e6:.0f} MB of code to s3://{named['Bucket']}/{named['Key']}"
    return [
        Step(upload, "s3", "PutObject", named | {"Body": package.data}),
        step,
        Step("delete the uploaded code", "s3", "DeleteObject", named),
    ]


def _code_steps(wish: Wish, found: Found) -> list[Step]:
    function = found.function or {}
    if wish.package is None:
        same = found.code.get("ImageUri") == wish.image
    else:
        same = function.get("CodeSha256") == wish.package.sha256
    if same and function.get("Architectures", ["x86_64"]) == [wish.arch]:
        return []
    new = {"FunctionName": wish.place.function, "Architectures": [wish.arch]} | _code(wish)
    what = f"image {wish.image}" if wish.image else f"code {wish.package.stamp.content[:12]}"  # type: ignore[union-attr]
    return _through_bucket(
        wish,
        Step(
            f"update function {wish.place.function} to {what}",
            "lambda",
            "UpdateFunctionCode",
            new,
            ("lambda", "function_updated_v2"),
        ),
    )


def _setting_steps(wish: Wish, function: Mapping[str, Any], settings: dict[str, Any]) -> list[Step]:
    wanted = settings | {"Role": wish.place.role_arn}
    if not wish.image:
        wanted |= {"Runtime": wish.runtime, "Handler": HANDLER}
    now: dict[str, Any] = {"EphemeralStorage": {"Size": EPHEMERAL_MB}, **function}
    now["Environment"] = {"Variables": now.get("Environment", {}).get("Variables", {})}
    changed = {name: value for name, value in wanted.items() if now.get(name) != value}
    if not changed:
        return []
    told = ", ".join(
        f"{name} {_shown(now.get(name))} -> {_shown(value)}"
        if name != "Environment"
        else " and ".join(_changed(now[name]["Variables"], value["Variables"]))
        for name, value in changed.items()
    )
    return [
        Step(
            f"change function {wish.place.function}: {told}",
            "lambda",
            "UpdateFunctionConfiguration",
            {"FunctionName": wish.place.function} | changed,
            ("lambda", "function_updated_v2"),
        )
    ]


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that change; their values may be secret."""
    return sorted(name for name in after if after[name] != before.get(name))


def _tag_steps(wish: Wish, found: Found) -> list[Step]:
    # Who has deployed last is not worth a change.
    different = {k: v for k, v in wish.tags.items() if found.tags.get(k) != v and k != "wrens-made-by"}
    if not different:
        return []
    return [
        Step(
            f"tag function {wish.place.function}",
            "lambda",
            "TagResource",
            {"Resource": wish.place.function_arn, "Tags": different},
        )
    ]


def _limit_steps(wish: Wish, found: Found) -> list[Step]:
    named, steps = {"FunctionName": wish.place.function}, []
    if wish.concurrency == 0 and found.concurrency is not None:
        steps.append(Step("remove the limit of workers", "lambda", "DeleteFunctionConcurrency", named))
    elif wish.concurrency and wish.concurrency != found.concurrency:
        steps.append(
            Step(
                f"reserve {wish.concurrency} workers, and allow no more",
                "lambda",
                "PutFunctionConcurrency",
                named | {"ReservedConcurrentExecutions": wish.concurrency},
            )
        )
    wanted = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": EVENT_AGE_S}
    now = found.retries or {}
    if any(now.get(name) != value for name, value in wanted.items()):
        steps.append(
            Step(
                "let Lambda repeat nothing by itself",
                "lambda",
                "PutFunctionEventInvokeConfig",
                named | wanted,
            )
        )
    return steps
