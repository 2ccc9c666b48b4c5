"""Credentials, regions, endpoints and options on their way to an S3 server, seen there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from emulators import Server
from s3_proxy import Fault, Proxy, Request, proxied

import wrens
from wrens.clock import SystemClock
from wrens.errors import BadStoreURL, StoreDenied, StoreUnavailable
from wrens.store import credentials, open_store


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without credentials, on a computer that gives none."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "home" / ".aws").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def proxy(aws: Server) -> Iterator[Proxy]:
    aws.make_bucket("access")
    with proxied(aws.url) as found:
        yield found


@pytest.fixture
def url(proxy: Proxy, tmp_path: Path) -> str:
    return f"s3://access/{tmp_path.name}?endpoint={proxy.url}"


@pytest.fixture
def ireland(aws: Server, proxy: Proxy, tmp_path: Path) -> str:
    """A store in a bucket of eu-west-1, which refuses requests to another region as AWS does."""
    aws.make_bucket("access-ireland", region="eu-west-1")
    return f"s3://access-ireland/{tmp_path.name}?endpoint={proxy.url}"


def keys_of_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OFENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")


def signed_by(request: Request) -> tuple[str, str]:
    """Return the access key and the region with which a request was signed."""
    found = re.search(r"Credential=([^/]+)/\d+/([^/]+)/s3/", request.headers["authorization"])
    assert found
    return found.group(1), found.group(2)


# --- credentials ------------------------------------------------------------------------------------------


def config(home: Path, text: str) -> None:
    (home / ".aws" / "config").write_text(text, encoding="utf-8")


def stored_keys(home: Path, **profiles: str) -> None:
    text = "".join(
        f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = hunter2\n"
        for name, key in profiles.items()
    )
    (home / ".aws" / "credentials").write_text(text, encoding="utf-8")


def program(home: Path, key: str, seconds: int) -> str:
    """Return the setting of a profile whose credentials come from a program and last so long."""
    ends = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    found = {
        "Version": 1,
        "AccessKeyId": key,
        "SecretAccessKey": "hunter2",
        "SessionToken": "t",
        "Expiration": ends,
    }
    (home / "found.json").write_text(json.dumps(found), encoding="utf-8")
    return f"credential_process = cat {home / 'found.json'}\n"


def test_the_default_profile_is_used(home: Path, proxy: Proxy, url: str) -> None:
    stored_keys(home, default="OFDEFAULT", other="OFOTHER")
    open_store(url, check=True)
    assert {signed_by(request)[0] for request in proxy.log()} == {"OFDEFAULT"}


def test_a_profile_is_chosen_by_name(
    home: Path, proxy: Proxy, ireland: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_keys(home, default="OFDEFAULT", other="OFOTHER")
    config(home, "[profile other]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "other")
    store = open_store(ireland, check=True)
    assert {signed_by(request) for request in proxy.log()} == {("OFOTHER", "eu-west-1")}
    assert "region=eu-west-1" in store.url, "workers elsewhere do not have this file"
    assert "hunter2" not in repr(store) + store.url
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(BadStoreURL, match=r"AWS_PROFILE=missing names no profile.*default, other"):
        open_store(ireland)


def test_the_environment_comes_first_and_nothing_is_imported(
    home: Path, proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_keys(home, default="OFDEFAULT")
    keys_of_environment(monkeypatch)
    code = (
        "import sys\nfrom wrens.store import open_store\nopen_store(sys.argv[1]).put('k', b'')\n"
        "assert not {'boto3', 'botocore', 'urllib.request'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=60)
    assert {signed_by(request)[0] for request in proxy.log()} == {"OFENVIRONMENT"}


def test_without_credentials_and_without_anybody_to_ask(home: Path, proxy: Proxy, url: str) -> None:
    config(home, "[default]\nregion = eu-west-1\n")
    with pytest.raises(StoreDenied, match=r"no credentials are set: set AWS_ACCESS_KEY_ID.*AWS_PROFILE"):
        open_store(url)
    open_store(f"{url}&skip_signature=true", check=True)
    assert not any("authorization" in request.headers for request in proxy.log())


@pytest.mark.parametrize("there", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys(url: str, monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    monkeypatch.setenv(there, "hunter2")
    with pytest.raises(BadStoreURL, match=f"{there} is set and AWS_.* is not") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


def test_what_a_profile_refers_to_is_resolved_by_aws_library(home: Path, proxy: Proxy, url: str) -> None:
    config(home, f"[default]\n{program(home, 'OFPROGRAM', 3600)}")
    open_store(url, check=True)
    assert {signed_by(request)[0] for request in proxy.log()} == {"OFPROGRAM"}
    assert {request.headers["x-amz-security-token"] for request in proxy.log()} == {"t"}


def test_without_that_library_the_error_names_the_extra(
    home: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(home, f"[default]\n{program(home, 'OFPROGRAM', 3600)}")
    monkeypatch.setattr(credentials, "find_spec", lambda name: None)
    with pytest.raises(StoreDenied, match=r"credential_process.*pip install 'wrens\[aws\]'"):
        open_store(url)
    stored_keys(home, default="OFDEFAULT")
    open_store(url, check=True)  # keys that stand in a file need no library


def test_credentials_that_end_are_renewed(
    home: Path, proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "GOOD_FOR_S", 1.0)  # asked for with each request
    config(home, f"[default]\n{program(home, 'FIRST', 30)}")
    store = open_store(url)
    store.put("k", b"")
    program(home, "SECOND", 3600)
    clock = SystemClock()
    end = clock.now() + 20
    while signed_by(proxy.log()[-1])[0] == "FIRST" and clock.now() < end:
        store.get("k")
    assert signed_by(proxy.log()[-1])[0] == "SECOND"


def test_keys_that_are_replaced_in_their_file_are_read_again(
    home: Path, proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "GOOD_FOR_S", 1.0)
    stored_keys(home, default="FIRST")
    store = open_store(url)
    store.put("k", b"")
    stored_keys(home, default="SECOND")
    clock = SystemClock()
    end = clock.now() + 20
    while signed_by(proxy.log()[-1])[0] == "FIRST" and clock.now() < end:
        store.get("k")
    assert signed_by(proxy.log()[-1])[0] == "SECOND"


def test_a_container_gives_credentials(proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AccessKeyId": "OFCONTAINER", "SecretAccessKey": "hunter2", "Token": "t"}
    given["Expiration"] = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = Fault("answer", status=200, code="OK", body=json.dumps(given).encode(), times=None)
    with proxied(None, [answer]) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/give")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/dev/null")
        open_store(url, check=True)
        assert len(container.log()) == 1
    assert {signed_by(request)[0] for request in proxy.log()} == {"OFCONTAINER"}


def test_a_program_that_gives_no_credentials(home: Path, url: str) -> None:
    config(home, "[default]\ncredential_process = cat /no/such/file\n")
    with pytest.raises(StoreDenied, match="credential") as caught:
        open_store(url, check=True)
    assert "cannot open" in str(caught.value)


def test_a_giver_of_credentials_that_is_not_reached_is_asked_again(home: Path, proxy: Proxy) -> None:
    """The role's service does not answer: nothing was sent to the store, and it may come back."""
    stored_keys(home, base="OFBASE")
    config(home, "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nregion = us-east-1\n"
                 "endpoint_url = http://127.0.0.1:9\n")  # fmt: skip
    with pytest.raises(StoreUnavailable) as caught:
        open_store(f"s3://access/x?endpoint={proxy.url}", check=True)
    assert not caught.value.sent


