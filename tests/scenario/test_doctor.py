"""wrens doctor against an emulated account that checks every signature and policy: green when all is well, and for
each thing that can be missing one message with what to run."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from account import Account, account
from typer.testing import CliRunner

import wrens
from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.naming import Place, default_function
from wrens.cli.app import app
from wrens.clock import SystemClock
from wrens.errors import BackendError, StoreDenied

STORE = "s3://lab/jobs"
FUNCTION = default_function()
PLACE = Place("us-east-1", "000000000000", FUNCTION, "lab", "jobs")
USER = permissions.document(permissions.user(PLACE))
KEY, OTHER_KEY = 64 * "a", 64 * "b"
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.this_computer("has an AWS of its own"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in which wrens is deployed by somebody who may do just that. No test may change it for others."""
    with account(tmp_path_factory.mktemp("account"), AUTH="true") as found:
        deployer = found.person("deployer", permissions.document(permissions.deployer(PLACE)), "deployer")
        run(["deploy", "aws", "--store", STORE], deployer)
        yield found


def run(words: list[str], environment: dict[str, str], code: int = 0) -> str:
    clean = {name: None for name in os.environ if name.startswith(("AWS_", "WRENS_"))}
    done = CliRunner().invoke(
        app,
        words,
        env={**clean, "AWS_EC2_METADATA_DISABLED": "true", "WRENS_SIGNING_KEY": KEY, **environment},
    )
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.stdout


def doctor(environment: dict[str, str], *options: str, code: int = 1) -> str:
    words = ["doctor", *options]
    return run(words if "--store" in options else [*words, "--store", STORE], environment, code)


def failures(said: str) -> dict[str, str]:
    """Return what failed, each with what was seen and what to run."""
    found = re.findall(r"^✗ (.{37}) (.*(?:\n    → .*)?)", said, re.MULTILINE)
    return {name.strip(): text for name, text in found}


def without(action: str) -> dict[str, object]:
    """Return the policy of a user who lacks one permission."""
    statements = [
        {**one, "Action": [other for other in one["Action"] if other != action]} for one in USER["Statement"]
    ]
    return {**USER, "Statement": [one for one in statements if one["Action"]]}


def test_all_is_well_for_somebody_who_may_just_run_jobs(made: Account):
    said = doctor(made.person("user", USER), code=0)
    assert "All is well" in said
    assert re.search(r"✓ task +run by .*Linux", said)
    for action in permissions.user(PLACE)[0].actions:
        assert f"✓ {action} " in said
    assert "✓ store: create only once" in said
    # The probe stays, as it does after every job; everything else that was tried with is gone.
    assert made.contents()["buckets"] == {"lab": ["jobs/probe"]}


@pytest.mark.parametrize(
    "action",
    [
        "lambda:GetFunctionConfiguration",
        "lambda:InvokeFunction",
        "lambda:ListTags",
        "logs:FilterLogEvents",
        "logs:GetLogEvents",
    ],
)
def test_a_missing_permission_is_named_with_what_to_allow(made: Account, action: str):
    who = made.person(action.replace(":", "-"), without(action))
    said = doctor(who)
    (sid,) = [one.sid for one in permissions.user(PLACE) if action in one.actions]
    (name,) = failures(said)
    assert name == action
    assert f"not authorized to perform: {action}" in failures(said)[name]
    assert f"wrens deploy aws --store {STORE} --print-policies" in failures(said)[name]
    assert f"the statement {sid} of 'user'" in failures(said)[name]
    assert "– task" in said or action == "lambda:GetFunctionConfiguration"


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("s3:ListBucket", "store: list"),
        ("s3:PutObject", "store"),
        ("s3:GetObject", "store"),
        ("s3:DeleteObject", "store: delete"),
    ],
)
def test_a_missing_permission_of_the_store_is_named(made: Account, action: str, what: str):
    said = doctor(made.person(action.replace(":", "-"), without(action)))
    assert what in failures(said)
    assert "--print-policies" in failures(said)[what]
    assert "UseTheStore" in failures(said)[what]


