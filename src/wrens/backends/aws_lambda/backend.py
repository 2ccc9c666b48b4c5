"""The backend ``lambda``: attempts are asynchronous invocations of a function.

    launch ──▶ invoking ──▶ the service ──▶ handler, in the function ──▶ verdict, loss, heartbeat
                                                                                 │
    poll   ◀──────────── watching: two listings for each job ◀───────────────────┘
             ◀────────── the log, for an attempt that gives no sign of life

Decides which function gets an attempt, how often the store is looked at, and when an attempt that says nothing
counts as lost. Nothing here is needed for a result to be right.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Self

import msgspec

from wrens.backends.aws_lambda import orders
from wrens.backends.aws_lambda.clients import Throttled, Unreachable
from wrens.backends.aws_lambda.evidence import Ending, ending
from wrens.backends.aws_lambda.invoking import Invoker, Withdrawn
from wrens.backends.aws_lambda.naming import (
    GLIBC_VARIABLE,
    WORKER_HAS,
    chosen_function,
    libc,
    python_version,
)
from wrens.backends.aws_lambda.service import Facts, Service, check
from wrens.backends.base import Committed, Limits, Lost, Notice
from wrens.backends.watching import Awaited, StoreWatch
from wrens.clock import Clock, SystemClock
from wrens.environments.platform import Platform
from wrens.errors import BackendError, BadOption, StoreError
from wrens.store import open_store
from wrens.wire import envelope, keys
from wrens.wire.records import VERSION, Heartbeat, Invocation, Loss, Refusal

LAUNCH_S = 0.1
SOONEST_LOOK_S, LATEST_LOOK_S = 0.1, 1.0
"""How often the store is looked at: soon after something was seen, more and more seldom while nothing is."""
NEVER_S = 300.0
"""How long an invocation may be on its way before it counts as never started."""
FAREWELL_S = 5.0
"""How long workers that were asked to stop are waited for."""
INQUIRIES = 4
"""How many logs are read with each look: the service answers no more than a few such questions in a second."""


class LambdaBackend:
    """Runs attempts on AWS Lambda.

    Args:
        max_workers: How many attempts run at a time, at most; by default what the account or the function may.
        function: Its name; see :func:`wrens.backends.aws_lambda.naming.chosen_function`.
        larger: Functions with more memory, in order. An attempt that ran out of memory is run again on the next.
        region: By default that of AWS's standard chain.
        service: What speaks to AWS; by default boto3.
        clock: The time.

    Raises:
        BackendError: if the service, the function or a permission is missing.
        VersionMismatch: if the function has another wrens or Python.
        BadOption: if ``max_workers`` is less than 1.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        function: str | None = None,
        larger: Sequence[str] = (),
        region: str | None = None,
        service: Service | None = None,
        clock: Clock | None = None,
    ) -> None:
        if max_workers is not None and max_workers < 1:
            raise BadOption(f"max_workers={max_workers}", "leaves nobody to work", "Use 1 or more, or None.")
        self._clock = clock or SystemClock()
        self._service = service or Service(region=region, connections=64)
        names = [function or chosen_function(), *larger]
        self.name = f"lambda:{names[0]}"
        self._functions = [self._service.describe(name) for name in names]
        for facts in self._functions:
            check(facts)
        self.limits = _limits(self._functions, max_workers)
        self._rungs: dict[tuple[str, int], int] = {}
        """On which of the functions a task begins that ran out of memory before."""
        self._watch = StoreWatch(partial(open_store, decided=True))
        self._tried: dict[str, Refusal | None] = {}
        """For each store, what stands in the way of every attempt there, as far as is known."""
        self._trials: list[threading.Thread] = []
        self._sent: deque[Invocation] = deque()
        self._unwanted: set[str] = set()
        """Cancelled while their request was open."""
        self._invoker = Invoker(self._service.invoke, self._clock, self._on_sent, self._not_sent)
        self._news: list[Notice] = []
        """Seen by other threads."""
        self._changed = threading.Condition()
        self._woken = self._closed = False
        self._silent: dict[str, Awaited] = {}
        """Those to inquire after, by name."""
        self._look_s = SOONEST_LOOK_S
        self._look_at = 0.0
        self._owner = os.getpid()

    @classmethod
    def named(cls, function: str, *, max_workers: int | None = None) -> Self:
        """Return the backend that runs attempts on this function."""
        return cls(max_workers, function=function)

    def launch(self, invocations: Sequence[Invocation]) -> None:
        """Have these attempts sent; what the service refuses for being too much is sent again."""
        for url, job in {one.store: one.job for one in invocations}.items():
            if url not in self._tried:
                self._tried[url] = None
                trial = threading.Thread(target=self._try, args=(url, job), name="wrens-trial", daemon=True)
                self._trials.append(trial)
                trial.start()
        self._invoker.put([_for_the_wire(one) for one in invocations], self._function_of)
        self._look_soon()

    def poll(self, timeout_s: float) -> Sequence[Notice]:
        """Return what has been seen since, waiting up to ``timeout_s`` for something to be seen."""
        end = self._clock.now() + timeout_s
        while True:
            now = self._clock.now()
            seen = self._take_news(now)
            if self._watch.attempts and now >= self._look_at:
                seen += self._look(now)
            with self._changed:
                woken, self._woken = self._woken, False
                if seen or woken or now >= end:
                    return seen
                if not (self._news or self._sent):
                    due = min(end, self._look_at) if self._watch.attempts else end
                    self._changed.wait(max(0.0, due - self._clock.now()))

    def wake(self) -> None:
        """Make a :meth:`poll` that waits return at once; callable from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def cancel(self, attempts: Collection[str]) -> None:
        """Take back what has not been sent, and ask the others' hosts to end them, which takes them a second or two."""
        back, on_their_way = self._invoker.withdraw(attempts)
        self._tell([Lost(one, self._unbegun(one, "cancelled")) for one in back])
        self._unwanted |= on_their_way
        self._expect_sent(self._clock.now())
        self._watch.ask_to_stop([one for one in self._watch.attempts if one.attempt in attempts])
        self._look_soon()

    def close(self) -> None:
        """Send nothing more, ask what runs to stop, and wait for that a little; idle workers are the platform's."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._owner:
            return
        self._invoker.close()
        end = self._clock.now() + FAREWELL_S
        asked: set[str] = set()
        while True:
            self._expect_sent(self._clock.now())
            # What a request was open for is sent a little later.
            new = [one for one in self._watch.attempts if one.attempt not in asked]
            self._watch.ask_to_stop(new)
            asked.update(one.attempt for one in new)
            if not (self._watch.attempts or self._invoker.busy) or self._clock.now() >= end:
                break
            self._clock.sleep(SOONEST_LOOK_S)
            self._watch.look()
        for trial in self._trials:
            trial.join(max(0.0, end - self._clock.now()))  # or it would write to a job that is deleted
        self._watch.close()
        self._service.close()

    # --- what is seen ---

    def _look(self, now: float) -> list[Notice]:
        """Look into the store, and after those that say nothing."""
        seen = self._watch.look()
        for one in [each for each in self._watch.attempts if self._tried.get(each.store)]:
            refused = self._tried[one.store]
            self._watch.forget([one])
            told = (
                f"the function's trial failed: {refused.error}: {'; '.join(refused.facts)}" if refused else ""
            )
            seen.append((one, Lost(one.attempt, self._unbegun(one.attempt, told, refused))))
        for one, loss in self._inquiries(now):
            self._watch.forget([one])
            seen.append((one, Lost(one.attempt, loss)))
        for one, notice in seen:
            if isinstance(notice, Lost):
                self._climb(one, notice.loss)
        self._stop_losers([one for one, notice in seen if isinstance(notice, Committed)])
        self._look_s = SOONEST_LOOK_S if seen else min(LATEST_LOOK_S, 1.3 * self._look_s)
        self._look_at = self._clock.now() + self._look_s
        return [notice for _, notice in seen]

    def _stop_losers(self, committed: Sequence[Awaited]) -> None:
        """Ask attempts to stop that share their batch with others: only one of them has settled it."""
        shared = Counter((one.job, one.batch) for one in committed)
        self._watch.ask_to_stop(one for one in committed if shared[one.job, one.batch] > 1)

    def _inquiries(self, now: float) -> Iterator[tuple[Awaited, Loss]]:
        """Inquire after some of those that give no sign of life; yield those that are lost."""
        self._silent |= {one.attempt: one for one in self._watch.silent(now)}
        for _ in range(min(INQUIRIES, len(self._silent))):
            one = self._silent.pop(next(iter(self._silent)))
            if one in self._watch.attempts and self._watch.is_silent(one, now):
                loss = self._inquire(one, now)
                if loss is not None:
                    yield one, loss

    def _inquire(self, one: Awaited, now: float) -> Loss | None:
        """Say what is known of an attempt that gives no sign of life; ``None`` while it may only be late."""
        age_ms = int((now - one.since + 60) * 1000)
        since_ms = max(0, int(self._clock.wall() * 1000) - age_ms)
        for facts in self._functions:
            found = ending(self._service.log_of(facts.name, f"wrens attempt {one.attempt} ", since_ms))
            if found.begun:
                # Without a line about its end it may still run, where its signs of life do not get through.
                gone = found.over or one.beat or now - one.since > facts.time_s + NEVER_S
                return _loss_of(found, one, facts.name) if gone else None
        if one.beat:
            return Loss(
                "it gives no sign of life any more, and its log tells nothing", one.attempt, self.name
            )
        if now - one.since > NEVER_S:
            return self._unbegun(one.attempt, f"it was sent, and had not begun {NEVER_S:g} s later")
        return None

    def _try(self, url: str, job: str) -> None:
        """Find out whether the function can be loaded and may use the store; in a thread of its own.

        Attempts do not wait for it. But a worker that may not write can tell nobody, and one that cannot be
        loaded does not either; that shall be told at once, and not when all of them count as silent.
        """
        facts = self._functions[0]
        key = keys.evidence(job, f"trial.{keys.new_mark()}", "heartbeat")
        sign = Heartbeat(attempt="trial of the client", at=self._clock.wall(), where="client")
        try:
            store = self._watch.store(url)
            store.put(key, envelope.to_json(sign), mode="replace")
            answer = self._service.try_out(facts.name, orders.encode(orders.Trial(VERSION, url, key)))
        except (Throttled, Unreachable, StoreError):
            return  # attempts will meet it, if it stays
        except BackendError as error:
            self._tried[url] = _refusal(error)
        else:
            self._tried[url] = answer.refused
        with contextlib.suppress(StoreError):
            store.delete([key])
        self._look_at = 0.0
        self.wake()

    def _on_sent(self, invocations: Sequence[Invocation]) -> None:
        """Note attempts that the service has taken; from a thread of the invoker's."""
        with self._changed:
            self._sent.extend(invocations)
            self._changed.notify_all()

    def _not_sent(self, invocations: Sequence[Invocation], error: Exception) -> None:
        """Report attempts that the service will not take; from a thread of the invoker's."""
        refused = _refusal(error) if isinstance(error, BackendError) else None
        reason = "cancelled" if isinstance(error, Withdrawn) else f"it could not be sent: {error}"
        losses = [self._unbegun(one.attempt, reason, refused) for one in invocations]
        self._tell([Lost(loss.attempt, loss) for loss in losses])

    def _unbegun(self, attempt: str, reason: str, refused: Refusal | None = None) -> Loss:
        return Loss(reason, attempt, self.name, started=False, refused=refused)

    def _tell(self, notices: Sequence[Notice]) -> None:
        with self._changed:
            self._news.extend(notices)
            self._changed.notify_all()

    def _take_news(self, now: float) -> list[Notice]:
        self._expect_sent(now)
        with self._changed:
            news, self._news = self._news, []
        self._unwanted.difference_update(notice.attempt for notice in news)
        return news

    def _expect_sent(self, now: float) -> None:
        """Await the ends of attempts that have been sent since."""
        while self._sent:
            one = self._watch.expect(self._sent.popleft(), now)
            if one.attempt in self._unwanted:
                self._unwanted.discard(one.attempt)
                self._watch.ask_to_stop([one])

    def _look_soon(self) -> None:
        self._look_s = SOONEST_LOOK_S
        self._look_at = min(self._look_at or float("inf"), self._clock.now() + SOONEST_LOOK_S)

    # --- which function ---

    def _function_of(self, invocation: Invocation) -> str:
        """Return the smallest function that has the memory that is asked for, and was not too small before."""
        tasks = range(invocation.start, invocation.start + invocation.count)
        rung = 0
        if self._rungs:
            rung = max((self._rungs.get((invocation.job, task), 0) for task in tasks), default=0)
        wanted = invocation.policy.memory_mb or 0
        for facts in self._functions[rung:]:
            if facts.memory_mb >= wanted:
                return facts.name
        return self._functions[-1].name

    def _climb(self, one: Awaited, loss: Loss) -> None:
        """Have a task that ran out of memory begin on the next larger function."""
        if len(self._functions) < 2 or not _out_of_memory(loss):
            return
        for task in (loss.task,) if loss.task >= 0 else one.tasks:
            rung = self._rungs.get((one.job, task), 0)
            self._rungs[one.job, task] = min(rung + 1, len(self._functions) - 1)


