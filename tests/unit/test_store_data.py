"""Which objects an address of data names: files, directories, globs, with the same meaning on disk and in a bucket."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wrens import partition
from wrens.errors import BadOption, BadStoreURL, NoData, StoreDenied
from wrens.store import open_store, register_scheme
from wrens.store.data import find

NAMES = [
    "logs/2024/a.txt",
    "logs/2024/b.csv",
    "logs/2024/deep/c.txt",
    "logs/2025/a.txt",
    "logs/2025/_SUCCESS",
    "logs/.hidden/d.txt",
    "logs/_tmp/e.txt",
    "logs/with space/[1].txt",
    "logs/with space/1.txt",
    "logs/top.txt",
    "logs/what?.txt",
    "logs-of-others/a.txt",
]
_names = itertools.count()
Named = Callable[[str], list[str]]


@pytest.fixture(params=["files", "memory"])
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Named:
    """A place that holds these names, and what an address in it finds there."""
    if request.param == "files":
        root = f"{tmp_path}/"
        for name in NAMES:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
    else:
        root = f"memory://data-{next(_names)}/"
        store = open_store(root)
        for name in NAMES:
            store.put(name, name.encode())

    def found(address: str) -> list[str]:
        objects = find(root + address)
        urls = [one.url.removeprefix(root) for one in objects]
        assert [one.nbytes for one in objects] == [len(url) for url in urls]
        return urls

    return found


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("logs/2024/a.txt", ["logs/2024/a.txt"]),
        ("logs/2024", ["logs/2024/a.txt", "logs/2024/b.csv", "logs/2024/deep/c.txt"]),
        ("logs/2024/", ["logs/2024/a.txt", "logs/2024/b.csv", "logs/2024/deep/c.txt"]),
        ("logs/2025/", ["logs/2025/a.txt"]),
        ("logs/2025/_SUCCESS", ["logs/2025/_SUCCESS"]),
        ("logs/_tmp/", ["logs/_tmp/e.txt"]),
        ("logs/*/a.txt", ["logs/2024/a.txt", "logs/2025/a.txt"]),
        ("logs/202?/*.txt", ["logs/2024/a.txt", "logs/2025/a.txt"]),
        ("logs/20[!5]4/*", ["logs/2024/a.txt", "logs/2024/b.csv"]),
        ("logs/*", ["logs/top.txt", "logs/what?.txt"]),
        ("logs/2024/**/*.txt", ["logs/2024/a.txt", "logs/2024/deep/c.txt"]),
        ("logs/2024/**", ["logs/2024/a.txt", "logs/2024/b.csv", "logs/2024/deep/c.txt"]),
        ("logs/20*/", ["logs/2024/a.txt", "logs/2024/b.csv", "logs/2024/deep/c.txt", "logs/2025/a.txt"]),
        ("*/a.txt", ["logs-of-others/a.txt"]),
        ("logs/.*/*.txt", ["logs/.hidden/d.txt"]),
        ("logs/2025/_*", ["logs/2025/_SUCCESS"]),
        ("**/_tmp/*", ["logs/_tmp/e.txt"]),
        ("logs/with space/[1].txt", ["logs/with space/[1].txt"]),  # the name as it stands comes first
        ("logs/with space/[1-2].txt", ["logs/with space/1.txt"]),
        ("logs/what?.txt", ["logs/what?.txt"]),
    ],
)
def test_what_an_address_names(named: Named, address: str, expected: list[str]) -> None:
    assert named(address) == expected


def test_all_of_a_place(named: Named) -> None:
    visible = [name for name in NAMES if not any(part[0] in "_." for part in name.split("/"))]
    assert named("**") == named("") == sorted(visible)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("logs/2026/", "nothing is in this directory|no such file or directory"),
        ("logs/nothing.txt", "no such (object|file)"),
        ("logs/2024/*.parquet", "no object matches"),
        ("log", "no such (object|file)"),
        ("logs/*/*/*/*.txt", "no object matches"),
    ],
)
def test_what_is_not_there(named: Named, address: str, told: str) -> None:
    with pytest.raises(NoData, match=told) as caught:
        named(address)
    assert caught.value.url.endswith(address)
    assert isinstance(caught.value, FileNotFoundError)


# --- files -----------------------------------------------------------------------------------------------


def test_an_empty_directory_and_one_with_hidden_names_only(tmp_path: Path) -> None:
    with pytest.raises(NoData, match="nothing is in this directory"):
        find(tmp_path)
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(NoData, match="only what has a name that begins with"):
        find(f"{tmp_path}")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.txt").write_text("a")
    data = tmp_path / "data"
    data.mkdir()
    (data / "link").symlink_to(real)
    (data / "a.txt").symlink_to(real / "a.txt")
    (data / "loop").symlink_to(data)
    expected = [f"{data}/a.txt", f"{data}/link/a.txt"]
    assert [one.url for one in find(data)] == expected
    assert [one.url for one in find(f"{data}/**/*.txt")] == expected
    (tmp_path / "whole").symlink_to(data)
    assert [one.url for one in find(tmp_path / "whole")] == [
        f"{tmp_path}/whole/a.txt",
        f"{tmp_path}/whole/link/a.txt",
    ]
    (data / "broken.txt").symlink_to(tmp_path / "nowhere")
    for address in (data, data / "broken.txt", f"{data}/b*.txt"):
        with pytest.raises(NoData, match="cannot be read: No such file") as caught:
            find(address)
        assert caught.value.url == f"{data}/broken.txt"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoData, match="neither a file nor a directory"):
        find(tmp_path / "pipe")
    (tmp_path / "a.txt").touch()
    assert [one.url for one in find(tmp_path)] == [f"{tmp_path}/a.txt"]
    with pytest.raises(NoData, match="no such file or directory"):
        find(f"{tmp_path}/a.txt/b.txt/")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(StoreDenied):
        find(tmp_path)
    closed.chmod(0o700)


def test_the_ways_to_write_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my words.txt").write_text("abc")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = [f"{tmp_path}/my words.txt"]
    for address in (
        tmp_path / "my words.txt",
        "my words.txt",
        "./my*",
        "~/my words.txt",
        f"{tmp_path.as_uri()}/my%20words.txt",
        f"../{tmp_path.name[:-1]}?/my words.txt",
        ".",
    ):
        assert [one.url for one in find(address)] == expected, address


def test_several_addresses_keep_their_order(tmp_path: Path) -> None:
    for name in ("b/1", "b/0", "a/0"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [one.url.removeprefix(f"{tmp_path}/") for one in find([tmp_path / "b", tmp_path / "a"])]
    assert found == ["b/0", "b/1", "a/0"]
    assert find([]) == []


def test_what_is_no_address(tmp_path: Path) -> None:
    for wrong in (7, None, b"data.txt", [["a"]]):
        with pytest.raises((BadOption, TypeError)):
            find(wrong)  # type: ignore[arg-type]
    for slip in ("s3:/lab/words", "  /data", "", "ftp://there/words", "s3://"):
        with pytest.raises(BadStoreURL):
            find(slip)
    with pytest.raises(BadOption, match="cannot be a key"):
        find("memory://data/a//b")
    (tmp_path / "a\nb.txt").touch()
    with pytest.raises(BadOption, match="cannot be a key"):
        find(tmp_path)


class FourVerbs:
    """A store of another scheme that has the port's four verbs and nothing else."""

    def __init__(self, url: str) -> None:
        self._inner = open_store("memory://four-verbs")
        self.url = url
        self.put, self.get, self.list, self.delete = (
            self._inner.put,
            self._inner.get,
            self._inner.list,
            self._inner.delete,
        )


def test_a_store_of_another_scheme_holds_data_that_are_neither_signed_nor_sized() -> None:
    register_scheme("fourverbs", lambda url, create: FourVerbs(url))
    open_store("memory://four-verbs").put("words/a.txt", b"one\ntwo\n")
    (found,) = find("fourverbs://there/words/*.txt")
    assert (found.url, found.nbytes) == ("fourverbs://there/words/a.txt", 8)
    assert [list(part.lines()) for part in partition("fourverbs://there/words", size=4)] == [["one"], ["two"]]
