"""Surroundings and tasks that are odd but allowed: strange paths, stopped workers, children, modules that change."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import Clients
from ledger import Ledger, Stopwatch, doze, hold, until

import wrens
from wrens.core import deadlines
from wrens.core.attach import attach
from wrens.errors import CannotStart, JobFailed, JobIncomplete, TaskTimeout, WorkerLost

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def ex(tmp_path: Path) -> Iterator[wrens.Executor]:
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as executor:
        yield executor


# --- places ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "a#b", "a%20b", "a?b=c", "ä€", "a;b&c", "-a", "a'b\"c"])
def test_a_store_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = tmp_path / name / "jobs"
    with wrens.Executor(store=store, max_workers=1, keep=True) as ex:
        job = ex.map_async(len, ["x" * 100_000, "y"])
        assert job.results(30) == [100_000, 1]
    assert attach(job.id, store=store, backend="inline").results(5) == [100_000, 1]
    assert {path.name for path in tmp_path.iterdir()} <= {name}


def test_a_relative_store_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with wrens.Executor(store="here", max_workers=1, keep=True) as ex:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert list(ex.map(abs, [-1, -2])) == [1, 2]
        assert ex.submit(os.path.basename, "a/b").result(30) == "b"
    assert {path.name for path in tmp_path.iterdir()} - {"here"} == {"elsewhere"}


# --- workers that are stopped, not dead -----------------------------------------------------------------


def stops(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    return x


@pytest.mark.usefixtures("impatient")
def test_a_stopped_worker_is_ended_at_its_deadline(ex: wrens.Executor) -> None:
    watch = Stopwatch()
    with pytest.raises(JobFailed) as caught:
        ex.options(timeout=0.5).map_async(stops, range(8)).results(40)
    assert watch.seconds < 30
    assert {x: type(error) for x, error in caught.value.failures.items()} == {3: TaskTimeout}


@pytest.mark.usefixtures("impatient")
def test_a_slow_initializer_is_no_tasks_fault(tmp_path: Path) -> None:
    longer_s = deadlines.START_S + 2.0
    with wrens.Executor(
        store=tmp_path / "store", max_workers=1, initializer=doze, initargs=(longer_s,)
    ) as ex:
        assert ex.options(timeout=0.5).map_async(abs, range(8)).results(40) == list(range(8))


@pytest.mark.this_computer("patches what looks after local processes")
def test_a_stopped_worker_without_a_timeout_is_found_to_hang(
    ex: wrens.Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wrens.backends.local.HUNG_S", 1.0)
    monkeypatch.setattr("wrens.backends.local.LOOK_S", 0.2)
    with pytest.raises(JobFailed) as caught:
        ex.options(retry=wrens.Retry(lost=1)).map_async(stops, range(8)).results(40)
    assert {x: type(error) for x, error in caught.value.failures.items()} == {3: WorkerLost}
    assert "hung" in str(caught.value.failures[3])


def test_a_stopped_client_goes_on_where_it_was(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import doze
        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            job = ex.options(timeout=5).map_async(lambda x: doze(0.02) or x, range(100))
            print("made", flush=True)
            print(sum(job.results()))
        """,
        tmp_path / "store",
    )
    client.says("made")
    os.kill(client.popen.pid, signal.SIGSTOP)
    hold(1.5)
    os.kill(client.popen.pid, signal.SIGCONT)
    assert client.ok() == "made\n4950\n"


# --- what tasks leave behind ----------------------------------------------------------------------------


@pytest.mark.this_computer("elsewhere they end with the worker, which the platform keeps warm")
def test_children_that_a_task_left_running_end_with_the_executor(tmp_path: Path) -> None:
    def leaves_a_child(_: int) -> int:
        return subprocess.Popen(["sleep", "50"]).pid

    with wrens.Executor(store=tmp_path / "store", max_workers=1) as ex:
        pids = list(ex.map(leaves_a_child, range(3)))
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    until(lambda: not any(_runs(pid) for pid in pids), what="the end of the children")


def _runs(pid: int) -> bool:
    try:
        return "sleep" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_a_thread_that_a_task_left_running_harms_nobody(ex: wrens.Executor) -> None:
    def leaves_a_thread(x: int) -> int:
        threading.Thread(target=hold, args=(30,)).start()
        return x

    assert list(ex.map(leaves_a_thread, range(20))) == list(range(20))


