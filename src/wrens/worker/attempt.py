"""Carry out one attempt, from the invocation to the verdict.

    load ─▶ look (if asked) ─▶ loop over the tasks ─▶ commit ─▶ Report
     │                              ▲  │
     │                              └──┘ a task that raised costs itself only
     └─ what cannot be loaded fails every task, by name

Decides the order of these steps and whose fault an error is: what the user's code raises is the task's
failure, whatever it is; a store that does not answer ends the attempt without a verdict, to be tried again
elsewhere, and so do versions that do not fit and what is not signed, to be told to the user. This is the only place where the user's code runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wrens.errors import ObjectMissing, StoreError, TaskTimeout, WrensError
from wrens.serialize import describe_failure
from wrens.wire import envelope, keys
from wrens.wire.records import Failure, Invocation, Refusal
from wrens.worker import blame, load, page
from wrens.worker.context import enter
from wrens.worker.host import Host
from wrens.worker.loop import bound, sweep, sweep_timed
from wrens.worker.running import FAILED, Running
from wrens.worker.settle import commit


@dataclass(frozen=True, slots=True)
class Report:
    """How an attempt ended.

    Args:
        attempt: Its name, the last one when it went on under others.
        lost: Why it left no verdict; empty when its batch has one, no matter whose.
        refused: The error behind that, when it was the store's or the versions'.
    """

    attempt: str
    lost: str = ""
    refused: Refusal | None = None


def run(invocation: Invocation, host: Host) -> Report:
    """Run one attempt and commit what comes of it.

    Args:
        invocation: Which tasks, and where to read the rest.
        host: The process that it runs in.

    Returns:
        What to tell the driver.

    Raises:
        KeyboardInterrupt: when the attempt runs in the driver's own process and the user pressed Ctrl-C.
    """
    state = Running(invocation, host)
    before = enter(state.context, whole_process=host.leave is not None)
    host.page[page.TASK], host.page[page.PEAK] = -1, host.page[page.MEMORY]
    if host.capture:
        host.capture.begin()
    if host.watch:
        host.watch.begin(state)
    try:
        return _carry_out(state)
    except StoreError as error:
        told = f"{error.action} {error.key}: {error.problem}" + (f" ({error.reason})" if error.reason else "")
        return Report(state.attempt, told, blame.refusal(error, host.where))
    except blame.NOT_THE_TASKS as error:
        return Report(state.attempt, str(error), blame.refusal(error, host.where))
    except BaseException as error:  # packing results runs the user's __reduce__
        if host.leave is None and isinstance(error, KeyboardInterrupt):
            raise
        return Report(state.attempt, f"{type(error).__name__}: {error}")
    finally:
        state.phase = "over"
        if host.watch:
            host.watch.end()
        enter(before, whole_process=host.leave is not None)


def _carry_out(state: Running) -> Report:
    invocation, host = state.invocation, state.host
    try:
        call = _prepare(state)
    except blame.NOT_THE_TASKS:
        raise
    except BaseException as error:  # importing the user's modules runs the user's code
        if host.leave is None and isinstance(error, KeyboardInterrupt):
            raise
        _fail_all(state, describe_failure(error, kind="system" if isinstance(error, WrensError) else "user"))
    else:
        # Not before loading: that takes a cold worker so long that what it has seen may be true no more.
        if _has_to_look(invocation, host) and _settled(invocation, host):
            return Report(state.attempt)
        if call is not None:
            with load.memory_limit(state.memory_mb):
                _loop(state, call)
    if os.getpid() != host.pid:
        # The user's function forked, and this is the child, come back with a result. It is nobody's.
        os._exit(0)
    return _finish(state)


def _has_to_look(invocation: Invocation, host: Host) -> bool:
    late_at = invocation.late_at
    return invocation.look_first or (late_at is not None and host.clock.wall() >= late_at)


def _settled(invocation: Invocation, host: Host) -> bool:
    """Look whether the batch has a verdict already; whose it is the driver will see."""
    try:
        host.raw_range(invocation.store, keys.verdict(invocation.job, invocation.batch), 0, 16)
    except ObjectMissing:
        return False
    return True


def _prepare(state: Running) -> Callable[[Any], Any] | None:
    """Load what the tasks need; ``None`` when the initializer failed, and every task with it."""
    invocation, host = state.invocation, state.host
    envelope.check_version(invocation.v, f"job {invocation.job}")
    broken = load.initialize(host, invocation)
    if broken is not None:
        _fail_all(state, broken)
        return None
    fn = host.loader(invocation.store).function(invocation.function)
    state.name = getattr(fn, "__qualname__", type(fn).__qualname__)
    call = bound(fn, invocation.call)
    began = host.clock.now()
    inputs, fetch = load.inputs(state)
    state.fetch_s = host.clock.now() - began
    state.feed_with(inputs)
    if fetch is None:
        return call
    return lambda i: call(fetch(i))


def _fail_all(state: Running, failure: Failure) -> None:
    """Let every task of the batch fail for the same reason."""
    count = state.invocation.count
    state.failures = dict.fromkeys(range(count), failure)
    state.results = [FAILED] * count


def _loop(state: Running, call: Callable[[Any], Any]) -> None:
    """Run the tasks until there are no more, or the watchdog has taken the rest."""
    feed = enumerate(state.feed, state.invocation.start)
    page_, keep, stamps, now = state.host.page, state.results.append, state.stamps, state.host.clock.now
    always = state.host.leave is None and state.invocation.policy.timeout_s is not None
    stamps.append(now())
    timed = True
    while not state.lost:
        try:
            if timed:
                timed = sweep_timed(call, feed, page_, keep, stamps, now, always=always)
                if timed:
                    break
                stamps.clear()
            sweep(call, feed, page_, keep)
            break
        except BaseException as error:  # noqa: BLE001 - whatever the user's code raises is the task's failure
            _failed(state, error)
            if timed:
                stamps.append(now())
    if always:
        _time_out_afterwards(state)


def _failed(state: Running, error: BaseException) -> None:
    """Note what the task that runs has raised."""
    invocation, host, index = state.invocation, state.host, len(state.results)
    if host.leave is None and isinstance(error, KeyboardInterrupt):
        raise error
    if isinstance(error, WrensError) and error is host.broken:
        state.refused, state.lost = blame.refusal(error, host.where), str(error)
        return
    if invocation.tries + 1 < invocation.policy.tries and blame.retried(error, invocation.policy.retry_on):
        state.again.add(index)
    else:
        state.failures[index] = blame.failure(state, index, error, *load.input_of(state, index))
    # Last, because from here on the watchdog takes the task for settled.
    state.results.append(FAILED)


def _time_out_afterwards(state: Running) -> None:
    """Fail the tasks that took too long, where nothing could stop them."""
    invocation, limit = state.invocation, state.invocation.policy.timeout_s or 0.0
    for i in range(len(state.results)):
        if state.stamps[i + 1] - state.stamps[i] > limit and i not in state.failures:
            state.again.discard(i)
            late = TaskTimeout(invocation.job, invocation.start + i, limit)
            state.failures[i] = describe_failure(late, kind="system")


def _finish(state: Running) -> Report:
    """Settle what is left for this thread to settle."""
    with state.lock:
        if state.phase == "over" or state.lost:
            state.phase = "over"
            return Report(state.attempt, state.lost, state.refused)
        if len(state.results) < state.last:
            return Report(state.attempt, "the watchdog stopped the attempt and could not settle it")
        state.phase = "closing"
    commit(state, state.last)
    return Report(state.attempt)
