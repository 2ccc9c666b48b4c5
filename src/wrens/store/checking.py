"""Whether a store does what the port promises, tried on an object that is made for it; and whether data may be used.

Decides what is tried and in which order. Such an object has a name that nobody else uses, and is deleted at the end.
A sign that all is well, and no proof: that needs :class:`wrens.testing.StoreContract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wrens.errors import AlreadyExists, ObjectMissing, StoreError
from wrens.store import data
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


def try_reading(address: str) -> str:
    """Find the first object of the user's data at an address and read a byte of it; returns what was seen.

    Raises:
        StoreError: if that may not be done.

    >>> from wrens.store import open_store
    >>> open_store("memory://reads").put("words/a.txt", b"one")
    >>> try_reading("memory://reads/words"), try_reading("memory://reads/lines")
    ('memory://reads/words/a.txt was read', 'nothing is there yet; it may be listed')
    """
    found = data.first(address)
    if found is None:
        return "nothing is there yet; it may be listed"
    data.open_data(found.store).get(found.key, length=1)
    return f"{found.url} was read"


def try_writing(address: str) -> str:
    """Write an object below an address, read, list and delete it; returns what was seen.

    Raises:
        StoreError: if something of that may not be done.

    >>> try_writing("memory://written/sorted")
    'an object was written, read, listed and deleted'
    """
    url, key = data.place_of(address)
    store, name = data.open_data(url), f"{key.rstrip('/')}/_trial-{keys.new_id()}".lstrip("/")
    store.put(name, CONTENT)
    try:
        store.get(name)
        next(iter(store.list(name[: name.rfind("/") + 1])), None)
    finally:
        store.delete([name])
    return "an object was written, read, listed and deleted"


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
