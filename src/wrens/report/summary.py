"""What the store says of a job, as numbers.

    done        every task is settled, all with results
    failed      every task is settled, some without
    running     tasks are open, and somebody works on them: a sign of life within the last minute
    unfinished  tasks are open or the inputs have no end, and nobody works on them: ``wrens resume``

A sign of life is a heartbeat, a verdict, or the making of the job. Those of a client count no longer when it
ran on this very computer and its process is gone.
Decides these states and sums up verdicts, which are read without the results in them. Reads only; what it
finds is a moment's picture. Does not decide how anything is printed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from wrens.core import reading
from wrens.errors import BadSignature, ObjectMissing
from wrens.store.port import Store, get_head
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat, Loss, Manifest, Verdict

State = Literal["done", "failed", "running", "unfinished"]

ALIVE_S = 60.0
"""A sign of life younger than this means that somebody works on the job."""
HEAD = 64 * 1024
"""Enough for the record of most verdicts, so that the results need not be read."""
READERS = 16
"""How many objects are read at a time; a bucket answers each only after some time."""
SLOWEST = 5
"""How many attempts are told one by one."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Used:
    """What the attempts that settled something used together, in seconds and bytes; memory is the highest."""

    span_s: float = 0.0
    """From the first attempt's beginning to the last one's end, by the workers' clocks."""
    wall_s: float = 0.0
    setup_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mb: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def tasks_s(self) -> float:
        """Time in which tasks ran: what was not set-up."""
        return max(0.0, self.wall_s - self.setup_s)


@dataclass(frozen=True, slots=True)
class Summary:
    """A job at one moment.

    Args:
        manifest: Who made it, and how.
        ended: Whether its inputs have ended.
        tasks: How many tasks are stored.
        ok: How many of them have a result.
        failed: How many have failed.
        cancelled: How many were cancelled.
        pages: Pages of inputs.
        verdicts: The verdicts, in order of batch.
        losses: Evidence of lost attempts.
        signs_at: The last sign of life, in seconds since 1970.
        others_at: The last one that was not by the client that made the job; 0 when there is none.
        maker_gone: Whether that client is known to have ended.
    """

    manifest: Manifest
    ended: bool
    tasks: int
    ok: int = 0
    failed: int = 0
    cancelled: int = 0
    pages: int = 0
    verdicts: Sequence[Verdict] = field(default=(), repr=False)
    losses: Sequence[Loss] = field(default=(), repr=False)
    signs_at: float = 0.0
    others_at: float = 0.0
    maker_gone: bool = False

    @property
    def job(self) -> str:
        """The job's id."""
        return self.manifest.job

    @property
    def settled(self) -> int:
        """Tasks that are settled, in whichever way."""
        return self.ok + self.failed + self.cancelled

    @property
    def complete(self) -> bool:
        """Whether every task is settled and no more will come."""
        return self.ended and self.settled >= self.tasks

    def state(self, now: float) -> State:
        """Return the job's state.

        Args:
            now: The time, in seconds since 1970.
        """
        if self.complete:
            return "failed" if self.failed or self.cancelled else "done"
        return "running" if now - self.alive_at < ALIVE_S else "unfinished"

    @property
    def alive_at(self) -> float:
        """The last sign of life of somebody who may still be alive, in seconds since 1970; 0 for none."""
        return self.others_at if self.maker_gone else self.signs_at

    @property
    def retried(self) -> int:
        """How often a task was called again because of what it had raised."""
        tries = {
            keys.child(verdict.batch, i): child.tries
            for verdict in self.verdicts
            for i, child in enumerate(verdict.children)
        }
        return sum(
            child.count
            for verdict in self.verdicts
            for child in verdict.children
            if child.tries > tries.get(verdict.batch, 0)
        )

    def slowest(self, most: int = SLOWEST) -> list[Verdict]:
        """Return the verdicts of the attempts that took longest, the longest first."""
        ran = [verdict for verdict in self.verdicts if verdict.usage.began_at]
        return sorted(ran, key=lambda verdict: -verdict.usage.wall_s)[:most]

    def used(self) -> Used:
        """Add up what the attempts used."""
        usages = [verdict.usage for verdict in self.verdicts if verdict.usage.began_at]
        if not usages:
            return Used()
        return Used(
            span_s=max(u.began_at + u.wall_s for u in usages) - min(u.began_at for u in usages),
            wall_s=sum(u.wall_s for u in usages),
            setup_s=sum(u.setup_s for u in usages),
            cpu_s=sum(u.cpu_s for u in usages),
            peak_memory_mb=max(u.peak_memory_mb for u in usages),
            bytes_read=sum(u.bytes_read for u in usages),
            bytes_written=sum(u.bytes_written for u in usages),
        )


