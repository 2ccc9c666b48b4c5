"""Two stages with an exchange between them, as the client sees it: run, summed up, cleared away.

    stage 1    one task per input      writes one part for each range of keys         a job without a name
    client     which ranges of which objects each task of the next stage reads
    stage 2    one task per share      reads its parts, returns a small value         a job under the options of the executor

Both stages are ordinary maps of the executor, so they have its retries, backups, limits and accounts, and every task is
settled once: what a second attempt wrote is named by no verdict, and so read by nobody. Decides how many tasks the
second stage has, what is deleted when, and what comes of a failure; what the tasks do is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from wrens.clock import SystemClock
from wrens.core.executor import Executor
from wrens.core.job import Job
from wrens.core.policy import whole
from wrens.errors import BadOption, ExchangeLost, JobFailed, StoreError
from wrens.models import exchange
from wrens.models.exchange import Exchange, Slice, Written
from wrens.store.port import Store
from wrens.wire import keys
from wrens.wire.records import Requests

MEMORY_MB = 256
"""Megabytes of pairs or rows that a worker holds before it writes some, where its memory is not known."""
SHARE = 4
"""What part of a worker's memory that is otherwise: the same data are there as pickles, too, for a moment."""
FAN = 256
"""Into how many parts stage 1 sorts at least; tasks of stage 2 are given ranges of them, when their sizes are known."""
PART = 32 * 2**20
"""Bytes that a task of stage 2 is given at most, when nobody says how many there are."""
LEAST = 2**20
"""A second one is not begun for less than so many."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage did.

    Args:
        name: ``"map"`` or ``"reduce"``; a sort has others.
        tasks: How many there were.
        seconds: From its first task being sent to its last result.
        pairs_in, pairs_out: Pairs, rows or records that were taken and left.
        bytes_out: Bytes that were written for the next stage.
        objects: How many objects these are.
        requests: What stores were asked for in its time, by its workers and by the client; see
            :attr:`wrens.Executor.requests`.
    """

    name: str
    tasks: int
    seconds: float
    pairs_in: int = 0
    pairs_out: int = 0
    bytes_out: int = 0
    objects: int = 0
    requests: Requests = field(default_factory=Requests)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of two stages.

    Args:
        job: That of the second stage.
        results: Its results.
        written: What the first stage wrote.
        shares: Bytes that each task of the second stage had to read.
        seconds: How long each stage took.
        requests: What each has asked for.
        told: Which way the exchange was, and why.
    """

    job: Job[Any]
    results: list[Any]
    written: list[Written]
    shares: list[int]
    seconds: tuple[float, float]
    requests: tuple[Requests, Requests]
    told: str


class Writer(Protocol):
    """The task of the first stage: it writes ``fan`` parts of each input, by the way that :func:`run` gives it."""

    fan: int
    way: Exchange

    def __call__(self, one: Any) -> list[Written]:
        """Write what is made of an input."""
        ...


def budget_of(executor: Executor, memory_mb: int | None) -> int:
    """Return how many bytes of pairs or rows a task may hold.

    Args:
        executor: Knows how much memory a worker has, or does not.
        memory_mb: What the user wants, in megabytes.
    """
    if memory_mb is not None:
        whole("memory_mb", memory_mb)
        return memory_mb * 10**6
    known = executor.memory_mb
    return (MEMORY_MB if known is None else min(MEMORY_MB, known // SHARE)) * 10**6


def fan_of(inputs: Sequence[Any], reducers: int | None) -> int:
    """Return how many parts each task of the first stage writes."""
    if reducers is not None:
        whole("reducers", reducers)
        return reducers
    return max(FAN, sum(getattr(one, "planned", 0) for one in inputs) // PART)


def run(
    executor: Executor,
    inputs: Sequence[Any],
    mapper: Writer,
    reducer: Callable[[Sequence[Slice]], Any],
    reducers: int | None,
    check: Callable[[list[Written]], None] = lambda _: None,
    way: Exchange | None = None,
) -> Ran:
    """Run both stages, and delete what was only between them.

    Args:
        executor: Runs them. A name among its options is that of the second stage's job.
        inputs: One for each task of the first stage.
        mapper: The task of the first stage.
        reducer: The task of the second; its results tell ``key``, ``nbytes`` and ``count`` of an object, as parts do
            (:mod:`wrens.models.mapreduce.results`).
        reducers: How many tasks the second stage has; ``None`` for as many as there is work for.
        check: Called between the stages with what was written; what it raises ends the work.
        way: The way through the exchange; ``None`` chooses.

    Raises:
        ExchangeLost: if a Redis server was lost with what the first stage had written.
        JobFailed: if a task failed otherwise; the executor keeps no more than the jobs themselves.
        BadOption: if the name is taken.
    """
    check_name(executor)
    clock = SystemClock()
    began, asked = clock.now(), executor.requests
    planned = [getattr(one, "planned", None) for one in inputs]
    nbytes = None if None in planned else sum(one for one in planned if one)
    with (
        exchange.crossing(way, executor, writers=len(inputs), readers=mapper.fan, nbytes=nbytes) as step,
        _ended(executor.options(name=None, keep=False, fail_fast=True), "first") as (view, jobs),
    ):
        mapper.way = step.way
        jobs.append(mapping := view.map_async(mapper, inputs))
        written = [one for some in mapping.results() for one in some]
        mapped, halfway = clock.now(), executor.requests
        columns = exchange.columns(written) or [[]]
        shares = [[one] for one in columns] if reducers else shared_out(columns, executor.workers)
        check(written)
        delivered = step.delivered(written, [exchange.joined(one) for one in shares])
        with _ended(executor.options(fail_fast=True), "second") as (view, later):
            later.append(reducing := view.map_async(reducer, delivered))
            found = reducing.results()
    _without(executor.store, keys.results(reducing.id), {part.key for part in found})
    sizes = [sum(one.nbytes for column in share for one in column) for share in shares]
    seconds = (mapped - began, clock.now() - mapped)
    return Ran(
        reducing, found, written, sizes, seconds, (halfway - asked, executor.requests - halfway), step.told
    )


@contextmanager
def _ended(view: Executor, which: str) -> Iterator[tuple[Executor, list[Job[Any]]]]:
    """Stop what is running when anything fails, Ctrl-C included, and delete what was written for others."""
    jobs: list[Job[Any]] = []
    try:
        yield view, jobs
    except JobFailed as error:
        for failure in error.failures.values():
            if isinstance(failure, ExchangeLost):
                raise failure from None  # the other tasks ended because of it, or for the same reason
        if jobs and error.job == jobs[0].id:
            error.add_note(f"This was the {which} of two stages; what was made for the other one is deleted.")
        raise
    except BaseException:
        for job in jobs:
            job.cancel()
        raise
    finally:
        for job in jobs:
            _without(view.store, keys.exchange(job.id), set())


def _without(store: Store, folder: str, named: set[str]) -> None:
    """Delete what attempts wrote that lost; what this does not reach is deleted with its job."""
    with suppress(StoreError):
        store.delete([key for key in store.list(f"{folder}/") if key not in named])


def check_name(executor: Executor) -> None:
    """Refuse a name that is taken before anything runs.

    Raises:
        BadOption: if the store holds a job of the name that the next job would have.
    """
    name = executor.name
    if name is not None and next(executor.store.list(f"{keys.job(name)}"), None) is not None:
        raise BadOption(
            f"name={name!r}",
            f"is taken: {executor.store.url} holds a job of this name, and it was left as it is",
            f"Get it back with wrens.attach({name!r}), remove it with 'wrens clean --job {name}', or choose another name.",
        )


def shared_out(columns: Sequence[Sequence[Slice]], workers: int) -> list[list[Sequence[Slice]]]:
    """Return columns that lie side by side as shares of about the same size, one for each task.

    Args:
        columns: For each part what is read of it, in the order of the parts.
        workers: How many tasks can run at a time.
    """
    sizes = [sum(one.nbytes for one in column) for column in columns]
    whole_size = sum(sizes)
    count = max(-(-whole_size // PART), min(workers, -(-whole_size // LEAST)), 1)
    shares: list[list[Sequence[Slice]]] = []
    held = 0
    for column, size in zip(columns, sizes, strict=True):
        # A share ends where the next column would bring it further from its part of the whole than it is now.
        if not shares or held + size / 2 > whole_size * len(shares) / count:
            shares.append([])
        shares[-1].append(column)
        held += size
    return shares


def stages_of(
    ran: Ran, inputs: int, taken: int, left: int, names: tuple[str, str] = ("map", "reduce")
) -> tuple[Stage, Stage]:
    """Return what the two stages did.

    Args:
        ran: What came of them.
        inputs: Tasks of the first stage.
        taken: Pairs or rows that it took.
        left: What was left of them.
        names: What the stages are called.
    """
    found: Iterable[Any] = ran.results
    return (
        Stage(
            names[0],
            inputs,
            ran.seconds[0],
            pairs_in=taken,
            pairs_out=left,
            bytes_out=sum(one.nbytes for one in ran.written),
            objects=sum(bool(one.key) for one in ran.written),
            requests=ran.requests[0],
        ),
        Stage(
            names[1],
            len(ran.shares),
            ran.seconds[1],
            pairs_in=left,
            pairs_out=sum(part.count for part in found),
            bytes_out=sum(part.nbytes for part in found),
            objects=sum(bool(part.key) for part in found),
            requests=ran.requests[1],
        ),
    )
