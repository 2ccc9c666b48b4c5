"""The results of a whole job, as a task reads them: one after the other, straight from the store.

Decides how much is read ahead: a distant store answers each request after some tens of milliseconds, and a job may have
thousands of verdicts. Nothing is kept, so the results together may be larger than the worker's memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Any

from wrens.errors import ObjectMissing
from wrens.serialize import Pack
from wrens.wire import envelope, keys
from wrens.wire.records import JobRef, Verdict
from wrens.worker.host import Host

AHEAD = 8
"""Verdicts that are being read, or wait, beside the one whose results are taken."""
_NEAR = ("file:", "memory:")


class Results:
    """All results of a job, in the order of its inputs; can be iterated over more than once.

    Args:
        ref: Where they are.
        host: The worker, which reads the store.
    """

    def __init__(self, ref: JobRef, host: Host) -> None:
        self._ref, self._host = ref, host

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(count for _, _, count in self._ref.runs)

    def __repr__(self) -> str:
        return f"<{len(self)} results of job {self._ref.job}>"

    def __iter__(self) -> Iterator[Any]:
        """Yield the results.

        Raises:
            ObjectMissing: if the job has been deleted.
            BadSignature, ForeignRecord: if a verdict is not what was put there.
        """
        ref, loader = self._ref, self._host.loader(self._ref.store)
        runs = [
            (batch, [run[1:] for run in some]) for batch, some in groupby(ref.runs, key=lambda run: run[0])
        ]
        for (batch, mine), data in zip(runs, self._read([batch for batch, _ in runs]), strict=True):
            key = keys.verdict(ref.job, batch)
            verdict, body = envelope.unseal(Verdict, data, key)
            envelope.check_made(verdict.made, ref.made, key, ref.store)
            pack = Pack(body.toreadonly(), loader)
            for start, count in mine:
                first = position(verdict, start)
                if first is None:
                    raise ObjectMissing("get", key, ref.store, f"it has no task {start}")
                # One at a time, so that no more than one is in memory.
                yield from map(pack.item, range(first, first + count))

    def _read(self, batches: list[str]) -> Iterator[memoryview]:
        def get(batch: str) -> memoryview:
            return self._host.get(self._ref.store, keys.verdict(self._ref.job, batch))

        if self._ref.store.startswith(_NEAR):
            yield from map(get, batches)
            return
        waiting: deque[Future[memoryview]] = deque()
        with ThreadPoolExecutor(AHEAD, thread_name_prefix="wrens-gather") as pool:
            try:
                for batch in batches:
                    waiting.append(pool.submit(get, batch))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def position(verdict: Verdict, task: int) -> int | None:
    """Return the place of a task's result in the pack.

    >>> position(Verdict(1, "j", "0", "0.a", 0, 9, ok=((0, 2), (5, 2))), 6)
    3
    """
    before = 0
    for start, count in verdict.ok:
        if start <= task < start + count:
            return before + task - start
        before += count
    return None
