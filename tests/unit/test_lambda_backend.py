"""The backend lambda where time, the service and the store do what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from wrens.backends.aws_lambda import orders
from wrens.backends.aws_lambda.backend import INQUIRIES, NEVER_S, LambdaBackend
from wrens.backends.aws_lambda.clients import Throttled
from wrens.backends.aws_lambda.service import Facts
from wrens.backends.base import Committed, Lost, Notice
from wrens.backends.watching import SILENT_S
from wrens.clock import Clock, SystemClock, VirtualClock
from wrens.store import Store, open_store
from wrens.wire import decoders, envelope, keys
from wrens.wire.records import Heartbeat, Invocation, Loss, Policy

URL = "memory://lambda-backend"


class Scripted:
    """A service whose functions do nothing, and whose log says what it is told to say."""

    region = "nowhere-1"

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        """The function of each attempt that was taken."""
        self.asked: list[str] = []
        self.log: dict[str, list[str]] = {}
        self.before: Callable[[], None] = lambda: None
        """Called before an invocation is taken; may refuse it."""

    def describe(self, name: str) -> Facts:
        memory_mb = 2048 if name == "large" else 512
        return Facts(name, memory_mb, 60, 512, 1000, "x86_64", "Active")

    def invoke(self, name: str, payload: bytes) -> None:
        self.before()
        for one in decoders.from_json(orders.Order, payload).invocations:
            self.taken[one.attempt] = name

    def close(self) -> None:
        """There is nothing to close."""

    def try_out(self, name: str, payload: bytes) -> orders.Answer:
        return orders.Answer()

    def log_of(self, name: str, words: str, since_ms: int) -> list[str]:
        attempt = words.split()[2]
        self.asked.append(attempt)
        return self.log.get(attempt, []) if name == "small" else []


class Gate:
    """Holds a request open until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.reached, self._let_go, self._error = threading.Event(), threading.Event(), error

    def __call__(self) -> None:
        self.reached.set()
        self._let_go.wait(10)
        if self._error is not None:
            raise self._error

    def open(self) -> None:
        self._let_go.set()


class Counting(SystemClock):
    """Counts how often the time is asked for, by each thread."""

    def __init__(self) -> None:
        self.asked: dict[int, int] = {}

    def now(self) -> float:
        me = threading.get_ident()
        self.asked[me] = self.asked.get(me, 0) + 1
        return super().now()


@pytest.fixture
def store() -> Iterator[Store]:
    found = open_store(URL)
    yield found
    found.delete(list(found.list("")))


@pytest.fixture
def service() -> Scripted:
    return Scripted()


@pytest.fixture
def opened(service: Scripted) -> Iterator[Callable[..., LambdaBackend]]:
    made: list[LambdaBackend] = []

    def open_(clock: Clock | None = None, larger: Sequence[str] = ()) -> LambdaBackend:
        made.append(LambdaBackend(function="small", larger=larger, service=service, clock=clock))  # type: ignore[arg-type]
        return made[-1]

    yield open_
    for backend in made:
        backend._watch.forget(backend._watch.attempts)
        backend.close()


def left(store: Store) -> list[str]:
    """Return what is in the store, beside the trial of the function."""
    return [key for key in store.list("") if "/trial." not in key]


def attempt(number: int = 0, memory_mb: int | None = None) -> Invocation:
    batch = f"{number:08d}"
    policy = Policy(memory_mb=memory_mb)
    return Invocation(
        1, URL, "job", batch, f"{batch}.{number}-x", "f", "one", number, 1, 0, 0, 1, 0, policy=policy
    )


def sent(backend: LambdaBackend, count: int = 1) -> None:
    """Wait until this many are awaited."""
    end = SystemClock().now() + 10
    while len(backend._watch.attempts) < count and SystemClock().now() < end:
        assert backend.poll(0.0) == []
    assert len(backend._watch.attempts) == count


