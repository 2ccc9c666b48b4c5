"""The policies: that they allow what is needed, nothing beside it, and that AWS would take them."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import pytest

from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.naming import Place
from wrens.backends.aws_lambda.permissions import Statement
from wrens.wire import keys

PLACE = Place("eu-central-1", "123456789012", "wrens-py311", "lab", "team/jobs")
WHOLE_BUCKET = Place("eu-central-1", "123456789012", "wrens-py311", "lab")
EVERYBODY = sorted(permissions.POLICIES)
ANYWHERE = {
    "lambda:GetAccountSettings",
    "lambda:ListFunctions",
    "logs:DescribeLogGroups",
}
"""Requests for which AWS knows no narrower resource, and which change nothing."""


def allowed(statements: tuple[Statement, ...], action: str, resource: str, **context: str) -> bool:
    """Tell what AWS's own rules make of statements that only allow."""
    return any(
        any(fnmatch.fnmatchcase(action, one) for one in statement.actions)
        and any(fnmatch.fnmatchcase(resource, one) for one in statement.resources)
        and all(
            any(
                fnmatch.fnmatchcase(context.get(key, ""), one)
                for one in ([want] if isinstance(want, str) else want)
            )
            for values in (statement.condition or {}).values()
            for key, want in values.items()
        )
        for statement in statements
    )


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:s3:::lab/team/jobs-of-others/jobs/j/verdicts/0",
        "arn:aws:s3:::lab/team/secret",
        "arn:aws:s3:::lab/other/jobs/j/manifest",
        "arn:aws:s3:::another/team/jobs/jobs/j/manifest",
    ],
)
def test_nobody_reaches_what_is_beside_the_prefix(who: str, resource: str):
    statements = permissions.POLICIES[who](PLACE)
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert not allowed(statements, action, resource)


@pytest.mark.parametrize("who", ["worker", "user"])
def test_listing_is_bound_to_the_prefix(who: str):
    statements = permissions.POLICIES[who](PLACE)
    bucket = "arn:aws:s3:::lab"
    assert allowed(statements, "s3:ListBucket", bucket, **{"s3:prefix": "team/jobs/jobs/j/verdicts/"})
    for prefix in ("", "team/", "team/jobs-of-others/", "other/"):
        assert not allowed(statements, "s3:ListBucket", bucket, **{"s3:prefix": prefix})
    assert allowed(permissions.POLICIES[who](WHOLE_BUCKET), "s3:ListBucket", bucket, **{"s3:prefix": ""})


@pytest.mark.parametrize("who", EVERYBODY)
def test_no_action_is_a_pattern_and_no_resource_is_everything(who: str):
    for statement in permissions.POLICIES[who](PLACE):
        assert not [action for action in statement.actions if "*" in action]
        if "*" in statement.resources:
            assert set(statement.actions) <= ANYWHERE


def test_a_worker_writes_every_kind_of_key_but_those_that_are_named():
    """A new kind of key needs a decision: may workers write it?"""
    assert keys.__doc__
    statements = permissions.worker(PLACE)
    for key in re.findall(r"^    ([a-z]+(?:/\S+)?)  ", keys.__doc__, re.MULTILINE):
        written = allowed(statements, "s3:PutObject", PLACE.objects(key))
        assert written != (key in permissions.NOT_WRITTEN), key
        assert allowed(statements, "s3:GetObject", PLACE.objects(key))


def test_a_worker_cannot_change_what_others_run():
    statements = permissions.worker(PLACE)
    for key in ("environments/0123", "deployments/0123"):
        assert not allowed(statements, "s3:PutObject", PLACE.objects(key))
        assert not allowed(statements, "s3:DeleteObject", PLACE.objects(key))
    assert not allowed(statements, "lambda:InvokeFunction", PLACE.function_arn + "-big")
    assert not allowed(statements, "lambda:UpdateFunctionCode", PLACE.function_arn)


def test_a_role_can_be_handed_to_lambda_only():
    statements = permissions.deployer(PLACE)
    assert allowed(
        statements, "iam:PassRole", PLACE.role_arn, **{"iam:PassedToService": "lambda.amazonaws.com"}
    )
    assert not allowed(
        statements, "iam:PassRole", PLACE.role_arn, **{"iam:PassedToService": "ec2.amazonaws.com"}
    )
    assert not allowed(statements, "iam:PutRolePolicy", "arn:aws:iam::123456789012:role/admin")


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_policy_has_the_form_and_size_that_aws_takes(who: str):
    document = permissions.document(permissions.POLICIES[who](PLACE))
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)
    # The least of IAM's limits, without spaces: 2,048 characters in a user, 10,240 in a role, 6,144 by itself.
    assert len(json.dumps(document, separators=(",", ":"))) < 6144


def test_tags_hold_only_what_aws_takes():
    tags = permissions.tags("0.1.0", 1, "Zoë <zoe@lab>#1" + 300 * "x")
    assert tags["wrens"] == "1"
    assert all(len(value) <= 256 and re.fullmatch(r"[\w .:/=+@-]*", value) for value in tags.values())


# --- the page that explains them ---

PAGE = Path(__file__).parents[2] / "docs" / "explain" / "aws-permissions.md"
EXAMPLE = Place("eu-central-1", "123456789012", "wrens-py311", "my-bucket", "wrens")


def explained(who: str) -> str:
    """Return what the page says of one policy, from the code."""
    parts = []
    for statement in permissions.POLICIES[who](EXAMPLE):
        shown = json.dumps(statement.as_policy(), indent=2)
        parts.append(f"### `{statement.sid}`\n\n{statement.why}\n\n```json\n{shown}\n```\n")
    return "\n".join(parts)


def tidy(text: str) -> Any:
    return " ".join(text.split())


@pytest.mark.parametrize("who", EVERYBODY)
def test_the_page_explains_every_line_as_the_code_has_it(who: str):
    section = (
        PAGE.read_text(encoding="utf-8").partition(f"<!-- policy: {who} -->")[2].partition("<!-- end -->")[0]
    )
    assert tidy(section) == tidy(explained(who))
