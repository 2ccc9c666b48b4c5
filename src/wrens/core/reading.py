"""What the store knows of a job.

Decides how manifest, pages and verdicts are put together to the state of a job, for :func:`wrens.attach` and
for the command line; that they have to be of one making of the job; and that evidence without a valid signature is
none. Reads only; runs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from wrens.errors import BadSignature, ObjectMissing, UnknownJob
from wrens.store.port import Store, get_head
from wrens.wire import envelope, keys
from wrens.wire.records import End, Heartbeat, Loss, Manifest, Page, Verdict

FIRST_READ = 64 * 1024
"""Enough for the record of most pages, so that their inputs need not be read."""


@dataclass(slots=True)
class Stored:
    """A job as it is in the store at one moment.

    ``bodies`` says for each page where its body begins in the object, in bytes.
    """

    manifest: Manifest
    pages: list[Page] = field(default_factory=list)
    bodies: dict[int, int] = field(default_factory=dict)
    end: End | None = None
    verdicts: set[str] = field(default_factory=set)

    @property
    def tasks(self) -> int:
        """How many tasks are stored."""
        return sum(row.count for page in self.pages for row in page.rows)


def read_manifest(store: Store, job_id: str) -> Manifest:
    """Return a job's manifest.

    Raises:
        UnknownJob: if the store holds none.
    """
    key = keys.manifest(job_id)
    try:
        return envelope.from_json(Manifest, store.get(key), key)
    except ObjectMissing:
        raise UnknownJob(job_id, store.url) from None


def read_page(store: Store, job_id: str, number: int) -> tuple[Page, int]:
    """Return a page's record and where its body begins, without reading its inputs."""
    key = keys.page(job_id, number)
    head = get_head(store, key, FIRST_READ)
    end = envelope.record_end(head, key)
    if end > len(head):
        head = get_head(store, key, end)
    page, _ = envelope.unseal(Page, head, key)
    return page, end + envelope.padding(end)


def read_end(store: Store, job_id: str, made: str | None = None) -> End | None:
    """Return the record that ends a job's inputs, or ``None`` when there is none yet.

    Raises:
        ForeignRecord: if it is not of this making of the job.
    """
    key = keys.end(job_id)
    try:
        end = envelope.from_json(End, store.get(key), key)
    except ObjectMissing:
        return None
    if made is not None:
        envelope.check_made(end.made, made, key, store.url)
    return end


def read_verdict(
    store: Store, job_id: str, batch: str, made: str | None = None
) -> tuple[Verdict, memoryview]:
    """Return a batch's verdict and its packed results.

    Raises:
        ObjectMissing: if it has none yet.
        ForeignRecord: if it is not of this making of the job.
    """
    return verdict_in(store.get(keys.verdict(job_id, batch)), job_id, batch, made, store.url)


def verdict_in(
    data: memoryview, job_id: str, batch: str, made: str | None, url: str
) -> tuple[Verdict, memoryview]:
    """Take apart what was read as a batch's verdict; as :func:`read_verdict`."""
    key = keys.verdict(job_id, batch)
    verdict, body = envelope.unseal(Verdict, data, key)
    if made is not None:
        envelope.check_made(verdict.made, made, key, url)
    return verdict, body


def read_pages(store: Store, job_id: str, stored: Stored) -> Iterator[Page]:
    """Add the pages that are new to ``stored``, and yield each; a failure costs none that were read before."""
    after = keys.page(job_id, stored.pages[-1].number) if stored.pages else ""
    for key in store.list(keys.pages(job_id), after=after):
        number = int(keys.basename(key))
        page, body = read_page(store, job_id, number)
        envelope.check_made(page.made, stored.manifest.made, key, store.url)
        stored.pages.append(page)
        stored.bodies[number] = body
        yield page


def read_job(store: Store, job_id: str) -> Stored:
    """Return all that the store knows of a job, but for the contents of pages and verdicts.

    Raises:
        UnknownJob: if the store holds no manifest of it.
    """
    stored = Stored(read_manifest(store, job_id))
    # The end is read first: when it is there, all pages are.
    stored.end = read_end(store, job_id, stored.manifest.made)
    for _ in read_pages(store, job_id, stored):
        pass
    stored.verdicts = {keys.basename(key) for key in store.list(keys.verdicts(job_id))}
    return stored


def list_jobs(store: Store) -> Iterator[str]:
    """Yield the ids of the jobs in a store, in order."""
    after = ""
    while True:
        key = next(store.list(keys.JOBS, after=after), None)
        if key is None:
            return
        job_id = key.split("/")[1]
        yield job_id
        # Every key of this job is below this one, so each job costs one listing whatever its size.
        after = f"{keys.JOBS}{job_id}0"


def driver_beat(store: Store, job_id: str, driver: str) -> Heartbeat | None:
    """Return the last sign of life of the driver that reads a job's inputs, or ``None``."""
    key = keys.evidence(job_id, f"driver.{driver}", "heartbeat")
    try:
        return envelope.from_json(Heartbeat, store.get(key), key)
    except (ObjectMissing, BadSignature):
        return None


def drivers(store: Store) -> dict[str, float]:
    """Return when each driver has last given a sign of life, in seconds since 1970."""
    found: dict[str, float] = {}
    for key in store.list(keys.DRIVERS):
        try:
            beat = envelope.from_json(Heartbeat, store.get(key), key)
        except (ObjectMissing, BadSignature):
            continue  # it has closed at this moment; or nobody knows who says so
        found[keys.basename(key)] = beat.at
    return found


def losses(store: Store, job_id: str) -> list[Loss]:
    """Return the evidence of lost attempts that drivers have left, in order of batch."""
    wanted = [key for key in store.list(keys.attempts(job_id)) if keys.basename(key) == "loss"]
    found: list[Loss] = []
    for key in wanted:
        with contextlib.suppress(BadSignature):
            found.append(envelope.from_json(Loss, store.get(key), key))
    return found
