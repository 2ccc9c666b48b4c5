"""Kills, and the book-keeping that shows that they did no harm.

A job's truth is the tree of its verdicts: every batch of a page has one, and so has every child that a verdict
names. Tasks note each run with its time, so that a run after its own commit is seen.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - the kills of a test come at random, from a seed
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger import Ledger, doze

import wrens
from wrens.clock import SystemClock
from wrens.core import reading
from wrens.store import Store, open_store
from wrens.wire import keys

LATENESS_S = 0.05
"""An object's time is that of its last byte, which is a little before it has its name."""


class Work:
    """A task that takes a moment, notes when it is begun, and returns the square of its input."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self.ledger, self.seconds = ledger, seconds

    def __call__(self, x: int) -> int:
        self.ledger.note(x, SystemClock().wall())
        doze(self.seconds)
        return x * x


@dataclass
class Tree:
    """What the verdicts of a job say together."""

    settled: Counter[int] = field(default_factory=Counter)
    committed_at: dict[int, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Batches without a verdict."""
    stray: set[str] = field(default_factory=set)
    """Verdicts of batches that nothing names."""


def tree_of(store: Store, job: str, committed_at: Callable[[str], float]) -> Tree:
    """Walk the verdicts of a job from its pages on.

    Args:
        store: Where the job is.
        job: Its id.
        committed_at: Returns when the verdict of a batch was there, in seconds since 1970.
    """
    stored = reading.read_job(store, job)
    found = Tree(stray=set(stored.verdicts))
    todo = [row.batch for page in stored.pages for row in page.rows]
    while todo:
        batch = todo.pop()
        if batch not in stored.verdicts:
            found.missing.append(batch)
            continue
        found.stray.discard(batch)
        verdict, _ = reading.read_verdict(store, job, batch)
        at = committed_at(batch)
        tasks = [t for start, count in verdict.ok for t in range(start, start + count)]
        tasks += [task for task, _ in verdict.failures]
        found.settled.update(tasks)
        found.committed_at.update(dict.fromkeys(tasks, at))
        handed_on = [t for c in verdict.children for t in range(c.start, c.start + c.count)]
        assert sorted(tasks + handed_on) == list(range(verdict.start, verdict.start + verdict.count))
        todo += [keys.child(batch, i) for i in range(len(verdict.children))]
    return found


def _written_at(object_: Path) -> float:
    """Return when an object of the store in a folder was there at the latest, in seconds since 1970."""
    if object_.exists():
        return object_.stat().st_mtime
    import on_lambda

    return on_lambda.written_at(object_)


def check(folder: Path, job: str, ledger: Ledger, tasks: int, lateness_s: float = LATENESS_S) -> Counter[int]:
    """Check that every task is settled once and was not run after that; returns how often each was run."""
    tree = tree_of(open_store(folder), job, lambda batch: _written_at(folder / keys.verdict(job, batch)))
    assert tree.missing == []
    assert tree.stray == set()
    assert tree.settled == dict.fromkeys(range(tasks), 1)
    runs: Counter[int] = Counter()
    late: list[tuple[int, float]] = []
    for line in ledger.lines():
        task, at = line.split()
        runs[int(task)] += 1
        if float(at) > tree.committed_at[int(task)] + lateness_s:
            late.append((int(task), float(at) - tree.committed_at[int(task)]))
    assert late == [], "tasks were run after they had been settled"
    assert set(runs) == set(range(tasks)), "some tasks have a result but were never run"
    return runs


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a process."""
    return sorted(child for child in _children(pid) if b"wrens.worker" in _command(child))


def all_workers() -> list[int]:
    """Return the worker processes that this one has caused, also those of an emulated service that it runs."""
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        pid = todo.pop()
        found += workers_of(pid)
        todo += _children(pid)
    return sorted(found)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def kill_some(pids: Callable[[], list[int]], *, kills: int, seed: int, pause_s: float) -> Iterator[int]:
    """Kill processes at random, one after the other, and yield each.

    Args:
        pids: Returns those that may be killed.
        kills: How many to kill.
        seed: Makes the choice the same each time.
        pause_s: Seconds between two kills on average.
    """
    chance = random.Random(seed)
    done = 0
    while done < kills:
        doze(chance.uniform(0, 2 * pause_s))
        alive = pids()
        if not alive:
            continue
        pid = chance.choice(alive)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        done += 1
        yield pid


def _slow_ones(text: str) -> Iterator[tuple[str, int]]:
    for i, word in enumerate(text.split()):
        if i % 200 == 0:
            doze(0.004)
        yield word, 1


def _slow_total(_: str, values: Any) -> int:
    doze(0.001)
    return sum(values) if isinstance(values, list) else values


def counted_among_kills(
    executor: wrens.Executor,
    texts: list[str],
    combine: Callable[[int, int], int] | None,
    *,
    kills: int,
    pause_s: float,
    seed: int,
) -> tuple[list[bytes], list[bytes], int]:
    """Count words twice, the second time while workers are killed at random.

    Args:
        executor: Runs both.
        texts: What to count in, one for each task.
        combine: As for :func:`wrens.map_reduce`.
        kills: How many workers to kill at most.
        pause_s: Seconds between two kills on average.
        seed: Makes the choice the same each time.

    Returns:
        The bytes of all parts without and with kills, and how many kills there were before the end.
    """
    view = executor.options(
        retry=wrens.Retry(lost=1000), backup=wrens.Backup(), packing=wrens.Packing(size=1)
    )

    def run() -> list[bytes]:
        found = wrens.map_reduce(view, texts, _slow_ones, _slow_total, combine=combine, reducers=6)
        assert found.collect() == Counter(word for text in texts for word in text.split())
        return [bytes(part.read()) for part in found.parts]

    calm, killed, over = run(), [], threading.Event()

    def kill() -> None:
        for pid in kill_some(all_workers, kills=kills, seed=seed, pause_s=pause_s):
            killed.append(pid)
            if over.is_set():
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        wild = run()
    finally:
        during = len(killed)
        over.set()
        killer.join()
    return calm, wild, during


CLIENT: Any = """
    import sys, wrens
    from chaos import Work
    from ledger import Ledger

    store, ledger, tasks, seconds, workers = sys.argv[1], Ledger(sys.argv[2]), *map(float, sys.argv[3:])
    try:
        job = wrens.attach("job", store=store, max_workers=int(workers))
    except (wrens.errors.UnknownJob, wrens.errors.BadStoreURL):
        ex = wrens.Executor(store=store, max_workers=int(workers))
        job = ex.options(name="job", retry=wrens.Retry(lost=100)).map_async(
            Work(ledger, seconds), range(int(tasks))
        )
    print("at work", flush=True)
    job.wait()
    print("done", flush=True)
    """
"""A program that makes the job, or goes on with it: store, ledger, tasks, seconds of each, workers."""
