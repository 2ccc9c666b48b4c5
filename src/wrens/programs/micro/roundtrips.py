"""Operations on small values, one after the other: how long each takes, by the number of clients and of servers.

Each client is a task. All of them wait for each other, through the servers themselves, before they begin; so as many as were
asked for are at work at the same time. First all write, then, in a job of its own, all read what they have written and look whether it
is that. Decides what an operation is, when clients begin, and what is left on the servers, which is nothing.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from wrens import kv
from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.environments.wanted import Environment
from wrens.programs.micro.measuring import Reading, Run, Stopwatch, timed
from wrens.wire import keys

NBYTES = 128
"""Of a value, as in the paper."""
NAMES = 64
"""Keys of each client, spread over the servers."""
PATIENCE_S = 30.0
"""How long a client waits for the others before it begins without them."""
ANY_REDIS = Environment(requirements=("redis",))
"""Of workers that have no packages."""
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Order:
    """What a client is to do.

    Args:
        tier: The servers.
        folder: What keys begin with.
        client: Its number.
        others: How many clients are at work at the same time, this one among them.
        seconds: How long it goes on.
        value: What it writes, or has written.
        reads: Whether it reads; else it writes.
    """

    tier: kv.KeyValue
    folder: str
    client: int
    others: int
    seconds: float
    value: bytes
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Timed:
    """What a client has measured: its rate, and the latency of each operation in seconds, as 64-bit numbers."""

    reading: Reading
    latencies: bytes


@dataclass(frozen=True, slots=True)
class Trips:
    """What all clients have measured.

    Args:
        what: ``"put"`` or ``"get"``.
        shards: How many servers there were.
        run: The rates, in operations.
        latencies: Of every operation, in seconds.
    """

    what: str
    shards: int
    run: Run
    latencies: array[float]


def run(ex: Executor, tier: kv.KeyValue, clients: int, seconds: float) -> tuple[Trips, Trips]:
    """Let so many clients write, then read, and return what they measured.

    Args:
        ex: Where clients run.
        tier: The servers.
        clients: How many; the executor should have as many workers.
        seconds: How long they write, and how long they read.
    """
    ex = ex.options(environment=ANY_REDIS)
    folder, together = f"bench/{keys.new_id()}", min(clients, ex.workers)
    orders = [Order(tier, folder, client, together, seconds, os.urandom(NBYTES)) for client in range(clients)]
    with ExitStack() as stack:
        stack.callback(tier.delete, *_names(folder, clients))
        puts = _trips(ex, "put", orders)
        return puts, _trips(ex, "get", [replace(order, reads=True) for order in orders])


def _trips(ex: Executor, what: str, orders: Sequence[Order]) -> Trips:
    found, job_s = timed(ex, work, orders)
    latencies = array("d")
    for one in found:
        latencies.frombytes(one.latencies)
    readings = tuple(one.reading for one in found)
    return Trips(what, len(orders[0].tier.urls), Run(len(orders), job_s, readings), latencies)


def work(order: Order) -> Timed:
    """Write or read one value after the other until the time is over.

    Raises:
        ShardLost: if a server is gone.
    """
    latencies, step = array("d"), _get(order) if order.reads else _put(order)
    now, number, right = _CLOCK.now, 0, True
    step(0)  # makes the connections
    _wait_for_others(order)
    with Stopwatch() as watch:
        before = now()
        end = before + order.seconds
        while before < end or not number:
            right &= step(number)
            after = now()
            latencies.append(after - before)
            before, number = after, number + 1
    return Timed(watch.reading(number, right=right), latencies.tobytes())


def _put(order: Order) -> Callable[[int], bool]:
    def put(number: int) -> bool:
        order.tier.put(_name(order.folder, order.client, number), order.value)
        return True

    for number in range(NAMES):
        put(number)
    return put


def _get(order: Order) -> Callable[[int], bool]:
    def get(number: int) -> bool:
        return order.tier.get(_name(order.folder, order.client, number)) == order.value

    return get


def _wait_for_others(order: Order) -> None:
    meeting, end = _meeting(order.folder, reads=order.reads), _CLOCK.now() + PATIENCE_S
    there = order.tier.add(meeting)
    while there < order.others and _CLOCK.now() < end:
        _CLOCK.sleep(0.002)
        there = int(order.tier.get(meeting) or 0)


def _name(folder: str, client: int, number: int) -> str:
    return f"{folder}/{client}/{number % NAMES}"


def _meeting(folder: str, *, reads: bool) -> str:
    return f"{folder}/{'readers' if reads else 'writers'}"


def _names(folder: str, clients: int) -> list[str]:
    """Return all keys that clients have written."""
    meetings = [_meeting(folder, reads=reads) for reads in (False, True)]
    return [
        *meetings,
        *(_name(folder, client, number) for client in range(clients) for number in range(NAMES)),
    ]
