"""Sending to Lambda: nothing is dropped or forgotten, however the service refuses; orders divide without a loss."""

from __future__ import annotations

import random  # noqa: TID251 - from a seed
import threading
from collections import Counter, deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrens.backends.aws_lambda import orders, pacing
from wrens.backends.aws_lambda.clients import Throttled, Unreachable
from wrens.backends.aws_lambda.invoking import Invoker, Withdrawn
from wrens.backends.aws_lambda.orders import Order
from wrens.backends.aws_lambda.pacing import Window
from wrens.clock import SystemClock
from wrens.errors import BackendError
from wrens.wire import decoders
from wrens.wire.records import Invocation, Policy

# --- how many requests are open -------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["open", "taken", "refused", "failed"]), max_size=400), st.randoms())
def test_the_window_stays_within_its_bounds_and_is_cut_once_for_what_was_open_together(
    steps: list[str], chance: random.Random
) -> None:
    window, eras = Window(), list[int]()
    cut: set[int] = set()
    for step in steps:
        before = window.size
        if step == "open":
            if window.room:
                eras.append(window.open())
            continue
        if not eras:
            continue
        era = eras.pop(chance.randrange(len(eras)))
        if step == "taken":
            window.taken()
            assert window.size == min(window.most, before + 1 / before)
        elif step == "refused":
            window.refused(era)
            assert window.size == (before if era in cut else max(1.0, before / 2))
            cut.add(era)
        else:
            window.failed()
            assert window.size == before
        assert 1.0 <= window.size <= window.most
        assert window.opened == len(eras)
        assert 0.0 <= window.pause_s() <= pacing.LONGEST_PAUSE_S


def test_a_window_that_is_never_refused_grows_by_one_for_each_round() -> None:
    window = Window()
    for _ in range(10):
        before = window.size
        for _ in [window.open() for _ in range(window.room)]:
            window.taken()
        assert before + 0.5 < window.size <= before + 1


def test_there_is_always_room_for_one_request() -> None:
    window = Window()
    for _ in range(100):
        window.refused(window.open())
    assert window.room == 1


# --- orders ---------------------------------------------------------------------------------------------


@given(st.integers(1, 100_000), st.integers(1, 128))
def test_attempts_travel_alone_unless_many_wait_and_never_more_than_an_order_holds(
    backlog: int, requests: int
) -> None:
    count = orders.together(backlog, requests)
    assert 1 <= count <= min(orders.TOGETHER, backlog)
    assert count == 1 or backlog > orders.BACKLOG * requests
    # So many stay behind that every request which may be open has something to carry.
    assert count == 1 or backlog - count * requests >= requests


@given(st.integers(1, 200))
def test_a_tree_of_workers_begins_every_attempt_once_and_each_sends_on_a_few(count: int) -> None:
    begun: Counter[int] = Counter()
    level: deque[tuple[Order, int]] = deque([(Order(1, 0.0, "f", tuple(range(count))), 0)])  # type: ignore[arg-type]
    deepest = 0
    while level:
        order, depth = level.popleft()
        begun[order.invocations[0]] += 1  # type: ignore[index]
        parts = orders.divided(order)
        assert len(parts) <= orders.BRANCHES
        assert max(map(_size, parts), default=0) - min(map(_size, parts), default=0) <= 1
        deepest = max(deepest, depth)
        level += [(part, depth + 1) for part in parts]
    assert begun == dict.fromkeys(range(count), 1)
    assert orders.BRANCHES ** (deepest - 1) < count


def _size(order: Order) -> int:
    return len(order.invocations)


# --- what becomes of attempts ---------------------------------------------------------------------------


def attempt(number: int) -> Invocation:
    return Invocation(
        *(1, "memory://none", "job", f"{number:08d}", f"{number:08d}.0-x", "f", "one", number, 1, 0, 0, 1, 0),
        policy=Policy(),
    )


class Scripted:
    """A service that refuses and fails at random, and notes what it takes."""

    def __init__(self, seed: int, *, throttled: float, failed: float, lost_replies: float = 0.0) -> None:
        self._chance, self._lock = random.Random(seed), threading.Lock()
        self._throttled, self._failed, self._lost = throttled, failed, lost_replies
        self.taken: Counter[str] = Counter()

    def __call__(self, function: str, payload: bytes) -> None:
        with self._lock:
            dice = self._chance.random()
            if dice < self._throttled:
                raise Throttled
            if dice < self._throttled + self._failed:
                raise Unreachable
            order = decoders.from_json(orders.Order, payload)
            self.taken.update(one.attempt for one in order.invocations)
            if dice > 1 - self._lost:
                raise Unreachable


