"""What the store says of a job."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import wrens
from wrens.clock import SystemClock
from wrens.report import failures
from wrens.report.summary import Used, is_gone, summarize
from wrens.store import open_store
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import VERSION, Failure, Heartbeat, Manifest, Policy, Verdict


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def manifest(job: str = "j", made_at: float = 1000.0, made_by: str = "me@elsewhere:1") -> Manifest:
    return Manifest(
        v=VERSION,
        job=job,
        name=job,
        kind="map",
        function="f",
        backend="local",
        keep=True,
        policy=Policy(),
        lost_tries=4,
        backoff_s=0.0,
        wrens="0",
        python="3",
        made_by=made_by,
        made_at=made_at,
        driver="d1",
    )


def put_manifest(store: Store, record: Manifest) -> None:
    store.put(keys.manifest(record.job), envelope.to_json(record))


def beat(store: Store, attempt: str, at: float, job: str = "j") -> None:
    record = Heartbeat(attempt=attempt, at=at)
    store.put(keys.evidence(job, attempt, "heartbeat"), envelope.to_json(record), mode="replace")


def fail_on_odd(x: int) -> int:
    if x % 2:
        raise ValueError(f"odd: {x}")
    return x


def test_a_job_in_numbers(store: Store):
    with wrens.Executor("inline", store=store, keep=True) as ex:
        job = ex.map_async(fail_on_odd, range(10))
    found = summarize(store, job.id)
    assert (found.tasks, found.ok, found.failed, found.cancelled, found.ended) == (10, 5, 5, 0, True)
    assert found.complete
    assert found.state(SystemClock().wall()) == "failed"
    (cause,) = failures.causes(found.verdicts)
    assert cause.tasks == (1, 3, 5, 7, 9)
    assert cause.type_name == "ValueError"
    assert cause.place.endswith("in fail_on_odd")
    used = found.used()
    assert used.wall_s > 0
    assert used.span_s > 0
    assert used.bytes_written > 0


def test_a_young_job_runs_and_a_silent_one_is_unfinished(store: Store):
    put_manifest(store, manifest(made_at=1000.0))
    assert summarize(store, "j").state(1010.0) == "running"
    assert summarize(store, "j").state(1100.0) == "unfinished"
    beat(store, "driver.d1", at=1090.0)
    assert summarize(store, "j").state(1100.0) == "running"


def test_signs_of_a_client_that_is_gone_count_no_longer(store: Store):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    put_manifest(store, manifest(made_by=f"me@{platform.node()}:{process.pid}"))
    beat(store, "00000000.0-d1", at=1000.0)
    found = summarize(store, "j")
    assert found.state(1001.0) == "unfinished"
    assert found.signs_at == 1000.0
    beat(store, "00000000.0-d2", at=1000.0)
    assert summarize(store, "j").state(1001.0) == "running"


def test_only_a_client_of_this_computer_can_be_known_to_be_gone():
    assert not is_gone(f"me@{platform.node()}:{os.getpid()}")
    assert not is_gone("me@elsewhere:999999")
    assert not is_gone("nonsense")
    assert not is_gone(f"me@{platform.node()}:99999999999999999999")


def test_a_job_without_verdicts_used_nothing(store: Store):
    put_manifest(store, manifest())
    assert summarize(store, "j").used() == Used()


def test_a_large_verdict_record_is_read_whole(store: Store):
    put_manifest(store, manifest())
    many = tuple((n, Failure("user", "ValueError", "x" * 100)) for n in range(2000))
    verdict = Verdict(
        v=VERSION, job="j", batch="00000000", attempt="00000000.0-d1", start=0, count=2000, failures=many
    )
    store.put(keys.verdict("j", "00000000"), envelope.seal(verdict))
    assert summarize(store, "j").failed == 2000


def test_causes_are_told_apart_by_place_and_type():
    def failure(kind: str, line: int, message: str) -> Failure:
        trace = f'  File "a.py", line {line}, in f\n    x\n{kind}: {message}'
        return Failure("user", kind, message, traceback=trace)

    verdict = Verdict(
        v=VERSION,
        job="j",
        batch="0",
        attempt="0.a",
        start=0,
        count=5,
        failures=(
            (0, failure("ValueError", 3, "a")),
            (1, failure("ValueError", 9, "a")),
            (2, failure("ValueError", 3, "b")),
            (3, failure("TypeError", 3, "a")),
            (4, Failure("cancelled", "wrens.errors.Cancelled", "task 4 of job j was cancelled")),
        ),
    )
    found = failures.causes([verdict])
    assert [(c.type_name, c.place, c.tasks) for c in found] == [
        ("ValueError", "a.py:3 in f", (0, 2)),
        ("ValueError", "a.py:9 in f", (1,)),
        ("TypeError", "a.py:3 in f", (3,)),
        ("wrens.errors.Cancelled", "", (4,)),
    ]
