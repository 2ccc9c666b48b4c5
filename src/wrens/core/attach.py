"""Getting a job back from its store.

Decides what a second client does with a job: settle what has a verdict, run what has none, wait for what is
still being planned as long as its client shows signs of life. Does not decide anything about attempts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict

from wrens import events
from wrens.backends.base import Backend
from wrens.core import reading
from wrens.core.batches import Batch, Rules
from wrens.core.job import Job
from wrens.core.opening import open_session
from wrens.core.planning import batches_of, python_version
from wrens.core.policy import Backup, Packing
from wrens.core.session import Session
from wrens.errors import DamagedObject, StoreError, VersionMismatch, WrensError
from wrens.serialize import rebuild_failure
from wrens.store import default_store_url, open_store
from wrens.store.port import Store
from wrens.wire import keys
from wrens.wire.records import End, Manifest, Page, ResultRef

SILENT_S = 20.0
"""A client that has not said for so long that it reads inputs is taken for dead."""
TROUBLE = 8
"""How often in a row the store may fail while new pages are looked for, until the job is broken."""


def attach(
    job_id: str,
    *,
    store: str | os.PathLike[str] | Store | None = None,
    backend: str | Backend | None = None,
    max_workers: int | None = None,
    observers: Sequence[events.Observer] = (),
) -> Job[Any]:
    """Return a job that some client made, from this or any other machine, and complete it.

    Tasks that have a verdict are not run again. The others are run here, also when another client is at work
    on the same job: whoever settles a batch first wins, and both get the same results. The job's data stays
    in the store.

    Args:
        job_id: The job's id or name.
        store: URL or directory of its store; by default that of :class:`wrens.Executor`.
        backend: Where to run; by default where the job was made to run.
        max_workers: As for :class:`wrens.Executor`.
        observers: Called with every event.

    Raises:
        UnknownJob: if the store holds no such job.
        VersionMismatch: if the job was made with another minor version of Python, or with a wrens whose
            records this one cannot read; nothing is settled then.
        StoreError: if the store cannot be read.

    >>> import tempfile
    >>> from wrens import Executor, attach
    >>> where = tempfile.mkdtemp()
    >>> with Executor("inline", store=where, keep=True) as ex:
    ...     job_id = ex.map_async(abs, [-1, -2]).id
    >>> attach(job_id, store=where).results()
    [1, 2]
    """
    opened, by_url = _store(store)
    stored = reading.read_job(opened, job_id)
    _check_versions(stored.manifest)
    session = open_session(
        stored.manifest.backend if backend is None else backend,
        opened,
        max_workers=max_workers,
        observers=observers,
    )
    session.adopt(job_id)
    session.driver.initializer = stored.manifest.initializer
    follower = _Follower(session, stored, check=by_url)
    try:
        follower.start()
    except BaseException:
        # What there is cannot be read: nothing was launched, and nobody will close the session.
        session.driver.know(follower.job)
        session.abandon()
        raise
    return follower.job


class _Follower:
    """Takes up what is in the store, and what comes into it."""

    def __init__(self, session: Session, stored: reading.Stored, *, check: bool) -> None:
        self._session = session
        self._stored = stored
        self._check = check
        self._rules = _rules(stored.manifest)
        self._since = session.clock.now()
        self._trouble = 0
        manifest = stored.manifest
        home = ResultRef(session.store.url, manifest.job, "", -1, manifest.made)
        self.job: Job[Any] = Job(manifest.job, home=home, driving=session, clock=session.clock)

    def start(self) -> None:
        """Settle what has a verdict and run the rest; then close the session by itself."""
        session, manifest = self._session, self._stored.manifest
        session.driver.signs.tell(lambda at: events.JobStarted(manifest.job, manifest.function, at))
        for page in self._stored.pages:
            self._plan(page)
        ended = self._take_end()
        batches = [batch for page in self._stored.pages for batch in self._batches(page)]
        open_batches = self._settled_by(batches)
        if self._check and (open_batches or not ended):
            # Until here it was enough to read, as it is for a job that is complete.
            open_store(session.store.url, check=True)
        self.job.on_finished(lambda: session.close(wait=False, cancel=False))
        if not ended:
            session.driver.watchers.append(self._look)
        if open_batches or not ended:
            session.driver.track(self.job, open_batches, shared=True)
            session.work_off()

    def _plan(self, page: Page) -> None:
        count = sum(row.count for row in page.rows)
        self.job.planned(count)
        self._session.driver.signs.tell(
            lambda at: events.TasksPlanned(self.job.id, count, len(page.rows), at)
        )

    def _batches(self, page: Page) -> list[Batch]:
        body = self._stored.bodies[page.number]
        return batches_of(page, body, self._rules, adopted=True)

    def _settled_by(self, batches: list[Batch]) -> list[Batch]:
        """Settle every batch that has a verdict, and what that hands on; return the batches that have none."""
        todo, without = list(batches), []
        while todo:
            batch = todo.pop()
            if batch.name not in self._stored.verdicts:
                without.append(batch)
                continue
            verdict, body = reading.read_verdict(
                self._session.store, batch.job, batch.name, self._stored.manifest.made
            )
            self.job.settle(verdict, body)
            self._session.driver.signs.settled(verdict, batch)
            for index, child in enumerate(verdict.children):
                todo.append(Batch.child_of(batch, index, child))
        return without

    def _take_end(self) -> bool:
        end = self._stored.end
        if end is None:
            return False
        self._check_number(end)
        self.job.ended(error=None if end.failure is None else rebuild_failure(end.failure))
        self._session.driver.signs.tell(lambda at: events.InputsEnded(self.job.id, end.tasks, at))
        return True

    def _check_number(self, end: End) -> None:
        """Refuse to take a map for a shorter one because pages of it are gone."""
        stored = self._stored
        if stored.manifest.kind == "map" and end.failure is None and stored.tasks < end.tasks:
            key = keys.end(stored.manifest.job)
            raise DamagedObject(
                key, f"it counts {end.tasks} tasks, and the pages that are there hold {stored.tasks}"
            )

    def _look(self) -> None:
        """Look for new pages and the end; in the driver's thread, every now and then."""
        session, stored = self._session, self._stored
        try:
            stored.end = reading.read_end(session.store, self.job.id, stored.manifest.made)
            for page in reading.read_pages(session.store, self.job.id, stored):
                self._plan(page)
                session.driver.take_up(self._batches(page), session.driver.next_turn())
            if stored.end is None and not self._abandoned():
                self._trouble = 0
                return
        except WrensError as error:
            self._trouble += 1
            if isinstance(error, StoreError) and self._trouble < TROUBLE:
                return  # the next sweep looks again, from the first page that was not read
            self.job.break_(error)
        session.driver.watchers.remove(self._look)
        if not self._take_end():
            self.job.ended(cut_short=True)

    def _abandoned(self) -> bool:
        """Whether the client that reads the inputs has been silent for too long."""
        beat = reading.driver_beat(self._session.store, self.job.id, self._stored.manifest.driver)
        clock = self._session.clock
        last = self._stored.manifest.made_at if beat is None else beat.at
        return clock.wall() - last > SILENT_S


def _rules(manifest: Manifest) -> Rules:
    packing, backup = manifest.packing, manifest.backup
    return Rules(
        policy=manifest.policy,
        packing=Packing() if packing is None else Packing(**asdict(packing)),
        lost=manifest.lost_tries,
        backoff_s=manifest.backoff_s,
        backup=None if backup is None else Backup(**asdict(backup)),
        initializes=bool(manifest.initializer),
    )


def _check_versions(manifest: Manifest) -> None:
    """Refuse a job whose functions this Python could not load, before anything is launched or settled."""
    made, here = manifest.python.rsplit(".", 1)[0], python_version()
    if made != here:
        raise VersionMismatch("Python", made, here, f"job {manifest.job}")


def _store(store: str | os.PathLike[str] | Store | None) -> tuple[Store, bool]:
    """Return the store, and whether it was opened here, for reading."""
    if store is None:
        return open_store(default_store_url(), create=False, check=True), True
    if isinstance(store, (str, os.PathLike)):
        return open_store(store, create=False, check=True), True
    return store, False
