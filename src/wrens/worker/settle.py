"""From the results of tasks to the verdict of their batch.

Decides what stands in a verdict. Whether it is the one that counts is decided by the store: put-if-absent,
and whoever comes second discards what it has.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import pairwise

from wrens.errors import AlreadyExists, StoreError
from wrens.serialize import describe_failure, pack
from wrens.store.meters import is_metered
from wrens.wire import envelope, keys
from wrens.wire.envelope import Buffer
from wrens.wire.records import VERSION, Child, Failure, Requests, Usage, Verdict
from wrens.worker import page
from wrens.worker.running import Running


def commit(
    run: Running,
    stop: int,
    children: Sequence[Child] = (),
    failures: Sequence[tuple[int, Failure]] = (),
) -> bool:
    """Create the verdict that settles the tasks from ``run.first`` to before ``stop``.

    Args:
        run: The attempt.
        stop: Index of the first task that is not over.
        children: What is handed on of the tasks from ``stop`` on.
        failures: Index and failure of tasks from ``stop`` on that will have no result.

    Returns:
        ``True`` when this verdict is the one, ``False`` when somebody else's was there first.

    Raises:
        StoreError: when it could not be written, or nobody can tell.
    """
    key = keys.verdict(run.invocation.job, run.batch)
    try:
        run.host.put(run.invocation.store, key, _sealed(run, stop, children, failures))
    except AlreadyExists:
        if run.metered is not None:
            _leave_usage(run, stop)
        return False
    return True


def _leave_usage(run: Running, stop: int) -> None:
    """Leave what an attempt has used that came too late: it is billed like any other. Only evidence."""
    key = keys.evidence(run.invocation.job, run.attempt, "wasted")
    # With the verdict that was refused, and this.
    with suppress(StoreError):
        told = usage(run, stop, puts=1)
        run.host.put(run.invocation.store, key, [envelope.to_json(told)], mode="replace")


def _sealed(
    run: Running, stop: int, children: Sequence[Child], failures: Sequence[tuple[int, Failure]]
) -> list[Buffer]:
    """Return the verdict and the packed results as one object."""
    start = run.invocation.start
    failed, again = run.bad(stop)
    values, which = run.values(stop, failed.keys() | again)
    packed = pack(values, what=lambda i: f"the result of {run.name}(...) (task {start + _at(run, which, i)})")
    for i, error in packed.failures.items():
        failed[_at(run, which, i)] = describe_failure(error)
    failed.update(failures)
    verdict = Verdict(
        v=VERSION,
        job=run.invocation.job,
        batch=run.batch,
        attempt=run.attempt,
        start=start + run.first,
        count=run.last - run.first,
        ok=ranges(run.first, stop, failed.keys() | again, start),
        failures=tuple((start + i, failed[i]) for i in sorted(failed)),
        children=(*children, *run.retries(again, stop)),
        usage=usage(run, stop, packed.nbytes),
        where=run.host.where,
        log=run.host.capture.tail() if run.host.capture else "",
        made=run.invocation.made,
    )
    return envelope.seal(verdict, packed.buffers)


def usage(run: Running, stop: int, written: int = 0, puts: int = 1) -> Usage:
    """Return what the attempt has used so far, and will have when it has made as many puts more."""
    clock, traffic, metered = run.host.clock, run.host.traffic, run.metered
    stamps = run.stamps[run.first : stop + 1]
    timed = len(run.stamps) > stop
    billed_s = max(0.0, clock.wall() - metered.since) if metered else 0.0
    requests, unbilled = _requests(run, Requests(puts=puts, bytes_written=written))
    return Usage(
        began_at=run.began_at,
        wall_s=clock.now() - run.began,
        setup_s=run.setup_s,
        cpu_s=time.process_time() - run.cpu_from,
        peak_memory_mb=run.host.page[page.PEAK] / 1e6,
        bytes_read=traffic.read - run.traffic_from[0],
        bytes_written=traffic.written - run.traffic_from[1] + written,
        task_s=tuple(after - before for before, after in pairwise(stamps)) if timed else (),
        billed_s=billed_s,
        billed_mb=metered.memory_mb if metered else 0,
        machine=metered.machine if metered else "",
        invocations=metered.invocations if metered else 0,
        requests=requests,
        unbilled=unbilled,
        fetch_s=run.fetch_s,
    )


def _requests(run: Running, coming: Requests) -> tuple[Requests | None, Requests | None]:
    """Return what the attempt has asked of buckets, and of directories, where it is counted here.

    That of its host is among it, and what is coming goes to the job's store.
    """
    now, before, metered = run.host.requests(), run.requests_from, run.metered
    if now is None or before is None:
        return None, None
    billed, unbilled = now[0] - before[0], now[1] - before[1]
    if not is_metered(run.invocation.store):
        return (billed or None), unbilled + coming
    if metered is not None:
        looks = int((run.host.clock.now() - run.began) / metered.look_s) if metered.look_s else 0
        billed = billed + metered.requests + Requests(gets=looks)
    return billed + coming, (unbilled or None)


def ranges(first: int, stop: int, without: AbstractSet[int], start: int = 0) -> tuple[tuple[int, int], ...]:
    """Return the numbers ``first`` to before ``stop`` as ranges ``(start, count)``, some of them left out.

    Args:
        first: The first number.
        stop: The number after the last.
        without: Those to leave out.
        start: Is added to each.

    >>> ranges(0, 9, {3, 4, 6}), ranges(0, 0, set()), ranges(2, 5, {9}, start=100)
    (((0, 3), (5, 1), (7, 2)), (), ((102, 3),))
    """
    found = []
    for bad in [*sorted(i for i in without if first <= i < stop), stop]:
        if bad > first:
            found.append((start + first, bad - first))
        first = bad + 1
    return tuple(found)


def _at(run: Running, which: tuple[int, ...], i: int) -> int:
    """Return the index of the task whose result is the ``i``-th value."""
    return which[i] if which else run.first + i
