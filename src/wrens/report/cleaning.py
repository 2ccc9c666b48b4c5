"""What may be deleted from a store.

    choose     whole jobs that are old, or that were named; never one that somebody works on
    delete     one job, so that an interruption leaves nothing that looks complete
    sweep      functions, shared values and packages that no job that is left refers to

Decides this, and the order of deletion. Lists nothing but the prefixes of wrens, because a store may be a
bucket that holds other things too. Prints nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wrens.core import reading
from wrens.errors import (
    BadOption,
    BadSignature,
    DamagedObject,
    ForeignRecord,
    ObjectMissing,
    UnknownJob,
    VersionMismatch,
)
from wrens.report import texts
from wrens.report.summary import ALIVE_S, read_all, read_beats, summarize
from wrens.store.port import Store, raw_range
from wrens.wire import envelope, keys
from wrens.wire.records import EnvironmentUse

QUIET_S = 3600.0
"""A job that is not complete and gave a sign of life within this time may still be somebody's."""
UPLOADED_S = 86400.0
"""A large object that has been on its way for so long was given up: a slow line needs hours, not days."""
UNUSED_S = 7 * 86_400.0
"""Packages that no job refers to are kept for so long after somebody relied on them: they are built anew slowly."""
SLICE = 16 * 2**20
"""How much of an object is searched at a time."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A job that may be deleted.

    Args:
        job: Its id.
        state: As :mod:`wrens.report.summary` has it; ``"remains"`` of one that was deleted in part,
            ``"damaged"`` when its records do not decode, ``"other version"`` when another wrens wrote them,
            ``"not trusted"`` when their signatures are not valid or they are not all of one job.
        made_at: Seconds since 1970; 0 when not known.
        objects: How many objects it has.
        nbytes: How many bytes these have; ``None`` when the store does not tell.
    """

    job: str
    state: str
    made_at: float
    objects: int
    nbytes: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A job that was asked for, or is old enough, and is not deleted."""

    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Contents that nobody refers to, or the reason why they were not looked for.

    Args:
        keys: Functions, shared values and packages.
        nbytes: How many bytes they have; ``None`` when the store does not tell.
        signs: Signs of life of drivers that have long been silent.
        reason: Why nothing was looked for.
        uploads: Large objects that never arrived at their key, because whoever wrote them was killed.
    """

    keys: tuple[str, ...] = ()
    nbytes: int | None = None
    signs: tuple[str, ...] = ()
    reason: str = ""
    uploads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    state: str
    made_at: float
    signs_at: float
    complete: bool


def choose(
    store: Store, *, now: float, older_than_s: float | None = None, job: str | None = None
) -> tuple[list[Chosen], list[Kept]]:
    """Find the jobs to delete.

    A job whose client or workers gave a sign of life within the last minute is never chosen. One that is not
    complete and was heard of within the last hour is chosen only by its name: a client between two calls of
    ``submit`` gives no signs.

    Args:
        store: Where to look.
        now: The time, in seconds since 1970.
        older_than_s: Choose jobs that were made at least so long ago.
        job: Choose this one, whatever its age.

    Returns:
        The jobs to delete, and those that are kept although the wish covers them.

    Raises:
        BadOption: if neither is given.
        UnknownJob: if the store holds nothing of the named job.
    """
    if older_than_s is None and job is None:
        raise BadOption("--older-than", "is missing", "Say which jobs: --older-than 7d, or --job JOB.")
    chosen: list[Chosen] = []
    kept: list[Kept] = []
    for job_id in [keys.check_name(job)] if job else reading.list_jobs(store):
        if job is None and now - _made_at(store, job_id, now) < (older_than_s or 0.0):
            continue
        found = _look(store, job_id, now)
        reason = _objection(found, now, named=job is not None)
        if reason:
            kept.append(Kept(job_id, reason))
            continue
        objects = list(store.list(keys.job(job_id)))
        if not objects:
            raise UnknownJob(job_id, store.url)
        chosen.append(Chosen(job_id, found.state, found.made_at, len(objects), nbytes_of(store, objects)))
    return chosen, kept


def delete(store: Store, job_id: str, *, now: float) -> str:
    """Delete a job's objects, unless somebody has begun to work on it.

    The end goes first and the manifest last. So a deletion that was interrupted leaves a job without an end,
    which nobody can take for a complete one with no tasks, and its name stays taken until nothing of it is
    left.

    Args:
        store: Where it is.
        job_id: Its id.
        now: The time, in seconds since 1970.

    Returns:
        Why it was kept after all; empty when it was deleted.
    """
    if now - _last_beat(store, job_id) < ALIVE_S:
        return "somebody has begun to work on it"
    first, last = keys.end(job_id), keys.manifest(job_id)
    store.delete([first])
    store.delete([key for key in store.list(keys.job(job_id)) if key not in {first, last}])
    store.delete([last])
    return ""


def sweep(store: Store, *, now: float, without: Collection[str] = ()) -> Sweep:
    """Find functions, shared values and packages that no job refers to.

    Contents are stored before the page that refers to them is: a shared value by ``ex.put``, perhaps long
    before the map that takes it. So nothing is swept while there is a job that may get more pages: one that
    has no end and was heard of within the last hour, or one that appears while we look. Nor while an
    executor is alive, which may rely on what it has stored before.

    A reference is the name of a content, as text: in a page's table for functions, inside of pickled inputs
    and closures for shared values, in a function's head for its modules. So the contents of pages, functions
    and values are searched for names of what there is, which finds every reference without unpickling
    anything. A wrong hit keeps an object too many, which does no harm. Signatures are not checked here: who can
    change a page so that less seems to be needed can delete it as well.

    Args:
        store: Where to look.
        now: The time, in seconds since 1970.
        without: Jobs that are to be taken for deleted already.
    """
    uploads = tuple(
        key
        for key in store.list(keys.UPLOADS)
        if now - (keys.made_at(keys.basename(key)) or now) > UPLOADED_S
    )
    return replace(_sweep(store, now, without), uploads=uploads)