def test_a_task_may_change_its_surroundings(ex: wrens.Executor, tmp_path: Path) -> None:
    def rude(x: int) -> int:
        os.chdir("/")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.environ.clear()
        os.umask(0o777)
        return x

    ones = ex.options(packing=wrens.Packing(size=1))
    assert ones.map_async(rude, range(6)).results(30) == list(range(6))
    assert list(ex.map(abs, range(-30, 0))) == list(range(30, 0, -1))


def test_a_task_never_meets_what_tasks_of_another_executor_changed(tmp_path: Path) -> None:
    def sets(x: int) -> int:
        os.environ["WRENS_TEST_LEFT"] = "behind"
        os.chdir("/")
        os.umask(0o777)
        return x

    def meets(x: int) -> tuple[str | None, int]:
        mask = os.umask(0)
        os.umask(mask)
        return os.environ.get("WRENS_TEST_LEFT"), mask

    with wrens.Executor(store=tmp_path / "store", max_workers=1) as first:
        assert list(first.map(sets, range(2))) == [0, 1]
        with wrens.Executor(store=tmp_path / "store", max_workers=1) as other:
            found, mask = other.submit(meets, 0).result(30)
        assert (found, mask != 0o777) == (None, True)


class _Sulking:
    """A stdout of the user's own making."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        raise RuntimeError(f"not now: {text}")


@pytest.mark.this_computer("nothing is shown here that is written elsewhere")
def test_a_stdout_that_raises_stops_no_job(ex: wrens.Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    sulking = _Sulking()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", sulking)
        assert list(ex.map(_speaking, range(4))) == [0, 1, 2, 3]
        assert sulking.asked.wait(10)
    with monkeypatch.context() as patch:
        patch.delattr("sys.stdout")
        assert list(ex.map(_speaking, range(4))) == [0, 1, 2, 3]
    assert ex.submit(_speaking, 5).result(30) == 5


def _speaking(x: int) -> int:
    print("I am", x)
    return x


@pytest.mark.this_computer("breaks the interpreter of the workers")
def test_an_interpreter_that_cannot_start_is_named_at_once_and_costs_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        with monkeypatch.context() as patch:
            patch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))
            job = ex.options(name="job").map_async(abs, range(-4, 0))
            with pytest.raises(CannotStart, match=r"(?s)no worker gets ready.*encodings.*PYTHONHOME"):
                job.results(30)
            assert len(list((tmp_path / "store").glob("jobs/job/attempts/*/loss"))) <= 4
            # Workers of the tests before may still have had something to say.
            assert "encodings" not in capfd.readouterr().err
        assert ex.submit(abs, -1).result(30) == 1
    assert attach("job", store=tmp_path / "store", max_workers=1).results(30) == [4, 3, 2, 1]


@pytest.mark.this_computer("nothing is shown here that is written elsewhere")
def test_a_crash_is_shown_once_and_kept_for_each_attempt(
    ex: wrens.Executor, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash(x: int) -> int:
        if x == 3:
            os.abort()
        return x

    job = ex.map_async(crash, range(6))
    with pytest.raises(JobFailed) as caught:
        job.results(30)
    error = caught.value.failures[3]
    assert isinstance(error, WorkerLost)
    assert len(error.attempts) == 4
    assert "in crash" in error.log
    shown = capfd.readouterr().err
    assert shown.count("in crash") == 1
    assert shown.count("Fatal Python error: Aborted (at the same place as before)") == 3


def test_executors_leave_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    def use() -> None:
        with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
            assert ex.submit(abs, -1).result(30) == 1
            assert list(ex.map(abs, iter([-1, -2]))) == [1, 2]

    def open_now() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    use()
    before, threads = open_now(), threading.active_count()
    for _ in range(6):
        use()
    assert open_now() <= before + 2
    assert threading.active_count() <= threads


# --- modules that change --------------------------------------------------------------------------------


def test_a_path_and_a_module_that_come_later_reach_warm_workers(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "newcomer.py").write_text("def f(x):\n    return x + 1\n")
    client = clients.start(
        """
        import sys, wrens
        with wrens.Executor(store=sys.argv[1], max_workers=1) as ex:
            ex.submit(abs, -1).result()
            sys.path.append("later")
            import newcomer
            print(list(ex.map(newcomer.f, [1, 2])))
        """,
        tmp_path / "store",
    )
    assert client.ok() == "[2, 3]\n"


def test_a_module_that_was_edited_and_reloaded_is_the_new_one_in_warm_workers(
    clients: Clients, tmp_path: Path
) -> None:
    client = clients.start(
        """
        import importlib, os, sys, wrens
        from pathlib import Path
        from ledger import doze
        sys.dont_write_bytecode = True
        sys.path.insert(0, ".")
        file = Path("changing.py")
        file.write_text("def f(x):\\n    return x + 1\\n")
        import changing
        with wrens.Executor(store=sys.argv[1], max_workers=1) as ex:
            print(list(ex.map(changing.f, [1, 2])))
            file.write_text("def f(x):\\n    return x + 100\\n")
            importlib.invalidate_caches()
            importlib.reload(changing)
            # Files are looked at every now and then, so it may take a moment.
            for _ in range(200):
                if (found := list(ex.map(changing.f, [1, 2]))) != [2, 3]:
                    break
                doze(0.05)
            print(found)
            print(ex.submit(changing.f, 1).result())
        """,
        tmp_path / "store",
    )
    assert client.ok() == "[2, 3]\n[101, 102]\n101\n"


# --- jobs of submit -------------------------------------------------------------------------------------


def test_a_kept_job_of_submits_can_be_attached_to(tmp_path: Path) -> None:
    with wrens.Executor(store=tmp_path / "store", max_workers=2, keep=True) as ex:
        futures = [ex.submit(pow, x, 2) for x in range(20)]
        job_id = futures[0].job_id if futures[0].result(30) == 0 else ""
        assert [f.result(30) for f in futures] == [x * x for x in range(20)]
    job = attach(job_id, store=tmp_path / "store", backend="inline")
    assert job.results(10) == [x * x for x in range(20)]


def test_a_killed_client_of_submits_leaves_an_incomplete_job(
    clients: Clients, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = clients.start(
        """
        import os, signal, sys, wrens
        from ledger import Ledger
        ledger = Ledger(sys.argv[2])
        ex = wrens.Executor(store=sys.argv[1], max_workers=1, keep=True)
        futures = [ex.submit(ledger.noted(abs), -x) for x in range(10)]
        print([f.result() for f in futures], futures[0].job_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "store",
        ledger.path,
    )
    assert client.wait() == -signal.SIGKILL
    clients.all_gone()
    monkeypatch.setattr("wrens.core.attach.SILENT_S", 0.5)
    job = attach(client.out.split()[-1], store=tmp_path / "store", max_workers=1)
    with pytest.raises(JobIncomplete) as caught:
        job.results(30)
    assert caught.value.results == {x: x for x in range(10)}
    assert set(ledger.counts().values()) == {1}


