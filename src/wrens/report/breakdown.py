"""Where the time of a job has gone, attempt by attempt.

    plan     from the call until the attempt is given to the backend: function and inputs are stored, a place is waited for
    launch   until a worker, or on a platform that bills its time the platform's function, has begun
    set-up   a worker is made ready: packages, initializer, the function
    fetch    its inputs are read
    compute  the user's function runs
    commit   results are packed and written, and the client learns of it
    collect  the client reads the verdict

    plan, launch │ set-up, fetch, compute │ commit, collect
    client's     │ worker's clock         │ client's clock

For each attempt that has settled something the parts add up to the time from the call to the reading of its verdict; so
those of the last one, and what comes after it, add up to the job's time. Durations are never measured across two clocks but
for launch and commit. Where the worker's clock is off by more than they allow, what it tells is moved to where it is possible,
and :attr:`Breakdown.moved_s` says by how much at most.

What the client sees is told by events, and what the worker sees by verdicts, which have to be read before the job is deleted:

    watch = Watch()
    with wrens.Executor(observers=[watch]) as ex:
        job = ex.map_async(work, inputs)
        job.results()
        times = watch.breakdown(ex.store, job.id)

Decides what belongs to which part. Does not decide how it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from wrens import events
from wrens.clock import Clock, SystemClock
from wrens.errors import UnknownJob
from wrens.report.spread import Spread
from wrens.report.summary import read_all, read_verdict
from wrens.store.port import Store
from wrens.wire.records import Usage, Verdict


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the time of one attempt, in seconds and in their order."""

    plan: float = 0.0
    launch: float = 0.0
    setup: float = 0.0
    fetch: float = 0.0
    compute: float = 0.0
    commit: float = 0.0
    collect: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return math.fsum(getattr(self, name) for name in NAMES)


