"""An account of AWS for tests: ministack with nobody else in it, what it holds, and people who may do little.

With ``AUTH=true`` ministack checks signatures and policies, and functions act in their roles.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from emulators import Server, ministack

CHANGING = {"LastModified", "RevisionId", "State", "StateReason", "StateReasonCode", "LastUpdateStatus"}
"""What of a function changes by itself."""
EMULATOR_ONLY = {
    "user": [
        ("lambda:PutFunctionConcurrency", "arn:aws:lambda:*:*:function:*"),
        ("lambda:GetFunction", "arn:aws:lambda:*:*:function:*"),
    ],
    "worker": [("lambda:GetFunction", "arn:aws:lambda:*:*:function:*")],
    "deployer": [("lambda:CreateFunction", "*")],
}
"""What ministack asks for where AWS does not: to read a function's concurrency and its settings for events, it
wants the permission to change them or to read all; and making a function is no request on that function."""


_SESSION = boto3.session.Session()
"""One for all: reading what AWS's services are takes longer than asking them."""


class Account:
    """An account on a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._clients: dict[str, Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process use this account, with all rights."""
        return self.server.environment

    def client(self, service: str) -> Any:
        """Return boto3's client of a service, with all rights."""
        if service not in self._clients:
            self._clients[service] = _SESSION.client(
                service,
                endpoint_url=self.server.url,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return self._clients[service]

    def empty(self) -> None:
        """Forget everything that was made, as a new account would be."""
        request = urllib.request.Request(f"{self.server.url}/_ministack/reset", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def person(self, name: str, policy: Mapping[str, Any], who: str = "user") -> dict[str, str]:
        """Make a user with this policy; returns what makes a process act as they."""
        more = [
            {"Effect": "Allow", "Action": action, "Resource": what} for action, what in EMULATOR_ONLY[who]
        ]
        document = {**policy, "Statement": [*policy["Statement"], *more]}
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            **self.environment,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def contents(self) -> dict[str, Any]:
        """Return everything that there is, with all settings but the moments of changes."""
        s3, iam, functions, logs = map(self.client, ("s3", "iam", "lambda", "logs"))
        buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        roles = {}
        for role in iam.list_roles()["Roles"]:
            names = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
            policies = {
                name: iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
                for name in names
            }
            trust = role["AssumeRolePolicyDocument"]
            roles[role["RoleName"]] = {"policies": policies, "trust": trust}
        found = {}
        for function in functions.list_functions()["Functions"]:
            named = {"FunctionName": function["FunctionName"]}
            found[function["FunctionName"]] = {
                "settings": {k: v for k, v in function.items() if k not in CHANGING},
                "tags": functions.get_function(**named).get("Tags", {}),
                "concurrency": functions.get_function_concurrency(**named).get(
                    "ReservedConcurrentExecutions"
                ),
                "events": _events(functions, named),
            }
        groups = {
            group["logGroupName"]: group.get("retentionInDays")
            for group in logs.describe_log_groups()["logGroups"]
        }
        objects = {
            bucket: [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
            for bucket in buckets
        }
        return {"buckets": objects, "roles": roles, "functions": found, "log groups": groups}


def _events(functions: Any, named: Mapping[str, str]) -> dict[str, int] | None:
    try:
        answer = functions.get_function_event_invoke_config(**named)
    except functions.exceptions.ResourceNotFoundException:
        return None
    return {name: answer[name] for name in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds")}


@contextlib.contextmanager
def account(folder: Path, **settings: str) -> Iterator[Account]:
    """Run an account that is empty."""
    with ministack(folder, **settings) as server:
        yield Account(server)
