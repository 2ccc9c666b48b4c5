"""The only place that spells a key of the store.

    functions/<digest>-<owner>           a function, or a bundle of the modules that it needs
    values/<digest>-<owner>              a shared value (``ex.put``)
    environments/<digest>                third-party packages for workers that have none
    environments/<digest>.used           when a client last relied on them
    jobs/<job>/manifest                  who made the job, with which options and versions
    jobs/<job>/pages/<n>                 a table of batches and their packed inputs
    jobs/<job>/verdicts/<batch>          the one record that settles a batch
    jobs/<job>/attempts/<batch>.<k>/…    evidence: heartbeat, loss, wasted; cancel, a word for the worker's host
    jobs/<job>/attempts/driver.<id>/…    evidence: heartbeat, account
    jobs/<job>/exchange/<id>             what a task has made for the tasks of the next stage
    jobs/<job>/results/<id>              what a task leaves for whoever asks, too large for its verdict
    jobs/<job>/supersteps/<n>            what a superstep of a run begins with, in the folder of the run's first job
    jobs/<name>/parameters/<n>           a checkpoint of a parameter server
    jobs/<job>/end                       no more pages will come
    drivers/<id>                         a driver's last sign of life
    uploads/<id>                         a large object on its way to its key
    probe                                what a bucket is tried with before work begins
    deployments/<digest>                 code on its way to a service that takes it from here; then deleted
    trials/<id>                          written, read and deleted by 'wrens doctor'

Names of pages and root batches are padded with zeros, so that a listing in key order is a listing in
number order. ``<batch>`` is ``<n>`` for a batch of a page, ``<parent>.<i>`` for a child that a verdict
handed on. A task may be handed on any number of times, but the name of a file has 255 bytes: a name that would
be longer than 100 characters is ``<n>.of-<digest of the parent's name>.<i>`` instead, and its children's names
grow from there. Every client and worker comes to the same name, from the parent's name and the child's number.
``<k>`` is unique to one attempt of one driver, so two drivers never write the same evidence. ``<owner>`` is
the driver that stored a content and deletes it when it closes: nobody else's work can depend on it. An
environment has none: it takes long to build and upload, and all drivers share it.
"""

from __future__ import annotations

import os
import re
import time
from hashlib import blake2b

from wrens.errors import BadOption

CONTENT = re.compile(rb"[0-9a-f]{32}-[0-9a-f]{8}")
"""The name of a content, wherever it stands."""
CONTENT_BYTES = 41
"""How long such a name is."""

