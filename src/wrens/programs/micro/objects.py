"""One large object for each worker, written and read through the store of the job: the bandwidth that each worker has.

Reading is a job of its own, in which each task reads what another one's place has written. The bytes are random, so
nothing on the way makes them smaller, and the reader compares their digest with the writer's. Making and comparing them is
not measured. Objects lie below the job, and are deleted when they have been read. Decides what is written, what is measured
and what is checked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from wrens.core.executor import Executor
from wrens.models.exchange.storing import store_of
from wrens.programs.micro.measuring import Reading, Run, Stopwatch, timed
from wrens.store.port import put_raw, raw_range
from wrens.wire import keys
from wrens.worker.context import current_task

PIECE = 1 << 20
"""Bytes that are copied at a time while reading is measured."""


@dataclass(frozen=True, slots=True)
class Written:
    """An object that a task has written.

    Args:
        store, key: Where it is.
        digest: SHA-256 of its bytes.
        reading: What writing it took.
    """

    store: str
    key: str
    digest: bytes
    reading: Reading

    @property
    def nbytes(self) -> int:
        """How large it is."""
        return int(self.reading.amount)


@dataclass(frozen=True, slots=True)
class Both:
    """What writing and reading took, each a job."""

    write: Run
    read: Run


def run(ex: Executor, workers: int, nbytes: int) -> Both:
    """Let each of so many workers write an object, then read one, and return what they measured.

    Args:
        ex: Where; the objects go to its store.
        workers: How many tasks; the executor should have as many workers.
        nbytes: How large an object is.
    """
    written, write_s = timed(ex, write, [nbytes] * workers)
    try:
        # Each reads the object of its neighbour, so that nobody has read it before.
        readings, read_s = timed(ex, read, [*written[1:], written[0]])
    finally:
        forget(ex, written)
    return Both(
        Run(workers, write_s, tuple(one.reading for one in written)), Run(workers, read_s, tuple(readings))
    )


def write(nbytes: int) -> Written:
    """Write an object of random bytes below the job of the task that runs.

    Raises:
        RuntimeError: outside of a task.
        StoreError: if it cannot be written.
    """
    task = current_task()
    if task is None:
        raise RuntimeError("only a task has a store to write to")
    data = os.urandom(nbytes)
    digest = hashlib.sha256(data).digest()
    key = f"{keys.results(task.job)}/{keys.new_id()}"
    store = store_of(task.store)
    with Stopwatch() as watch:
        put_raw(store, key, data)
    return Written(task.store, key, digest, watch.reading(nbytes))


def read(written: Written) -> Reading:
    """Read an object, and tell whether it is what was written.

    Raises:
        ObjectMissing: if it is gone.
        StoreError: if it cannot be read.
    """
    store = store_of(written.store)
    with Stopwatch() as watch:
        data = raw_range(store, written.key, 0, written.nbytes)
        # A directory hands out a mapping, of which nothing has been read yet.
        piece = bytearray(PIECE)
        for at in range(0, data.nbytes, PIECE):
            part = data[at : at + PIECE]
            piece[: part.nbytes] = part
    right = hashlib.sha256(data).digest() == written.digest
    return watch.reading(data.nbytes, right=right)


def forget(ex: Executor, written: Sequence[Written]) -> None:
    """Delete what was written; what this does not reach goes when the executor closes."""
    ex.store.delete([one.key for one in written])
