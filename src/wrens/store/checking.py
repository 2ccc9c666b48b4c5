"""Whether a store does what the port promises, tried on an object that is made for it.

Decides what is tried and in which order. The object has a name that nobody else uses, and is deleted at the end.
A sign that all is well, and no proof: that needs :class:`wrens.testing.StoreContract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wrens.errors import AlreadyExists, ObjectMissing, StoreError
from wrens.store.port import Store
from wrens.wire import keys

CONTENT = b"written by 'wrens doctor', and deleted by it"


@dataclass(frozen=True)
class Tried:
    """One thing that was tried.

    Args:
        what: What.
        error: What came of it; ``None`` when it went well.
        problem: What is wrong although the store reported no error.
    """

    what: str
    error: StoreError | None = None
    problem: str = ""

    @property
    def well(self) -> bool:
        """Whether it went as promised."""
        return self.error is None and not self.problem


def try_verbs(store: Store) -> Iterator[Tried]:
    """Yield what came of each verb of the port, in the order put, put again, get, list, delete.

    >>> from wrens.store import open_store
    >>> [tried.what for tried in try_verbs(open_store("memory://tried")) if tried.well]
    ['write', 'create only once', 'read', 'list', 'delete', 'tell what is missing']
    """
    key = keys.trial(keys.new_id())

    def read() -> str:
        return "" if bytes(store.get(key)) == CONTENT else "what was read is not what was written"

    def listed() -> str:
        return "" if key in store.list(key.rpartition("/")[0] + "/") else "a listing does not show the object"

    first = _tried("write", lambda: store.put(key, CONTENT))
    yield first
    if first.well:
        yield _tried("create only once", lambda: _again(store, key))
        yield _tried("read", read)
    yield _tried("list", listed if first.well else lambda: _look(store))
    if first.well:
        yield _tried("delete", lambda: store.delete([key]))
        yield _tried("tell what is missing", lambda: _missing(store, key))


def _tried(what: str, act: Callable[[], str | None]) -> Tried:
    try:
        return Tried(what, problem=act() or "")
    except StoreError as error:
        return Tried(what, error)


def _again(store: Store, key: str) -> str:
    try:
        store.put(key, b"another object")
    except AlreadyExists:
        return ""
    return "a second object of the same name was taken, so two workers could settle one batch"


def _look(store: Store) -> str:
    next(iter(store.list("trials/")), None)
    return ""


def _missing(store: Store, key: str) -> str:
    try:
        store.get(key)
    except ObjectMissing:
        return ""
    return "an object that was deleted can still be read"
