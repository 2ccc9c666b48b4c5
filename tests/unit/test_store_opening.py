"""Addresses: what opens, what does not, and what is said about it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import wrens.store.opening as opening
from wrens.errors import BadStoreURL, StoreDenied
from wrens.store import Fault, default_store_url, open_store, register_scheme
from wrens.store.cloud import CloudStore
from wrens.store.directory import DirectoryStore
from wrens.store.retrying import RetryingStore
from wrens.testing import faulty_url
from wrens.testing.store_faults import open_faulty


def as_another_user(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run code without the rights of the superuser, whom no permission stops."""
    drop = "import os\nif os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    # Imports come first: the other user may not be able to read where they lie.
    first = "import sys, wrens.store.opening, wrens.store.directory, wrens.store.cloud, wrens.errors\n"
    return subprocess.run(
        [sys.executable, "-c", first + drop + code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_directory_in_all_its_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "with space?").mkdir()
    url = (tmp_path / "d").as_uri()
    for address in (
        tmp_path / "d",
        str(tmp_path / "d"),
        "d",
        "./d/",
        "~/d",
        url,
        url.replace("///", "//localhost/"),
    ):
        store = open_store(address)
        assert isinstance(store, DirectoryStore)
        assert store.url == url, address
    odd = open_store("with space?")
    odd.put("k", b"v")
    assert bytes(open_store(odd.url).get("k")) == b"v"


def test_a_new_directory_is_private_and_an_old_one_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "old").mkdir(mode=0o755)
    (tmp_path / "old").chmod(0o755)
    open_store(tmp_path / "old")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o755


def test_memory_is_one_store_per_name() -> None:
    assert open_store("memory://one") is open_store("memory://one/")
    assert open_store("memory://one") is not open_store("memory://two")
    assert open_store("memory://").url == "memory://"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        (
            "s3://bucket/p?endpoint=http://localhost:9000&region=eu-west-1",
            "s3://bucket/p?endpoint=http%3A%2F%2Flocalhost%3A9000&region=eu-west-1",
        ),
        ("gs://bucket/prefix?skip_signature=true", "gs://bucket/prefix?skip_signature=true"),
        ("az://container/prefix?account_name=lab", "az://container/prefix?account_name=lab"),
    ],
)
def test_buckets_open_without_a_request(address: str, url: str) -> None:
    store = open_store(address)
    assert isinstance(store, RetryingStore)
    assert isinstance(store._inner, CloudStore)
    assert store.url == url
    assert open_store(store.url).url == url


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s4://bucket/x", "did you mean s3://bucket/x?"),
        ("s3a://bucket", "did you mean s3://bucket?"),
        ("gcs://bucket", "did you mean gs://bucket?"),
        ("azure://c/p", "did you mean az://c/p?"),
        ("mem://x", "did you mean memory://x?"),
        ("xyzzy://x", "'xyzzy' is not a kind of store"),
        ("s3:/bucket/x", "did you mean s3://bucket/x?"),
        ("memory:", "did you mean memory://?"),
        ("file:/data", "did you mean file:///data?"),
        ("file://data/x", "did you mean file:///data/x?"),
        ("file:///data?x=1", "'%3F'"),
        ("s3://", "name of the bucket is missing"),
        ("s3:///prefix", "name of the bucket is missing"),
        ("s3://b?secret_access_key=x", "credentials come from the environment"),
        ("s3://b?regoin=x", "did you mean region?"),
        ("", "this is no path"),
        ("a\0b", "this is no path"),
    ],
)
def test_a_wrong_address_is_told_how_to_be_right(address: str, said: str) -> None:
    with pytest.raises(BadStoreURL) as caught:
        open_store(address)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "address", ["s3://me:hunter2@bucket/x", "s4://me:hunter2@bucket", "s3://b?password=hunter2"]
)
def test_a_secret_in_a_url_is_not_repeated(address: str) -> None:
    with pytest.raises(BadStoreURL) as caught:
        open_store(address)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.args)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    for path in (tmp_path / "f", tmp_path / "f" / "below"):
        for create in (True, False):
            with pytest.raises(BadStoreURL):
                open_store(path, create=create)


