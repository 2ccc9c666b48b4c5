"""Signatures and the key behind them: what is refused, and that the key stays where it is."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - a key must not pickle
import stat
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wrens.errors import BadSignature, BadSigningKey, BadStoreURL
from wrens.store import MeteredStore, RetryingStore, open_store, register_scheme
from wrens.store.directory import DirectoryStore
from wrens.store.port import Store, get_head, is_signed, raw_range
from wrens.store.privacy import is_private
from wrens.store.signed import HEADER, SignedStore
from wrens.store.signing_keys import SigningKey, key_file, signing_key

SECRET = "5ec2e7" * 10 + "0123"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("WRENS_SIGNING_KEY", raising=False)
    return tmp_path / "config/wrens"


# --- objects -----------------------------------------------------------------------------------------


def test_text_stays_readable(tmp_path: Path) -> None:
    store = SignedStore(DirectoryStore(str(tmp_path)), SigningKey(bytes(32), "here"))
    store.put("jobs/j/end", b'{\n "tasks": 3\n}')
    lines = (tmp_path / "jobs/j/end").read_text().splitlines()
    assert lines[0].startswith("#wrens-signed 1 2c3767eca98640cc ")
    assert lines[1:] == ["{", ' "tasks": 3', "}"]


def test_each_refusal_says_what_is_wrong(tmp_path: Path) -> None:
    plain = DirectoryStore(str(tmp_path))
    mine, theirs = SigningKey(bytes(32), "my file"), SigningKey(bytes(range(32)), "their file")
    store = SignedStore(plain, mine)
    plain.put("none", b"x" * 500)
    plain.put("short", b"x")
    plain.put("empty", b"")
    SignedStore(plain, theirs).put("strange", b"x")
    store.put("good", b"x")
    plain.put("moved", plain.get("good"))
    said = {
        "none": ["it carries no signature", "?signed=no"],
        "short": ["it carries no signature"],
        "empty": ["it carries no signature"],
        "strange": [mine.fingerprint, theirs.fingerprint, "from my file", "wrens key --export"],
        "moved": ["its bytes or its place are not those that were signed"],
    }
    for key, words in said.items():
        for ask in ({}, {"length": 1}, {"start": 3}):
            with pytest.raises(BadSignature) as caught:
                store.get(key, **ask)
            told = str(caught.value)
            assert all(word in told for word in [key, store.url, "Nothing of it was unpickled", *words]), told
            assert mine.export() not in told
            assert caught.value.key == key


def test_what_was_checked_cannot_be_changed_any_more(tmp_path: Path) -> None:
    """A long object is mapped from its file, and who owns the file can still write into it."""
    store = SignedStore(DirectoryStore(str(tmp_path)), SigningKey(bytes(32), "here"))
    store.put("k", b"a" * 300_000)
    whole, part = store.get("k"), store.raw_range("k", 10, 200_000)
    with (tmp_path / "k").open("r+b") as file:
        file.write(b"b" * 300_000)
    assert set(whole) == set(part) == {ord("a")}
    with pytest.raises(BadSignature):
        store.get("k")


def test_a_reply_that_was_lost_is_settled_by_what_was_signed(tmp_path: Path) -> None:
    from wrens.clock import VirtualClock
    from wrens.store import Fault, FaultyStore

    flaky = FaultyStore(DirectoryStore(str(tmp_path)), [Fault("put", kind="lost_reply")])
    store = SignedStore(RetryingStore(flaky, clock=VirtualClock()), SigningKey(bytes(32), "here"))
    store.put("k", b"mine")
    assert bytes(store.get("k")) == b"mine"


def test_wrappers_keep_working() -> None:
    inner = open_store("memory://wrapped?signed=yes")
    store = MeteredStore(inner)
    store.put("k", b"abc")
    assert is_signed(store)
    assert bytes(raw_range(store, "k", 1, 1)) == b"b"
    assert (store.reading().bytes_in, store.reading().bytes_out) == (3, 1)
    plain = open_store("memory://wrapped")
    assert bytes(raw_range(plain, "k", HEADER, 1000)) == bytes(raw_range(inner, "k", 0, 1000)) == b"abc"
    assert bytes(get_head(store, "k", 2)) == bytes(get_head(plain, "k", 194)[HEADER:]) == b"ab"


# --- which stores ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "signed", "url"),
    [
        ("s3://bucket/p", True, "s3://bucket/p"),
        ("gs://bucket/p", True, "gs://bucket/p"),
        ("az://c/p?account_name=lab", True, "az://c/p?account_name=lab"),
        ("s3://bucket/p?signed=yes&region=eu-west-1", True, "s3://bucket/p?region=eu-west-1"),
        ("s3://bucket/p?signed=no", False, "s3://bucket/p?signed=no"),
        ("s3://bucket/p?region=x&signed=no", False, "s3://bucket/p?region=x&signed=no"),
        ("memory://m", False, "memory://m"),
        ("memory://m?signed=yes", True, "memory://m?signed=yes"),
        ("memory://m?signed=no", False, "memory://m"),
    ],
)
def test_which_stores_are_signed(home: Path, address: str, signed: bool, url: str) -> None:
    store = open_store(address)
    assert (is_signed(store), store.url) == (signed, url)
    for again in (open_store(store.url), open_store(store.url, decided=True)):
        assert (is_signed(again), again.url) == (signed, url), "a worker comes to the same"


def test_a_directory_is_signed_when_others_may_write_to_it(tmp_path: Path, home: Path) -> None:
    for mode, signed in ((0o700, False), (0o755, False), (0o775, True), (0o707, True), (0o1777, True)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        for address in (folder, folder.as_uri()):
            store = open_store(address)
            assert is_signed(store) == signed, oct(mode)
            assert store.url == folder.as_uri() + ("?signed=yes" if signed else "")
            assert is_signed(open_store(store.url, decided=True)) == signed
        assert not is_signed(open_store(folder.as_uri() + "?signed=no"))
        assert is_signed(open_store(folder.as_uri() + "?signed=yes"))
    assert open_store(tmp_path / "775", create=False).url.endswith("?signed=yes")


def test_the_word_of_the_client_counts_for_its_workers(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    url = open_store(folder).url
    folder.chmod(0o777)
    assert is_signed(open_store(url))
    assert not is_signed(open_store(url, decided=True))
    url = open_store(folder.as_uri() + "?signed=no").url
    assert not is_signed(open_store(url))


def test_a_directory_in_a_place_that_others_can_exchange_is_not_private(tmp_path: Path) -> None:
    (tmp_path / "open/mine").mkdir(parents=True)
    assert is_private(str(tmp_path / "open/mine"))
    (tmp_path / "open").chmod(0o777)
    assert not is_private(str(tmp_path / "open/mine"))
    (tmp_path / "open").chmod(0o1777)
    assert is_private(str(tmp_path / "open/mine")), "as in /tmp: only the owner may rename it"
    (tmp_path / "link").symlink_to(tmp_path / "open/mine")
    (tmp_path / "open").chmod(0o777)
    assert not is_private(str(tmp_path / "link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a directory away")
def test_a_directory_of_somebody_else_is_not_private(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    try:
        assert not is_private(str(tmp_path))
    finally:
        os.chown(tmp_path, 0, -1)


class Elsewhere:
    """What a package might offer: a memory of its own."""

    def __init__(self, url: str) -> None:
        self._inner, self.url = open_store("memory://elsewhere"), url
        self.put, self.get = self._inner.put, self._inner.get
        self.list, self.delete = self._inner.list, self._inner.delete


def test_a_registered_scheme_is_signed_unless_it_is_trusted(home: Path) -> None:
    class Trusted(Elsewhere):
        trusted = True

    register_scheme("else", lambda url, create: Elsewhere(url))  # type: ignore[arg-type, return-value]
    register_scheme("mine", lambda url, create: Trusted(url))  # type: ignore[arg-type, return-value]
    assert is_signed(open_store("else://x"))
    assert open_store("else://x").url == "else://x"
    assert not is_signed(open_store("else://x?signed=no"))
    assert open_store("else://x?signed=no").url == "else://x?signed=no"
    assert not is_signed(open_store("mine://x"))
    assert is_signed(open_store("mine://x?signed=yes"))
    assert is_signed(open_store(open_store("mine://x?signed=yes").url))


def test_a_wish_that_is_none_is_refused() -> None:
    for wish in ("", "no!", "No", "0", "false"):
        with pytest.raises(BadStoreURL, match="signed=yes or signed=no"):
            open_store(f"s3://bucket?signed={wish}")
    with pytest.raises(BadStoreURL, match="did you mean signed"):
        open_store("s3://bucket?sign=no")


# --- the key -----------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_for_the_user_only(home: Path) -> None:
    made = signing_key()
    assert key_file() == home / "signing-key"
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert signing_key().export() == made.export()
    assert [path.name for path in home.iterdir()] == ["signing-key"]
    assert key_file().read_text().strip() == made.export()


def test_the_variable_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRENS_SIGNING_KEY", f" {SECRET.upper()}\n")
    found = signing_key()
    assert (found.export(), found.place) == (SECRET, "the variable WRENS_SIGNING_KEY")
    assert not home.exists()


@pytest.mark.parametrize("text", ["5ec2e7", SECRET + "0", SECRET[:-1] + "g", "nokey"])
def test_a_malformed_key_is_not_shown(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WRENS_SIGNING_KEY", text)
    with pytest.raises(BadSigningKey, match="64 hexadecimal digits") as caught:
        signing_key()
    assert text not in "".join(traceback.format_exception(caught.value))
    monkeypatch.delenv("WRENS_SIGNING_KEY")
    home.mkdir(parents=True)
    key_file().write_text(text)
    key_file().chmod(0o600)
    with pytest.raises(BadSigningKey, match="64 hexadecimal digits"):
        signing_key()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(home: Path, mode: int) -> None:
    signing_key()
    key_file().chmod(mode)
    with pytest.raises(BadSigningKey, match=f"mode {mode:o}"):
        open_store("s3://bucket")


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
def test_a_key_of_somebody_else_is_refused(home: Path) -> None:
    signing_key()
    os.chown(key_file(), 12345, -1)
    with pytest.raises(BadSigningKey, match="belongs to user 12345"):
        signing_key()


def test_a_worker_makes_no_key(home: Path) -> None:
    with pytest.raises(BadSigningKey, match="WRENS_SIGNING_KEY is not set"):
        open_store("s3://bucket", decided=True)
    assert not home.exists()


def test_a_place_without_room_for_a_key_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.parent.mkdir()
    home.write_text("a file in the way")
    with pytest.raises(BadSigningKey, match="openssl rand"):
        signing_key()


def test_of_many_that_make_the_key_at_once_one_wins(home: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = {future.result().export() for future in [pool.submit(signing_key) for _ in range(64)]}
    assert found == {signing_key().export()}
    assert [path.name for path in home.iterdir()] == ["signing-key"]


def test_the_key_shows_itself_to_nobody(home: Path, tmp_path: Path) -> None:
    key = signing_key()
    store: Store = open_store(tmp_path.as_uri() + "?signed=yes")
    for shown in (repr(key), str(key), repr(store), store.url):
        assert key.export() not in shown
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        pickle.dumps(store)


def test_links_that_others_put_into_a_directory_lead_nowhere(tmp_path: Path) -> None:
    """What is listed is deleted when a job is, and a link may lead to anything of the user's."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/letter").write_text("dear")
    store = open_store(tmp_path / "store")
    store.put("jobs/j/manifest", b"x")
    (tmp_path / "store/jobs/j/verdicts").symlink_to(tmp_path / "precious")
    found = list(store.list("jobs/j/"))
    assert found == ["jobs/j/manifest", "jobs/j/verdicts"]
    store.delete(found)
    assert list(store.list("")) == []
    assert (tmp_path / "precious/letter").read_text() == "dear"
