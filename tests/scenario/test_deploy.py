"""wrens deploy aws and undeploy aws, against an emulated account: what they make, leave alone and remove."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from account import Account, account
from emulators import moto
from typer.testing import CliRunner, Result

from wrens.backends.aws_lambda import deployed, deploying, packaging, steps
from wrens.backends.aws_lambda.account import Aws
from wrens.backends.aws_lambda.naming import Place, default_function
from wrens.backends.aws_lambda.stamp import FILE, Stamp
from wrens.cli.app import app
from wrens.clock import VirtualClock
from wrens.errors import CannotDeploy, ServiceError

pytestmark = [
    pytest.mark.skipif(sys.version_info[:2] > (3, 14), reason="Lambda has no such Python"),
    pytest.mark.this_computer("has an AWS of its own"),
]
STORE = "s3://lab/jobs"
FUNCTION = default_function()
ROLE = f"{FUNCTION}-us-east-1"
KEY = "5ec2e7" + 58 * "0"
OTHER_KEY = 64 * "1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("account")) as made:
        yield made


@pytest.fixture
def aws(server: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    server.empty()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WRENS_SIGNING_KEY", KEY)
    return server


@pytest.fixture(autouse=True)
def small_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is really built is tested elsewhere; here it only has to be some code, another for each processor."""

    def gather(version: str, arch: str) -> packaging.Files:
        stamp = Stamp(version, 1, "3.11", arch, {}, arch)
        return {"wrens/__init__.py": b"#" + os.urandom(2000).hex().encode(), FILE: stamp.encoded()}

    def build(version: str, arch: str = "x86_64") -> packaging.Package:
        if arch not in built:
            built[arch] = original(version, arch)
        return built[arch]

    built: dict[str, packaging.Package] = {}
    original: Callable[..., packaging.Package] = packaging.build
    monkeypatch.setattr(packaging, "gather", lambda v, arch: gather(v, packaging.checked(arch)))
    monkeypatch.setattr(packaging, "build", build)


