"""What this process has asked of each bucket, request by request and job by job.

A service bills requests, also those that were repeated, that looked whose object is there, or that it refused. So they
are counted where they are made, in the adapter, and not where they are wanted. Every adapter of one bucket and prefix
in this process counts into one :class:`Meter`, whoever has opened it.

Decides what is one request, of which class, and to which job it belongs: the one in whose part of the store the key
is. Knows no prices. What is asked of directories and memory nobody bills, so it is counted apart and together, as the
requests that a bucket would have been sent.
"""

from __future__ import annotations

import threading
from typing import Literal

from wrens.wire.keys import JOBS
from wrens.wire.records import Requests

Verb = Literal["put", "get", "list", "delete"]
_PLACES: dict[Verb, int] = {"put": 0, "get": 1, "list": 2, "delete": 3}
_READ, _WRITTEN = 4, 5

_meters: dict[str, Meter] = {}
_lock = threading.Lock()


class Meter:
    """Counts the requests of this process to one bucket and prefix.

    Args:
        by_job: Whether it is kept which job they belong to.

    >>> meter = Meter()
    >>> meter.count("put", "jobs/j/manifest", 400)
    >>> meter.count("list", "drivers/")
    >>> meter.of_job("j")
    Requests(puts=1, bytes_written=400)
    >>> meter.of_job(""), meter.total()
    (Requests(lists=1), Requests(puts=1, lists=1, bytes_written=400))
    """

    def __init__(self, *, by_job: bool = True) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, list[int]] = {}
        self._all = [0] * 6
        self._by_job = by_job

    def count(self, verb: Verb, key: str, nbytes: int = 0, *, times: int = 1) -> None:
        """Count a request, or several of a kind, and what they carry.

        Args:
            verb: What was asked for.
            key: Of which key, or keys that begin with it.
            nbytes: What was sent with a put, or came with a get.
            times: How many requests it was.
        """
        place, there = _PLACES[verb], _WRITTEN if verb == "put" else _READ
        with self._lock:
            self._all[place] += times
            self._all[there] += nbytes
            if self._by_job:
                counts = self._of.setdefault(job_of(key), [0] * 6)
                counts[place] += times
                counts[there] += nbytes

    def of_job(self, job: str) -> Requests:
        """Return what was counted for a job; with an empty id, what belongs to none."""
        with self._lock:
            return Requests(*self._of.get(job, ()))

    def total(self) -> Requests:
        """Return all that was counted."""
        with self._lock:
            return Requests(*self._all)

    def forget(self, job: str) -> None:
        """Free what is kept of a job; the total stays."""
        with self._lock:
            self._of.pop(job, None)


def job_of(key: str) -> str:
    """Return the id of the job to which a key belongs, or an empty string.

    >>> job_of("jobs/j/verdicts/00000007"), job_of("jobs/"), job_of("functions/5ac0")
    ('j', '', '')
    """
    if not key.startswith(JOBS):
        return ""
    job, slash, _ = key[len(JOBS) :].partition("/")
    return job if slash else ""


unbilled = Meter(by_job=False)
"""Counts what this process asks of directories and memory."""


def meter_at(url: str) -> Meter:
    """Return the meter of a bucket and prefix; settings in the URL make no other.

    >>> meter_at("s3://bucket/p?region=eu-west-1") is meter_at("s3://bucket/p?signed=no")
    True
    """
    place = url.partition("?")[0]
    with _lock:
        found = _meters.get(place)
        if found is None:
            found = _meters[place] = Meter()
        return found


def is_metered(url: str) -> bool:
    """Whether requests to this store are counted: to the buckets of the services that wrens itself speaks to."""
    return url.startswith(("s3:", "gs:", "az:"))


def made_here() -> Requests:
    """Return what this process has asked of all buckets, those with the user's own data included."""
    with _lock:
        meters = [*_meters.values()]
    return sum((meter.total() for meter in meters), Requests())
