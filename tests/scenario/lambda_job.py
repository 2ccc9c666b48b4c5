"""A job on an emulated Lambda and S3 while everything goes wrong at once, and the book-keeping of it.

    client ───┐                      ┌─▶ S3        5 % SlowDown
              ├─▶ proxy of the tests ┤
    workers ──┘                      └─▶ Lambda    30 % throttled, 10 % carried out twice
       5 % of calls kill their worker

Decides the shares, and what has to hold afterwards: every result is right, every task is settled once, and no task
is begun after the verdict of its batch was there. ``tests/scenario/test_lambda_chaos.py`` is the short form,
``tests/stress/test_lambda_chaos.py`` and ``bench/lambda_chaos.py`` are the long ones.
"""

from __future__ import annotations

import contextlib
import random  # noqa: TID251 - from a seed
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import deadly
from chaos import Tree, tree_of
from emulators import Server, ministack
from functions import make_function
from ledger import doze
from s3_proxy import THROTTLED, Fault, Proxy, Request, proxied

import wrens
from wrens import events
from wrens.clock import SystemClock
from wrens.store import open_store
from wrens.wire import keys

TOLERANCE_S = 0.01
"""The proxy notes an answer a moment after the server has given it; both clocks are this computer's."""
FUNCTION = "chaos"


@dataclass(frozen=True)
class Shares:
    """What goes wrong, as shares of 1."""

    throttled: float = 0.30
    duplicated: float = 0.10
    killed: float = 0.05
    slowed: float = 0.05


CALM = Shares(0.0, 0.0, 0.0, 0.0)


@dataclass
class Dice:
    """Draws for each request what becomes of it."""

    shares: Shares
    seed: int = 1
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def __call__(self, request: Request) -> Fault | None:
        drawn = self._dice.random()
        if request.operation == "Invoke":
            if drawn < self.shares.throttled:
                return THROTTLED
            return Fault("duplicate") if drawn > 1 - self.shares.duplicated else None
        in_s3 = request.bucket == "chaos" and request.key
        return Fault("slow_down") if in_s3 and drawn < self.shares.slowed else None


@dataclass(frozen=True)
class Cloud:
    """The emulated AWS, with the proxy that all requests of client and workers go through."""

    server: Server
    proxy: Proxy
    store: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client go through the proxy."""
        return {**self.server.environment, "AWS_ENDPOINT_URL": self.proxy.url}


@contextlib.contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    """Run it until the end of the block."""
    # The emulator's S3 and its functions share a pool of threads: with too few, each waits for the other.
    many = {"LAMBDA_ACCOUNT_CONCURRENCY": "1000", "MINISTACK_WORKER_THREADS": "1000"}
    with ministack(folder, **many) as server, proxied(server.url) as proxy:
        bucket = server.make_bucket("chaos")
        make_function(server, FUNCTION, timeout_s=900, AWS_ENDPOINT_URL=proxy.url)
        yield Cloud(server, proxy, f"{bucket}/store")


def warm(cloud: Cloud, sandboxes: int, *, step: int = 40, hold_s: float = 3.0) -> None:
    """Have so many sandboxes of the function started, a few at a time: each costs a second of a processor."""
    for count in range(min(step, sandboxes), sandboxes + 1, step):
        with wrens.Executor("lambda:" + FUNCTION, store=cloud.store, max_workers=count) as ex:
            list(ex.options(packing=wrens.Packing(size=1)).map(doze, [hold_s] * count))


@dataclass
class Attempts:
    """Counts the attempts that the driver tells of."""

    launched: int = 0
    lost: int = 0
    peak: int = 0
    _in_flight: set[str] = field(default_factory=set)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.AttemptLaunched):
            self.launched += 1
            self._in_flight.add(event.attempt)
            self.peak = max(self.peak, len(self._in_flight))
        elif isinstance(event, events.AttemptLost):
            self.lost += 1
            self._in_flight.discard(event.attempt)
        elif isinstance(event, events.BatchSettled):
            self._in_flight.discard(event.attempt)


@dataclass
class Figures:
    """What a run took, for the table."""

    seconds: float
    attempts: int
    """Launched, and of those:"""
    lost: int
    peak: int
    """The most attempts in flight at a time."""
    calls: int
    """Calls of the user's function, those that were lost included."""
    killed: int
    invocations: int
    """Requests to invoke, whoever sent them, and of those:"""
    throttled: int
    duplicated: int
    slowed: int
    """Requests to S3 that were answered with SlowDown."""
    requests: dict[str, int]
    """Requests to S3 by operation."""
    late: list[tuple[int, str, float]]
    """Calls that began after the verdict of their batch was there: task, batch, by how many seconds."""


