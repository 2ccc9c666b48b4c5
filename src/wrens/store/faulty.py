"""A store that fails on command.

Decides what a scripted fault looks like to the caller. Nothing here is random: a test that fails once
fails again. Does not decide when to inject; the script does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from wrens.clock import Clock, SystemClock
from wrens.errors import StoreDenied, StoreError, StoreFull, StoreUnavailable
from wrens.store.port import Buffer, Mode, Store, size, sizes

Action = Literal["put", "get", "list", "delete"]
Kind = Literal["error", "delay", "lost_reply", "torn", "full", "denied"]
_REFUSALS: dict[Kind, type[StoreError]] = {"full": StoreFull, "denied": StoreDenied}


@dataclass(frozen=True)
class Fault:
    """One rule of a script.

    Args:
        action: The verb that it concerns; ``"*"`` is any.
        nth: Begin with the n-th call, counted from 1, among those that this rule fits.
        key_contains: Fit only keys (or prefixes) that contain this.
        kind: ``"error"``: nothing happens and the store is unavailable. ``"lost_reply"``: it happens, yet
            the store is unavailable. ``"torn"``: the connection breaks halfway; a put leaves nothing, a
            listing stops after its first key. ``"full"`` and ``"denied"``: nothing happens, for want of space
            or permission. ``"delay"``: it happens after ``seconds``.
        seconds: How long a delay takes, on the store's clock.
        times: How many calls in a row it concerns; ``None`` is all that follow.
    """

    action: Action | Literal["*"] = "*"
    nth: int = 1
    key_contains: str = ""
    kind: Kind = "error"
    seconds: float = 0.0
    times: int | None = 1

    def fits(self, action: Action, key: str) -> bool:
        """Tell whether a call is one that this rule counts.

        >>> Fault("put", key_contains="verdicts/").fits("put", "jobs/j/verdicts/00000007")
        True
        """
        return self.action in ("*", action) and self.key_contains in key


Script = Callable[[Action, str, int], Fault | None] | Sequence[Fault]
"""Rules, or a function of (action, key, number of the call among all, from 1) that returns one."""


class FaultyStore:
    """Injects faults between a caller and a store.

    A deletion is told by the first of its keys.

    Args:
        inner: The store that does the work.
        script: What goes wrong, and when.
        clock: What a delay waits on.

    >>> from wrens.store import open_store
    >>> store = FaultyStore(open_store("memory://faulty"), [Fault("get", nth=2)])
    >>> store.put("k", b"v")
    >>> bytes(store.get("k"))
    b'v'
    >>> store.get("k")
    Traceback (most recent call last):
        ...
    wrens.errors.StoreUnavailable: get k in memory://faulty: the store did not answer properly
      the store says: injected error
      wrens tried again as often as its policy allows; look at the network and the service.
    """

    trusted = False
    """Whether :func:`~wrens.store.open_store` may hand it out unsigned; see :class:`~wrens.store.Store`."""

    def __init__(self, inner: Store, script: Script, clock: Clock | None = None) -> None:
        self._inner = inner
        self._script = script
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._calls = 0
        self._seen = [0] * (0 if callable(script) else len(script))
        self.url = inner.url

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object, or fail as the script says."""
        kind = self._before("put", key)
        self._inner.put(key, data, mode=mode)
        self._after(kind, "put", key)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return an object's bytes, or fail as the script says."""
        kind = self._before("get", key)
        found = self._inner.get(key, start=start, length=length)
        self._after(kind, "get", key)
        return found

    def size(self, key: str) -> int:
        """Return how many bytes an object has, or fail as the script says of a get."""
        kind = self._before("get", key)
        found = size(self._inner, key)
        self._after(kind, "get", key)
        return found

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield keys with sizes, or fail as the script says of a list."""
        kind = self._before("list", prefix, torn_later=True)
        for one in sizes(self._inner, prefix):
            yield one
            if kind == "torn":
                break
        self._after(kind, "list", prefix)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield keys, or fail as the script says: a torn listing breaks after its first key."""
        kind = self._before("list", prefix, torn_later=True)
        for key in self._inner.list(prefix, after=after):
            yield key
            if kind == "torn":
                break
        self._after(kind, "list", prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, or fail as the script says."""
        keys = list(keys)
        first = keys[0] if keys else ""
        kind = self._before("delete", first)
        self._inner.delete(keys)
        self._after(kind, "delete", first)

    def _before(self, action: Action, key: str, *, torn_later: bool = False) -> Kind | None:
        """Do what has to go wrong before the work; return the fault that is due, for afterwards."""
        fault = self._due(action, key)
        if fault is None:
            return None
        if fault.kind == "delay":
            self._clock.sleep(fault.seconds)
        if fault.kind == "error" or (fault.kind == "torn" and not torn_later):
            raise StoreUnavailable(action, key, self.url, f"injected {fault.kind}")
        if (refusal := _REFUSALS.get(fault.kind)) is not None:
            raise refusal(action, key, self.url, f"injected {fault.kind}")
        return fault.kind

    def _after(self, kind: Kind | None, action: Action, key: str) -> None:
        if kind in ("lost_reply", "torn"):
            raise StoreUnavailable(action, key, self.url, f"injected {kind}")

    def _due(self, action: Action, key: str) -> Fault | None:
        """Return the first rule whose turn it is. Every rule that fits counts the call."""
        with self._lock:
            self._calls += 1
            if callable(self._script):
                return self._script(action, key, self._calls)
            due = None
            for i, rule in enumerate(self._script):
                if not rule.fits(action, key):
                    continue
                self._seen[i] += 1
                late = self._seen[i] - rule.nth
                if due is None and late >= 0 and (rule.times is None or late < rule.times):
                    due = rule
            return due

    def __repr__(self) -> str:
        return f"FaultyStore({self._inner!r})"
