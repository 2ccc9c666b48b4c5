"""What a failure of a store becomes, and that it leaves nothing half done."""

from __future__ import annotations

import errno
import os
import pickle  # noqa: TID251 - errors cross between processes like this
import subprocess
import sys
from pathlib import Path

import obstore.exceptions
import pytest
from obstore.store import LocalStore, MemoryStore

from wrens.clock import VirtualClock
from wrens.errors import (
    AlreadyExists,
    BadStoreURL,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from wrens.store import Fault, FaultyStore, RetryingStore, cloud, files, open_store
from wrens.store.cloud import CloudStore
from wrens.store.directory import DirectoryStore
from wrens.store.failures import BY_NAME, translate


def test_every_exception_of_obstore_is_mapped() -> None:
    names = {name for name in dir(obstore.exceptions) if isinstance(getattr(obstore.exceptions, name), type)}
    assert names - set(BY_NAME) == set(), "say in wrens.store.failures what these become"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("AlreadyExistsError", "Object at location a already exists", AlreadyExists),
        ("PreconditionError", "at least one of the pre-conditions did not hold", AlreadyExists),
        ("PermissionDeniedError", "no", StoreDenied),
        ("UnauthenticatedError", "no", StoreDenied),
        ("UnknownConfigurationKeyError", "Configuration key: 'x' is not valid", BadStoreURL),
        ("GenericError", "Generic S3 error: Error performing PUT, after 4 retries: error sending request", StoreUnavailable),
        ("GenericError", "Generic S3 error: Server returned non-2xx status code: 503: SlowDown", StoreUnavailable),
        ("GenericError", "Generic GCS error: request or response body error: operation timed out", StoreUnavailable),
        ("GenericError", "Generic S3 error: Server returned non-2xx status code: 429 Too Many Requests", StoreUnavailable),
        ("GenericError", "Generic S3 error: Server returned non-2xx status code: 403: AccessDenied", StoreDenied),
        ("GenericError", "Generic S3 error: Missing credentials", StoreDenied),
        ("GenericError", "Generic S3 error: Server returned non-2xx status code: 404 Not Found: NoSuchBucket", ObjectMissing),
        ("GenericError", "Generic LocalFileSystem error: Unable to copy: No space left (os error 28)", StoreFull),
        ("GenericError", "Generic LocalFileSystem error: Unable to open: denied (os error 13)", StoreDenied),
        ("GenericError", "Generic S3 error: HTTP error: request or response body error", StoreUnavailable),
        ("GenericError", "Generic S3 error: Server returned non-2xx status code: 501 Not Implemented", StoreError),
        ("GenericError", "Generic S3 error: something new", StoreError),
        ("NotSupportedError", "Operation not supported", StoreError),
    ],
)  # fmt: skip
def test_what_obstore_says(name: str, text: str, kind: type[StoreError]) -> None:
    dump = "\n\nDebug source:\nGeneric {\n  connection timed out secret 503 \n}"
    error = translate(getattr(obstore.exceptions, name)(text + dump), "put", "a/b", "s3://b")
    assert type(error) is kind
    assert (error.action, error.key, error.store, error.reason) == ("put", "a/b", "s3://b", text)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_answer_of_s3_is_told_in_a_line() -> None:
    """As AWS writes it: the code stands in the second line, beside much that helps nobody."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>User: me is not\n'
        "authorized</Message><RequestId>123</RequestId><HostId>abc=</HostId></Error>"
    )
    said = f"Server returned non-2xx status code: 403 Forbidden: {body}\n\nDebug source:\n<Code>Else</Code>"
    error = translate(obstore.exceptions.PermissionDeniedError(said), "put", "k", "s3://b")
    assert error.reason == (
        "Server returned non-2xx status code: 403 Forbidden: AccessDenied: User: me is not authorized"
    )


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EACCES, StoreDenied),
        (errno.EROFS, StoreDenied),
        (errno.ESTALE, StoreUnavailable),
        (errno.ETIMEDOUT, StoreUnavailable),
        (errno.EIO, StoreError),
        (errno.EMFILE, StoreError),
        (errno.ENAMETOOLONG, StoreError),
    ],
)
def test_what_the_system_says(number: int, kind: type[StoreError]) -> None:
    error = translate(OSError(number, os.strerror(number), "/secret/path"), "get", "k", "file:///d")
    assert type(error) is kind
    assert error.reason == f"{os.strerror(number)} ({errno.errorcode[number]})"


# --- a full disk ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nameless", [True, False])
def test_a_full_disk_leaves_nothing(tmp_path: Path, nameless: bool) -> None:
    """A limit on file sizes stops the write halfway, as a full disk does."""
    code = """
import os, resource, sys
from wrens.errors import StoreFull
from wrens.store import open_store
store = open_store(sys.argv[1])
store._nameless = store._nameless and sys.argv[2] == "True"
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for mode in ("if_absent", "replace"):
    try:
        store.put("a/b", [b"x" * 90_000, b"y" * 90_000], mode=mode)
    except StoreFull as error:
        assert error.key == "a/b" and "wrens clean" in str(error)
    else:
        raise SystemExit("it was written")