def call(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done


def deploy(*options: str, code: int = 0) -> Result:
    return call("deploy", "aws", "--store", STORE, *options, code=code)


# --- making ---


def test_everything_that_workers_need_is_made(aws: Account):
    said = deploy().output
    found = aws.contents()
    function = found["functions"][FUNCTION]
    assert function["settings"]["Handler"] == "wrens.backends.aws_lambda.handler.handle"
    assert function["settings"]["Runtime"] == f"python3.{sys.version_info[1]}"
    assert (function["settings"]["MemorySize"], function["settings"]["Timeout"]) == (1769, 900)
    assert function["events"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 3600}
    assert function["tags"]["wrens"] == "1"
    assert function["settings"]["Environment"]["Variables"]["WRENS_SIGNING_KEY"] == KEY
    assert found["log groups"] == {f"/aws/lambda/{FUNCTION}": 14}
    assert set(found["roles"]) == {ROLE}
    s3 = aws.client("s3")
    assert all(s3.get_public_access_block(Bucket="lab")["PublicAccessBlockConfiguration"].values())
    assert {"Key": "wrens", "Value": "1"} in s3.get_bucket_tagging(Bucket="lab")["TagSet"]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket="lab")["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert KEY not in said
    assert "wrens doctor --store s3://lab/jobs" in said


def test_a_second_run_changes_nothing_and_says_so(aws: Account):
    deploy()
    before = aws.contents()
    assert "Nothing to change" in deploy().output
    assert aws.contents() == before


def test_only_what_was_asked_for_changes(aws: Account):
    deploy("--memory", "1024", "--concurrency", "7")
    before = aws.contents()
    said = deploy("--memory", "4096").output
    assert "MemorySize 1024 -> 4096" in said
    after = aws.contents()
    before["functions"][FUNCTION]["settings"]["MemorySize"] = 4096
    assert after == before
    deploy("--concurrency", "0", "--timeout", "60", "--ephemeral", "1024")
    changed = aws.contents()["functions"][FUNCTION]
    assert changed["concurrency"] is None
    assert changed["settings"]["Timeout"] == 60
    assert changed["settings"]["EphemeralStorage"] == {"Size": 1024}
    assert changed["settings"]["MemorySize"] == 4096


def test_tasks_may_read_data_beside_the_store_when_that_is_asked_for(aws: Account):
    def readable() -> list[str]:
        policies = aws.contents()["roles"][ROLE]["policies"]
        statements = policies.get("wrens-data", {"Statement": []})["Statement"]
        return [one["Resource"][-1] for one in statements if one["Action"] == ["s3:GetObject"]]

    call("deploy", "aws", "--store", STORE, "--read", "s3://lab/logs", "--read", "s3://whole-bucket")
    assert readable() == ["arn:aws:s3:::lab/logs/*", "arn:aws:s3:::whole-bucket/*"]
    assert "Nothing to change" in call("deploy", "aws", "--store", STORE).output
    changed = call("deploy", "aws", "--store", STORE, "--read", "s3://lab/words").output
    assert f"let role {ROLE} read s3://lab/words" in changed
    assert readable() == ["arn:aws:s3:::lab/words/*"]
    printed = call("deploy", "aws", "--store", STORE, "--read", "s3://lab/words", "--print-policies").stdout
    assert "arn:aws:s3:::lab/words/*" in json.dumps(json.loads(printed)["data"])
    call("deploy", "aws", "--store", STORE, "--read", "/data/words", code=2)
    call("deploy", "aws", "--store", STORE, "--read", "none")
    assert readable() == []
    call("deploy", "aws", "--store", STORE, "--read", "s3://lab/words")
    call("undeploy", "aws", "--role", "--yes")
    assert ROLE not in aws.contents()["roles"]


def test_tasks_may_write_beside_the_store_when_that_is_asked_for(aws: Account):
    def named() -> list[str]:
        return sorted(aws.contents()["roles"][ROLE]["policies"])

    call("deploy", "aws", "--store", STORE, "--read", "s3://lab/words", "--write", "s3://lab/sorted")
    assert named() == ["wrens-data", "wrens-results", "wrens-worker"]
    said = call("deploy", "aws", "--store", STORE, "--write", "s3://lab/counted").output
    assert f"let role {ROLE} write to s3://lab/counted" in said
    assert "read" not in said.partition("let role")[2]
    text = json.dumps(aws.contents()["roles"][ROLE]["policies"])
    assert "s3:::lab/counted/*" in text
    assert "s3:::lab/words/*" in text
    assert "sorted" not in text
    printed = call("deploy", "aws", "--store", STORE, "--write", "s3://lab/x", "--print-policies").stdout
    (statement, _) = json.loads(printed)["data"]["Statement"]
    assert statement["Resource"] == ["arn:aws:s3:::lab/x/*"]
    call("deploy", "aws", "--store", STORE, "--write", "none", "--read", "none")
    assert named() == ["wrens-worker"]
    call("deploy", "aws", "--store", STORE, "--write", "s3://lab/sorted")
    call("undeploy", "aws", "--role", "--yes")
    assert ROLE not in aws.contents()["roles"]


def test_another_processor_brings_other_code(aws: Account):
    deploy()
    before = aws.contents()["functions"][FUNCTION]["settings"]
    deploy("--arch", "arm64")
    after = aws.contents()["functions"][FUNCTION]["settings"]
    assert after["Architectures"] == ["arm64"]
    assert after["CodeSha256"] != before["CodeSha256"]
    assert "Nothing to change" in deploy().output


def test_another_store_moves_the_role_there(aws: Account):
    deploy()
    call("deploy", "aws", "--store", "s3://lab/elsewhere")
    text = json.dumps(aws.contents()["roles"][ROLE])
    assert "lab/elsewhere/" in text
    assert "lab/jobs/" not in text


def test_a_new_key_is_given_to_the_function(aws: Account, monkeypatch: pytest.MonkeyPatch):
    deploy()
    monkeypatch.setenv("WRENS_SIGNING_KEY", OTHER_KEY)
    said = deploy().output
    assert "change function" in said
    assert "WRENS_SIGNING_KEY" in said
    assert OTHER_KEY not in said
    variables = aws.contents()["functions"][FUNCTION]["settings"]["Environment"]["Variables"]
    assert variables["WRENS_SIGNING_KEY"] == OTHER_KEY
    assert "Nothing to change" in deploy().output


def test_functions_side_by_side(aws: Account):
    deploy()
    before = aws.contents()
    deploy("--name", "big", "--memory", "10240")
    after = aws.contents()
    assert set(after["functions"]) == {FUNCTION, f"{FUNCTION}-big"}
    assert after["functions"][FUNCTION] == before["functions"][FUNCTION]
    assert after["functions"][f"{FUNCTION}-big"]["settings"]["MemorySize"] == 10240
    assert set(after["roles"]) == {ROLE, f"{FUNCTION}-big-us-east-1"}


def test_an_image_makes_a_function_of_the_same_name_elsewhere(aws: Account):
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/wrens:1"
    deploy("--name", "image", "--image", image)
    settings = aws.contents()["functions"][f"{FUNCTION}-image"]["settings"]
    assert settings["PackageType"] == "Image"
    assert "Nothing to change" in deploy("--name", "image", "--image", image).output
    assert "Nothing to change" in deploy("--name", "image").output
    before = aws.contents()
    deploy()
    said = deploy("--image", image, code=2).output
    assert "It was made from a zip" in said
    assert aws.contents()["functions"][f"{FUNCTION}-image"] == before["functions"][f"{FUNCTION}-image"]


def test_code_that_is_too_large_passes_through_the_bucket(aws: Account, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packaging, "ZIP_LIMIT", 1000)
    said = deploy().output
    assert "upload" in said
    assert "delete the uploaded code" in said
    found = aws.contents()
    assert found["buckets"] == {"lab": []}
    assert "Nothing to change" in deploy().output


def test_a_bucket_that_is_there_is_used_as_it_is(aws: Account):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="lab")
    s3.put_object(Bucket="lab", Key="mine.txt", Body=b"mine")
    deploy()
    with pytest.raises(s3.exceptions.ClientError):
        s3.get_bucket_tagging(Bucket="lab")
    assert aws.contents()["buckets"] == {"lab": ["mine.txt"]}