NAMES = tuple(part.name for part in fields(Parts))
"""The parts, in the order of time."""


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """Where the time of one attempt has gone.

    Args:
        attempt: Its name.
        start: Its first task.
        count: How many tasks it has.
        where: Its worker, as the backend calls it.
        parts: The parts.
    """

    attempt: str
    start: int
    count: int
    where: str
    parts: Parts


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the time of a job has gone.

    Args:
        attempts: Those that have settled something, in the order of their tasks.
        job_s: Seconds from the call to the results in the client's hands.
        lost: How many attempts left no verdict.
        lost_s: How long those were in the backend's hands, together.
        moved_s: By how much a worker's clock was found to be off, at most.
    """

    attempts: tuple[AttemptTimes, ...]
    job_s: float
    lost: int = 0
    lost_s: float = 0.0
    moved_s: float = 0.0

    @property
    def after_s(self) -> float:
        """What came after the last verdict was read, such as unpickling of the results."""
        return max(0.0, self.job_s - max((one.parts.total for one in self.attempts), default=0.0))

    def spread(self, part: str) -> Spread:
        """Return how the attempts differ in one part, or in ``"total"``.

        >>> Breakdown((AttemptTimes("0.a", 0, 1, "w", Parts(launch=2.0)),), 3.0).spread("launch").mean
        2.0
        """
        return Spread.of([getattr(one.parts, part) for one in self.attempts])


@dataclass(slots=True)
class _Seen:
    """What the client has seen of a job."""

    began: float
    launched: dict[str, float] = field(default_factory=dict)
    settled: dict[str, events.BatchSettled] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    ended: float = 0.0


class Watch:
    """An observer that remembers when attempts were launched and settled.

    Args:
        clock: That of the executor.

    >>> import wrens
    >>> watch = Watch()
    >>> with wrens.Executor("inline", store="memory://watched", observers=[watch]) as ex:
    ...     job = ex.map_async(abs, [-1, 2])
    ...     _ = job.results()
    ...     found = watch.breakdown(ex.store, job.id)
    >>> [one.count for one in found.attempts], found.lost
    ([1, 1], 0)
    >>> abs(found.attempts[-1].parts.total + found.after_s - found.job_s) < 1e-6
    True
    """

    def __init__(self, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._jobs: dict[str, _Seen] = {}
        self._wall_minus_now = clock.wall() - clock.now()

    def __call__(self, event: events.Event) -> None:
        """Take up an event."""
        if isinstance(event, events.JobStarted):
            self._jobs[event.job] = _Seen(event.at)
            return
        seen = self._jobs.get(getattr(event, "job", ""))
        if seen is None:
            return
        if isinstance(event, events.AttemptLaunched):
            seen.launched[event.attempt] = event.at
        elif isinstance(event, events.AttemptLost):
            seen.lost[event.attempt] = event.at
        elif isinstance(event, events.BatchSettled):
            seen.settled[event.batch] = event
            seen.ended = max(seen.ended, event.at)

    def breakdown(
        self, store: Store, job_id: str, *, called_at: float | None = None, done_at: float | None = None
    ) -> Breakdown:
        """Return where the time of a job has gone, whose data must still be there.

        Args:
            store: Where the job is.
            job_id: Its id.
            called_at: When it was called for, on the executor's clock; by default when its manifest was stored.
            done_at: When its results were there, on that clock; by default when its last verdict was read.

        Raises:
            UnknownJob: if nothing of it was seen.
            ObjectMissing: if its data have been deleted.
        """
        seen = self._jobs.get(job_id)
        if seen is None:
            raise UnknownJob(job_id, store.url)
        made = _made(store, job_id)
        verdicts = read_all(lambda batch: read_verdict(store, job_id, batch, made), sorted(seen.settled))
        began = seen.began if called_at is None else called_at
        found, moved = [], 0.0
        for verdict in sorted(verdicts, key=lambda one: one.start):
            if verdict.usage.began_at:  # not the driver's own
                times, off = self._times(verdict, seen, began)
                found.append(times)
                moved = max(moved, abs(off))
        lost = [at - seen.launched.get(attempt, at) for attempt, at in seen.lost.items()]
        return Breakdown(
            tuple(found), (seen.ended if done_at is None else done_at) - began, len(lost), sum(lost), moved
        )

    def _times(self, verdict: Verdict, seen: _Seen, began: float) -> tuple[AttemptTimes, float]:
        """Return the parts of an attempt's time, and by how much its worker's clock had to be moved."""
        settled = seen.settled[verdict.batch]
        parts, moved = divided(
            verdict.usage,
            called_at=began,
            launched_at=seen.launched.get(verdict.attempt),
            noticed_at=settled.noticed_at,
            settled_at=settled.at,
            worker_ahead=self._wall_minus_now,
        )
        return AttemptTimes(verdict.attempt, verdict.start, verdict.count, verdict.where, parts), moved


def divided(
    usage: Usage,
    *,
    called_at: float,
    launched_at: float | None,
    noticed_at: float,
    settled_at: float,
    worker_ahead: float = 0.0,
) -> tuple[Parts, float]:
    """Divide the time from a job's call to the reading of one verdict into its parts.

    Args:
        usage: What the worker has told.
        called_at: When the job was called for, on the client's clock like the three that follow.
        launched_at: When the attempt was given to the backend; ``None`` for what a worker went on with under another name.
        noticed_at: When the client learned that there may be a verdict.
        settled_at: When it had read it.
        worker_ahead: What to take off the worker's time to get the client's.

    Returns:
        The parts, and by how much the worker's clock had to be moved to be possible.

    >>> usage = Usage(began_at=1012.0, wall_s=6.0, setup_s=3.0, fetch_s=1.0, task_s=(2.0,))
    >>> times, moved = divided(
    ...     usage, called_at=10, launched_at=11, noticed_at=20, settled_at=20.5, worker_ahead=1000
    ... )
    >>> times
    Parts(plan=1, launch=1.0, setup=2.0, fetch=1.0, compute=2.0, commit=3.0, collect=0.5)
    >>> times.total, moved
    (10.5, 0.0)
    """
    # A platform bills from when its function begins; the attempt begins when its worker process is ready.
    before = max(0.0, usage.billed_s - usage.wall_s) if usage.invocations else 0.0
    setup = before + usage.setup_s - usage.fetch_s
    compute = sum(usage.task_s) if usage.task_s else max(0.0, usage.wall_s - usage.setup_s)
    told = usage.began_at - worker_ahead - before
    first = called_at if launched_at is None else launched_at
    worked = setup + usage.fetch_s + compute
    begun = max(first, min(told, noticed_at - worked))
    launched = begun if launched_at is None else launched_at
    commit = max(0.0, noticed_at - begun - worked)
    collect = settled_at - max(noticed_at, begun + worked)
    return (
        Parts(
            launched - called_at, begun - launched, setup, usage.fetch_s, compute, commit, max(0.0, collect)
        ),
        begun - told,
    )


def _made(store: Store, job_id: str) -> str:
    from wrens.core import reading

    return reading.read_manifest(store, job_id).made


def as_facts(found: Breakdown) -> Mapping[str, object]:
    """Return all of it as what JSON can hold."""
    return {
        "job_s": found.job_s,
        "after_s": found.after_s,
        "lost": found.lost,
        "lost_s": found.lost_s,
        "moved_s": found.moved_s,
        "attempts": [
            {"attempt": one.attempt, "start": one.start, "count": one.count, "where": one.where}
            | {name: getattr(one.parts, name) for name in NAMES}
            for one in found.attempts
        ],
    }
