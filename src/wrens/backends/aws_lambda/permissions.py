"""Who may do what on AWS, as data.

Three policies: of the workers' role, of who runs jobs, and of who deploys; and two more for data beside the store. Decides each line of them and why it
is there; makes no request. ``wrens deploy aws --print-policies`` prints them, and docs/explain/aws-permissions.md
explains them with the very sentences that stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wrens.backends.aws_lambda.naming import OURS, Place, address_of
from wrens.errors import BadOption

Policy = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """One thing that is allowed.

    Args:
        sid: Its name.
        actions: What may be done.
        resources: To what.
        why: What it is needed for.
        condition: Under which condition only.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    condition: Mapping[str, Mapping[str, str | list[str]]] | None = None

    def as_policy(self) -> dict[str, Any]:
        """Return it as AWS has it."""
        shown: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        if self.condition is not None:
            shown["Condition"] = {test: dict(values) for test, values in self.condition.items()}
        return shown


WRITTEN = ("jobs/*", "functions/*", "values/*", "drivers/*", "uploads/*", "environments/*.used", "probe")
"""What workers may write and delete, below the store's prefix."""
NOT_WRITTEN = ("environments/<digest>", "deployments/<digest>", "trials/<id>")
"""What they may not: it is code for other workers, or none of their business."""


def worker(place: Place) -> tuple[Statement, ...]:
    """Return what the workers' role may do.

    >>> [statement.sid for statement in worker(Place("r", "1", "f", "b", "p"))]
    ['ReadTheStore', 'WriteJobs', 'ListTheStore', 'WriteLogs', 'LaunchItself', 'ReadLimits']
    """
    return (*_worker_in_the_store(place), *_worker_beside_it(place))


def _worker_in_the_store(place: Place) -> tuple[Statement, ...]:
    """Return what workers may do in the store."""
    written = tuple(place.objects(pattern) for pattern in WRITTEN)
    return (
        Statement(
            "ReadTheStore",
            ("s3:GetObject",),
            (place.objects(),),
            "A worker reads the function, the inputs, shared values, results that inputs refer to, and "
            "packages. All of them lie below the store's prefix, and nothing else is read.",
        ),
        Statement(
            "WriteJobs",
            ("s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"),
            written,
            "A worker commits verdicts and writes heartbeats below `jobs/`; large ones pass through `uploads/`. "
            "A task that makes an executor of its own also writes what that one's jobs need, and deletes it "
            "when the executor closes. Packages in `environments/` and the worker's own code cannot be "
            "written, so a worker cannot change them for other workers.",
        ),
        _listing(
            place,
            "An executor that is made inside a task finds its verdicts by listing them. It also lets the "
            "worker tell an object that is missing from one that it may not read: to whoever may not list, "
            "S3 says 'access denied' for both.",
        ),
    )


def _worker_beside_it(place: Place) -> tuple[Statement, ...]:
    """Return what workers may do with logs and functions."""
    return (
        Statement(
            "WriteLogs",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (f"{place.log_group_arn}:*",),
            "Lambda writes what the function prints with the role of the function. The group is made when "
            "the function is deployed, so making groups is not needed.",
        ),
        Statement(
            "LaunchItself",
            ("lambda:InvokeFunction", "lambda:GetFunctionConfiguration"),
            (place.function_arn,),
            "A worker launches others when the client alone cannot launch fast enough, and when a task makes "
            "an executor. Only this one function, and for that it reads its settings.",
        ),
        Statement(
            "ReadLimits",
            ("lambda:GetAccountSettings",),
            ("*",),
            "How many functions may run at a time in this account; whoever launches has to know. AWS knows "
            "no narrower resource for it, and it changes nothing.",
        ),
    )


def data(place: Place, reads: Sequence[str]) -> tuple[Statement, ...]:
    """Return what reading data beside the store takes: for the workers' role, and for whoever plans partitions.

    Args:
        place: Of the function; only its partition of AWS matters.
        reads: Addresses on S3, each a bucket, or an object or prefix in one.

    Raises:
        BadOption: if an address is none on S3.

    >>> for statement in data(Place("r", "1", "f", "b", "p"), ["s3://lab/logs"]):
    ...     print(statement.sid, statement.resources)
    ReadData1 ('arn:aws:s3:::lab/logs', 'arn:aws:s3:::lab/logs/*')
    ListData1 ('arn:aws:s3:::lab',)
    """
    found: list[Statement] = []
    for n, read in enumerate(reads, 1):
        there = _beside(place, "--read", read)
        itself = (there.objects("").rstrip("/"),) if there.prefix else ()
        why = "Tasks read data that lie beside the store."
        found.append(Statement(f"ReadData{n}", ("s3:GetObject",), (*itself, there.objects()), why))
        why = "Whoever plans partitions lists them; to whoever may not list, S3 says 'access denied' of what is missing."
        found.append(_listing_beside(f"ListData{n}", there, why))
    return tuple(found)


