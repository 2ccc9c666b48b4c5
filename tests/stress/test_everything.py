"""Threads that do all that can be done with one executor, while workers are killed and the store fails."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import random  # noqa: TID251 - from a seed
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import kill_some, workers_of
from ledger import Stopwatch, doze

import wrens
from wrens.errors import JobFailed
from wrens.store import Fault, FaultyStore, RetryingStore, open_store

SECONDS = 60.0


class Refused(Exception):
    pass


def task(x: int) -> int:
    doze(0.002 * (x % 3))
    if x % 11 == 10:
        raise Refused(x)
    return 3 * x


def expected(x: int) -> Any:
    return (Refused, x) if x % 11 == 10 else 3 * x


def outcome(future: concurrent.futures.Future[int]) -> Any:
    error = future.exception(120)
    return future.result() if error is None else (type(error), *error.args)


class User:
    """One thread's doings, chosen at random."""

    def __init__(self, ex: wrens.Executor, seed: int) -> None:
        self.ex, self.chance = ex, random.Random(seed)

    def view(self) -> wrens.Executor:
        chance = self.chance
        changes: dict[str, Any] = {"retry": wrens.Retry(lost=1000)}
        if chance.random() < 0.3:
            changes["packing"] = wrens.Packing(size=chance.randrange(1, 20))
        if chance.random() < 0.2:
            changes["backup"] = wrens.Backup(slowness=1.5)
        if chance.random() < 0.2:
            changes["timeout"] = 30.0
        if chance.random() < 0.1:
            changes["keep"] = True
        return self.ex.options(**changes)

    def turn(self) -> None:
        inputs = range(start := self.chance.randrange(1000), start + self.chance.randrange(60))
        self.chance.choice(
            [self.submit, self.map, self.lazily, self.job, self.cancel, self.chain, self.leave]
        )(inputs)

    def submit(self, inputs: range) -> None:
        futures = [self.view().submit(task, x) for x in inputs]
        assert [outcome(future) for future in futures] == [expected(x) for x in inputs]

    def map(self, inputs: range) -> None:
        good = [x for x in inputs if x % 11 != 10]
        assert list(self.view().map(task, good)) == [3 * x for x in good]

    def lazily(self, inputs: range) -> None:
        good = (x for x in inputs if x % 11 != 10)
        found = list(self.view().map(task, good, buffersize=self.chance.choice([None, 1, 5])))
        assert found == [3 * x for x in inputs if x % 11 != 10]

    def job(self, inputs: range) -> None:
        job = self.view().map_async(task, self.chance.choice([inputs, iter(inputs)]))
        if self.chance.random() < 0.5:
            assert {f.task: outcome(f) for f in job.as_completed(120)} == {
                i: expected(x) for i, x in enumerate(inputs)
            }
        assert [outcome(future) for future in job] == [expected(x) for x in inputs]

    def cancel(self, inputs: range) -> None:
        job = self.view().map_async(task, inputs)
        doze(self.chance.random() * 0.05)
        if self.chance.random() < 0.5:
            job.cancel()
        else:
            for future in job:
                future.cancel()
        assert job.wait(120)
        for x, future in zip(inputs, job, strict=True):
            assert future.cancelled() or outcome(future) == expected(x)

    def chain(self, inputs: range) -> None:
        future: Any = self.view().submit(int, 0)
        for x in inputs[:8]:
            future = self.view().submit(_plus, future, x)
        assert future.result(120) == sum(inputs[:8])

    def leave(self, inputs: range) -> None:
        results = self.view().options(keep=False).map(task, itertools.count(11 * inputs.start))
        assert [next(results) for _ in range(3)] == [3 * (11 * inputs.start + i) for i in range(3)]


def _plus(x: int, y: int) -> int:
    return x + y


def failing(every: int) -> Any:
    calls = itertools.count(1)
    kinds: Iterator[Any] = itertools.cycle(["error", "lost_reply", "torn"])

    def script(*_: Any) -> Fault | None:
        return Fault(kind=next(kinds)) if next(calls) % every == 0 else None

    return script


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kills", [False, True])
@pytest.mark.parametrize("faults", [False, True])
def test_everything_at_once(tmp_path: Path, seed: int, kills: bool, faults: bool) -> None:
    store: Any = open_store(tmp_path / "store")
    if faults:
        store = RetryingStore(FaultyStore(store, failing(17)))
    seconds = float(os.environ.get("WRENS_STRESS_S", SECONDS)) / 4
    watch, errors, turns = Stopwatch(), [], itertools.count()

    def use(n: int, ex: wrens.Executor) -> None:
        user = User(ex, 100 * seed + n)
        try:
            while watch.seconds < seconds and not errors:
                user.turn()
                next(turns)
        except BaseException as error:
            errors.append(error)

    with wrens.Executor(store=store, max_workers=3) as ex:
        threads = [threading.Thread(target=use, args=(n, ex)) for n in range(6)]
        for thread in threads:
            thread.start()
        if kills:
            pids = iter(kill_some(lambda: workers_of(os.getpid()), kills=10_000, seed=seed, pause_s=0.3))
            while watch.seconds < seconds:
                next(pids)
        for thread in threads:
            thread.join(200)
        assert not any(thread.is_alive() for thread in threads), "something hangs"
    assert not errors, repr(errors)
    print(f"{next(turns)} turns")
    kept = {key.split("/")[1] for key in open_store(tmp_path / "store").list("jobs/")}
    assert all(wrens.attach(job, store=tmp_path / "store", backend="inline").wait(30) for job in kept)


def test_the_random_user_is_right_about_failures(tmp_path: Path) -> None:
    with wrens.Executor("inline", store=tmp_path) as ex, pytest.raises(JobFailed):
        ex.map_async(task, range(20)).results()