def test_a_role_that_lacks_a_permission_fails_the_role_and_names_it(made: Account):
    iam = made.client("iam")
    role = f"{FUNCTION}-us-east-1"
    policy = iam.get_role_policy(RoleName=role, PolicyName="wrens-worker")["PolicyDocument"]
    less = {**policy, "Statement": [one for one in policy["Statement"] if one["Sid"] != "WriteJobs"]}
    iam.put_role_policy(RoleName=role, PolicyName="wrens-worker", PolicyDocument=json.dumps(less))
    try:
        found = failures(doctor(made.environment))
        assert list(found) == ["role"]
        assert "is not what workers need for s3://lab/jobs: WriteJobs" in found["role"]
        assert f"→ wrens deploy aws --store {STORE} --region us-east-1" in found["role"]
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="wrens-worker", PolicyDocument=json.dumps(policy))


def test_a_role_that_lacks_a_permission_stops_a_job_at_once(made: Account, monkeypatch: pytest.MonkeyPatch):
    iam = made.client("iam")
    role = f"{FUNCTION}-us-east-1"
    policy = iam.get_role_policy(RoleName=role, PolicyName="wrens-worker")["PolicyDocument"]
    less = {**policy, "Statement": [one for one in policy["Statement"] if one["Sid"] != "WriteJobs"]}
    iam.put_role_policy(RoleName=role, PolicyName="wrens-worker", PolicyDocument=json.dumps(less))
    for name, value in {**made.environment, "WRENS_SIGNING_KEY": KEY}.items():
        monkeypatch.setenv(name, value)
    try:
        clock = SystemClock()
        began = clock.now()
        with wrens.Executor("lambda", store=STORE) as ex, pytest.raises(StoreDenied) as caught:
            ex.submit(abs, -1).result(60)
        assert "put jobs/" in str(caught.value)
        assert "left as they are" in caught.value.__notes__[0]
        assert clock.now() - began < 30
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="wrens-worker", PolicyDocument=json.dumps(policy))


def test_without_credentials(made: Account):
    environment = {k: v for k, v in made.environment.items() if "KEY" not in k}
    found = failures(
        doctor({**environment, "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"})
    )
    assert list(found) == ["credentials"]
    assert "aws configure" in found["credentials"]


def test_with_credentials_that_aws_does_not_know(made: Account):
    found = failures(doctor({**made.environment, "AWS_ACCESS_KEY_ID": "AKIANOBODYKNOWSTHIS0"}))
    assert list(found) == ["credentials"]
    assert "AWS does not know these credentials" in found["credentials"]


def test_without_a_region(made: Account):
    environment = {k: v for k, v in made.environment.items() if "REGION" not in k}
    found = failures(doctor({**environment, "AWS_CONFIG_FILE": "/nowhere"}))
    assert list(found) == ["region"]
    assert "AWS_REGION" in found["region"]


def test_in_another_region(made: Account):
    found = failures(doctor(made.environment, "--region", "eu-west-1"))
    assert f"there is no function {FUNCTION} in eu-west-1" in found["function"]
    assert f"→ wrens deploy aws --store {STORE} --region eu-west-1" in found["function"]


def test_where_nobody_listens(made: Account):
    found = failures(doctor({**made.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}))
    assert list(found) == ["credentials"]
    assert "Check the network" in found["credentials"]


def test_a_bucket_that_is_not_there(made: Account):
    found = failures(doctor(made.environment, "--store", "s3://nowhere/jobs"))
    assert "there is no such bucket" in found["store"]
    assert "→ wrens deploy aws --store s3://nowhere/jobs --region us-east-1" in found["store"]


def test_a_function_that_is_not_there(made: Account):
    found = failures(doctor(made.environment, "--function", f"{FUNCTION}-big"))
    assert list(found) == ["function"]
    assert f"there is no function {FUNCTION}-big in us-east-1" in found["function"]
    assert "--name big" in found["function"]


