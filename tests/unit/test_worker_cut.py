"""Handing on while the loop runs: whatever the moment, each task is settled exactly once."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from wrens.store import Store, open_store
from wrens.testing.small_jobs import SmallJob
from wrens.wire import keys
from wrens.wire.handing_on import cut, runs
from wrens.wire.records import Sharing
from wrens.worker import attempt
from wrens.worker.host import Host
from wrens.worker.running import Running
from wrens.worker.talk import Notice
from wrens.worker.watchdog import Watchdog


@given(
    st.integers(0, 1000),
    st.integers(0, 3000),
    st.floats(0, 10),
    st.floats(0.001, 1),
    st.integers(1, 64),
)
def test_pieces_cover_the_run_and_shrink(start, count, per_task_s, target_s, ways):
    pieces = cut(start, count, per_task_s, Sharing(target_s=target_s, ways=ways))
    assert [t for a, n in pieces for t in range(a, a + n)] == list(range(start, start + count))
    sizes = [n for _, n in pieces]
    assert sizes == sorted(sizes, reverse=True)
    assert all(n >= min(count, int(target_s / per_task_s) if per_task_s else count) for n in sizes[:-1])
    if count >= 2 * ways and per_task_s >= target_s:
        assert len(pieces) >= ways


@given(st.sets(st.integers(0, 50)), st.floats(0, 1))
def test_runs_cover_the_tasks(tasks, per_task_s):
    found = runs(sorted(tasks), per_task_s, 0.05)
    assert [t for a, n in found for t in range(a, a + n)] == sorted(tasks)


class Pouncing:
    """A watchdog that cuts at once, from another thread, without regard to any time."""

    def __init__(self, host: Host, delay: int) -> None:
        self._dog, self._delay = Watchdog(host), delay

    def begin(self, run: Running) -> None:
        self._thread = threading.Thread(target=self._pounce, args=(run,))
        self._thread.start()

    def _pounce(self, run: Running) -> None:
        while run.phase == "setup":
            pass
        for _ in range(self._delay):
            pass
        self._dog._share(run)

    def end(self) -> None:
        self._thread.join()


def tally(job: SmallJob) -> Counter[int]:
    """Count how often each task is settled or handed on to somebody else."""
    counts: Counter[int] = Counter(job.results().keys())
    going_on = {name for name, child in job.handed_on().items() if child.running_in}
    assert going_on <= set(job.settled())
    for name, child in job.handed_on().items():
        if name not in going_on:
            counts.update(range(child.start, child.start + child.count))
    return counts


def test_a_cut_at_any_moment_settles_each_task_once(request):
    store = open_store("memory://cuts")
    before = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(before))
    sys.setswitchinterval(1e-6)  # so that the threads meet at as many places as possible
    rounds, size = 200, 60
    kinds: Counter[str] = Counter()
    job = SmallJob(store, _third_fails, list(range(rounds * size)), batches=rounds)
    host = Host("test", "here", leave=lambda _: None)
    for n, invocation in enumerate(job.invocations(sharing=Sharing(after_s=0.0, target_s=0.0, ways=2))):
        said: list[Notice] = []
        host.notify = said.append
        host.watch = Pouncing(host, n * 3)
        report = attempt.run(invocation, host)
        assert not report.lost
        following = f"{invocation.batch}.0.a"
        assert said == ([Notice(invocation.attempt, following)] if said else [])
        assert report.attempt == (following if said else invocation.attempt)
        kinds["went on" if said else "ended by itself"] += 1
    assert tally(job) == Counter(range(rounds * size))
    assert kinds["went on"], kinds


def test_a_batch_that_somebody_else_settled_is_dropped_by_the_cut():
    store: Store = open_store("memory://beaten")
    job = SmallJob(store, _hooked, [0, 1, 2])
    store.put(keys.verdict(job.id, "00000000"), b"somebody else's")
    said: list[Notice] = []
    host = Host("test", "here", leave=lambda _: None, notify=said.append)
    dog = Watchdog(host)

    class Cuts:
        def begin(self, run: Running) -> None:
            HOOKS.append(lambda: dog._share(run))

        def end(self) -> None: ...

    host.watch = Cuts()
    (invocation,) = job.invocations(sharing=Sharing(after_s=0.0))
    assert attempt.run(invocation, host) == attempt.Report("00000000.a")
    assert BEGUN == [0]
    assert not said
    assert list(store.list(keys.verdicts(job.id))) == [keys.verdict(job.id, "00000000")]


HOOKS: list[Callable[[], None]] = []
BEGUN: list[int] = []


def _hooked(x: int) -> int:
    BEGUN.append(x)
    while HOOKS:
        HOOKS.pop()()
    return x


def _third_fails(x: int) -> int:
    if x % 3 == 0:
        raise ValueError(x)
    return x