def polled(backend: LambdaBackend) -> list[Notice]:
    """Poll until something is seen."""
    end = SystemClock().now() + 10
    seen: list[Notice] = []
    while not seen and SystemClock().now() < end:
        seen += backend.poll(0.2)
    return seen


def test_waiting_for_a_service_that_refuses_costs_no_processor(
    service: Scripted, opened: Callable[..., LambdaBackend]
) -> None:
    service.before = gate = Gate()
    clock = Counting()
    backend = opened(clock)
    backend.launch([attempt()])
    before = clock.asked[threading.get_ident()]
    assert backend.poll(0.6) == []
    assert clock.asked[threading.get_ident()] - before < 40
    gate.open()
    sent(backend)


def test_what_is_cancelled_while_its_request_is_open_is_sent_no_more_when_it_is_refused(
    service: Scripted, opened: Callable[..., LambdaBackend], store: Store
) -> None:
    service.before = gate = Gate(Throttled())
    backend = opened()
    backend.launch([attempt()])
    assert gate.reached.wait(10)
    backend.cancel([attempt().attempt])
    gate.open()
    (notice,) = polled(backend)
    assert isinstance(notice, Lost)
    assert (notice.attempt, notice.loss.reason, notice.loss.started) == (
        attempt().attempt,
        "cancelled",
        False,
    )
    assert service.taken == {}
    assert left(store) == []
    assert backend._unwanted == set()


def test_what_is_cancelled_while_its_request_is_open_is_asked_to_stop_when_it_was_taken(
    service: Scripted, opened: Callable[..., LambdaBackend], store: Store
) -> None:
    service.before = gate = Gate()
    backend = opened()
    backend.launch([attempt()])
    assert gate.reached.wait(10)
    backend.cancel([attempt().attempt])
    assert left(store) == []
    gate.open()
    sent(backend)
    assert left(store) == [keys.evidence("job", attempt().attempt, "cancel")]


def test_closing_asks_those_to_stop_whose_request_was_open(
    service: Scripted, opened: Callable[..., LambdaBackend], store: Store
) -> None:
    service.before = gate = Gate()
    backend = opened()
    backend.launch([attempt()])
    assert gate.reached.wait(10)
    closing = threading.Thread(target=backend.close)
    closing.start()
    gate.open()
    key = keys.evidence("job", attempt().attempt, "cancel")
    end = SystemClock().now() + 10
    while key not in left(store):
        assert SystemClock().now() < end
    store.put(keys.verdict("job", attempt().batch), b"a verdict")
    closing.join(10)
    assert not closing.is_alive()


def test_a_verdict_that_is_there_before_the_request_is_answered_is_found(
    service: Scripted, opened: Callable[..., LambdaBackend], store: Store
) -> None:
    service.before = lambda: store.put(keys.verdict("job", attempt().batch), b"a verdict")
    backend = opened()
    backend.launch([attempt()])
    assert polled(backend) == [Committed(attempt().attempt)]


def test_nothing_stays_of_the_functions_trial(opened: Callable[..., LambdaBackend], store: Store) -> None:
    backend = opened()
    backend.launch([attempt()])
    sent(backend)
    backend._watch.forget(backend._watch.attempts)
    backend.close()
    assert list(store.list("")) == []


# --- those that say nothing -----------------------------------------------------------------------------


def after(backend: LambdaBackend, clock: VirtualClock, seconds: float) -> list[Notice]:
    """Let time pass in small steps, and return what is seen."""
    seen: list[Notice] = []
    for _ in range(int(seconds)):
        clock.advance(1.0)
        seen += backend.poll(0.0)
    return seen


REPORT = "REPORT RequestId: 1\tDuration: 9000.00 ms\tMemory Size: 512 MB\tMax Memory Used: 512 MB"
KILLED = "RequestId: 1 Error: Runtime exited with error: signal: killed"


