"""A client may die at any moment: whoever attaches gets every result, and nothing that was settled runs again."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clients import Clients
from ledger import Ledger, Stopwatch, until

import wrens
from wrens.core import reading
from wrens.core.attach import attach
from wrens.errors import JobFailed, JobIncomplete, StoreUnavailable, UnknownJob, VersionMismatch
from wrens.store import open_store
from wrens.store.faulty import Fault, FaultyStore
from wrens.wire import keys

pytestmark = pytest.mark.timeout(60)

CLIENT = """
    import sys, wrens
    from ledger import Ledger, doze

    ledger = Ledger(sys.argv[2])

    def task(x):
        ledger.note(x)
        doze(float(sys_argv[0]))
        if x % 10 == 9:
            raise ValueError(x)
        return x * x

    sys_argv = sys.argv[3:]
    ex = wrens.Executor(store=sys.argv[1], max_workers=2).options(name="job", packing=wrens.Packing(size=5))
    job = ex.map_async(task, range(100))
    print("made", flush=True)
    job.wait()
    print("done", flush=True)
    import time; time.sleep(60)
    """


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def settled(store: Path, job: str = "job") -> set[int]:
    """Return the tasks that some verdict settles."""
    opened = open_store(store)
    found: set[int] = set()
    for key in opened.list(keys.verdicts(job)):
        verdict, _ = reading.read_verdict(opened, job, keys.basename(key))
        found |= {t for start, count in verdict.ok for t in range(start, start + count)}
        found |= {task for task, _ in verdict.failures}
    return found


def check(job: wrens.Job[Any], tasks: int = 100) -> None:
    """Check the outcomes of the client's job."""
    with pytest.raises(JobFailed) as caught:
        job.results(40)
    assert set(caught.value.failures) == set(range(9, tasks, 10))
    assert caught.value.results == {x: x * x for x in range(tasks) if x % 10 != 9}
    assert all(error.args == (x,) for x, error in caught.value.failures.items())


def runs_of(ledger: Ledger, tasks: set[int]) -> Counter[int]:
    """Return how often each of these tasks has been run."""
    return Counter({int(x): n for x, n in ledger.counts().items() if int(x) in tasks})


# --- the client is killed -------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0, 1, 10, 50, 99])
def test_a_killed_clients_job_is_completed_and_nothing_settled_runs_again(
    clients: Clients, store: Path, ledger: Ledger, moment: int
) -> None:
    client = clients.start(CLIENT, store, ledger.path, "0.02")
    client.says("made")
    until(lambda: len(settled(store)) >= moment)
    client.kill()
    clients.all_gone()
    before = settled(store)
    runs = runs_of(ledger, before)
    assert set(runs.values()) <= {1}

    check(attach("job", store=store, max_workers=2))
    assert runs_of(ledger, before) == runs
    # What the dead client's workers had begun may have run twice, and no more.
    assert max(ledger.counts().values()) <= 2
    assert settled(store) == set(range(100))


def test_a_finished_job_is_read_without_running_anything(
    clients: Clients, store: Path, ledger: Ledger
) -> None:
    client = clients.start(CLIENT, store, ledger.path, "0")
    client.says("done")
    client.kill()
    assert len(ledger.lines()) == 100
    for _ in range(2):
        check(attach("job", store=store, backend="inline"))
    assert len(ledger.lines()) == 100


def test_a_job_whose_client_lives_may_be_attached_to(clients: Clients, store: Path, ledger: Ledger) -> None:
    client = clients.start(CLIENT, store, ledger.path, "0.03")
    client.says("made")
    until(lambda: len(settled(store)) >= 5)
    one = attach("job", store=store, max_workers=1)
    two = attach("job", store=store, max_workers=1)
    check(one)
    check(two)
    client.says("done")
    assert settled(store) == set(range(100))
    client.kill()