def test_without_create_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadStoreURL, match="no such directory"):
        open_store(tmp_path / "typo", create=False)
    assert not (tmp_path / "typo").exists()


def test_a_directory_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    shut = tmp_path / "shut"
    shut.mkdir()
    shut.chmod(0o555)
    code = """
for create, path in ((True, sys.argv[1]), (True, sys.argv[1] + "/new"), (False, sys.argv[1])):
    try:
        store = wrens.store.open_store(path, create=create)
        print("opened")
        store.put("k", b"")
    except wrens.errors.StoreError as error:
        print(type(error).__name__, error.action)
"""
    done = as_another_user(code, str(shut))
    assert done.stdout.split("\n")[:-1] == [
        "StoreDenied open",
        "StoreDenied open",
        "opened",
        "StoreDenied put",
    ], done


# --- the default store ---------------------------------------------------------------------------------


def test_the_default_is_in_the_cache_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WRENS_STORE", raising=False)
    monkeypatch.setattr(opening.sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_store_url() == (tmp_path / "xdg/wrens").as_uri()
    assert stat.S_IMODE((tmp_path / "xdg/wrens").stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_store_url() == (tmp_path / ".cache/wrens").as_uri()
    monkeypatch.setattr(opening.sys, "platform", "darwin")
    assert default_store_url() == (tmp_path / "Library/Caches/wrens").as_uri()
    monkeypatch.setenv("WRENS_STORE", "s3://lab/jobs")
    assert default_store_url() == "s3://lab/jobs"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_a_default_that_others_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.delenv("WRENS_STORE", raising=False)
    monkeypatch.setattr(opening, "_cache", lambda: tmp_path)
    (tmp_path / "wrens").mkdir()
    (tmp_path / "wrens").chmod(mode)
    with pytest.raises(StoreDenied, match="chmod 700"):
        default_store_url()


def test_a_default_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WRENS_STORE", raising=False)
    monkeypatch.setattr(opening, "_cache", lambda: tmp_path)
    monkeypatch.setattr(opening.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StoreDenied, match="belongs to user") as caught:
        default_store_url()
    assert "WRENS_STORE" in str(caught.value)


# --- other schemes -------------------------------------------------------------------------------------


def test_a_scheme_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_openers", {})
    seen = []

    def opener(url: str, *, create: bool) -> opening.Store:
        seen.append((url, create))
        return open_store("memory://registered")

    register_scheme("NULL", opener)
    assert open_store("null://x/y", create=False).url == "memory://registered"
    assert seen == [("null://x/y", False)]
    with pytest.raises(BadStoreURL, match="did you mean null://"):
        open_store("nul://x")


def test_faults_by_url(tmp_path: Path) -> None:
    url = faulty_url(
        tmp_path / "a b", [Fault("put", key_contains="verdicts/", kind="lost_reply", times=None)]
    )
    store = open_faulty(url)
    assert store.url == url
    store.put("jobs/j/end", b"")
    with pytest.raises(ConnectionError):
        store.put("jobs/j/verdicts/0", b"")
    assert list(open_faulty(store.url).list("")) == ["jobs/j/end", "jobs/j/verdicts/0"]
    for bad in ("faulty+file:///x", f"faulty+file://{tmp_path}?script=/no/such/file"):
        with pytest.raises(BadStoreURL):
            open_faulty(bad)


def test_a_directory_does_not_load_the_object_store_library(tmp_path: Path) -> None:
    code = "import sys\nfrom wrens.store import open_store\nopen_store(sys.argv[1]).put('k', b'')\n"
    code += "assert not {'obstore', 'asyncio', 'importlib.metadata'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
