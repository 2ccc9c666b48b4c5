"""A store that tries again.

Decides how often, how long to wait in between, and how a put-if-absent whose reply was lost is settled.
Only :exc:`~wrens.errors.StoreUnavailable`, and doubt because of it, is worth another try; every other error goes
to the caller at once. Does not decide what is unavailable: the store inside does. How much all calls together may repeat is
kept in :mod:`wrens.store.budget`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wrens.clock import Clock, SystemClock
from wrens.errors import AlreadyExists, StoreError, StoreUnavailable, UncertainWrite
from wrens.store.budget import Budget
from wrens.store.naming import as_buffers
from wrens.store.port import Buffer, Mode, Store, size, sizes
from wrens.store.readback import same_object

T = TypeVar("T")


@dataclass(frozen=True)
class StoreRetry:
    """How patient to be with a store.

    Args:
        attempts: Tries of one call in all.
        base_s: The longest first wait, in seconds; it doubles with each try.
        cap_s: No wait is longer than this.
        give_up_s: No try of a call begins later than this after its first failure, in seconds.
        reserve: Repetitions that all calls together have in advance.
        earned: Repetitions that each call earns by its success. So a client whose calls succeed in the end
            asks at most 1 + ``earned`` times as often as it would have to, and one whose calls fail asks hardly
            more than once for each, when the reserve is used up.

    >>> [StoreRetry().longest_s(n) for n in range(4)]
    [0.05, 0.1, 0.2, 0.4]
    """

    attempts: int = 5
    base_s: float = 0.05
    cap_s: float = 2.0
    give_up_s: float = 300.0
    reserve: float = 100.0
    earned: float = 1.0

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
        self._budget = Budget(self._policy.reserve, self._policy.earned)
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
        except (StoreUnavailable, UncertainWrite) as error:
            self._put_again(key, data, mode, error)
        self._budget.earn()

    def _put_again(
        self,
        key: str,
        data: Buffer | Sequence[Buffer],
        mode: Mode,
        error: StoreUnavailable | UncertainWrite,
    ) -> None:
        sent, tries = _may_be_there(error), self._tries()
        while tries.wait():
            try:
                return self._inner.put(key, data, mode=mode)
            except (StoreUnavailable, UncertainWrite) as again:
                error, sent = again, sent or _may_be_there(again)
            except AlreadyExists as taken:
                # An earlier try may have been carried out: then this object is our own.
                ours = self._retry(lambda: same_object(self._inner, key, as_buffers(data)))
                if ours:
                    return None
                raise taken from None
        last = tries.last_word(error)
        if mode == "replace" or not sent:
            raise last
        self._last_look(key, data, last)
        return None

    def _last_look(self, key: str, data: Buffer | Sequence[Buffer], error: StoreError) -> None:
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

    def size(self, key: str) -> int:
        """Return how many bytes an object has."""
        return self._retry(lambda: size(self._inner, key))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the keys that begin with ``prefix`` with their sizes; a listing that breaks is begun anew."""
        return iter(self._retry(lambda: list(sizes(self._inner, prefix))))

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``; a listing that breaks goes on where it was."""
        tries = self._tries()
        while True:
            try:
                for key in self._inner.list(prefix, after=after):
                    yield key
                    if tries.failures:
                        tries = self._tries()
                    after = key
                self._budget.earn()
                return
            except StoreUnavailable as error:
                if not tries.wait():
                    raise tries.last_word(error)  # noqa: B904 - its cause is set there

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; missing ones are ignored, so a repetition does no harm."""
        keys = list(keys)
        self._retry(lambda: self._inner.delete(keys))

    def _retry(self, call: Callable[[], T]) -> T:
        tries: _Tries | None = None
        while True:
            try:
                found = call()
            except (StoreUnavailable, UncertainWrite) as error:
                tries = tries or self._tries()
                if not tries.wait():
                    raise tries.last_word(error)  # noqa: B904 - its cause is set there
            else:
                self._budget.earn()
                return found

    def _tries(self) -> _Tries:
        return _Tries(self._policy, self._budget, self._clock)

    def __repr__(self) -> str:
        return f"RetryingStore({self._inner!r})"


def _may_be_there(error: StoreUnavailable | UncertainWrite) -> bool:
    """Tell whether a write that failed may have been carried out; pass on doubt that no other try resolves."""
    if isinstance(error, StoreUnavailable):
        return error.sent
    if not isinstance(error.__cause__, StoreUnavailable):
        raise error  # what is there may not be read, for one
    return True


class _Tries:
    """The tries of one call, from its first failure on."""

    def __init__(self, policy: StoreRetry, budget: Budget, clock: Clock) -> None:
        self._policy = policy
        self._budget = budget
        self._clock = clock
        self._until = clock.now() + policy.give_up_s
        self._why = ""
        self.failures = 0

    def wait(self) -> bool:
        """Wait as long as is due after another failure; returns whether there is to be another try."""
        self.failures += 1
        policy = self._policy
        if self.failures >= policy.attempts:
            return False
        if self._clock.now() >= self._until:
            self._why = f"tried for {policy.give_up_s:g} s"
            return False
        if not self._budget.spend():
            self._why = (
                f"not repeated: of this store's calls so many failed that all {policy.reserve:g} repetitions "
                "which they had in advance are used up"
            )
            return False
        spread = 0.5 + os.urandom(1)[0] / 510  # between half and all of it
        self._clock.sleep(policy.longest_s(self.failures - 1) * spread)
        return True

    def last_word(self, error: StoreError) -> StoreError:
        """Return the error to end with: the last one, and why there was no other try."""
        if not self._why:
            return error
        facts = (error.action, error.key, error.store, f"{error.reason} ({self._why})")
        told = (
            StoreUnavailable(*facts, sent=error.sent)
            if isinstance(error, StoreUnavailable)
            else type(error)(*facts)
        )
        told.__cause__ = error
        return told