def summarize(store: Store, job_id: str) -> Summary:
    """Read a job's records and sum them up.

    Args:
        store: Where the job is.
        job_id: Its id or name.

    Raises:
        UnknownJob: if the store holds no such job.
        DamagedObject: if a record does not decode.
        BadSignature, ForeignRecord: if a record was not written for this job by who has the signing key.

    >>> from wrens import Executor
    >>> from wrens.store import open_store
    >>> store = open_store("memory://summary")
    >>> with Executor("inline", store=store, keep=True) as ex:
    ...     job = ex.map_async(abs, [-1, 2])
    >>> found = summarize(store, job.id)
    >>> found.tasks, found.ok, found.failed, found.state(now=0)
    (2, 2, 0, 'done')
    """
    stored = reading.read_job(store, job_id)
    manifest = stored.manifest
    made = manifest.made
    verdicts = read_all(lambda batch: read_verdict(store, job_id, batch, made), sorted(stored.verdicts))
    evidence = list(store.list(keys.attempts(job_id)))
    failures = [failure for verdict in verdicts for _, failure in verdict.failures]
    cancelled = sum(failure.kind == "cancelled" for failure in failures)
    signs = [(verdict.attempt, verdict.usage.began_at + verdict.usage.wall_s) for verdict in verdicts]
    signs += [(beat.attempt, beat.at) for beat in read_beats(store, evidence)]
    return Summary(
        manifest=manifest,
        ended=stored.end is not None,
        tasks=stored.tasks,
        ok=sum(count for verdict in verdicts for _, count in verdict.ok),
        failed=len(failures) - cancelled,
        cancelled=cancelled,
        pages=len(stored.pages),
        verdicts=verdicts,
        losses=_losses(store, evidence),
        signs_at=max(manifest.made_at, *(at for _, at in signs), 0.0),
        others_at=max((at for attempt, at in signs if driver_of(attempt) != manifest.driver), default=0.0),
        maker_gone=is_gone(manifest.made_by),
    )


def driver_of(attempt: str) -> str:
    """Return the id of the driver that launched an attempt, or that speaks for itself.

    >>> driver_of("00000007.1.2-5ac0"), driver_of("00000007.driver-5ac0"), driver_of("driver.5ac0")
    ('5ac0', '5ac0', '5ac0')
    """
    return attempt.rpartition(".")[2].rpartition("-")[2]


def is_gone(made_by: str) -> bool:
    """Tell whether a client is known to have ended: it ran on this computer, and has no process here.

    Args:
        made_by: ``user@host:pid``, as a manifest has it.

    >>> is_gone(f"me@{platform.node()}:{os.getpid()}"), is_gone("me@elsewhere:1")
    (False, False)
    """
    who, _, pid = made_by.rpartition(":")
    if who.partition("@")[2] != platform.node() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def read_beats(store: Store, evidence: Iterable[str]) -> list[Heartbeat]:
    """Return the heartbeats among a job's evidence.

    Args:
        store: Where the job is.
        evidence: The keys of the job's evidence.
    """

    def read(key: str) -> Heartbeat | None:
        try:
            return envelope.from_json(Heartbeat, store.get(key), key)
        except (ObjectMissing, BadSignature):
            return None  # deleted since it was listed; or nobody knows who says so

    found = read_all(read, [key for key in evidence if keys.basename(key) == "heartbeat"])
    return [beat for beat in found if beat is not None]


def read_verdict(store: Store, job_id: str, batch: str, made: str) -> Verdict:
    """Return a batch's verdict without its results.

    Raises:
        ObjectMissing: if it has none.
        ForeignRecord: if it is not of this making of the job.
    """
    key = keys.verdict(job_id, batch)
    head = get_head(store, key, HEAD)
    end = envelope.record_end(head[:16], key)
    if end > len(head):
        head = get_head(store, key, end)
    verdict, _ = envelope.unseal(Verdict, head, key)
    envelope.check_made(verdict.made, made, key, store.url)
    return verdict


def read_all(read: Callable[[T], R], wanted: Sequence[T]) -> list[R]:
    """Read several objects at a time, and return them in order.

    >>> read_all(str.upper, ["a", "b"])
    ['A', 'B']
    """
    if len(wanted) < 2:
        return [read(one) for one in wanted]
    with ThreadPoolExecutor(min(READERS, len(wanted)), thread_name_prefix="wrens-reading") as pool:
        return list(pool.map(read, wanted))


def _losses(store: Store, evidence: Iterable[str]) -> list[Loss]:
    def read(key: str) -> Loss | None:
        try:
            return envelope.from_json(Loss, store.get(key), key)
        except BadSignature:
            return None

    found = read_all(read, [key for key in evidence if keys.basename(key) == "loss"])
    return [loss for loss in found if loss is not None]