def run(
    cloud: Cloud,
    name: str,
    folder: Path,
    *,
    tasks: int,
    in_flight: int,
    seconds: float,
    shares: Shares,
    limit_s: float,
    size: int | None = 1,
    seed: int = 1,
) -> Figures:
    """Run a job and check it; the process's environment has to be the cloud's.

    Args:
        cloud: Where.
        name: Of the job.
        folder: For the notes of the tasks.
        tasks: How many.
        in_flight: How many attempts at a time, at most.
        seconds: How long a call takes.
        shares: What goes wrong.
        limit_s: How long all of it may take.
        size: Tasks in a batch.
        seed: Makes the draws.
    """
    notes = folder / name
    notes.mkdir()
    clock = SystemClock()
    seen = Attempts()
    with wrens.Executor(
        "lambda:" + FUNCTION, store=cloud.store, max_workers=in_flight, observers=[seen]
    ) as ex:
        cloud.proxy.clear()
        cloud.proxy.script = Dice(shares, seed)
        view = ex.options(name=name, retry=wrens.Retry(lost=10), packing=wrens.Packing(size=size))
        began = clock.now()
        job = view.map_async(deadly.Deadly(str(notes), seconds, shares.killed, seed), range(tasks))
        results = job.results(limit_s)
        took = clock.now() - began
    log = cloud.proxy.log()
    cloud.proxy.script = ()
    assert results == [x * x for x in range(tasks)]
    tree, committed = _tree(cloud.store, name, log)
    assert tree.missing == []
    assert tree.stray == set()
    assert tree.settled == dict.fromkeys(range(tasks), 1)
    return _figures(took, log, seen, deadly.read(notes), committed)


def _tree(store: str, name: str, log: list[Request]) -> tuple[Tree, dict[str, float]]:
    """Return what the verdicts say, and when the proxy saw each of them written."""
    committed: dict[str, float] = {}
    prefix = keys.verdicts(name)
    for request in log:
        if request.operation == "PutObject" and prefix in request.key and request.status == 200:
            batch = keys.basename(request.key)
            assert batch not in committed, "a verdict was written twice"
            committed[batch] = request.answered_at
    return tree_of(open_store(store), name, committed.__getitem__), committed


def _figures(
    took: float, log: list[Request], seen: Attempts, notes: deadly.Notes, committed: dict[str, float]
) -> Figures:
    invocations = [request for request in log if request.operation == "Invoke"]
    in_s3 = [request for request in log if request.bucket == "chaos"]
    faults = Counter(request.fault.kind for request in log if request.fault)
    late = [
        (task, batch, at - committed[batch])
        for task, batch, at in notes.begun
        if at > committed[batch] + TOLERANCE_S
    ]
    return Figures(
        seconds=took,
        attempts=seen.launched,
        lost=seen.lost,
        peak=seen.peak,
        calls=len(notes.begun),
        killed=notes.killed,
        invocations=len(invocations),
        throttled=sum(request.status == 429 for request in invocations),
        duplicated=faults["duplicate"],
        slowed=faults["slow_down"],
        requests=dict(Counter(request.operation for request in in_s3)),
        late=late,
    )
