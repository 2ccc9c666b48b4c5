"""What the exam cannot ask, because it is about processes on this computer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wrens.backends import local, registry
from wrens.backends.base import Committed, Lost
from wrens.backends.local import LocalBackend
from wrens.backends.output import Shown
from wrens.clock import SystemClock
from wrens.errors import BadOption, UnknownBackend
from wrens.store import open_store
from wrens.testing.small_jobs import SmallJob, await_notices, poll_until, run
from wrens.testing.tasks import Scripted
from wrens.wire.records import Policy


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


@pytest.fixture
def backend():
    made = LocalBackend(2)
    yield made
    made.close()


@pytest.fixture
def scripted(tmp_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    return lambda script: Scripted(folder, script)


def test_processes_are_started_when_needed_and_kept_warm(backend, store):
    assert backend._idle == []
    job = SmallJob(store, lambda _: os.getpid(), [0] * 6, batches=6)
    for invocation in job.invocations():
        run(backend, [invocation])
    assert len(set(job.results().values())) == 1


def test_no_workers_is_refused():
    with pytest.raises(BadOption, match="max_workers=0"):
        LocalBackend(0)


def test_names():
    assert registry.find("local") is LocalBackend
    assert registry.default() == "local"
    with pytest.raises(UnknownBackend, match="did you mean 'local'"):
        registry.find("locla")
    made = registry.open_backend("local", max_workers=3)
    assert made.limits.parallelism == 3
    made.close()


def test_an_executor_inside_a_task_is_to_use_its_own_process(backend, store):
    job = SmallJob(store, lambda _: registry.default(), [0])
    run(backend, job.invocations())
    assert job.results() == {0: "inline"}


def test_output_is_shown_while_it_is_written(backend, store, scripted, capsys):
    def chatter(_):
        print("begun", flush=True)
        SystemClock().sleep(30)

    job = SmallJob(store, chatter, [0])
    backend.launch(job.invocations())
    shown: list[str] = []
    poll_until(backend, lambda: shown.append(capsys.readouterr().out) or "begun\n" in shown)
    backend.cancel({"00000000.a"})
    (notice,) = await_notices(backend, 1)
    assert isinstance(notice, Lost)
    assert notice.loss.log == "[stdout]\nbegun\n"


def test_whole_lines_are_shown_together(tmp_path, capsys):
    with (tmp_path / "out").open("wb+", buffering=0) as file:
        shown = Shown(file.fileno(), "stdout")
        file.write(b"one\ntw")
        shown.show()
        assert capsys.readouterr().out == "one\n"
        file.write("o\nthre\u00e9".encode()[:-1])
        shown.show()
        assert capsys.readouterr().out == "two\n"
        file.write("\u00e9".encode()[1:])
        shown.show(whole=True)
        assert capsys.readouterr().out == "thre\u00e9"


def test_a_large_file_is_emptied_between_attempts(backend, store, monkeypatch, capsys):
    monkeypatch.setattr("wrens.backends.output.LARGE", 10)
    job = SmallJob(store, lambda x: print("x" * 100, x), [1, 2], batches=2)
    for invocation in job.invocations():
        run(backend, [invocation])
    assert os.fstat(backend._idle[0].process.files[0]).st_size == 0
    assert job.verdict("00000001")[0].log.endswith("x 2\n")
    assert capsys.readouterr().out.count("\n") == 2


def test_a_stopped_process_counts_as_hung(backend, store, scripted, monkeypatch):
    monkeypatch.setattr(local, "LOOK_S", 0.05)
    monkeypatch.setattr(local, "HUNG_S", 0.3)
    task = scripted({0: ["hang"]})
    backend.launch(SmallJob(store, task, [0]).invocations())
    poll_until(backend, lambda: task.calls(0) == 1)
    os.kill(backend._busy[0].process.pid, signal.SIGSTOP)
    (notice,) = await_notices(backend, 1)
    assert isinstance(notice, Lost)
    assert notice.loss.reason.startswith("hung")


def test_a_busy_process_does_not_count_as_hung(backend, store, monkeypatch):
    monkeypatch.setattr(local, "LOOK_S", 0.05)
    monkeypatch.setattr(local, "HUNG_S", 0.2)

    def sleep(seconds):
        SystemClock().sleep(seconds)

    assert run(backend, SmallJob(store, sleep, [0.8]).invocations()) == [Committed("00000000.a")]


def test_memory_beyond_the_limit_is_the_tasks_failure(backend, store):
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux limits the data of a process")
    job = SmallJob(store, lambda n: len(bytearray(n)), [10, 2_000_000_000, 20])
    run(backend, job.invocations(policy=Policy(memory_mb=500)))
    results = job.results()
    assert isinstance(results[1], MemoryError)
    assert (results[0], results[2]) == (10, 20)


def test_grandchildren_end_with_a_cancelled_worker(backend, store, tmp_path):
    def parent(folder):
        child = subprocess.Popen(["sleep", "60"])
        Path(folder, "child").write_text(str(child.pid))
        child.wait()

    backend.launch(SmallJob(store, parent, [str(tmp_path)]).invocations())
    note = tmp_path / "child"
    poll_until(backend, lambda: note.exists() and note.read_text() != "")
    backend.cancel({"00000000.a"})
    await_notices(backend, 1)
    pid = int(note.read_text())
    poll_until(backend, lambda: not _runs(pid))


def test_workers_settle_and_leave_when_their_client_is_killed(store, tmp_path):
    program = f"""
        import sys
        sys.path[:] = {sys.path!r}
        from wrens.backends.local import LocalBackend
        from wrens.store import open_store
        from wrens.testing.small_jobs import SmallJob
        from wrens.testing.tasks import Scripted

        if __name__ == "__main__":
            backend = LocalBackend(2)
            job = SmallJob(open_store({store.url!r}), Scripted({str(tmp_path)!r}, {{2: ["hang"]}}), range(5))
            backend.launch(job.invocations())
            print(job.id, backend._busy[0].process.pid, flush=True)
            backend.poll(60)
    """
    client = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert client.stdout is not None
    with client.stdout:
        job_id, pid = client.stdout.readline().decode().split()
    job = SmallJob(store, abs, [])
    job.id = job_id
    watcher = Scripted(tmp_path, {})
    clock = SystemClock()
    until(clock, lambda: watcher.calls(2) == 1)
    client.kill()
    client.wait()
    until(clock, lambda: not _runs(int(pid)))
    assert job.results() == {0: 0, 1: 1}
    children = job.handed_on().values()
    assert [(c.start, c.count, c.losses, c.running_in) for c in children] == [(2, 1, 0, ""), (3, 2, 0, "")]


def until(clock, condition):
    deadline = clock.now() + 30
    while not condition():
        clock.sleep(0.01)
        assert clock.now() < deadline


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