# --- much at once ---------------------------------------------------------------------------------------


def test_two_thousand_failures_are_reported_soon(ex: wrens.Executor) -> None:
    watch = Stopwatch()
    with pytest.raises(JobFailed, match="2000 of 2000") as caught:
        ex.map_async(int, ["x"] * 2000).results(40)
    assert len(caught.value.failures) == 2000
    assert watch.seconds < 15


@pytest.mark.this_computer("elsewhere each link takes a tenth of a second")
def test_a_chain_of_a_thousand_futures(ex: wrens.Executor) -> None:
    future = ex.submit(abs, 0)
    for _ in range(1000):
        future = ex.submit(_one_more, future)
    assert future.result(50) == 1000


def _one_more(x: int) -> int:
    return x + 1


def test_a_program_may_leave_without_waiting(clients: Clients, tmp_path: Path, ledger: Ledger) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import Ledger, doze
        ledger = Ledger(sys.argv[2])
        ex = wrens.Executor(store=sys.argv[1], max_workers=2)
        for _ in range(6):
            ex.submit(ledger.noted(doze), 0.2)
        ex.shutdown(wait=False)
        print("left")
        """,
        tmp_path / "store",
        ledger.path,
    )
    assert client.ok() == "left\n"
    assert client.err == ""
    assert ledger.counts() == {"0.2": 6}


def test_an_uncaught_exception_ends_a_program_after_its_work(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import sys, wrens
        ex = wrens.Executor(store=sys.argv[1], max_workers=1)
        future = ex.submit(abs, -1)
        raise SystemError("on purpose")
        """,
        tmp_path / "store",
    )
    assert client.wait() == 1
    assert "on purpose" in client.err