def test_a_function_of_another_version_and_key(made: Account):
    functions = made.client("lambda")
    before = functions.get_function_configuration(FunctionName=FUNCTION)["Environment"]
    other = {"WRENS_VERSION": "0.0.9", "WRENS_PYTHON": "3.9", "WRENS_SIGNING_KEY": OTHER_KEY}
    functions.update_function_configuration(FunctionName=FUNCTION, Environment={"Variables": other})
    try:
        said = doctor(made.environment)
        found = failures(said)
        assert "0.0.9 there" in found["wrens"]
        assert "3.9 there" in found["Python"]
        assert "signing key" in found
        assert KEY not in said
        assert OTHER_KEY not in said
    finally:
        functions.update_function_configuration(FunctionName=FUNCTION, Environment=before)
        functions.get_waiter("function_updated_v2").wait(
            FunctionName=FUNCTION, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
        )


def test_a_function_that_lambda_itself_repeats(made: Account):
    functions = made.client("lambda")
    functions.put_function_event_invoke_config(FunctionName=FUNCTION, MaximumRetryAttempts=2)
    try:
        assert list(failures(doctor(made.environment))) == ["retries by Lambda"]
    finally:
        functions.put_function_event_invoke_config(
            FunctionName=FUNCTION, MaximumRetryAttempts=0, MaximumEventAgeInSeconds=3600
        )


def test_a_task_that_fails_is_told_as_it_is(made: Account, monkeypatch: pytest.MonkeyPatch):
    import wrens.cli.doctor

    def fail(*_args: object, **_kwargs: object) -> None:
        raise BackendError("lambda", "it is one of those days")

    monkeypatch.setattr(wrens.cli.doctor, "Executor", fail)
    assert "it is one of those days" in failures(doctor(made.environment))["task"]


def test_who_may_not_deploy_is_told_what_is_missing(made: Account):
    done = CliRunner().invoke(
        app,
        ["deploy", "aws", "--store", STORE],
        env={**made.person("nobody", USER), "WRENS_SIGNING_KEY": KEY},
    )
    assert done.exit_code == 2
    assert "iam:GetRole was refused: AccessDenied" in done.output
    assert "--print-policies" in done.output


# --- this computer ---


def test_on_this_computer(tmp_path: Path):
    said = doctor({}, "--store", str(tmp_path / "store"), code=0)
    assert "All is well" in said
    assert re.search(rf"✓ Python +3.{sys.version_info[1]} at", said)
    assert re.search(r"✓ task +run by", said)


def test_on_this_computer_without_a_place(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    found = failures(doctor({}, "--store", str(tmp_path / "file" / "store")))
    assert list(found) == ["store"]
    assert "--store DIRECTORY" in found["store"]


def test_a_backend_that_it_does_not_know():
    done = CliRunner().invoke(app, ["doctor", "--backend", "abacus"])
    assert done.exit_code == 2
    assert "--backend abacus cannot be checked" in done.output


def test_places_beside_the_store_are_tried_by_the_client_and_by_a_worker(made: Account):
    beside = [
        "--read",
        "s3://lab/jobs/functions",
        "--write",
        "s3://lab/jobs/values",
        "--write",
        "s3://lab/no",
    ]
    said = doctor(made.environment, *beside)
    for who in ("here", "by a worker"):
        assert re.search(rf"✓ read s3://lab/jobs/functions, {who} +(s3://lab/jobs/functions/|nothing)", said)
        assert re.search(rf"✓ write s3://lab/jobs/values, {who} +an object was written", said)
    assert "✓ write s3://lab/no, here" in said
    # The client may do all, and the role nothing beside its store.
    ((name, told),) = failures(said).items()
    assert name == "write s3://lab/no, by a worker"
    assert "permission denied" in told
    assert "→ wrens deploy aws --store s3://lab/jobs --region us-east-1 --read" in told
