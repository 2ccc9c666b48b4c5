"""Jobs made by hand, without a driver: what a backend's test needs of one.

Decides nothing. A driver does the same with more care; here there is one page, and each batch is launched by
the test itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from wrens.backends.base import Backend, Lost, Notice
from wrens.clock import Clock, SystemClock
from wrens.serialize import Pack, Shipper, pack, rebuild_failure
from wrens.store import Store
from wrens.wire import envelope, keys
from wrens.wire.records import VERSION, Child, Invocation, Page, Policy, Row, Sharing, Verdict


class SmallJob:
    """A function and its inputs, in a store.

    Args:
        store: Where.
        fn: The function, of one argument.
        inputs: Its inputs.
        batches: Into how many batches they are cut.
        inline: Whether invocations carry the inputs; otherwise workers read the page.
        initializer: Called once in each worker.

    >>> from wrens.backends.inline import InlineBackend
    >>> from wrens.store import open_store
    >>> job = SmallJob(open_store("memory://small"), abs, [-1, -2, 3])
    >>> run(InlineBackend(), job.invocations())
    [Committed(attempt='00000000.a', goes_on_as='')]
    >>> job.results()
    {0: 1, 1: 2, 2: 3}
    """

    def __init__(
        self,
        store: Store,
        fn: Callable[[Any], Any],
        inputs: Sequence[Any],
        *,
        batches: int = 1,
        inline: bool = True,
        initializer: Callable[[], Any] | None = None,
    ) -> None:
        self.store, self.id = store, keys.new_id()
        self._inline = inline
        shipper = Shipper()
        self._function = shipper.function(fn).digest
        self._initializer = shipper.function(initializer).digest if initializer else ""
        bounds = [len(inputs) * i // batches for i in range(batches + 1)]
        packed = [b"".join(pack(inputs[a:b], what=str, shipper=shipper).buffers) for a, b in pairwise(bounds)]
        for key, buffers in shipper.take_uploads():
            store.put(key, buffers, mode="replace")
        self._rows: list[Row] = []
        body: list[bytes] = []
        at = 0
        for i, data in enumerate(packed):
            count = bounds[i + 1] - bounds[i]
            self._rows.append(Row(keys.batch(i), bounds[i], count, self._function, "one", at, len(data)))
            body += (data, bytes(envelope.padding(len(data))))
            at += len(data) + envelope.padding(len(data))
        self._packed = packed
        page = envelope.seal(Page(VERSION, self.id, 0, "test", tuple(self._rows)), body)
        self._body_at = sum(map(len, page)) - at
        store.put(keys.page(self.id, 0), page)

    def invocations(
        self,
        k: str = "a",
        *,
        policy: Policy | None = None,
        sharing: Sharing | None = None,
        look_first: bool = False,
        stop_at: float | None = None,
    ) -> list[Invocation]:
        """Return an attempt named ``<batch>.<k>`` of each batch."""
        return [
            Invocation(
                v=VERSION,
                store=self.store.url,
                job=self.id,
                batch=row.batch,
                attempt=f"{row.batch}.{k}",
                function=row.function,
                call=row.call,
                start=row.start,
                count=row.count,
                page=0,
                offset=self._body_at + row.offset,
                length=row.length,
                origin=row.start,
                policy=policy or Policy(),
                sharing=sharing or Sharing(),
                inputs=data if self._inline else b"",
                initializer=self._initializer,
                look_first=look_first,
                stop_at=stop_at,
            )
            for row, data in zip(self._rows, self._packed, strict=True)
        ]

    def verdict(self, batch: str = "00000000") -> tuple[Verdict, memoryview]:
        """Return the verdict of a batch and its packed results.

        Raises:
            ObjectMissing: if it has none.
        """
        key = keys.verdict(self.id, batch)
        return envelope.unseal(Verdict, self.store.get(key), key)

    def settled(self) -> list[str]:
        """Return the names of the batches that have a verdict."""
        return [keys.basename(key) for key in self.store.list(keys.verdicts(self.id))]

    def results(self) -> dict[int, Any]:
        """Return what is settled: task to result, or to the exception that it failed with.

        Raises:
            AssertionError: if a task is settled twice.
        """
        found: dict[int, Any] = {}
        for batch in self.settled():
            verdict, body = self.verdict(batch)
            tasks = [task for start, count in verdict.ok for task in range(start, start + count)]
            values = Pack(body).items(0, len(tasks)) if tasks else []
            here = dict(zip(tasks, values, strict=True))
            here.update((task, rebuild_failure(failure)) for task, failure in verdict.failures)
            if found.keys() & here.keys():
                raise AssertionError(f"settled twice: {sorted(found.keys() & here.keys())}")
            found.update(here)
        return dict(sorted(found.items()))

    def handed_on(self) -> dict[str, Child]:
        """Return every child that a verdict names, by its batch name."""
        return {
            keys.child(batch, i): child
            for batch in self.settled()
            for i, child in enumerate(self.verdict(batch)[0].children)
        }


def run(
    backend: Backend,
    invocations: Sequence[Invocation],
    *,
    timeout_s: float = 30.0,
    clock: Clock | None = None,
) -> list[Notice]:
    """Launch attempts, never more at a time than the backend takes, and wait for the end of each.

    Returns:
        All notices, in order.

    Raises:
        AssertionError: if some attempt is not reported in time.
    """
    clock = clock or SystemClock()
    deadline = clock.now() + timeout_s
    waiting, notices = list(invocations), list[Notice]()
    free = backend.limits.parallelism
    while waiting or free < backend.limits.parallelism:
        backend.launch(waiting[:free])
        given = len(waiting[:free])
        del waiting[:given]
        free -= given
        for notice in await_notices(backend, 1, timeout_s=deadline - clock.now(), clock=clock):
            notices.append(notice)
            free += is_end(notice)
    return notices


def is_end(notice: Notice) -> bool:
    """Tell whether this notice is the last one of its attempt."""
    return isinstance(notice, Lost) or not notice.goes_on_as


def await_notices(
    backend: Backend, count: int, *, timeout_s: float = 30.0, clock: Clock | None = None
) -> list[Notice]:
    """Poll until at least ``count`` notices have come, and return them.

    Raises:
        AssertionError: if they do not come in time.
    """
    clock = clock or SystemClock()
    deadline, notices = clock.now() + timeout_s, list[Notice]()
    while len(notices) < count:
        notices += backend.poll(1.0)
        if clock.now() > deadline:
            raise AssertionError(f"{len(notices)} of {count} notices in {timeout_s:g} s: {notices}")
    return notices


def poll_until(
    backend: Backend, condition: Callable[[], bool], *, timeout_s: float = 30.0, clock: Clock | None = None
) -> list[Notice]:
    """Poll until ``condition`` holds; return what was reported meanwhile.

    Raises:
        AssertionError: if it does not hold in time.
    """
    clock = clock or SystemClock()
    deadline, notices = clock.now() + timeout_s, list[Notice]()
    while not condition():
        notices += backend.poll(0.02)
        if clock.now() > deadline:
            raise AssertionError(f"it did not come about in {timeout_s:g} s; seen: {notices}")
    return notices