# --- leaving alone ---


def test_a_dry_run_touches_nothing(aws: Account):
    before = aws.contents()
    said = deploy("--dry-run")
    assert aws.contents() == before
    assert f"would create function {FUNCTION}" in said.stdout
    policies = json.loads(said.stdout[said.stdout.index("{\n") :])
    assert set(policies) == {"worker", "user", "deployer"}
    assert KEY not in said.output
    deploy()
    before = aws.contents()
    assert "MemorySize 1769 -> 512" in deploy("--dry-run", "--memory", "512").stdout
    call("undeploy", "aws", "--role", "--dry-run")
    assert aws.contents() == before


def test_a_function_of_somebody_else_is_left_alone(aws: Account):
    _foreign_function(aws)
    before = aws.contents()
    said = deploy(code=2).output
    assert f"the function {FUNCTION} exists and was not made by wrens; it was left as it is" in said
    assert "team=payroll" in said
    assert "--name NAME" in said
    said = call("undeploy", "aws", "--role", "--yes", code=2).output
    assert "Nothing was removed" in said
    assert aws.contents() == before


def test_a_role_of_somebody_else_is_left_alone(aws: Account):
    aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    before = aws.contents()
    assert f"the role {ROLE} exists and was not made by wrens" in deploy(code=2).output
    assert aws.contents() == before


def test_logs_of_somebody_else_are_left_alone(aws: Account):
    aws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{FUNCTION}")
    deploy()
    assert aws.contents()["log groups"] == {f"/aws/lambda/{FUNCTION}": None}
    assert "kept log group" in call("undeploy", "aws", "--yes").output
    assert aws.contents()["log groups"] == {f"/aws/lambda/{FUNCTION}": None}


