"""A Redis server that is killed, restarted or full in the middle of whole programs: the right result, or an error with a name."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis as client
from emulators import Server, redis
from ledger import until
from sort_chaos import contents

import wrens
from wrens.errors import ExchangeLost, NoData
from wrens.models.exchange import shards
from wrens.models.sort.records import KEY, WIDTH, write
from wrens.models.sort.target import MANIFEST
from wrens.models.sort.validating import validate

BINARY: dict[str, Any] = {"border": WIDTH, "key": slice(0, KEY)}
TEXTS = [" ".join(f"w{((i + 1) * k) % 97}" for k in range(200)) for i in range(4)]


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    """One for all tests, which do not tell it where the others' sorts are."""
    with wrens.Executor("inline", store=f"file://{tmp_path_factory.mktemp('store')}") as found:
        yield found


Found = tuple[Any, str]
"""The result of a program, and the line about its exchange."""


def counted(ex: wrens.Executor, _: Path, way: Any) -> Found:
    def words(text: str) -> Iterator[tuple[str, int]]:
        return ((word, 1) for word in text.split())

    found = wrens.map_reduce(ex, TEXTS, words, lambda _, ones: sum(ones), reducers=6, exchange=way)
    return found.collect(), found.exchange


def grouped(ex: wrens.Executor, _: Path, way: Any) -> Found:
    pa = pytest.importorskip("pyarrow")
    tables = [
        pa.table({"k": [f"k{((i + 1) * k) % 31}" for k in range(100)], "x": range(100)}) for i in range(4)
    ]
    total = {"n": ("x", "sum")}
    found = wrens.group_by(ex, tables, "k", total, prepare=lambda one: one, reducers=6, exchange=way)
    return found.table().sort_by("k"), found.exchange


def in_order(ex: wrens.Executor, folder: Path, way: Any) -> Found:
    if not (folder / "in").exists():
        write(ex, folder / "in", 1200, seed=3, parts=3)
    where = {"source": folder / "in", "target": folder / "out"}
    found = wrens.sort(ex, **where, size=25_000, overwrite=True, exchange=way, **BINARY)
    return contents(found.target), found.exchange


class Fate:
    """What becomes of a server, and when."""

    def __init__(self, server: Server, patch: pytest.MonkeyPatch, after: ExitStack) -> None:
        self.server, self.patch, self.after = server, patch, after
        self.url = f"redis://127.0.0.1:{server.port}"
        self.met = False

    def before(self, command: str, number: int, deed: Callable[[], None]) -> None:
        """Do it before the server is spoken to in this way for the so-many-th time."""
        original, times = getattr(shards, command), []

        def watched(url: str, *given: Any) -> Any:
            if url == self.url:
                times.append(1)
                if len(times) == number:
                    deed()
                    self.met = True
            return original(url, *given)

        self.patch.setattr(shards, command, watched)

    def kill(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        until(lambda: not self._answers(), what="the end of the server")

    def restart(self) -> None:
        self.kill()
        self.after.enter_context(redis(self.server.log.parent / "again", port=self.server.port))

    def fill(self) -> None:
        with client.Redis.from_url(self.url) as there:
            there.config_set("maxmemory", 1)

    def _answers(self) -> bool:
        try:
            with client.Redis.from_url(self.url) as there:
                return bool(there.ping())
        except client.exceptions.ConnectionError:
            return False


POINTS: dict[str, tuple[Callable[[Fate], None], str]] = {
    "before anything is written": (lambda fate: fate.before("give", 1, fate.kill), ""),
    "in stage 1": (lambda fate: fate.before("give", 2, fate.kill), "does not answer"),
    "between the stages": (lambda fate: fate.before("take", 1, fate.kill), "does not answer"),
    "in stage 2": (lambda fate: fate.before("take", 2, fate.kill), "does not answer"),
    "restarted in stage 1": (lambda fate: fate.before("give", 2, fate.restart), "not there any more"),
    "restarted between": (lambda fate: fate.before("take", 1, fate.restart), "not there any more"),
    "full from stage 1 on": (lambda fate: fate.before("give", 2, fate.fill), ""),
}
"""What happens to one of two servers, and what the error says; nothing if the result is right."""


@pytest.mark.this_computer("a server that listens on this computer only")
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("program", [counted, grouped, in_order])
def test_a_server_that_is_lost_ends_in_the_right_result_or_a_named_error(
    ex: wrens.Executor,
    tmp_path: Path,
    shard: str,
    program: Any,
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happens, told = POINTS[point]
    with redis(tmp_path) as server, ExitStack() as after:
        fate = Fate(server, monkeypatch, after)
        happens(fate)
        way = wrens.Redis([shard, fate.url])
        if told:
            with pytest.raises(ExchangeLost, match=told) as caught:
                program(ex, tmp_path, way)
            explains_itself(caught.value, fate.url)
            nothing_looks_complete(ex, tmp_path, program)
            found, line = program(ex, tmp_path, wrens.Packed())
        else:
            found, line = program(ex, tmp_path, way)
            assert " of them to the store" in line
        assert fate.met
    right, _ = program(ex, tmp_path, None)
    assert found == right
    assert not [key for key in ex.store.list("jobs/") if "/exchange/" in key]
    assert client.Redis.from_url(shard).dbsize() == 0


def explains_itself(lost: ExchangeLost, url: str) -> None:
    """Check that an error says which server it was, what was kept, and what to do."""
    assert lost.place == url
    assert str(lost).startswith(f"{url} had wrens/jobs/")
    assert "The input is as it was" in str(lost)
    assert "exchange=wrens.Packed()" in str(lost)


def nothing_looks_complete(ex: wrens.Executor, folder: Path, program: Any) -> None:
    """Check that what a sort may have left is not taken for a result."""
    if program is in_order:
        assert MANIFEST not in contents(str(folder / "out"))
        with pytest.raises(NoData, match="the sort has not ended"):
            validate(ex, folder / "out", **BINARY)
