"""The store's port: four verbs, and what callers may rely on.

Decides the promises; :mod:`wrens.store.cloud` keeps them. Every implementation passes
:class:`wrens.testing.StoreContract`. What only some stores have is asked for by the functions below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol

Buffer = bytes | bytearray | memoryview
Mode = Literal["if_absent", "replace"]


class Store(Protocol):
    """Where every byte of a job lives.

    Keys are ``/``-separated and relative to the store's URL. What callers may rely on, each line being a
    test in :class:`wrens.testing.StoreContract`:

    * **Whole or absent.** No reader ever sees a part of an object.
    * **Seen by all.** Once ``put`` has returned, every ``get`` and ``list`` sees the object.
    * **One winner.** Of any number of ``put(key, ..., mode="if_absent")`` on one key exactly one returns;
      the others raise :exc:`~wrens.errors.AlreadyExists` and change nothing.
    * **Doubt is resolved or reported.** When the reply to a put-if-absent was lost, the object is read back
      and compared: it returns when the object there is this one, raises ``AlreadyExists`` when it is
      another's, and :exc:`~wrens.errors.UncertainWrite` when even that could not be told.
    * **Absence is an error with a name.** ``get`` of a missing key raises
      :exc:`~wrens.errors.ObjectMissing`; ``delete`` of one does nothing.
    * **What was read is the reader's own.** Where the memory that ``get`` returns can be written to,
      writing changes no object and no other reader's memory.
    * **Listing is in key order**, strictly after ``after``, and sees only whole objects.

    A store of a registered scheme may have an attribute ``trusted``: true says that nobody but the user can
    write there, so that it need not be signed (:mod:`wrens.store.signed`). A store may have the methods that
    :func:`sizes` and :func:`size` ask for: ``sizes(prefix)`` in the order of ``list``, and ``size(key)``, which raises
    ``ObjectMissing``.

    Not promised: clocks that agree, or that ``delete`` frees space at once. All methods may be called from
    several threads at a time.
    """

    url: str
    """What :func:`wrens.store.open_store` opens again to the same store; without credentials."""

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object, given as one buffer or as several that are joined."""
        ...

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return the object's bytes from ``start``, all or at most ``length`` of them."""
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix`` (which ends in ``/`` or is empty), in order.

        Only keys greater than ``after`` (a full key) are yielded.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, many with one request where the service allows it."""
        ...


def is_signed(store: Store) -> bool:
    """Tell whether what this store returns has been checked by its signature.

    >>> from wrens.store import open_store
    >>> is_signed(open_store("memory://scratch")), is_signed(open_store("memory://scratch?signed=yes"))
    (False, True)
    """
    return bool(getattr(store, "signed", False))


def raw_range(store: Store, key: str, start: int, length: int) -> memoryview:
    """Return a range of an object, of a signed store without its signature being checked if that can be done.

    For those who check what they have read by other means, or can do no harm with it.
    """
    raw: Callable[[str, int, int], memoryview] | None = getattr(store, "raw_range", None)
    return store.get(key, start=start, length=length) if raw is None else raw(key, start, length)


def put_raw(store: Store, key: str, data: Buffer | Sequence[Buffer]) -> None:
    """Store an object, in a signed store without a signature, for those who keep a digest of it where it is signed."""
    raw: Callable[[str, Buffer | Sequence[Buffer]], None] = getattr(store, "put_raw", store.put)
    raw(key, data)


def get_head(store: Store, key: str, length: int) -> memoryview:
    """Return the beginning of an object: at most ``length`` bytes, or all that was signed together with them."""
    head: Callable[[str, int], memoryview] | None = getattr(store, "get_head", None)
    return store.get(key, length=length) if head is None else head(key, length)


def sizes(store: Store, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield the keys that begin with ``prefix``, in key order, each with how many bytes the object has.

    Most services tell the sizes with a listing. Of a store that does not, the objects are read.

    >>> from wrens.store import open_store
    >>> store = open_store("memory://sizes")
    >>> store.put("a/b", b"12345")
    >>> list(sizes(store, "a/"))
    [('a/b', 5)]
    """
    told: Callable[[str], Iterator[tuple[str, int]]] | None = getattr(store, "sizes", None)
    if told is not None:
        return told(prefix)
    return ((key, store.get(key).nbytes) for key in store.list(prefix))


def size(store: Store, key: str) -> int:
    """Return how many bytes an object has; of a store that does not tell, it is read.

    Raises:
        ObjectMissing: if there is no such object.

    >>> from wrens.store import open_store
    >>> store = open_store("memory://size")
    >>> store.put("k", b"12345")
    >>> size(store, "k")
    5
    """
    told: Callable[[str], int] | None = getattr(store, "size", None)
    return store.get(key).nbytes if told is None else told(key)