class Heard:
    """What an invoker reports."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.failed: dict[str, Exception] = {}
        self._changed = threading.Condition()

    def on_sent(self, invocations: Sequence[Invocation]) -> None:
        with self._changed:
            self.sent.update(one.attempt for one in invocations)
            self._changed.notify_all()

    def on_failed(self, invocations: Sequence[Invocation], error: Exception) -> None:
        with self._changed:
            self.failed |= {one.attempt: error for one in invocations}
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.sent) + len(self.failed) >= count, 30)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Invoker, "_pause", lambda self, _: None)


@pytest.mark.parametrize("seed", range(5))
def test_every_attempt_is_sent_whatever_the_service_refuses(seed: int) -> None:
    service, heard = Scripted(seed, throttled=0.3, failed=0.1, lost_replies=0.05), Heard()
    invoker = Invoker(service, SystemClock(), heard.on_sent, heard.on_failed)
    all_of_them = [attempt(n) for n in range(2000)]
    invoker.put(all_of_them[:1900], lambda _: "f")
    invoker.put(all_of_them[1900:], lambda _: "f")
    heard.wait(2000)
    invoker.close()
    assert heard.failed == {}
    assert set(service.taken) == {one.attempt for one in all_of_them}
    assert heard.sent == dict.fromkeys((one.attempt for one in all_of_them), 1), "each is reported once"
    assert invoker.requests < 2000, "most travelled together"


@pytest.mark.parametrize("seed", range(5))
def test_what_was_withdrawn_is_not_sent_or_said_to_be_on_its_way(seed: int) -> None:
    service, heard = Scripted(seed, throttled=0.5, failed=0.1), Heard()
    invoker = Invoker(service, SystemClock(), heard.on_sent, heard.on_failed)
    invoker.put([attempt(n) for n in range(500)], lambda _: "f")
    unwanted = {attempt(n).attempt for n in range(0, 500, 2)}
    back, on_their_way = invoker.withdraw(unwanted)
    heard.wait(500 - len(back))
    invoker.close()
    assert set(service.taken).isdisjoint(back)
    withdrawn = {name for name, error in heard.failed.items() if isinstance(error, Withdrawn)}
    assert withdrawn == set(heard.failed)
    assert withdrawn <= on_their_way
    assert set(back) | on_their_way <= unwanted
    everyone = {attempt(n).attempt for n in range(500)}
    assert set(heard.sent) | withdrawn | set(back) == everyone, "each is accounted for"
    assert set(heard.sent).isdisjoint(withdrawn | set(back)), "and once"


def test_a_service_that_never_answers_is_given_up_and_one_that_refuses_for_good_at_once() -> None:
    silent, heard = Scripted(1, throttled=0.0, failed=1.0), Heard()
    invoker = Invoker(silent, SystemClock(), heard.on_sent, heard.on_failed)
    invoker.put([attempt(0)], lambda _: "f")
    heard.wait(1)
    assert isinstance(heard.failed[attempt(0).attempt], Unreachable)
    assert invoker.requests == 10

    def refuses(function: str, payload: bytes) -> None:
        raise BackendError("lambda", "no permission", "", "")

    heard = Heard()
    other = Invoker(refuses, SystemClock(), heard.on_sent, heard.on_failed)
    other.put([attempt(0)], lambda _: "f")
    heard.wait(1)
    assert isinstance(heard.failed[attempt(0).attempt], BackendError)
    assert other.requests == 1
    for one in (invoker, other):
        one.close()


def test_large_attempts_and_those_of_other_functions_travel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "together", lambda backlog, _: min(backlog, 32))
    seen: list[Order] = []
    heard = Heard()
    invoker = Invoker(
        lambda _, payload: seen.append(decoders.from_json(orders.Order, payload)),
        SystemClock(),
        heard.on_sent,
        heard.on_failed,
    )
    many = [attempt(n) for n in range(64)]
    invoker.put(many, lambda one: "large" if one.start % 16 == 0 else "small")
    heard.wait(64)
    invoker.close()
    assert sum(len(order.invocations) for order in seen) == 64
    for order in seen:
        assert len({one.start % 16 == 0 for one in order.invocations}) == 1
        assert order.function == ("large" if order.invocations[0].start % 16 == 0 else "small")
