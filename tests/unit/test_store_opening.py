"""Addresses: what opens, what does not, and what is said about it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import wrens
import wrens.store.opening as opening
from wrens.errors import BadStoreURL, StoreDenied
from wrens.store import Fault, default_store_url, open_store, register_scheme
from wrens.store.cloud import CloudStore
from wrens.store.directory import DirectoryStore
from wrens.store.retrying import RetryingStore
from wrens.store.signed import SignedStore
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


# Only some systems take names that are no text.
NO_TEXT = "\udcff" if sys.platform == "linux" else ""


@pytest.mark.parametrize(
    "name",
    ["with space?", "größe#1", "100%25", "a%2Fb", "x=1&y;z", "name\n", "-rf", f"x{NO_TEXT}", "C:", "~root"],
)
def test_an_odd_name_is_the_same_directory_by_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(tmp_path / name)
    store.put("k", b"v")
    for address in (store.url, f"./{name}", tmp_path / name, os.fsencode(tmp_path / name)):
        again = open_store(address, create=False)  # type: ignore[arg-type]
        assert (again.url, bytes(again.get("k"))) == (store.url, b"v")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_workers_find_a_directory_of_an_odd_name(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / f"größe 100%25 {NO_TEXT}?#", max_workers=1) as ex:
        assert list(ex.map(abs, [-1, -2])) == [1, 2]


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
        ("s3://Old_Bucket.1/x", "s3://Old_Bucket.1/x"),
        ("az://$root/prefix?account_name=lab", "az://$root/prefix?account_name=lab"),
        ("az://container/prefix?account_name=lab", "az://container/prefix?account_name=lab"),
    ],
)
def test_buckets_open_without_a_request(address: str, url: str) -> None:
    store = open_store(address)
    assert isinstance(store, SignedStore)
    assert isinstance(store._inner, RetryingStore)
    assert isinstance(store._inner._inner, CloudStore)
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
        ("S3:bucket/x", "did you mean s3://bucket/x?"),
        (" s4://bucket", "it begins with a space; did you mean s4://bucket?"),
        ("\n/data/x\n", "it begins with a space; did you mean /data/x?"),
        (" s3://bucket/x ", "did you mean s3://bucket/x?"),
        ("file://data/x", "did you mean data/x without 'file://', or file:///data/x?"),
        ("file://./x", "did you mean ./x without 'file://'?"),
        ("file://~/x", "did you mean ~/x without 'file://'?"),
        ("file:///~/x", "write ~/x without 'file://'"),
        ("file://", "a file URL is file:///, then a path"),
        ("file:///data?x=1", "'%3F'"),
        ("file:///data#1", "'%23'"),
        ("file:///C:/data", "a path of Windows; here write /data/jobs"),
        ("C:\\data", "a path of Windows; here write /data/jobs"),
        ("c:/data", "a path of Windows; here write /data/jobs"),
        ("\\\\server\\data", "a path of Windows"),
        ("~nobody-of-this-name/x", "there is no user 'nobody-of-this-name' here"),
        ("~nobody-of-this-name", "there is no user 'nobody-of-this-name' here"),
        ("https://bucket.example.org/x", "s3://bucket/prefix?endpoint=https://bucket.example.org"),
        ("s3://b/../x", "write it out: s3://b/x"),
        ("s3://b/x/..", "write it out: s3://b/x"),
        ("gs://b/./x", "write it out: gs://b/x"),
        ("s3://b//x", "write it out: s3://b/x"),
        ("s3://../x", "'..' is no name of a bucket"),
        ("s3://Bad_Bucket!/x", "'Bad_Bucket!' is no name of a bucket"),
        ("s3://büro/x", "'büro' is no name of a bucket"),
        ("s3://my bucket/x", "use letters, digits, '.', '-' and '_'"),
        ("s3://localhost:9000/b", "s3://bucket/prefix?endpoint=http://localhost:9000"),
        ("s3://b?region", "it sets 'region' to nothing"),
        ("s3://b?endpoint=localhost:9000", "has to begin with http:// or https://"),
        ("s3://", "name of the bucket is missing"),
        ("s3:///prefix", "name of the bucket is missing"),
        ("s3://b?secret_access_key=x", "credentials come from the environment"),
        ("s3://b?regoin=x", "did you mean region?"),
        ("", "it is empty; leave the store out for the default"),
        (" \n", "it is empty"),
        ("a\0b", "cannot hold a NUL character"),
    ],
)
def test_a_wrong_address_is_told_how_to_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for create in (True, False):
        with pytest.raises(BadStoreURL) as caught:
            open_store(address, create=create)
        assert said in str(caught.value)
        assert "Nothing was started" in str(caught.value)
    assert not [*tmp_path.iterdir()], "what was refused has not been made"


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
    for parent in tmp_path.parents:
        parent.chmod(0o755)
        if parent.name.startswith("pytest-of-"):
            break
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
    monkeypatch.setattr(opening, "cache_home", lambda: tmp_path)
    (tmp_path / "wrens").mkdir()
    (tmp_path / "wrens").chmod(mode)
    with pytest.raises(StoreDenied, match="chmod 700"):
        default_store_url()


def test_a_default_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WRENS_STORE", raising=False)
    monkeypatch.setattr(opening, "cache_home", lambda: tmp_path)
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
