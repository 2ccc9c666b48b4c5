"""What the wrappers count, repeat and break."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from wrens.clock import VirtualClock
from wrens.errors import AlreadyExists, ObjectMissing, StoreDenied, StoreUnavailable, UncertainWrite
from wrens.store import Fault, FaultyStore, MeteredStore, Reading, RetryingStore, Store, StoreRetry
from wrens.store.cloud import memory
from wrens.testing.store_contract import together


def fresh() -> Store:
    return memory("memory://unit")


def patient(*faults: Fault, attempts: int = 5) -> tuple[RetryingStore, Store, VirtualClock]:
    inner, clock = fresh(), VirtualClock()
    return RetryingStore(FaultyStore(inner, faults), StoreRetry(attempts=attempts), clock), inner, clock


# --- retrying ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["error", "lost_reply", "torn"])
@pytest.mark.parametrize("mode", ["if_absent", "replace"])
@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_put_gets_through(kind: str, mode: str, times: int) -> None:
    store, inner, _ = patient(Fault("put", kind=kind, times=times))
    store.put("k", [b"mine ", bytearray(b"all of it")], mode=mode)
    assert bytes(inner.get("k")) == b"mine all of it"


def test_a_lost_reply_does_not_hide_that_another_had_won() -> None:
    store, inner, _ = patient(Fault("put", kind="lost_reply"))
    inner.put("k", b"theirs")
    with pytest.raises(AlreadyExists):
        store.put("k", b"mine")
    assert bytes(inner.get("k")) == b"theirs"


def test_another_may_win_between_two_tries() -> None:
    inner = fresh()

    def script(action: str, key: str, call: int) -> Fault | None:
        if call == 1:
            inner.put("k", b"theirs")
            return Fault(kind="error")
        return None

    with pytest.raises(AlreadyExists):
        RetryingStore(FaultyStore(inner, script), clock=VirtualClock()).put("k", b"mine")


def test_when_no_try_is_answered_the_object_tells() -> None:
    store, inner, _ = patient(Fault("put", kind="lost_reply", times=None), attempts=1)
    store.put("mine", b"mine")
    store, inner, _ = patient(Fault("put", kind="error", times=None))
    inner.put("theirs", b"theirs")
    with pytest.raises(AlreadyExists):
        store.put("theirs", b"mine")
    with pytest.raises(UncertainWrite):
        store.put("nobody's", b"mine")
    with pytest.raises(StoreUnavailable):
        store.put("nobody's", b"mine", mode="replace")


def test_doubt_that_cannot_be_resolved_is_reported() -> None:
    store, _, _ = patient(Fault("put", kind="lost_reply"), Fault("get", times=None))
    with pytest.raises(UncertainWrite) as caught:
        store.put("k", b"mine")
    assert "reading back failed" in str(caught.value)


def test_reading_back_is_retried_too() -> None:
    store, _, _ = patient(Fault("put", kind="lost_reply"), Fault("get", times=3))
    store.put("k", b"mine")


def test_get_and_delete_are_repeated_as_often_as_the_policy_says() -> None:
    store, inner, _ = patient(Fault("get", times=4), Fault("delete", kind="lost_reply", times=4))
    inner.put("k", b"v")
    assert bytes(store.get("k")) == b"v"
    store.delete(iter(["k"]))
    assert [*inner.list("")] == []
    store, _, _ = patient(Fault("get", times=5), Fault("delete", times=5), Fault("list", times=5))
    for call in (lambda: store.get("k"), lambda: store.delete(["k"]), lambda: [*store.list("")]):
        with pytest.raises(StoreUnavailable):
            call()


def test_a_listing_that_breaks_goes_on_where_it_was() -> None:
    store, inner, _ = patient(Fault("list", kind="torn", times=5), attempts=2)
    for key in "abcde":
        inner.put(key, b"")
    assert [*store.list("")] == [*"abcde"]


def test_only_unavailability_is_worth_another_try() -> None:
    calls = []

    class Denying:
        url = "s3://b"

        def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
            calls.append(key)
            raise StoreDenied("get", key, self.url)

    with pytest.raises(StoreDenied):
        RetryingStore(Denying(), clock=VirtualClock()).get("k")
    with pytest.raises(ObjectMissing):
        patient()[0].get("k")
    assert calls == ["k"]


def test_the_waits_grow_up_to_a_cap_and_are_bounded() -> None:
    store, _, clock = patient(Fault("get", times=None))
    with pytest.raises(StoreUnavailable):
        store.get("k")
    assert 0.5 * 0.75 <= clock.now() <= 0.75  # 0.05 + 0.1 + 0.2 + 0.4, each at least half
    assert StoreRetry(cap_s=2.0).longest_s(50) == 2.0


# --- metering ------------------------------------------------------------------------------------------


def test_requests_and_bytes_are_counted() -> None:
    store = MeteredStore(fresh())
    store.put("a", [b"ab", memoryview(b"cd")])
    store.put("b", b"x", mode="replace")
    with pytest.raises(AlreadyExists):
        store.put("a", b"xy")
    store.get("a", start=1)
    with pytest.raises(ObjectMissing):
        store.get("c")
    before = store.reading()
    assert before == Reading(puts=3, gets=2, lists=0, deletes=0, bytes_in=7, bytes_out=3)
    store.delete(["a"])
    store.delete([])
    store.delete(f"n/{n}" for n in range(2001))
    assert (store.reading() - before) == Reading(deletes=4)
    assert before.deletes == 0


@pytest.mark.parametrize(("keys", "requests"), [(0, 1), (1, 1), (1000, 1), (1001, 2)])
def test_a_listing_is_a_request_for_each_thousand_keys(keys: int, requests: int) -> None:
    store = MeteredStore(fresh())
    for n in range(keys):
        store.put(f"{n}", b"")
    assert len([*store.list("")]) == keys
    assert store.reading().lists == requests


def test_nothing_is_lost_in_counting() -> None:
    store = MeteredStore(fresh())

    def work(number: int) -> None:
        for n in range(200):
            store.put(f"{number}/{n}", b"xyz")

    together(8, work)
    assert store.reading() == Reading(puts=1600, bytes_in=4800)


# --- the budget ----------------------------------------------------------------------------------------


class Counting:
    """Fails as the script says, and counts what it is asked."""

    url = "s3://b"

    def __init__(self, fails: Callable[[int], bool]) -> None:
        self.fails, self.calls = fails, 0

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        self.calls += 1
        if self.fails(self.calls):
            raise StoreUnavailable("get", key, self.url, "503 SlowDown")
        return memoryview(b"v")


def budgeted(fails: Callable[[int], bool], **policy: float) -> tuple[RetryingStore, Counting, VirtualClock]:
    inner: Any = Counting(fails)
    clock = VirtualClock()
    return RetryingStore(inner, StoreRetry(attempts=8, **policy), clock), inner, clock  # type: ignore[arg-type]


def test_when_everything_fails_requests_are_hardly_repeated() -> None:
    store, inner, clock = budgeted(lambda n: True, reserve=50)
    for _ in range(1000):
        with pytest.raises(StoreUnavailable):
            store.get("k")
    assert inner.calls == 1000 + 50
    before = clock.now()
    with pytest.raises(StoreUnavailable, match="all 50 repetitions which they had in advance") as caught:
        store.get("k")
    assert clock.now() == before, "who may not repeat does not wait either"
    assert "503 SlowDown" in str(caught.value)


def test_a_store_that_recovers_is_asked_with_patience_again() -> None:
    store, inner, _ = budgeted(lambda n: n <= 40 or (n > 60 and n % 2 == 1), reserve=10, earned=1.0)
    for _ in range(30):
        with pytest.raises(StoreUnavailable):
            store.get("k")
    for _ in range(200):  # every second request fails: each success earns the repetition of the next
        store.get("k")
    assert inner.calls == 40 + 20 + 180 * 2


def test_when_some_requests_fail_the_load_is_bounded() -> None:
    answered = 0
    store, inner, _ = budgeted(lambda n: n % 10 != 0, reserve=20, earned=0.5)  # nine of ten fail
    for _ in range(500):
        with suppress(StoreUnavailable):
            store.get("k")
            answered += 1
    assert inner.calls <= 500 + 20 + 0.5 * answered


def test_no_try_begins_after_the_time_is_up() -> None:
    store, inner, clock = budgeted(lambda n: (clock.sleep(70), True)[1], give_up_s=100)
    with pytest.raises(StoreUnavailable, match="tried for 100 s"):
        store.get("k")
    assert inner.calls == 3


# --- faults --------------------------------------------------------------------------------------------


def outcomes(store: FaultyStore, keys: list[str]) -> str:
    """One letter for each put: done, failed, or failed although it was done."""
    letters = ""
    for key in keys:
        try:
            store.put(key, b"")
            letters += "."
        except StoreUnavailable:
            letters += "L" if [*store._inner.list("")].count(key) else "x"
    return letters


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("put"), "x....."),
        (Fault("put", nth=3), "..x..."),
        (Fault("put", nth=2, times=2), ".xx..."),
        (Fault("put", nth=4, times=None), "...xxx"),
        (Fault("*", nth=2, kind="lost_reply"), ".L...."),
        (Fault("put", kind="torn"), "x....."),
        (Fault("put", key_contains="b", nth=2), "...x.."),
        (Fault("get", times=None), "......"),
        (Fault("put", kind="delay", seconds=5, times=2), "......"),
    ],
)
def test_rules(fault: Fault, expected: str) -> None:
    clock = VirtualClock()
    store = FaultyStore(fresh(), [fault], clock)
    assert outcomes(store, ["a1", "b1", "a2", "b2", "a3", "b3"]) == expected
    assert clock.now() == (10 if fault.kind == "delay" else 0)


def test_the_first_rule_that_is_due_decides_and_all_count() -> None:
    store = FaultyStore(fresh(), [Fault("put", nth=2), Fault("put", nth=2, kind="lost_reply", times=2)])
    assert outcomes(store, [*"abcd"]) == ".xL."


def test_a_script_may_be_a_function() -> None:
    seen = []

    def script(action: str, key: str, call: int) -> Fault | None:
        seen.append((action, key, call))
        return Fault() if key == "b" else None

    store = FaultyStore(fresh(), script)
    assert outcomes(store, [*"ab"]) == ".x"
    store.delete(["q", "r"])
    assert seen == [("put", "a", 1), ("put", "b", 2), ("delete", "q", 3)]


def test_wrappers_show_the_url_of_what_they_wrap() -> None:
    for order in itertools.permutations([MeteredStore, RetryingStore, lambda inner: FaultyStore(inner, [])]):
        store: Store = fresh()
        for wrap in order:
            store = wrap(store)
        assert store.url == "memory://unit"