_MADE = re.compile(r"([0-9a-f]{8})-[0-9a-f]{8}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
LONGEST_BATCH = 100
"""Characters of a batch's name; an attempt's adds its own part, and all must fit into a file's name."""


def digest(*parts: bytes | bytearray | memoryview) -> str:
    """Return the name of a content: 32 hexadecimal digits of BLAKE2b over the parts, in order.

    >>> digest(b"ab") == digest(b"a", b"b")
    True
    """
    state = blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def content(owner: str, *parts: bytes | bytearray | memoryview) -> str:
    """Return the name of a content that belongs to one driver.

    >>> content("5c9e6960", b"ab")
    '3dc9ae220222e2e156b2a5abb60d01c7-5c9e6960'
    """
    return f"{digest(*parts)}-{owner}"


def new_id() -> str:
    """Return a fresh id that sorts by the time of its making: seconds since 1970, then 32 random bits.

    >>> len(new_id())
    17
    """
    return f"{int(time.time()):08x}-{os.urandom(4).hex()}"  # noqa: TID251 - an id, not a decision


def made_at(name: str) -> float | None:
    """Return when a name was made by :func:`new_id`, in seconds since 1970; ``None`` for other names.

    >>> made_at("6b0297e2-cc1bd108")
    1795332066.0
    """
    match = _MADE.fullmatch(name)
    return float(int(match.group(1), 16)) if match else None


def new_mark() -> str:
    """Return 8 random hexadecimal digits, to tell a thing from others of the same name.

    >>> len(new_mark())
    8
    """
    return os.urandom(4).hex()


def check_name(name: str) -> str:
    """Return ``name`` when it can be a part of a key.

    Raises:
        BadOption: if it has other characters than letters, digits, ``-`` and ``_``, or more than 100.
    """
    if not _NAME.fullmatch(name):
        raise BadOption(
            f"name={name!r}",
            "cannot be part of a key",
            "Use up to 100 letters, digits, '-' and '_', and begin with a letter or digit.",
        )
    return name


def function(name: str) -> str:
    """Key of a function or module bundle with this name."""
    return f"functions/{name}"


def exchange(job: str) -> str:
    """Prefix under which a job's tasks leave data for the next stage, without its slash."""
    return f"jobs/{job}/exchange"


def results(job: str) -> str:
    """Prefix under which a job's tasks leave large results, without its slash."""
    return f"jobs/{job}/results"


def supersteps(run: str) -> str:
    """Prefix of what the supersteps of a run begin with."""
    return f"jobs/{run}/supersteps/"


def superstep(run: str, number: int) -> str:
    """Key of what one superstep of a run begins with.

    >>> superstep("ranks", 7)
    'jobs/ranks/supersteps/00000007'
    """
    return f"jobs/{run}/supersteps/{number:08d}"


def parameters(name: str) -> str:
    """Prefix of the checkpoints of a parameter server."""
    return f"jobs/{name}/parameters/"


def parameters_at(name: str, number: int) -> str:
    """Key of one checkpoint of a parameter server.

    >>> parameters_at("ratings", 7)
    'jobs/ratings/parameters/00000007'
    """
    return f"jobs/{name}/parameters/{number:08d}"


def value(name: str) -> str:
    """Key of a shared value with this digest."""
    return f"values/{name}"


def environment(name: str) -> str:
    """Key of the packages with this digest."""
    return f"{ENVIRONMENTS}{name}"


def environment_use(name: str) -> str:
    """Key of the sign that the packages with this digest are in use."""
    return f"{ENVIRONMENTS}{name}{USED}"


ENVIRONMENTS, USED = "environments/", ".used"
ENVIRONMENT = re.compile(rb"[0-9a-f]{32}(?!-[0-9a-f]{8})")
"""The name of an environment, wherever it stands."""
JOBS = "jobs/"
DRIVERS = "drivers/"
UPLOADS = "uploads/"
PROBE = "probe"


def upload(upload_id: str) -> str:
    """Key under which a large object is put together, before it is copied to its own."""
    return f"uploads/{upload_id}"


def driver(driver_id: str) -> str:
    """Key of a driver's sign of life."""
    return f"drivers/{driver_id}"


def deployment(digest: str) -> str:
    """Key of code that is to be deployed."""
    return f"deployments/{digest}"


def trial(trial_id: str) -> str:
    """Key of an object that somebody writes to see whether that works."""
    return f"trials/{trial_id}"


def job(job_id: str) -> str:
    """Prefix of everything that belongs to a job."""
    return f"jobs/{job_id}/"


def manifest(job_id: str) -> str:
    """Key of a job's manifest."""
    return f"jobs/{job_id}/manifest"


def pages(job_id: str) -> str:
    """Prefix of a job's pages."""
    return f"jobs/{job_id}/pages/"


def page(job_id: str, number: int) -> str:
    """Key of one page.

    >>> page("j", 7)
    'jobs/j/pages/00000007'
    """
    return f"jobs/{job_id}/pages/{number:08d}"


def verdicts(job_id: str) -> str:
    """Prefix of a job's verdicts."""
    return f"jobs/{job_id}/verdicts/"


def verdict(job_id: str, batch: str) -> str:
    """Key of the verdict of one batch."""
    return f"jobs/{job_id}/verdicts/{batch}"


def end(job_id: str) -> str:
    """Key of the record that says that no more pages will come."""
    return f"jobs/{job_id}/end"


def attempts(job_id: str) -> str:
    """Prefix of all evidence of a job."""
    return f"jobs/{job_id}/attempts/"


def evidence(job_id: str, attempt: str, what: str) -> str:
    """Key of one piece of evidence; ``attempt`` is ``<batch>.<k>``."""
    return f"jobs/{job_id}/attempts/{attempt}/{what}"


def account(job_id: str, driver_id: str) -> str:
    """Key of what a driver has asked for a job."""
    return evidence(job_id, f"driver.{driver_id}", "account")


def batch(number: int) -> str:
    """Name of the root batch with this number.

    >>> batch(7), child(batch(7), 1)
    ('00000007', '00000007.1')
    """
    return f"{number:08d}"


def child(parent: str, index: int) -> str:
    """Name of the ``index``-th child that the verdict of ``parent`` hands on.

    >>> child("00000007." + 45 * "0." + "1", 2)
    '00000007.of-b798d436ad2f6cab2545ab59b3d60ace.2'
    """
    name = f"{parent}.{index}"
    if len(name) <= LONGEST_BATCH:
        return name
    return f"{parent.partition('.')[0]}.of-{digest(parent.encode())}.{index}"


def going_on(attempt: str) -> str:
    """Name the attempt as which a worker goes on with the first child of its batch.

    >>> going_on("00000007.a1")
    '00000007.0.a1'
    """
    batch, _, own = attempt.rpartition(".")
    return f"{child(batch, 0)}.{own}"


def driver_of(attempt: str) -> str:
    """Return the id of the driver that has launched this attempt.

    >>> driver_of("00000002.0-fbc80071")
    'fbc80071'
    """
    return attempt.rpartition("-")[2]


def basename(key: str) -> str:
    """Return the last part of a key.

    >>> basename("jobs/j/verdicts/00000007.1")
    '00000007.1'
    """
    return key.rpartition("/")[2]