def results(place: Place, writes: Sequence[str]) -> tuple[Statement, ...]:
    """Return what writing results beside the store takes, such as sorted data: for the role, and for whoever sorts.

    Args:
        place: Of the function; only its partition of AWS matters.
        writes: Addresses on S3, each a bucket, or a prefix in one.

    Raises:
        BadOption: if an address is none on S3.

    >>> for statement in results(Place("r", "1", "f", "b", "p"), ["s3://lab/sorted"]):
    ...     print(statement.sid, statement.resources)
    WriteData1 ('arn:aws:s3:::lab/sorted/*',)
    ListWritten1 ('arn:aws:s3:::lab',)
    """
    found: list[Statement] = []
    actions = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject")
    for n, write in enumerate(writes, 1):
        there = _beside(place, "--write", write)
        why = (
            "Tasks write results that lie beside the store: only below this prefix, where large objects are put "
            "together too. Reading shows that what is there is one's own; deleted is a trial, what was put together, "
            "and with `overwrite=True` what an earlier sort has left."
        )
        found.append(Statement(f"WriteData{n}", actions, (there.objects(),), why))
        why = "Nothing is written where something is; so it is looked."
        found.append(_listing_beside(f"ListWritten{n}", there, why))
    return tuple(found)


def _beside(place: Place, option: str, url: str) -> Place:
    """Return a place with another bucket and prefix.

    Raises:
        BadOption: if the address is none on S3.
    """
    if not url.startswith("s3://"):
        raise BadOption(f"{option} {url}", "is no address on S3", "Write s3://bucket/prefix, or none.")
    address = address_of(url)
    return replace(place, bucket=address.bucket, prefix=address.prefix)


def _listing_beside(sid: str, there: Place, why: str) -> Statement:
    condition = {"StringLike": {"s3:prefix": [there.prefix, there.key("*")]}} if there.prefix else None
    return Statement(sid, ("s3:ListBucket",), (there.bucket_arn,), why, condition)


def user(place: Place) -> tuple[Statement, ...]:
    """Return what somebody has to be allowed who runs jobs, and nothing more.

    >>> [statement.sid for statement in user(Place("r", "1", "f", "b", "p"))]
    ['UseTheFunction', 'ReadLimits', 'UseTheStore', 'ListTheStore', 'ReadLogs']
    """
    return (
        Statement(
            "UseTheFunction",
            (
                "lambda:InvokeFunction",
                "lambda:GetFunctionConfiguration",
                "lambda:GetFunctionConcurrency",
                "lambda:GetFunctionEventInvokeConfig",
                "lambda:ListTags",
            ),
            (place.function_arn,),
            "Launching a worker is one invocation. The settings (memory, time, concurrency, retries) and the "
            "tags (which wrens it holds) are read before anything is uploaded, so that what cannot work is "
            "refused at once.",
        ),
        Statement(
            "ReadLimits",
            ("lambda:GetAccountSettings",),
            ("*",),
            "How many functions may run at a time in this account. AWS knows no narrower resource for it, and "
            "it changes nothing.",
        ),
        Statement(
            "UseTheStore",
            ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"),
            (place.objects(),),
            "The client stores functions, packages and inputs, reads results, and deletes what a job no longer "
            "needs. Only below the store's prefix.",
        ),
        _listing(
            place,
            "Verdicts are found by listing them, and so are jobs. It also lets the client tell an object that "
            "is missing from one that it may not read.",
        ),
        Statement(
            "ReadLogs",
            ("logs:FilterLogEvents", "logs:GetLogEvents"),
            (place.log_group_arn, f"{place.log_group_arn}:*"),
            "The last lines that a lost worker wrote belong to the evidence in its error.",
        ),
    )


def deployer(place: Place) -> tuple[Statement, ...]:
    """Return what somebody has to be allowed who deploys and removes.

    >>> [statement.sid for statement in deployer(Place("r", "1", "f", "b", "p"))]
    ['MakeTheFunction', 'FindFunctions', 'MakeTheRole', 'HandOverTheRole', 'KeepLogs', 'FindLogs', 'MakeTheBucket', 'UploadCode']
    """
    return (
        *_making_functions(place),
        *_making_roles(place),
        *_keeping_logs(place),
        *_making_buckets(place),
    )