assert list(store.list("")) == []
store.put("a/b", b"x" * 1000)
assert [len(names) for _, _, names in os.walk(sys.argv[1]) if names] == [1], "a draft was left behind"
"""
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(nameless)],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("nameless", [True, False])
def test_a_write_that_fails_is_reported_and_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    store = open_store(tmp_path)
    assert isinstance(store, DirectoryStore)
    store._nameless = store._nameless and nameless

    def full(fd: int, buffers: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "writev", full)
        with pytest.raises(StoreFull):
            store.put("k", b"v")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    store.put("k", b"v")


# --- file systems that cannot do everything ------------------------------------------------------------


def test_a_file_system_without_nameless_files_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    real = os.open

    def cannot(path: str, flags: int, mode: int = 0o777) -> int:
        if path.rstrip("/") == str(tmp_path):
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, mode)

    monkeypatch.setattr("wrens.store.directory.os.open", cannot)
    store.put("k", b"v")
    assert bytes(store.get("k")) == b"v"


def test_a_file_system_without_links_is_named_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)

    def cannot(source: str, target: str, **where: int) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", source, None, target)

    monkeypatch.setattr("wrens.store.directory.os.link", cannot)
    with pytest.raises(StoreError, match="no hard links") as caught:
        store.put("k", b"v")
    assert not isinstance(caught.value, StoreDenied)
    store.put("k", b"v", mode="replace")


def test_a_link_whose_reply_was_lost_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system the repeated link finds the one that was made."""
    store = open_store(tmp_path)
    assert isinstance(store, DirectoryStore)
    store._nameless = False
    real = os.link

    def twice(source: str, target: str) -> None:
        real(source, target)
        real(source, target)

    monkeypatch.setattr("wrens.store.directory.os.link", twice)
    store.put("k", b"v")
    with pytest.raises(AlreadyExists):
        store.put("k", b"v")


@pytest.mark.parametrize("nameless", [True, False])
def test_a_key_below_an_object_is_explained(tmp_path: Path, nameless: bool) -> None:
    store = open_store(tmp_path)
    assert isinstance(store, DirectoryStore)
    store._nameless = store._nameless and nameless
    store.put("a/b", b"")
    for key in ("a", "a/b/c", "a/b/c/d"):
        for mode in ("if_absent", "replace"):
            with pytest.raises(StoreError, match="beginning of another") as caught:
                store.put(key, b"", mode=mode)
            assert type(caught.value) is StoreError
    assert [*store.list("")] == ["a/b"]


def descriptors() -> int:
    """How many this process has open, what other tests have left open among them; 0 where that cannot be seen."""
    return len([*Path("/proc/self/fd").iterdir()]) if sys.platform == "linux" else 0


def test_many_large_objects_do_not_use_up_the_descriptors(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put("large", b"x" * (files.SMALL + 1))
    others = descriptors()
    held = [store.get("large") for _ in range(400)]
    assert {view.nbytes for view in held} == {files.SMALL + 1}
    assert descriptors() - others < 300


# --- requests that may be carried out twice ------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 300_000, 700_000])
def test_a_put_that_meets_its_own_object_returns(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    store = CloudStore(MemoryStore(), "s3://b")
    body = os.urandom(size)
    real = cloud.obstore.put

    def twice(inner: object, key: str, data: object, **options: object) -> None:
        content = data if isinstance(data, (bytes, memoryview)) else b"".join(data)
        real(inner, key, content, **options)
        real(inner, key, content, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cloud.obstore, "put", twice)
        store.put("k", [b"attempt 1", body])
    for other in ([b"attempt 2", body], [b"attempt 1", body, b"x"], [b"attempt 1", body[:-1]], b""):
        if b"".join(other) != b"attempt 1" + body:
            with pytest.raises(AlreadyExists):
                store.put("k", other)
    assert bytes(store.get("k")) == b"attempt 1" + body


def test_a_conflict_over_nothing_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    store = CloudStore(MemoryStore(), "s3://b")
    real, calls = cloud.obstore.put, []

    def conflict(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise obstore.exceptions.AlreadyExistsError("409 conflict")
        real(*args, **options)

    monkeypatch.setattr(cloud.obstore, "put", conflict)
    RetryingStore(store, clock=VirtualClock()).put("k", b"v")
    assert bytes(store.get("k")) == b"v"


def test_deleting_what_is_missing_where_that_is_an_error(tmp_path: Path) -> None:
    store = CloudStore(LocalStore(tmp_path), "gs://b")
    for key in "abc":
        store.put(key, b"")
    store.delete(["a", "missing", "b"])
    assert [*store.list("")] == ["c"]


def test_errors_of_an_unreachable_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on this port, and nothing of the credentials is shown."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hunter2")
    inner = obstore.store.from_url(
        "s3://b", endpoint="http://127.0.0.1:1", region="x", client_options={"allow_http": True}, retry_config={"max_retries": 0}
    )  # fmt: skip
    store = CloudStore(inner, "s3://b")
    for call in (lambda: store.put("k", b""), lambda: store.get("k"), lambda: [*store.list("")], lambda: store.delete(["k"])):  # fmt: skip
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert "hunter2" not in str(caught.value)
        assert "Debug" not in str(caught.value)
        assert "no connection to http://127.0.0.1:1" in str(caught.value)
        assert "Connection refused" in str(caught.value)


def test_reading_beside_a_fault_of_another_kind() -> None:
    store = FaultyStore(open_store("memory://fault-kinds"), [Fault("get")])
    with pytest.raises(StoreUnavailable):
        store.get("k")
    with pytest.raises(ObjectMissing):
        store.get("k")