def test_a_bucket_in_another_region_is_refused(aws: Account):
    where = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket="lab", CreateBucketConfiguration=where)
    before = aws.contents()
    said = deploy(code=2).output
    assert "the bucket lab is in eu-west-1" in said
    assert "--region eu-west-1" in said
    assert aws.contents() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "64"], "--memory 64 is not what Lambda has"),
        (["--timeout", "901"], "Use 1 to 900"),
        (["--ephemeral", "1"], "Use 512 to 10240"),
        (["--arch", "sparc"], "Use x86_64 or arm64"),
        (["--name", "Not_A_Name"], "cannot be part of a function's name"),
        (["--concurrency", "-1"], "0 is: no limit"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(aws: Account, options: list[str], said: str):
    assert said in deploy(*options, code=2).output
    assert aws.contents()["functions"] == {}
    assert aws.contents()["buckets"] == {}


def test_a_store_that_is_none_on_s3_is_refused(aws: Account, monkeypatch: pytest.MonkeyPatch):
    assert "need a store on S3" in call("deploy", "aws", "--store", "/data", code=2).output
    monkeypatch.delenv("WRENS_STORE", raising=False)
    assert "--store s3://bucket/prefix" in call("deploy", "aws", code=2).output


# --- removing ---


def test_undeploy_removes_the_function_and_its_logs(aws: Account):
    deploy()
    deploy("--name", "big")
    aws.client("s3").put_object(Bucket="lab", Key="jobs/jobs/j/manifest", Body=b"")
    said = call("undeploy", "aws", "--yes").output
    found = aws.contents()
    assert set(found["functions"]) == {f"{FUNCTION}-big"}
    assert set(found["log groups"]) == {f"/aws/lambda/{FUNCTION}-big"}
    assert ROLE in found["roles"]
    assert found["buckets"] == {"lab": ["jobs/jobs/j/manifest"]}
    assert "kept every bucket" in said
    call("undeploy", "aws", "--role", "--yes")
    assert ROLE not in aws.contents()["roles"]
    assert "Nothing to remove" in call("undeploy", "aws", "--role", "--yes").output
    deploy()
    assert FUNCTION in aws.contents()["functions"]


def test_a_role_that_another_function_uses_stays(aws: Account):
    deploy()
    _foreign_function(aws, "theirs", role=ROLE)
    said = call("undeploy", "aws", "--role", "--yes").output
    assert f"kept role {ROLE}: theirs still act in it" in said
    assert ROLE in aws.contents()["roles"]


def test_without_yes_it_is_asked(aws: Account):
    deploy()
    before = aws.contents()
    done = CliRunner().invoke(app, ["undeploy", "aws"], input="n\n")
    assert done.exit_code == 1
    assert f"would delete function {FUNCTION}" in done.output
    assert aws.contents() == before
    assert CliRunner().invoke(app, ["undeploy", "aws"], input="y\n").exit_code == 0
    assert aws.contents()["functions"] == {}


# --- what goes wrong on the way ---


class NewRole(Aws):
    """AWS in which a role is not known everywhere for a while."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    def call(self, service: str, action: str, /, **parameters: Any) -> dict[str, Any]:
        if action == "CreateFunction" and self.refusals > 0:
            self.refusals -= 1
            told = "The role defined for the function cannot be assumed by Lambda."
            raise ServiceError(service, action, "InvalidParameterValueException", told)
        return super().call(service, action, **parameters)


def planned(aws: Aws, store: str = STORE) -> tuple[steps.Step, ...]:
    place = deployed.locate(aws, FUNCTION, store)
    runtime = f"python3.{sys.version_info[1]}"
    wish = deploying.Wish(place, {"wrens": "1"}, packaging.build("0"), runtime=runtime)
    return deploying.plan(wish, deployed.look(aws, place))


def test_a_new_role_is_waited_for(aws: Account):
    service, clock = NewRole(refusals=5), VirtualClock()
    steps.carry_out(service, planned(service), clock=clock)
    assert FUNCTION in aws.contents()["functions"]
    assert clock.now() >= 5 * steps.ROLE_STEP_S


def test_a_role_that_never_comes_is_told_and_the_next_run_goes_on(aws: Account):
    service = NewRole(refusals=1000)
    with pytest.raises(CannotDeploy, match=r"(?s)cannot be assumed by Lambda.*Done before, and kept: create"):
        steps.carry_out(service, planned(service), clock=VirtualClock())
    assert set(aws.contents()["roles"]) == {ROLE}
    said = deploy().output
    assert "create role" not in said
    assert f"create function {FUNCTION}" in said


def test_moto_takes_the_same_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A second opinion, above all on the policies."""
    with moto(tmp_path / "moto") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        deploy()
        assert "Nothing to change" in deploy().output
        call("undeploy", "aws", "--role", "--yes")
        assert "Nothing to remove" in call("undeploy", "aws", "--role", "--yes").output


def _foreign_function(aws: Account, name: str = FUNCTION, role: str = "theirs") -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handle(event, context): ...")
    with_role = f"arn:aws:iam::000000000000:role/{role}"
    iam = aws.client("iam")
    if role == "theirs":
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=with_role,
        Handler="app.handle",
        Code={"ZipFile": code.getvalue()},
        Tags={"team": "payroll"},
    )


def test_the_place_is_named_by_account_and_region(aws: Account):
    place = deployed.locate(Aws("eu-west-1"), FUNCTION, "s3://lab/jobs?region=eu-west-1")
    assert place == Place("eu-west-1", "000000000000", FUNCTION, "lab", "jobs")


def test_whoever_hands_out_credentials_is_asked_once_for_all_services(
    aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may ask for a second factor each time."""
    asked, settings = tmp_path / "asked", tmp_path / "config"
    given = {"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test"}
    (tmp_path / "given").write_text(json.dumps(given))
    hand_out = tmp_path / "hand-out"
    hand_out.write_text(f'#!/bin/sh\necho asked >> "{asked}"\ncat "{tmp_path / "given"}"\n')
    hand_out.chmod(0o755)
    settings.write_text(f"[default]\ncredential_process = {hand_out}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    account = Aws("us-east-1")
    assert account.call("sts", "GetCallerIdentity")["Account"]
    assert account.call("iam", "ListRoles")["Roles"] == []
    assert account.call("lambda", "ListFunctions")["Functions"] == []
    assert asked.read_text().split() == ["asked"]
