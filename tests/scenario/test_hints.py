"""What a backend says is a hint: late, doubled, lost or false, it changes no result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest
from ledger import Ledger, Stopwatch, clock, doze

import wrens
from wrens.backends.base import Committed, Lost, Notice
from wrens.backends.registry import open_backend
from wrens.wire.records import Invocation, Loss

pytestmark = pytest.mark.timeout(60)

Distort = Callable[[Notice, int], list[tuple[float, Notice]]]
"""Turns the n-th notice into what is told instead, each with how many seconds later."""


class Rumours:
    """A backend of local processes whose notices are distorted on their way."""

    name = "local"

    def __init__(self, distort: Distort, workers: int = 2) -> None:
        self._inner = open_backend("local", max_workers=workers)
        self.limits = self._inner.limits
        self._distort = distort
        self._told = 0
        self._late: list[tuple[float, int, Notice]] = []

    def launch(self, invocations: Sequence[Invocation]) -> None:
        self._inner.launch(invocations)

    def poll(self, timeout_s: float) -> Sequence[Notice]:
        if self._late:
            timeout_s = max(0.0, min(timeout_s, self._late[0][0] - clock.now()))
        for notice in self._inner.poll(timeout_s):
            self._told += 1
            for delay, other in self._distort(notice, self._told):
                self._late.append((clock.now() + delay, len(self._late), other))
        self._late.sort(key=lambda item: item[:2])
        due = [notice for at, _, notice in self._late if at <= clock.now()]
        del self._late[: len(due)]
        return due

    def wake(self) -> None:
        self._inner.wake()

    def cancel(self, attempts: Collection[str]) -> None:
        self._inner.cancel(attempts)

    def close(self) -> None:
        self._inner.close()


def doubled(notice: Notice, _: int) -> list[tuple[float, Notice]]:
    return [(0.0, notice), (0.05, notice)]


def late(notice: Notice, n: int) -> list[tuple[float, Notice]]:
    return [(0.05 * (n % 5), notice)]


def said_to_be_lost(notice: Notice, n: int) -> list[tuple[float, Notice]]:
    if isinstance(notice, Committed) and not notice.goes_on_as and n % 2:
        return [(0.0, Lost(notice.attempt, Loss("it is said", attempt=notice.attempt, task=0)))]
    return [(0.0, notice)]


def said_to_be_done(notice: Notice, _: int) -> list[tuple[float, Notice]]:
    return [(0.0, Committed(notice.attempt))] if isinstance(notice, Lost) else [(0.0, notice)]


def without_the_way_on(notice: Notice, _: int) -> list[tuple[float, Notice]]:
    return [] if isinstance(notice, Committed) and notice.goes_on_as else [(0.0, notice)]


def some_never(notice: Notice, n: int) -> list[tuple[float, Notice]]:
    return [] if isinstance(notice, Committed) and n % 3 == 0 else [(0.0, notice)]


def about_strangers(notice: Notice, n: int) -> list[tuple[float, Notice]]:
    nobody = Lost(f"{n:08d}.7-nobody", Loss("who?"))
    return [(0.0, nobody), (0.0, notice), (0.0, Committed(f"{n:08d}.8-nobody", f"{n:08d}.0.8-nobody"))]


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what makes up for a lost hint happen at once instead of after five or ten seconds."""
    monkeypatch.setattr("wrens.core.driver.SWEEP_S", 0.1)
    monkeypatch.setattr("wrens.core.deadlines.GRACE_S", 0.3)


DISTORTIONS = [
    doubled,
    late,
    said_to_be_lost,
    said_to_be_done,
    without_the_way_on,
    some_never,
    about_strangers,
]


@pytest.mark.parametrize("distort", DISTORTIONS)
@pytest.mark.parametrize("size", [None, 3])
def test_a_distorted_hint_changes_no_result(
    tmp_path: Path, ledger: Ledger, distort: Distort, size: int | None
) -> None:
    def task(x: int) -> int:
        ledger.note(x)
        doze(0.01)
        if x == 7 and ledger.counts()["7"] == 1:
            import os

            os._exit(1)
        return x

    watch = Stopwatch()
    with wrens.Executor(Rumours(distort), store=tmp_path / "store") as ex:
        view = ex.options(packing=wrens.Packing(size=size))
        assert view.map_async(task, range(60)).results(40) == list(range(60))
        assert [f.result(30) for f in [ex.submit(abs, -x) for x in range(10)]] == list(range(10))
    assert watch.seconds < 20
    # Nothing that had a verdict was run again: only the batch of the death was.
    assert sum(n > 1 for n in ledger.counts().values()) <= (60 if size is None else 3)


def test_hints_that_never_come_at_all(tmp_path: Path) -> None:
    watch = Stopwatch()
    with wrens.Executor(Rumours(lambda *_: []), store=tmp_path / "store") as ex:
        assert ex.map_async(abs, range(-20, 0)).results(40) == list(range(20, 0, -1))
        assert ex.submit(abs, -1).result(30) == 1
    assert watch.seconds < 20
