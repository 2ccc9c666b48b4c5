"""What the store says of attempts whose workers cannot talk back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from wrens.backends.base import Committed, Lost, Notice
from wrens.backends.watching import CHECK_S, SILENT_S, Awaited, StoreWatch
from wrens.errors import BadStoreURL
from wrens.store import Fault, FaultyStore, Store, open_store
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat, Invocation, Loss, Policy

URL = "memory://watched"


@pytest.fixture
def store() -> Iterator[Store]:
    found = open_store(URL)
    yield found
    found.delete(list(found.list("")))


@pytest.fixture
def watch(store: Store) -> StoreWatch:
    return StoreWatch(lambda _: store)


def attempt(batch: str = "00000007", number: int = 0, *, job: str = "job", store: str = URL) -> Invocation:
    name = f"{batch}.{number}-x"
    return Invocation(1, store, job, batch, name, "f", "one", 0, 5, 0, 0, 1, 0, policy=Policy())


def write(store: Store, one: str, kind: str, record: Heartbeat | Loss) -> None:
    store.put(keys.evidence("job", one, kind), envelope.to_json(record), mode="replace")


def settle(store: Store, batch: str, job: str = "job") -> None:
    store.put(keys.verdict(job, batch), b"a verdict")


def heard(watch: StoreWatch) -> list[Notice]:
    return [notice for _, notice in watch.look()]


def test_nothing_is_said_of_what_has_left_nothing(watch: StoreWatch) -> None:
    watch.expect(attempt(), 0.0)
    assert heard(watch) == []
    assert len(watch.attempts) == 1


def test_a_verdict_ends_every_attempt_at_its_batch_and_no_other(watch: StoreWatch, store: Store) -> None:
    first, copy = attempt(number=1), attempt(number=2)
    others = [attempt("00000006"), attempt("00000008"), attempt("00000007.0"), attempt(job="other")]
    for one in (first, copy, *others):
        watch.expect(one, 0.0)
    settle(store, "00000007")
    assert heard(watch) == [Committed(first.attempt), Committed(copy.attempt)]
    assert heard(watch) == []
    assert [one.attempt for one in watch.attempts] == [one.attempt for one in others]
    settle(store, "00000007", "other")
    assert heard(watch) == [Committed(others[-1].attempt)]


def test_verdicts_of_long_ago_are_not_listed_again(store: Store) -> None:
    faulty = FaultyStore(store, [])
    watch = StoreWatch(lambda _: faulty)
    for number in range(1, 30):
        settle(store, f"{number:08d}")
    watch.expect(attempt("00000029.1"), 0.0)
    listed = list(store.list(keys.verdicts("job"), after=keys.verdict("job", "0000002")))
    assert heard(watch) == []
    assert len(listed) < 12


def test_a_worker_that_goes_on_is_followed_to_its_end(watch: StoreWatch, store: Store) -> None:
    one = attempt()
    watch.expect(one, 0.0)
    second = keys.going_on(one.attempt)
    third = keys.going_on(second)
    # The sign of life under the new name comes before the verdict that names it.
    write(store, second, "heartbeat", Heartbeat(second, 1.0))
    assert heard(watch) == []
    settle(store, "00000007")
    assert heard(watch) == [Committed(one.attempt, second)]
    assert [(a.attempt, a.batch) for a in watch.attempts] == [(second, "00000007.0")]
    write(store, third, "heartbeat", Heartbeat(third, 2.0))
    settle(store, "00000007.0")
    settle(store, "00000007.0.0")
    assert heard(watch) == [Committed(second, third), Committed(third)]
    assert watch.attempts == []


def test_several_steps_at_once_end_in_the_loss_of_the_last_name(watch: StoreWatch, store: Store) -> None:
    one = attempt()
    watch.expect(one, 0.0)
    second = keys.going_on(one.attempt)
    write(store, second, "heartbeat", Heartbeat(second, 1.0))
    settle(store, "00000007")
    loss = Loss("killed", second, task=3)
    write(store, second, "loss", loss)
    assert heard(watch) == [Committed(one.attempt, second), Lost(second, loss)]
    assert watch.attempts == []


def test_a_loss_is_told_with_its_evidence(watch: StoreWatch, store: Store) -> None:
    one, other = attempt(number=1), attempt(number=2)
    watch.expect(one, 0.0)
    watch.expect(other, 0.0)
    loss = Loss("the worker process ended with exit code 3", one.attempt, exit_code=3, task=2)
    write(store, one.attempt, "loss", loss)
    assert heard(watch) == [Lost(one.attempt, loss)]
    assert [a.attempt for a in watch.attempts] == [other.attempt]


def test_a_verdict_counts_for_more_than_a_loss(watch: StoreWatch, store: Store) -> None:
    one = attempt()
    watch.expect(one, 0.0)
    write(store, one.attempt, "loss", Loss("killed after its commit", one.attempt))
    settle(store, "00000007")
    assert heard(watch) == [Committed(one.attempt)]


def test_evidence_that_cannot_be_read_is_a_loss_too(watch: StoreWatch, store: Store) -> None:
    one = attempt()
    watch.expect(one, 0.0)
    store.put(keys.evidence("job", one.attempt, "loss"), b"{")
    (notice,) = heard(watch)
    assert isinstance(notice, Lost)
    assert "cannot be read" in notice.loss.reason


def test_an_attempt_that_was_found_over_before_it_was_expected(watch: StoreWatch, store: Store) -> None:
    settle(store, "00000007")
    watch.expect(attempt(), 0.0)
    assert heard(watch) == [Committed(attempt().attempt)]


def test_a_store_that_does_not_answer_is_looked_at_again(store: Store) -> None:
    faulty = FaultyStore(store, [Fault("list", times=2)])
    watch = StoreWatch(lambda _: faulty)
    watch.expect(attempt(), 0.0)
    settle(store, "00000007")
    assert [heard(watch), heard(watch)] == [[], []]
    assert heard(watch) == [Committed(attempt().attempt)]


def test_a_store_that_cannot_be_opened_loses_its_attempts_only(store: Store) -> None:
    def opened(url: str) -> Store:
        if url == "nowhere://":
            raise BadStoreURL("open", "", url, "no such scheme")
        return store

    watch = StoreWatch(opened)
    bad, good = attempt(store="nowhere://"), attempt(number=1)
    watch.expect(bad, 0.0)
    watch.expect(good, 0.0)
    (notice,) = heard(watch)
    assert isinstance(notice, Lost)
    assert notice.attempt == bad.attempt
    assert [one.attempt for one in watch.attempts] == [good.attempt]


# --- signs of life --------------------------------------------------------------------------------------


def names(attempts: list[Awaited]) -> list[str]:
    return [one.attempt for one in attempts]


def test_who_says_nothing_is_silent_after_a_while_and_told_again_every_now_and_then(
    watch: StoreWatch,
) -> None:
    one = attempt()
    watch.expect(one, 100.0)
    times = [t for t in range(100, 200) if watch.silent(float(t))]
    assert times[0] == 100 + -(-SILENT_S // CHECK_S) * CHECK_S
    assert {later - before for before, later in itertools.pairwise(times)} == {CHECK_S}


@pytest.mark.parametrize("count", [1, 40])
def test_who_gives_signs_of_life_is_not_silent_whatever_its_clock_says(
    watch: StoreWatch, store: Store, count: int
) -> None:
    alive = [attempt(number=n) for n in range(count)]
    for one in alive:
        watch.expect(one, 0.0)
    for t in range(0, 100, 10):
        for one in alive:
            write(store, one.attempt, "heartbeat", Heartbeat(one.attempt, t + 1e6))
        assert watch.silent(float(t)) == []
    # And falls silent when they stop.
    found = [t for t in range(100, 200) if names(watch.silent(float(t))) == names(watch.attempts)]
    assert found
    assert found[0] <= 90 + SILENT_S + 2 * CHECK_S


def test_a_store_that_does_not_answer_is_held_against_nobody(store: Store) -> None:
    faulty = FaultyStore(store, [Fault("get", times=None)])
    watch = StoreWatch(lambda _: faulty)
    watch.expect(attempt(), 0.0)
    assert not any(watch.silent(float(t)) for t in range(200))


@pytest.mark.parametrize("ending", [False, True])
def test_who_is_asked_to_stop_finds_word_of_it(
    watch: StoreWatch, store: Store, monkeypatch: pytest.MonkeyPatch, ending: bool
) -> None:
    # What the standard library sets when the program has come to its end, while executors are still waited for.
    monkeypatch.setattr("concurrent.futures.thread._shutdown", ending)
    asked = [watch.expect(attempt(number=n), 0.0) for n in range(20)]
    watch.expect(attempt(number=20), 0.0)
    watch.ask_to_stop(asked)
    found = {key.split("/")[3] for key in store.list(keys.attempts("job")) if key.endswith("/cancel")}
    assert found == set(names(asked))
    watch.close()
