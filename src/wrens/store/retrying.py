"""A store that tries again.

Decides how often, how long to wait in between, and how a put-if-absent whose reply was lost is settled.
Only :exc:`~wrens.errors.StoreUnavailable` is worth another try; every other error goes to the caller at
once. Does not decide what is unavailable: the store inside does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wrens.clock import Clock, SystemClock
from wrens.errors import AlreadyExists, StoreUnavailable, UncertainWrite
from wrens.store.naming import as_buffers
from wrens.store.port import Buffer, Mode, Store
from wrens.store.readback import same_object

T = TypeVar("T")


@dataclass(frozen=True)
class StoreRetry:
    """How patient to be with a store.

    Args:
        attempts: Tries in all.
        base_s: The longest first wait, in seconds; it doubles with each try.
        cap_s: No wait is longer than this.

    >>> [StoreRetry().longest_s(n) for n in range(4)]
    [0.05, 0.1, 0.2, 0.4]
    """

    attempts: int = 5
    base_s: float = 0.05
    cap_s: float = 2.0

    def longest_s(self, failures: int) -> float:
        """Return the longest wait after ``failures`` earlier ones."""
        return float(min(self.cap_s, self.base_s * 2**failures))


class RetryingStore:
    """Repeats what failed because the store did not answer.

    The waits are spread at random, so that a thousand workers that were told to slow down do not come back
    in step.

    Args:
        inner: The store to be patient with.
        policy: How patient.
        clock: What to wait on.

    >>> from wrens.clock import VirtualClock
    >>> from wrens.store import Fault, FaultyStore, open_store
    >>> flaky = FaultyStore(open_store("memory://flaky"), [Fault("put", nth=1, kind="lost_reply")])
    >>> store = RetryingStore(flaky, clock=VirtualClock())
    >>> store.put("k", b"mine")
    >>> bytes(store.get("k"))
    b'mine'
    """

    def __init__(self, inner: Store, policy: StoreRetry | None = None, clock: Clock | None = None) -> None:
        self._inner = inner
        self._policy = policy or StoreRetry()
        self._clock = clock or SystemClock()
        self.url = inner.url

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object; a put-if-absent that may have happened is settled by reading back.

        Raises:
            AlreadyExists: if ``mode`` is ``"if_absent"`` and another object is there.
            UncertainWrite: if a reply was lost and every later try failed too.
            StoreUnavailable: if every try failed, and ``mode`` is ``"replace"`` or none of them was sent.
        """
        try:
            self._inner.put(key, data, mode=mode)
        except StoreUnavailable as error:
            self._put_again(key, data, mode, error)

    def _put_again(
        self, key: str, data: Buffer | Sequence[Buffer], mode: Mode, error: StoreUnavailable
    ) -> None:
        sent = error.sent
        for failures in range(self._policy.attempts - 1):
            self._wait(failures)
            try:
                return self._inner.put(key, data, mode=mode)
            except StoreUnavailable as again:
                error, sent = again, sent or again.sent
            except AlreadyExists as taken:
                # An earlier try may have been carried out: then this object is our own.
                ours = self._retry(lambda: same_object(self._inner, key, as_buffers(data)))
                if ours:
                    return None
                raise taken from None
        if mode == "replace" or not sent:
            raise error
        self._last_look(key, data, error)
        return None

    def _last_look(self, key: str, data: Buffer | Sequence[Buffer], error: StoreUnavailable) -> None:
        """Settle a put by what is there, when no try was answered."""
        ours = same_object(self._inner, key, as_buffers(data))
        if ours is None:
            # Not there yet; but a request may still be on its way.
            raise UncertainWrite("put", key, self.url, error.reason) from error
        if not ours:
            raise AlreadyExists("put", key, self.url) from None

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return the object's bytes from ``start``, all or at most ``length`` of them."""
        return self._retry(lambda: self._inner.get(key, start=start, length=length))

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``; a listing that breaks goes on where it was."""
        failures = 0
        while True:
            try:
                for key in self._inner.list(prefix, after=after):
                    yield key
                    after, failures = key, 0
                return
            except StoreUnavailable:
                failures += 1
                if failures >= self._policy.attempts:
                    raise
            self._wait(failures - 1)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; missing ones are ignored, so a repetition does no harm."""
        keys = list(keys)
        self._retry(lambda: self._inner.delete(keys))

    def _retry(self, call: Callable[[], T]) -> T:
        for failures in range(self._policy.attempts - 1):
            try:
                return call()
            except (StoreUnavailable, UncertainWrite):
                self._wait(failures)
        return call()

    def _wait(self, failures: int) -> None:
        spread = 0.5 + os.urandom(1)[0] / 510  # between half and all of it
        self._clock.sleep(self._policy.longest_s(failures) * spread)

    def __repr__(self) -> str:
        return f"RetryingStore({self._inner!r})"
