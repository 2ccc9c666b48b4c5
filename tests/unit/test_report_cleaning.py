"""What may be deleted, and what never is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wrens
from wrens.clock import SystemClock
from wrens.errors import BadOption, UnknownJob
from wrens.report import cleaning
from wrens.report.cleaning import choose, delete, sweep
from wrens.store import open_store
from wrens.store.metered import MeteredStore
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import VERSION, End, EnvironmentUse, Heartbeat, Manifest, Page, Policy, Row

DAY_S = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


@pytest.fixture
def now() -> float:
    return SystemClock().wall()


def put_job(store: Store, job: str, made_at: float, *, ended: bool = True) -> None:
    """Make a job with no tasks."""
    record = Manifest(
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
        made_by="me@elsewhere:1",
        made_at=made_at,
        driver="d1",
    )
    store.put(keys.manifest(job), envelope.to_json(record))
    if ended:
        store.put(keys.end(job), envelope.to_json(End(VERSION, job, 0, 0)))


def beat(store: Store, job: str, at: float) -> None:
    record = Heartbeat(attempt="driver.d1", at=at)
    store.put(keys.evidence(job, "driver.d1", "heartbeat"), envelope.to_json(record), mode="replace")


def ids(found: list[Any]) -> list[str]:
    return [one.job for one in found]


def test_old_jobs_are_chosen_and_young_ones_are_not(store: Store, now: float):
    put_job(store, "old", now - 8 * DAY_S)
    put_job(store, "young", now - 6 * DAY_S)
    chosen, kept = choose(store, now=now, older_than_s=7 * DAY_S)
    assert ids(chosen) == ["old"]
    assert kept == []
    assert chosen[0].objects == 2
    assert chosen[0].nbytes


def test_a_job_that_is_still_beating_is_never_chosen(store: Store, now: float):
    put_job(store, "old", now - 8 * DAY_S, ended=False)
    beat(store, "old", now - 30)
    for wish in ({"older_than_s": DAY_S}, {"job": "old"}):
        chosen, kept = choose(store, now=now, **wish)  # type: ignore[arg-type]
        assert chosen == []
        assert "at work on it" in kept[0].reason


def test_a_job_that_begins_to_beat_after_it_was_chosen_is_kept(store: Store, now: float):
    put_job(store, "old", now - 8 * DAY_S, ended=False)
    assert ids(choose(store, now=now, older_than_s=DAY_S)[0]) == ["old"]
    beat(store, "old", now)
    assert delete(store, "old", now=now)
    assert list(store.list(keys.job("old")))


def test_an_open_job_that_was_heard_of_lately_goes_only_by_name(store: Store, now: float):
    put_job(store, "open", now - DAY_S, ended=False)
    beat(store, "open", now - 600)
    assert ids(choose(store, now=now, older_than_s=3600)[1]) == ["open"]
    assert ids(choose(store, now=now, job="open")[0]) == ["open"]


def test_a_complete_job_may_go_however_young_it_is(store: Store, now: float):
    put_job(store, "done", now)
    assert ids(choose(store, now=now, older_than_s=0)[0]) == ["done"]


def test_which_jobs_has_to_be_said(store: Store, now: float):
    with pytest.raises(BadOption, match="--older-than"):
        choose(store, now=now)
    with pytest.raises(UnknownJob):
        choose(store, now=now, job="nope")
    with pytest.raises(BadOption):
        choose(store, now=now, job="../other")


def test_an_interrupted_deletion_never_looks_like_a_complete_job(tmp_path: Path, now: float):
    """The end goes first and the manifest last, so what is left is a job without an end, or nothing."""
    store = open_store(tmp_path)
    deleted: list[list[str]] = []

    class Watched:
        url = store.url
        get, list, put = store.get, store.list, store.put

        def delete(self, wanted: Any) -> None:
            deleted.append([*wanted])
            store.delete(deleted[-1])

    with wrens.Executor("inline", store=store, keep=True) as ex:
        job = ex.map_async(abs, [1, 2, 3])
    assert delete(Watched(), job.id, now=now) == ""
    assert deleted[0] == [keys.end(job.id)]
    assert deleted[-1] == [keys.manifest(job.id)]
    assert not [*store.list(keys.job(job.id))]


def test_remains_of_a_job_go_by_the_time_in_their_id(store: Store, now: float):
    old, young = f"{int(now - 8 * DAY_S):08x}-00000000", f"{int(now):08x}-00000000"
    for job in (old, young, "named"):
        store.put(keys.evidence(job, "0.a", "loss"), b"{}")
    assert ids(choose(store, now=now, older_than_s=DAY_S)[0]) == [old]
    assert ids(choose(store, now=now, job="named")[0]) == ["named"]


def test_a_damaged_job_is_old_by_its_id_too(store: Store, now: float):
    old = f"{int(now - 8 * DAY_S):08x}-00000000"
    store.put(keys.manifest(old), b"not json")
    chosen, _ = choose(store, now=now, older_than_s=DAY_S)
    assert [(one.job, one.state) for one in chosen] == [(old, "damaged")]


# --- packages ----------------------------------------------------------------------------------------


def put_environment(store: Store, digest: str, used_at: float | None) -> None:
    store.put(keys.environment(digest), b"packages")
    if used_at is not None:
        store.put(keys.environment_use(digest), envelope.to_json(EnvironmentUse(used_at)))


def test_packages_go_when_no_job_names_them_and_nobody_relied_on_them_for_a_week(store: Store, now: float):
    old, named, young, unsaid = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)
    put_environment(store, old, now - 8 * DAY_S)
    put_environment(store, named, now - 8 * DAY_S)
    put_environment(store, young, now - 6 * DAY_S)
    put_environment(store, unsaid, None)
    put_job(store, "kept", now - 8 * DAY_S)
    row = Row(keys.batch(0), 0, 1, "f", "one", 0, 0, named)
    store.put(keys.page("kept", 0), envelope.seal(Page(VERSION, "kept", 0, "d1", (row,))))
    gone = {keys.environment(old), keys.environment_use(old)}
    gone |= {keys.environment(unsaid), keys.environment_use(unsaid)}
    assert set(sweep(store, now=now).keys) == gone
    assert set(sweep(store, now=now, without={"kept"}).keys) > gone


# --- functions and shared values ---------------------------------------------------------------------


@pytest.fixture
def used(store: Store) -> tuple[str, str]:
    """Two jobs that use a shared value each; returns their ids."""
    with wrens.Executor("inline", store=store, keep=True) as ex:
        first, second = ex.put([1] * 1000), ex.put([2] * 1000)
        by_input = ex.map_async(sum, [first])
        by_closure = ex.map_async(lambda x: x + len(second), [1])
        assert by_input.results() == [1000]
    return by_input.id, by_closure.id


def contents(store: Store) -> int:
    return len([*store.list("functions/"), *store.list("values/")])


def test_what_a_job_refers_to_stays(store: Store, used: tuple[str, str], now: float):
    assert sweep(store, now=now).keys == ()
    # Two functions, the module of the second, two values.
    assert contents(store) == 5


def test_what_only_a_deleted_job_needed_goes(store: Store, used: tuple[str, str], now: float):
    by_input, by_closure = used
    of_first = sweep(store, now=now, without={by_input}).keys
    of_second = sweep(store, now=now, without={by_closure}).keys
    assert [key.partition("/")[0] for key in of_first] == ["functions", "values"]
    assert [key.partition("/")[0] for key in of_second] == ["functions", "functions", "values"]
    assert not set(of_first) & set(of_second)


def test_the_job_that_is_left_still_runs(store: Store, used: tuple[str, str], now: float):
    by_input, by_closure = used
    assert delete(store, by_input, now=now) == ""
    store.delete(sweep(store, now=now).keys)
    store.delete(list(store.list(keys.verdicts(by_closure))))
    assert wrens.attach(by_closure, store=store).results() == [1001]


def test_nothing_is_swept_while_a_job_may_refer_to_more(store: Store, used: tuple[str, str], now: float):
    put_job(store, "open", now - 600, ended=False)
    found = sweep(store, now=now, without=set(used))
    assert found.keys == ()
    assert "open" in found.reason
    assert sweep(store, now=now + 2 * 3600, without=set(used)).keys


@pytest.mark.parametrize("backend", ["inline", "local"])
def test_nothing_is_swept_from_under_an_executor_that_has_just_begun(
    store: Store, used: tuple[str, str], now: float, backend: str
) -> None:
    assert sweep(store, now=now, without=set(used)).keys
    with wrens.Executor(backend, store=store, max_workers=1) as ex:
        value = ex.put([1] * 1000)
        assert list(ex.map(sum, [value])) == [1000]
        assert "sign of life" in sweep(store, now=now, without=set(used)).reason
    assert sweep(store, now=now, without=set(used)).keys


def test_signs_of_drivers_that_were_killed_are_swept(store: Store, now: float) -> None:
    for name, ago in (("alive", 1), ("silent", 600), ("gone", 7200)):
        beat = Heartbeat(attempt=f"driver.{name}", at=now - ago)
        store.put(keys.driver(name), envelope.to_json(beat))
    assert sweep(store, now=now).signs == (keys.driver("gone"),)


def test_a_reference_across_the_border_of_two_parts_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch, used: tuple[str, str], now: float
):
    monkeypatch.setattr(cleaning, "SLICE", 50)
    assert sweep(store, now=now).keys == ()


def test_only_the_prefixes_of_wrens_are_listed(
    tmp_path: Path, used: tuple[str, str], store: Store, now: float
):
    listed: list[str] = []

    class Watched(MeteredStore):
        def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
            listed.append(prefix)
            return super().list(prefix, after=after)

    watched = Watched(store)
    choose(watched, now=now, older_than_s=0)
    sweep(watched, now=now)
    delete(watched, used[0], now=now)
    assert listed
    assert all(
        prefix.startswith(("jobs/", "functions/", "values/", "environments/", "drivers/", "uploads/"))
        for prefix in listed
    )


def test_uploads_that_never_arrived_are_swept_after_a_day(store: Store, now: float) -> None:
    old, young = f"{int(now) - 100_000:08x}-00000000", f"{int(now) - 3600:08x}-00000000"
    for name in (old, young, "another-name"):
        store.put(keys.upload(name), b"a part of a large object")
    assert sweep(store, now=now).uploads == (keys.upload(old),)