def test_two_attach_at_once_and_both_get_everything(clients: Clients, store: Path, ledger: Ledger) -> None:
    client = clients.start(CLIENT, store, ledger.path, "0.02")
    client.says("made")
    until(lambda: len(settled(store)) >= 10)
    client.kill()
    clients.all_gone()
    before = settled(store)
    runs = runs_of(ledger, before)
    jobs = [attach("job", store=store, max_workers=1) for _ in range(2)]
    threads = [threading.Thread(target=check, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(45)
    assert all(job.done() for job in jobs)
    assert runs_of(ledger, before) == runs


def test_an_attached_client_may_be_killed_too(clients: Clients, store: Path, ledger: Ledger) -> None:
    clients.start(CLIENT, store, ledger.path, "0.02").says("made")
    clients.kill_all()
    for goal in (20, 40, 60):
        client = clients.start(
            "import sys, wrens; wrens.attach('job', store=sys.argv[1], max_workers=2).wait()", store
        )
        until(lambda goal=goal: len(settled(store)) >= goal)
        client.kill()
        clients.all_gone()
    runs = runs_of(ledger, settled(store))
    check(attach("job", store=store, max_workers=2))
    assert runs_of(ledger, set(runs)) == runs


def test_the_function_comes_from_the_store_and_not_from_the_client(
    clients: Clients, store: Path, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def double(x):\n    return 2 * x\n")
    client = clients.start(
        """
        import os, signal, sys, wrens
        from mine import double
        ex = wrens.Executor(store=sys.argv[1], max_workers=1).options(name="job")
        ex.map_async(double, range(10)).wait()
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        store,
    )
    assert client.wait() == -signal.SIGKILL
    clients.all_gone()
    (tmp_path / "mine.py").unlink()
    opened = open_store(store)
    # As if the client had died before anything was settled.
    opened.delete(list(opened.list(keys.verdicts("job"))))
    assert attach("job", store=store, max_workers=1).results(30) == [2 * x for x in range(10)]


# --- inputs that never ended ----------------------------------------------------------------------------

FEEDING = """
    import itertools, sys, wrens
    from ledger import hold

    def inputs():
        yield from range(30)
        print("fed", flush=True)
        hold()

    ex = wrens.Executor(store=sys.argv[1], max_workers=2).options(name="job", packing=wrens.Packing(size=1))
    job = ex.map_async(abs, inputs())
    job.wait()
    """


def test_a_job_whose_client_died_while_reading_inputs_is_incomplete_and_keeps_its_results(
    clients: Clients, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = clients.start(FEEDING, store)
    client.says("fed")
    client.kill()
    clients.all_gone()
    monkeypatch.setattr("wrens.core.attach.SILENT_S", 1.0)
    with pytest.raises(JobIncomplete) as caught:
        attach("job", store=store, max_workers=1).results(30)
    known = caught.value.known
    assert 0 < known <= 30
    assert caught.value.results == {x: x for x in range(known)}


def test_a_job_whose_client_still_reads_inputs_is_waited_for(clients: Clients, store: Path) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import doze

        def inputs():
            for x in range(10):
                doze(0.1)
                yield x

        ex = wrens.Executor(store=sys.argv[1], max_workers=1).options(name="job")
        job = ex.map_async(abs, inputs())
        print("made", flush=True)
        print(job.results(), flush=True)
        """,
        store,
    )
    client.says("made")
    assert attach("job", store=store, max_workers=1).results(30) == list(range(10))
    client.ok()


def test_a_generator_that_raised_is_remembered(store: Path) -> None:
    def inputs() -> Any:
        yield from range(5)
        raise LookupError("no more pages")

    with wrens.Executor(store=store, max_workers=1) as ex:
        job = ex.options(name="job").map_async(abs, inputs())
        with pytest.raises(LookupError):
            job.results(30)
    again = attach("job", store=store, backend="inline")
    with pytest.raises(LookupError, match="no more pages"):
        again.results(30)
    assert [future.result() for future in again] == list(range(5))


def _slowly(count: int, until_set: threading.Event) -> Any:
    """Yield numbers, a page every now and then, and end when told to."""
    for x in range(count):
        threading.Event().wait(0.1)
        yield x
    until_set.wait(30)


def test_a_store_that_fails_for_a_moment_while_it_is_followed_costs_nothing(store: Path) -> None:
    faulty = FaultyStore(
        open_store(str(store)),
        [
            Fault("get", nth=2, key_contains="/end", times=3),
            Fault("get", nth=3, key_contains="/pages/"),
            Fault("get", nth=5, key_contains="/pages/"),
            Fault("list", nth=3, key_contains="/pages/"),
        ],
    )
    may_end = threading.Event()
    with wrens.Executor(store=store, max_workers=1) as ex:
        job = ex.options(name="job").map_async(abs, _slowly(20, may_end))
        until(lambda: job.progress.planned >= 1)
        other = attach("job", store=faulty, max_workers=1)
        may_end.set()
        assert other.results(30) == list(range(20))
        assert job.results(30) == list(range(20))


def test_a_store_that_goes_on_failing_while_it_is_followed_breaks_the_job(store: Path) -> None:
    faulty = FaultyStore(open_store(str(store)), [Fault("get", nth=3, key_contains="/end", times=None)])
    may_end = threading.Event()
    with wrens.Executor(store=store, max_workers=1) as ex:
        job = ex.options(name="job").map_async(abs, _slowly(3, may_end))
        until(lambda: job.progress.planned >= 1)
        other = attach("job", store=faulty, max_workers=1)
        with pytest.raises(StoreUnavailable):
            other.results(30)
        may_end.set()
        assert job.results(30) == list(range(3))


# --- what attach is given -------------------------------------------------------------------------------


def test_an_unknown_job_is_named(store: Path) -> None:
    store.mkdir()
    with pytest.raises(UnknownJob, match="nobody"):
        attach("nobody", store=store)


def test_an_attached_job_has_every_face_of_a_job(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=2) as ex:
        ex.options(name="job").map_async(abs, range(-50, 0)).results(30)
    job = attach("job", store=store, backend="inline")
    assert len(job) == 50
    assert job[7].result(10) == 43
    assert [f.result(10) for f in job[-2:]] == [2, 1]
    assert {f.result(10) for f in job.as_completed(10)} == set(range(1, 51))
    assert [f.result(10) for f in itertools.islice(job, 3)] == [50, 49, 48]
    assert job.done()
    assert job.progress.ok == 50


def test_a_cancelled_job_stays_cancelled(store: Path, ledger: Ledger) -> None:
    with wrens.Executor(store=store, max_workers=1) as ex:
        job = ex.options(name="job", packing=wrens.Packing(size=1)).map_async(ledger.noted(_slow), range(50))
        until(lambda: job.progress.ok >= 2)
        job.cancel()
        assert job.wait(20)
        with pytest.raises(JobFailed) as caught:
            job.results(0)
    ran = len(ledger.lines())
    assert ran < 50
    with pytest.raises(JobFailed) as again:
        attach("job", store=store, backend="inline").results(10)
    assert set(again.value.failures) == set(caught.value.failures)
    assert again.value.results == caught.value.results
    assert len(ledger.lines()) == ran


def _slow(x: int) -> int:
    threading.Event().wait(0.05)
    return x


def test_attached_workers_leave_when_the_job_has_ended(clients: Clients, store: Path, ledger: Ledger) -> None:
    clients.start(CLIENT, store, ledger.path, "0.01").says("made")
    clients.kill_all()
    client = clients.start(
        """
        import sys, wrens
        job = wrens.attach("job", store=sys.argv[1], max_workers=2)
        job.wait()
        print(job.progress.ok, flush=True)
        from ledger import hold
        hold()
        """,
        store,
    )
    client.says("90\n", 30)
    until(lambda: not clients.workers(), what="the end of the workers of a job that has ended")
    watch = Stopwatch()
    os.kill(client.popen.pid, signal.SIGTERM)
    client.wait()
    assert watch.seconds < 5


# --- the job's options ----------------------------------------------------------------------------------


def _forget_verdicts(store: Path) -> None:
    """Make a job look as if its client had died before anything was settled."""
    opened = open_store(store)
    opened.delete(list(opened.list(keys.verdicts("job"))))


def test_a_fixed_packing_is_kept(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=2) as ex:
        ex.options(name="job", packing=wrens.Packing(size=10)).map_async(_slow, range(20)).results(30)
    _forget_verdicts(store)
    # Tasks this long would be handed on in mid-batch, had the user not fixed the size.
    assert attach("job", store=store, max_workers=2).results(30) == list(range(20))
    found = [keys.basename(key) for key in open_store(store).list(keys.verdicts("job"))]
    assert found == ["00000000", "00000001"]


def test_a_straggler_of_an_attached_job_gets_its_second_copy(store: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"

    def straggling(x: int) -> int:
        if x == 4 and not second.exists():
            if first.exists():
                second.touch()
            else:
                first.touch()
                until(second.exists)
        return x

    second.touch()
    with wrens.Executor(store=store, max_workers=2) as ex:
        view = ex.options(name="job", packing=wrens.Packing(size=1), backup=wrens.Backup(slowness=2))
        view.map_async(straggling, range(5)).results(30)
    _forget_verdicts(store)
    second.unlink()
    assert attach("job", store=store, max_workers=2).results(30) == list(range(5))
    assert second.exists()


# --- other versions -------------------------------------------------------------------------------------


_NEW = pytest.mark.this_computer("elsewhere a warm worker has loaded the function before")


@pytest.mark.parametrize("backend", [pytest.param("local", marks=_NEW), "inline"])
def test_workers_of_another_python_stop_the_job_and_keep_it(store: Path, backend: str) -> None:
    with wrens.Executor(store=store, max_workers=1) as ex:
        ex.options(name="job", packing=wrens.Packing(size=2)).map_async(abs, range(6)).results(30)
    _forget_verdicts(store)
    opened = open_store(store)
    (function,) = opened.list("functions/")
    here = bytes(opened.get(function))
    version = f"{sys.version_info.major}.{sys.version_info.minor}".encode()
    opened.put(function, here.replace(version, b"2.77"[: len(version)], 1), mode="replace")

    job = attach("job", store=store, backend=backend, max_workers=1)
    with pytest.raises(
        VersionMismatch, match=r"(?s)the function abs was made with Python 2\.7.*worker|inline"
    ):
        job.results(30)
    with pytest.raises(VersionMismatch):
        job[5].result(30)
    assert settled(store) == set()

    opened.put(function, here, mode="replace")
    assert attach("job", store=store, max_workers=1).results(30) == list(range(6))


def test_a_verdict_of_another_wrens_is_named_and_left_alone(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=1) as ex:
        ex.options(name="job", packing=wrens.Packing(size=2)).map_async(abs, range(6)).results(30)
    opened, key = open_store(store), keys.verdict("job", "00000001")
    theirs = bytes(opened.get(key)).replace(b"wrens\x01", b"wrens\x02", 1)
    opened.put(key, theirs, mode="replace")
    told: list[wrens.events.Event] = []
    with pytest.raises(VersionMismatch, match=r"records of version 2.*records of version 1"):
        attach("job", store=store, max_workers=1, observers=[told.append])
    assert bytes(opened.get(key)) == theirs
    assert isinstance(told[-1], wrens.events.JobEnded)