def test_the_log_says_how_a_worker_ended_that_left_nothing(
    service: Scripted, opened: Callable[..., LambdaBackend]
) -> None:
    clock = VirtualClock()
    backend = opened(clock, larger=["large"])
    backend.launch([attempt()])
    sent(backend)
    service.log[attempt().attempt] = [
        f"wrens attempt {attempt().attempt} of job job, tasks 0 to 0",
        KILLED,
        REPORT,
    ]
    assert after(backend, clock, SILENT_S - 1) == []
    (notice,) = after(backend, clock, 30)
    assert isinstance(notice, Lost)
    assert notice.loss.reason == "the platform ended it for want of memory"
    assert (notice.loss.memory_mb, notice.loss.memory_limit_mb, notice.loss.ran_s) == (512, 512, 9)
    # What ran out of memory is tried again where there is more, and nothing else is.
    again = Invocation(
        1, URL, "job", "00000000", "00000000.9-x", "f", "one", 0, 1, 0, 0, 1, 0, policy=Policy()
    )
    backend.launch([again, attempt(1), attempt(2, memory_mb=1000)])
    sent(backend, 3)
    assert [service.taken[one] for one in ("00000000.9-x", "00000001.1-x", "00000002.2-x")] == [
        "large",
        "small",
        "large",
    ]


def test_what_was_sent_and_has_not_begun_is_given_time_and_then_given_up(
    service: Scripted, opened: Callable[..., LambdaBackend]
) -> None:
    clock = VirtualClock()
    backend = opened(clock)
    backend.launch([attempt()])
    sent(backend)
    assert after(backend, clock, NEVER_S - 1) == []
    (notice,) = after(backend, clock, 30)
    assert isinstance(notice, Lost)
    assert "had not begun" in notice.loss.reason
    assert not notice.loss.started


def test_what_has_begun_and_shows_no_sign_may_run_as_long_as_its_platform_lets_it(
    service: Scripted, opened: Callable[..., LambdaBackend]
) -> None:
    clock = VirtualClock()
    backend = opened(clock)
    backend.launch([attempt()])
    sent(backend)
    service.log[attempt().attempt] = [f"wrens attempt {attempt().attempt} of job job, tasks 0 to 0"]
    assert after(backend, clock, 60) == []
    (notice,) = after(backend, clock, NEVER_S + 60)
    assert isinstance(notice, Lost)
    assert notice.loss.started


def test_a_worker_that_falls_silent_is_lost(
    service: Scripted, opened: Callable[..., LambdaBackend], store: Store
) -> None:
    clock = VirtualClock()
    backend = opened(clock)
    backend.launch([attempt()])
    sent(backend)
    for at in range(10):
        key = keys.evidence("job", attempt().attempt, "heartbeat")
        store.put(key, envelope.to_json(Heartbeat(attempt().attempt, 1e9 + at)), mode="replace")
        assert after(backend, clock, 10) == []
    assert service.asked == []
    (notice,) = after(backend, clock, SILENT_S + 40)
    assert isinstance(notice, Lost)
    assert "no sign of life any more" in notice.loss.reason


def test_a_thousand_that_wait_for_their_turn_are_inquired_after_a_few_at_a_time(
    service: Scripted, opened: Callable[..., LambdaBackend], store: Store
) -> None:
    clock = VirtualClock()
    backend = opened(clock)
    backend.launch([attempt(n) for n in range(1000)])
    sent(backend, 1000)
    clock.advance(SILENT_S + 1)
    for _ in range(50):
        before = len(service.asked)
        backend.poll(0.0)
        assert len(service.asked) - before <= INQUIRIES
        clock.advance(1.0)
    assert len(service.asked) == len(set(service.asked)) == 50 * INQUIRIES, "all come to their turn"
    # Who has ended meanwhile is not asked for.
    for n in range(1000):
        key = keys.evidence("job", attempt(n).attempt, "loss")
        store.put(key, envelope.to_json(Loss("killed", attempt(n).attempt)))
    assert len(backend.poll(0.0)) == 1000
    asked = len(service.asked)
    assert after(backend, clock, 50) == []
    assert len(service.asked) == asked