def test_a_role_is_assumed(home: Path, aws: Server, proxy: Proxy, url: str) -> None:
    stored_keys(home, base="OFBASE")
    config(home, "[default]\nrole_arn = arn:aws:iam::000000000000:role/r\nsource_profile = base\n"
                 f"region = us-east-1\nservices = here\n[services here]\nsts =\n  endpoint_url = {aws.url}\n")  # fmt: skip
    open_store(url, check=True)
    keys = {signed_by(request)[0] for request in proxy.log()}
    assert len(keys) == 1
    assert "OFBASE" not in keys
    assert all(request.headers["x-amz-security-token"] for request in proxy.log())


@pytest.mark.parametrize("text", ["[default", "\0\xff", "no section = 1\n"])
def test_a_file_that_makes_no_sense_is_named(home: Path, url: str, text: str) -> None:
    (home / ".aws" / "config").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadStoreURL, match=r"\.aws/config cannot be read"):
        open_store(url)


# --- where it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[default]\nendpoint_url = {url}\n",
        "[default]\nservices = mine\nendpoint_url = http://127.0.0.1:9\n[services mine]\ns3 =\n  endpoint_url = {url}\n",
    ],
)
def test_the_endpoint_of_a_profile_reaches_the_workers(
    home: Path, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    keys_of_environment(monkeypatch)
    config(home, text.format(url=proxy.url))
    store = open_store(f"s3://access/{tmp_path.name}", check=True)
    (home / ".aws" / "config").unlink()
    open_store(store.url).put("by a worker", b"")
    assert proxy.log()[-1].key == f"{tmp_path.name}/by a worker"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_endpoint_of_the_environment_comes_before_the_profile(
    home: Path, proxy: Proxy, ireland: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys_of_environment(monkeypatch)
    config(home, "[default]\nendpoint_url = http://127.0.0.1:9\nregion = eu-west-3\n")
    monkeypatch.setenv(name, proxy.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    open_store(ireland.partition("?")[0], check=True)
    assert {signed_by(request)[1] for request in proxy.log()} == {"eu-west-1"}


def refusing(status: int, code: str, message: str = "") -> Callable[[Request], Fault | None]:
    """Return refusals of a bucket in eu-west-1 in other words than the server's."""

    def answer(request: Request) -> Fault | None:
        if request.operation == "HeadBucket" or signed_by(request)[1] == "eu-west-1":
            return None
        return Fault("answer", status=status, code=code, message=message)

    return answer


REFUSALS = [
    None,
    (301, "PermanentRedirect", ""),
    (400, "IllegalLocationConstraintException", ""),
    (400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
    (400, "AuthorizationHeaderMalformed", "wrong</Message><Region>eu-west-1</Region><Message>"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("region", ["", "us-west-2"])
def test_the_right_region_is_found_and_told_to_workers(
    proxy: Proxy,
    ireland: str,
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[int, str, str] | None,
    region: str,
) -> None:
    keys_of_environment(monkeypatch)
    if region:
        monkeypatch.setenv("AWS_REGION", region)
    if refusal:
        proxy.script = refusing(*refusal)
    with wrens.Executor(store=ireland, max_workers=1) as ex:
        assert list(ex.map(abs, [-1, -2])) == [1, 2]
    assert proxy.counts()["HeadBucket"] == (0 if refusal and "eu-west-1" in refusal[2] else 1)
    assert [signed_by(request)[1] for request in proxy.log() if "authorization" in request.headers].count(
        "eu-west-1"
    ) == len(proxy.log()) - 1 - proxy.counts()["HeadBucket"], "one request was refused, and no worker's"


def test_a_region_that_the_url_says_is_corrected_by_hand(
    proxy: Proxy, ireland: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys_of_environment(monkeypatch)
    with pytest.raises(BadStoreURL, match="not in us-west-2 but in eu-west-1: write region=eu-west-1"):
        open_store(f"{ireland}&region=us-west-2", check=True)
    for create in (True, False):
        store = open_store(ireland, check=True, create=create)
        assert "region=eu-west-1" in store.url


def test_a_region_that_nobody_tells(proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys_of_environment(monkeypatch)
    proxy.script = [Fault("answer", status=301, code="PermanentRedirect", times=None)]
    with pytest.raises(BadStoreURL, match=r"in another region; add \?region="):
        open_store(url, check=True)


# --- options ------------------------------------------------------------------------------------------------


def head(proxy: Proxy, key: str) -> dict[str, str]:
    request = urllib.request.Request(f"{proxy.url}/access/{key}", method="HEAD")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sse=AES256", {"x-amz-server-side-encryption": "AES256"}),
        (
            "kms_key=key-1&bucket_key=true",
            {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "key-1"},
        ),
        (
            "sse=aws:kms&kms_key=key-1",
            {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "key-1"},
        ),
    ],
)  # fmt: skip
def test_objects_are_encrypted_small_and_large(
    proxy: Proxy, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, expected: dict[str, str]
) -> None:  # fmt: skip
    keys_of_environment(monkeypatch)
    store = open_store(open_store(f"{url}&{query}").url)
    store.put("small", b"x")
    store.put("large", bytes(70 << 20))
    for key in ("small", "large"):
        found = head(proxy, f"{tmp_path.name}/{key}")
        assert {name: found.get(name) for name in expected} == expected
    if "bucket_key" in query:
        sent = [r for r in proxy.log() if r.operation in ("PutObject", "CreateMultipartUpload")]
        assert {r.headers["x-amz-server-side-encryption-bucket-key-enabled"] for r in sent} == {"true"}


def test_the_requester_pays_in_workers_too(proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys_of_environment(monkeypatch)
    with wrens.Executor(store=f"{url}&requester_pays=true", max_workers=1) as ex:
        assert list(ex.map(abs, range(3))) == [0, 1, 2]
    assert {request.headers.get("x-amz-request-payer") for request in proxy.log()} == {"requester"}
    proxy.clear()
    open_store(f"{url}&requester_pays=false").put("k", b"")
    assert "x-amz-request-payer" not in proxy.log()[0].headers


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sse=rot13", "sse is one of AES256, aws:kms"),
        ("requester_pays=yes", "requester_pays is one of true, false"),
        ("sse=AES256&kms_key=k", "kms_key=... goes with sse=aws:kms"),
        ("kms_kee=k", "did you mean kms_key?"),
        ("sse_customer_key_base64=hunter2", "a URL cannot set"),
    ],
)
def test_options_that_cannot_be(query: str, said: str) -> None:
    with pytest.raises(BadStoreURL) as caught:
        open_store(f"s3://access/x?{query}")
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
