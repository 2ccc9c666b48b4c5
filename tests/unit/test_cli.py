"""The command line, command by command, on stores that were made by real jobs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import wrens
from wrens.cli.app import app
from wrens.clock import SystemClock
from wrens.store import open_store
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat


def work(x: int) -> int:
    if x == 3:
        raise ValueError(f"cannot do {x}")
    if x == 5:
        print("five was here")
    return x


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one job of each kind. No test may change it."""
    where = tmp_path_factory.mktemp("store")
    with wrens.Executor("local", store=where, max_workers=1) as ex:
        ex.options(name="good").map_async(abs, [-1, -2]).results()
        ex.options(name="bad", packing=wrens.Packing(size=1)).map_async(work, range(7)).wait()
    return where


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with two complete jobs, to be changed."""
    where = tmp_path / "store"
    with wrens.Executor("inline", store=where) as ex:
        ex.options(name="first").map_async(abs, [-1])
        ex.options(name="second").map_async(len, ["ab"])
    return where


def call(*args: object, store: Path | None = None) -> Result:
    words = [str(arg) for arg in args] + ([] if store is None else ["--store", str(store)])
    return CliRunner().invoke(app, words)


def objects(store: Path) -> set[str]:
    return set(open_store(store).list(""))


# --- the whole ---------------------------------------------------------------------------------------


def test_version():
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout == f"wrens {wrens.__version__}\n"


def test_help_names_every_command():
    result = call("--help")
    assert result.exit_code == 0
    for name in ("demo", "jobs", "show", "resume", "logs", "clean"):
        assert name in result.stdout


@pytest.mark.parametrize("command", ["show", "resume", "logs"])
def test_an_unknown_job_is_an_error_in_words(command: str, made: Path):
    result = call(command, "nope", store=made)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "there is no job 'nope'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path):
    result = call("jobs", store=tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "there is no such directory" in result.stderr
    assert not (tmp_path / "nowhere").exists()


# --- jobs --------------------------------------------------------------------------------------------


def test_jobs_lists_what_there_is(made: Path):
    result = call("jobs", store=made)
    assert result.exit_code == 0
    bad, good = [line.split() for line in result.stdout.splitlines() if "20" in line]
    assert bad[0] == "bad"
    assert bad[2:6] == ["failed", "7", "6", "1"]
    assert good[0] == "good"
    assert good[2:6] == ["done", "2", "2", "0"]


def test_jobs_as_json(made: Path):
    found = json.loads(call("jobs", "--json", store=made).stdout)
    assert [(job["job"], job["state"], job["tasks"], job["failed"]) for job in found] == [
        ("bad", "failed", 7, 1),
        ("good", "done", 2, 0),
    ]


def test_no_jobs(tmp_path: Path):
    result = call("jobs", store=tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no jobs" in result.stderr
    assert json.loads(call("jobs", "--json", store=tmp_path).stdout) == []


def test_one_damaged_job_does_not_hide_the_others(store: Path):
    open_store(store).put(keys.manifest("broken"), b"{}")
    result = call("jobs", store=store)
    assert result.exit_code == 0
    assert "damaged" in result.stdout
    assert "first" in result.stdout
    assert "jobs/broken/manifest" in result.stderr


def test_a_job_of_another_wrens_does_not_hide_the_others(store: Path):
    open_store(store).put(keys.manifest("newer"), b'{"v": 9, "wrens": "9.0"}')
    result = call("jobs", store=store)
    assert result.exit_code == 0
    assert "other version" in result.stdout
    assert "first" in result.stdout
    assert "made with wrens 9.0" in result.stderr
    assert call("show", "newer", store=store).exit_code == 2


def test_the_store_of_the_environment_is_the_default(made: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WRENS_STORE", str(made))
    assert "good" in call("jobs").stdout


# --- show and logs -----------------------------------------------------------------------------------


def test_show_tells_progress_cause_and_usage(made: Path):
    result = call("show", "bad", store=made)
    assert result.exit_code == 0
    assert "7: 6 ok, 1 failed, 0 cancelled, 0 open" in result.stdout
    assert "1 × ValueError at " in result.stdout
    assert "in work: task 3" in result.stdout
    assert "ValueError: cannot do 3" in result.stdout
    assert "the slowest 5 batches:" in result.stdout
    assert "0 calls repeated after an exception, 0 attempts lost" in result.stdout
    for word in ("function", "policy", "took", "phases", "processor", "memory", "bytes"):
        assert f"\n{word}" in result.stdout


def test_show_as_json(made: Path):
    found = json.loads(call("show", "bad", "--json", store=made).stdout)
    assert found["manifest"]["job"] == "bad"
    assert found["causes"][0]["tasks"] == [3]
    assert found["used"]["wall_s"] > 0
    took = [attempt["usage"]["wall_s"] for attempt in found["slowest"]]
    assert len(took) == 5
    assert took == sorted(took, reverse=True)


def test_show_names_the_slowest_task_and_counts_what_was_repeated(tmp_path: Path):
    store = tmp_path / "store"

    def task(x: int) -> int:
        if x == 2:
            SystemClock().sleep(0.2)
        if x == 4:
            raise ConnectionError(x)
        return x

    with wrens.Executor("inline", store=store) as ex:
        retry = wrens.Retry(attempts=3, on=ConnectionError)
        ex.options(name="slow", retry=retry, packing=wrens.Packing(size=2)).map_async(task, range(6)).wait()
    shown = call("show", "slow", store=store).stdout
    assert "2 calls repeated after an exception" in shown
    first = shown.partition("slowest task")[2].splitlines()[2].split()
    assert first[:2] == ["00000001", "2-3"]
    assert "2 (2" in shown


def test_a_running_job_says_how_old_its_last_sign_of_life_is(made: Path, tmp_path: Path):
    store = open_store(tmp_path / "store")
    manifest = json.loads((made / keys.manifest("good")).read_text())
    manifest |= {"job": "far", "made_at": SystemClock().wall() - 40, "made_by": "me@elsewhere:1"}
    store.put(keys.manifest("far"), json.dumps(manifest).encode())
    for command in (["jobs"], ["show", "far"]):
        shown = call(*command, store=tmp_path / "store").stdout
        assert re.search(r"running \(last sign of life 4\d\.\d s ago\)", shown), shown


@pytest.mark.parametrize("task", [7, 99])
def test_logs_of_a_task_that_does_not_exist_is_an_error(made: Path, task: int):
    result = call("logs", "bad", task, store=made)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"task {task} does not exist: job bad has tasks 0 to 6" in result.stderr


def test_logs_of_a_job_and_of_a_task(made: Path):
    assert "five was here" in call("logs", "bad", store=made).stdout
    assert "five was here" in call("logs", "bad", 5, store=made).stdout
    result = call("logs", "bad", 4, store=made)
    assert result.stdout == ""
    assert "No output of task 4" in result.stderr


# --- resume ------------------------------------------------------------------------------------------


def test_resume_of_a_complete_job_says_how_it_ended(made: Path):
    good = call("resume", "good", store=made)
    assert good.exit_code == 0
    assert "2 tasks: 2 ok, 0 failed, 0 cancelled; 0 settled now." in good.stdout
    bad = call("resume", "bad", store=made)
    assert bad.exit_code == 1
    assert "ValueError: cannot do 3" in bad.stdout


def test_resume_runs_what_has_no_verdict(store: Path):
    opened = open_store(store)
    opened.delete(list(opened.list(keys.verdicts("second"))))
    result = call("resume", "second", store=store)
    assert result.exit_code == 0
    assert "1 task: 1 ok, 0 failed, 0 cancelled; 1 settled now." in result.stdout


# --- clean -------------------------------------------------------------------------------------------


def test_a_dry_run_deletes_nothing_and_says_the_same(store: Path):
    before = objects(store)
    dry = call("clean", "--older-than", "0s", "--dry-run", store=store)
    assert dry.exit_code == 0
    assert objects(store) == before
    wet = call("clean", "--older-than", "0s", store=store)
    assert dry.stdout.replace("Would delete", "Deleted") == wet.stdout
    assert f"{len(before)} objects" in wet.stdout
    assert objects(store) == set()


def test_young_jobs_stay(store: Path):
    before = objects(store)
    assert call("clean", "--older-than", "7d", store=store).exit_code == 0
    assert objects(store) == before


def test_one_job_by_its_name(store: Path):
    assert call("clean", "--job", "first", store=store).exit_code == 0
    left = objects(store)
    assert not [key for key in left if key.startswith("jobs/first/")]
    assert [key for key in left if key.startswith("jobs/second/")]
    assert len([key for key in left if key.startswith("functions/")]) == 1


def test_a_beating_job_stays_even_when_it_is_named(store: Path):
    opened = open_store(store)
    opened.delete([keys.end("first")])
    record = Heartbeat(attempt="driver.d", at=SystemClock().wall())
    opened.put(keys.evidence("first", "driver.d", "heartbeat"), envelope.to_json(record))
    before = objects(store)
    assert call("clean", "--older-than", "0s", "--dry-run", store=store).exit_code == 0
    result = call("clean", "--job", "first", store=store)
    assert result.exit_code == 1
    assert "kept first" in result.stderr
    assert objects(store) == before


def test_other_things_in_the_store_are_left_alone(store: Path):
    opened = open_store(store)
    opened.put("photos/cat", b"meow")
    opened.put("jobs.txt", b"mine")
    assert call("clean", "--older-than", "0s", store=store).exit_code == 0
    assert objects(store) == {"photos/cat", "jobs.txt"}


@pytest.mark.parametrize("args", [(), ("--older-than", "7"), ("--older-than", "soon"), ("--job", "../x")])
def test_a_wish_that_cannot_be_is_refused(args: tuple[str, ...], store: Path):
    before = objects(store)
    result = call("clean", *args, store=store)
    assert result.exit_code == 2
    assert result.stderr.startswith("wrens: ")
    assert objects(store) == before