def _sweep(store: Store, now: float, without: Collection[str]) -> Sweep:
    seen = reading.drivers(store)
    signs = tuple(keys.driver(driver) for driver, at in seen.items() if now - at > QUIET_S)
    for driver, at in seen.items():
        if now - at < ALIVE_S:
            ago = texts.duration(max(0.0, now - at))
            return Sweep(
                signs=signs,
                reason=f"driver {driver} gave a sign of life {ago} ago and may refer to what it has stored",
            )
    jobs = [job for job in reading.list_jobs(store) if job not in without]
    for job in jobs:
        if reading.read_end(store, job) is None and now - _look(store, job, now).signs_at < QUIET_S:
            return Sweep(signs=signs, reason=f"job {job} has no end yet and may still come to refer to more")
    contents = {keys.basename(key): key for prefix in _CONTENTS for key in store.list(prefix)}
    contents |= _long_unused(store, now)
    unused = set(contents)
    todo: list[str] = [key for job in jobs for key in _pages_and_manifest(store, job)]
    while todo and unused:
        named: set[str] = set()
        for found_in in read_all(lambda key: _names(store, key), todo):
            named |= found_in & unused
        unused -= named
        todo = [contents[name] for name in named]
    if any(job not in jobs and job not in without for job in reading.list_jobs(store)):
        return Sweep(signs=signs, reason="a job was made while we looked")
    found = {contents[name] for name in unused}
    found_keys = tuple(sorted(found | {f"{key}{keys.USED}" for key in found if keys.ENVIRONMENTS in key}))
    return Sweep(found_keys, nbytes_of(store, found_keys), signs)


def _long_unused(store: Store, now: float) -> dict[str, str]:
    """Return the packages on which nobody relied of late, with their keys.

    Whoever relies on packages says so before looking whether they are there, see
    :mod:`wrens.environments.supply`; so what is not listed here may be about to be used.
    """
    found = set(store.list(keys.ENVIRONMENTS))
    old = {}
    for key in found:
        if key.endswith(keys.USED):
            continue
        try:
            data = store.get(f"{key}{keys.USED}")
            used_at = envelope.from_json(EnvironmentUse, data, key).at
        except (ObjectMissing, DamagedObject, BadSignature, VersionMismatch):
            used_at = 0.0
        if now - used_at > UNUSED_S:
            old[keys.basename(key)] = key
    return old


_CONTENTS = (keys.function(""), keys.value(""))


def nbytes_of(store: Store, objects: Iterable[str]) -> int | None:
    """Return how many bytes some objects have; ``None`` unless the store is a directory.

    The port has no question for it, and reading a bucket to learn how much there is would cost more than it
    tells.
    """
    parts = urlsplit(store.url)
    if parts.scheme != "file":
        return None
    root = Path(unquote(parts.path))
    total = 0
    for key in objects:
        try:
            total += (root / key).stat().st_size
        except FileNotFoundError:
            continue  # deleted since it was listed
    return total


def _look(store: Store, job_id: str, now: float) -> _Found:
    """Return what is known of a job, whatever state its records are in."""
    try:
        found = summarize(store, job_id)
    except UnknownJob:
        state = "remains"
    except DamagedObject:
        state = "damaged"
    except VersionMismatch:
        state = "other version"
    except (BadSignature, ForeignRecord):
        state = "not trusted"
    except ObjectMissing:
        # Its own executor is deleting it at this moment.
        return _Found("running", now, now, complete=False)
    else:
        return _Found(found.state(now), found.manifest.made_at, found.signs_at, found.complete)
    made_at = _made_at(store, job_id, now)
    # A job is made manifest first, so what has none is being deleted and will get nothing more.
    return _Found(state, made_at, _last_beat(store, job_id) or made_at, complete=state == "remains")


def _made_at(store: Store, job_id: str, now: float) -> float:
    """Return when a job was made: as its manifest has it, else as its id says, else now."""
    try:
        return reading.read_manifest(store, job_id).made_at
    except (UnknownJob, DamagedObject, VersionMismatch, BadSignature):
        made_at = keys.made_at(job_id)
        return now if made_at is None else made_at


def _last_beat(store: Store, job_id: str) -> float:
    return max((beat.at for beat in read_beats(store, store.list(keys.attempts(job_id)))), default=0.0)


def _objection(found: _Found, now: float, *, named: bool) -> str:
    silent_s = max(0.0, now - found.signs_at)
    if not found.complete and silent_s < ALIVE_S:
        return f"somebody may be at work on it: the last sign of life is {texts.duration(silent_s)} old"
    if not found.complete and silent_s < QUIET_S and not named:
        return (
            f"it is not complete and was heard of {texts.duration(silent_s)} ago; --job names it explicitly"
        )
    return ""


def _pages_and_manifest(store: Store, job_id: str) -> Iterator[str]:
    yield keys.manifest(job_id)  # for the initializer
    yield from store.list(keys.pages(job_id))


def _names(store: Store, key: str) -> set[str]:
    """Return every name of a content in an object."""
    found: set[str] = set()
    start = 0
    while True:
        part = raw_range(store, key, start, SLICE)
        for name in (keys.CONTENT, keys.ENVIRONMENT):
            found.update(match.group().decode("ascii") for match in name.finditer(part))
        if len(part) < SLICE:
            return found
        # A name across the border is seen whole in the next part.
        start += SLICE - (keys.CONTENT_BYTES - 1)