def _making_functions(place: Place) -> tuple[Statement, ...]:
    """Return what is needed to make, change and remove the function."""
    return (
        Statement(
            "MakeTheFunction",
            (
                "lambda:CreateFunction",
                "lambda:GetFunction",
                "lambda:GetFunctionConfiguration",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
                "lambda:DeleteFunction",
                "lambda:GetFunctionConcurrency",
                "lambda:PutFunctionConcurrency",
                "lambda:DeleteFunctionConcurrency",
                "lambda:GetFunctionEventInvokeConfig",
                "lambda:PutFunctionEventInvokeConfig",
                "lambda:TagResource",
                "lambda:ListTags",
            ),
            (place.function_arn,),
            "The function is made, compared with what was asked for, changed where it differs, and removed.",
        ),
        Statement(
            "FindFunctions",
            ("lambda:ListFunctions", "lambda:GetAccountSettings"),
            ("*",),
            "A role is removed only when no other function uses it, so functions are listed before. AWS knows "
            "no narrower resource for it.",
        ),
    )


def _making_roles(place: Place) -> tuple[Statement, ...]:
    """Return what is needed to make the role, and to give it to the function."""
    return (
        Statement(
            "MakeTheRole",
            (
                "iam:CreateRole",
                "iam:GetRole",
                "iam:TagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:PutRolePolicy",
                "iam:GetRolePolicy",
                "iam:ListRolePolicies",
                "iam:ListAttachedRolePolicies",
                "iam:DeleteRolePolicy",
                "iam:DeleteRole",
            ),
            (place.role_arn,),
            "The role that the function acts in, with the first of these policies inside it.",
        ),
        Statement(
            "HandOverTheRole",
            ("iam:PassRole",),
            (place.role_arn,),
            "Only this role can be given to a function, and only to Lambda: without the condition, whoever "
            "deploys could have any service act in it.",
            {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        ),
    )


def _keeping_logs(place: Place) -> tuple[Statement, ...]:
    """Return what is needed to make and remove the group of logs."""
    return (
        Statement(
            "KeepLogs",
            (
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:ListTagsForResource",
            ),
            (place.log_group_arn, f"{place.log_group_arn}:*"),
            "The group is made together with the function, so that its logs are not kept (and paid for) "
            "for ever.",
        ),
        Statement(
            "FindLogs",
            ("logs:DescribeLogGroups",),
            ("*",),
            "Whether the group is there. AWS does not look at a narrower resource for it.",
        ),
    )


def _making_buckets(place: Place) -> tuple[Statement, ...]:
    """Return what is needed to make a bucket, and to pass large code through one."""
    return (
        Statement(
            "MakeTheBucket",
            (
                "s3:CreateBucket",
                "s3:ListBucket",
                "s3:GetBucketLocation",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutLifecycleConfiguration",
            ),
            (place.bucket_arn,),
            "Only needed when the bucket does not exist yet, except for `s3:ListBucket`, which is how its "
            "existence is seen. A bucket that exists is never changed, and none is ever deleted.",
        ),
        Statement(
            "UploadCode",
            ("s3:PutObject", "s3:GetObject", "s3:DeleteObject"),
            (place.objects("deployments/*"),),
            "Code above 50 MB passes through the bucket, and is deleted there when Lambda has taken it.",
        ),
    )


def _listing(place: Place, why: str) -> Statement:
    """Return the permission to list the store, which needs a condition in the place of a narrower resource."""
    condition = {"StringLike": {"s3:prefix": [place.key("*")]}} if place.prefix else None
    return Statement("ListTheStore", ("s3:ListBucket",), (place.bucket_arn,), why, condition)


def document(statements: Sequence[Statement]) -> Policy:
    """Return statements as a policy of AWS."""
    return {"Version": "2012-10-17", "Statement": [statement.as_policy() for statement in statements]}


def trust() -> Policy:
    """Return who may act in the workers' role: Lambda, and nobody else.

    >>> trust()["Statement"][0]["Principal"]
    {'Service': 'lambda.amazonaws.com'}
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LambdaActsInThisRole",
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }


POLICIES: dict[str, Callable[[Place], tuple[Statement, ...]]] = {
    "worker": worker,
    "user": user,
    "deployer": deployer,
}
"""The three, by whom they are for."""


def tags(wrens: str, records: int, made_by: str) -> dict[str, str]:
    """Return the tags of what wrens makes.

    Args:
        wrens: Its version.
        records: The version of the records that a worker of it reads.
        made_by: Who deployed.
    """
    # AWS allows letters, digits, spaces and these signs in a tag.
    plain = "".join(c if c.isalnum() or c in " _.:/=+-@" else "-" for c in made_by)[:256]
    return {OURS: "1", "wrens-version": wrens, "wrens-records": str(records), "wrens-made-by": plain}
