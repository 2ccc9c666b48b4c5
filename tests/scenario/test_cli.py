"""The command as a process of its own: a job whose client was killed is seen, resumed and cleaned away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clients import Clients, path_of_imports
from ledger import Ledger, until

import wrens
from wrens.core import reading
from wrens.errors import UnknownJob
from wrens.store import open_store

pytestmark = pytest.mark.timeout(90)
TASKS = 12
KILLED = """
    import sys
    import wrens
    from ledger import Ledger, hold, until
    from pathlib import Path

    store, ledger, released = sys.argv[1], Ledger(sys.argv[2]), Path(sys.argv[3])

    def work(x):
        ledger.note(x)
        if x == 5 and not released.exists():
            hold()
        if x == 7:
            raise ValueError("seven")
        return x

    with wrens.Executor(store=store, max_workers=2) as ex:
        job = ex.options(name="cut", packing=wrens.Packing(size=1)).map_async(work, range(12))
        print("made", flush=True)
        job.results()
"""


def call(*args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``python -m wrens`` and check its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "wrens", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path_of_imports()},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.this_computer("elsewhere a killed client's worker goes on, and keeps its job from being deleted")
def test_a_killed_clients_job_is_seen_resumed_and_cleaned(tmp_path: Path, clients: Clients, ledger: Ledger):
    store, released = tmp_path / "store", tmp_path / "released"
    client = clients.start(KILLED, store, ledger.path, released)
    client.says("made")
    opened = open_store(store)
    # All but the one that is held, so that what is repeated can be counted.
    until(lambda: len(reading.read_job(opened, "cut").verdicts) == TASKS - 1, what="the other tasks' end")
    assert state(store) == "running"
    client.kill()
    clients.all_gone()
    assert state(store) == "unfinished"
    assert "wrens resume cut" in call("show", "cut", "--store", store).stdout

    released.touch()
    before = ledger.counts()
    done = call("resume", "cut", "--store", store, code=1)
    assert f"{TASKS} tasks: {TASKS - 1} ok, 1 failed, 0 cancelled; 1 settled now." in done.stdout
    assert "ValueError: seven" in done.stdout
    assert ledger.counts() - before == {"5": 1}
    assert state(store) == "failed"

    call("clean", "--job", "cut", "--store", store)
    with pytest.raises(UnknownJob):
        reading.read_job(opened, "cut")
    # The killed client might still be there, for all that is known within a minute.
    assert all(key.startswith(("drivers/", "functions/")) for key in opened.list(""))


def state(store: Path) -> str:
    (job,) = json.loads(call("jobs", "--json", "--store", store).stdout)
    found: str = job["state"]
    return found


def test_python_m_wrens_is_the_command():
    assert call("--version").stdout == f"wrens {wrens.__version__}\n"


def test_an_error_is_text_and_code_2(tmp_path: Path):
    done = call("show", "nope", "--store", tmp_path, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("wrens: there is no job 'nope'")


def test_data_goes_to_stdout_and_nothing_else_does(tmp_path: Path):
    done = call("jobs", "--store", tmp_path)
    assert done.stdout == ""
    assert "no jobs" in done.stderr
