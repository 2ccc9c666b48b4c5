"""What this process has asked of each bucket, request by request and job by job.

A service bills requests, also those that were repeated, that looked whose object is there, or that it refused. So they
are counted where they are made, in the adapter, and not where they are wanted. Every adapter of one bucket and prefix
in this process counts into one :class:`Meter`, whoever has opened it.

Decides what is one request, of which class, and to which job it belongs: the one in whose part of the store the key
is. Knows no prices. Directories and memory have no meter: nobody bills them.
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

    >>> meter = Meter()
    >>> meter.count("put", "jobs/j/manifest", 400)
    >>> meter.count("list", "drivers/")
    >>> meter.of_job("j")
    Requests(puts=1, bytes_written=400)
    >>> meter.of_job(""), meter.total()
    (Requests(lists=1), Requests(puts=1, lists=1, bytes_written=400))
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, list[int]] = {}
        self._forgotten = [0] * 6

    def count(self, verb: Verb, key: str, nbytes: int = 0, *, times: int = 1) -> None:
        """Count a request, or several of a kind, and what they carry.

        Args:
            verb: What was asked for.
            key: Of which key, or keys that begin with it.
            nbytes: What was sent with a put, or came with a get.
            times: How many requests it was.
        """
        job = job_of(key)
        with self._lock:
            counts = self._of.get(job)
            if counts is None:
                counts = self._of[job] = [0] * 6
            counts[_PLACES[verb]] += times
            if nbytes:
                counts[_WRITTEN if verb == "put" else _READ] += nbytes

    def of_job(self, job: str) -> Requests:
        """Return what was counted for a job; with an empty id, what belongs to none."""
        with self._lock:
            return Requests(*self._of.get(job, ()))

    def total(self) -> Requests:
        """Return all that was counted."""
        with self._lock:
            return Requests(*map(sum, zip(self._forgotten, *self._of.values(), strict=True)))

    def forget(self, job: str) -> None:
        """Free what is kept of a job; the total stays."""
        with self._lock:
            gone = self._of.pop(job, None)
            if gone is not None:
                self._forgotten = [a + b for a, b in zip(self._forgotten, gone, strict=True)]


def job_of(key: str) -> str:
    """Return the id of the job to which a key belongs, or an empty string.

    >>> job_of("jobs/j/verdicts/00000007"), job_of("jobs/"), job_of("functions/5ac0")
    ('j', '', '')
    """
    if not key.startswith(JOBS):
        return ""
    job, slash, _ = key[len(JOBS) :].partition("/")
    return job if slash else ""


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


def made_here(url: str) -> Requests:
    """Return what this process has asked of the store with this URL."""
    return meter_at(url).total() if is_metered(url) else Requests()