def _refusal(error: BackendError) -> Refusal:
    return Refusal("BackendError", (error.backend, error.problem, error.evidence, error.advice))


def _limits(functions: Sequence[Facts], max_workers: int | None) -> Limits:
    """Return what the functions can take together."""
    may = min(facts.concurrency for facts in functions)
    if may < 1:
        told = f"the function {functions[0].name} may run no invocation"
        advice = "Raise its reserved concurrency, or the account's: aws lambda put-function-concurrency ..."
        raise BackendError("lambda", told, "its concurrency is 0", advice)
    return Limits(
        parallelism=may if max_workers is None else min(may, max_workers),
        payload_bytes=orders.INLINE_BYTES,
        time_s=float(min(facts.time_s for facts in functions)),
        memory_mb=max(facts.memory_mb for facts in functions),
        launch_s=LAUNCH_S,
        sees_files=False,
        platform=_platform(functions),
    )


def _platform(functions: Sequence[Facts]) -> Platform:
    """Return what packages for these functions have to fit, which differ in memory only."""
    first = functions[0]
    python = first.python or python_version()
    return Platform(
        python=python,
        machine=first.machine,
        libc=libc(python, first.variables.get(GLIBC_VARIABLE, "")),
        provided=WORKER_HAS,
        disk_mb=int(0.9 * min(facts.disk_mb for facts in functions)),
    )


def _for_the_wire(invocation: Invocation) -> Invocation:
    """Return the attempt as it is sent: it is heard through the store only."""
    return msgspec.structs.replace(invocation, unheard=True)


def _out_of_memory(loss: Loss) -> bool:
    """Whether memory was what an attempt was lost for: said so, or killed with nearly all of it used."""
    near = loss.memory_limit_mb > 0 and loss.memory_mb > 0.9 * loss.memory_limit_mb
    return "want of memory" in loss.reason or (loss.signal == 9 and near)


def _loss_of(found: Ending, one: Awaited, function: str) -> Loss:
    """Return what the log tells as a loss."""
    return Loss(
        reason=found.reason or "it ended without a verdict, and its log names no cause",
        attempt=one.attempt,
        where=f"lambda function {function}",
        ran_s=found.ran_s,
        memory_mb=found.memory_mb,
        memory_limit_mb=found.memory_limit_mb,
        log=found.log,
        billed_s=found.billed_s,
        billed_mb=int(found.memory_limit_mb),
        invocations=1,
    )
