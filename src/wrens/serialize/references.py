"""What stands for a result or a shared value while it travels.

A future or a ``put`` value among inputs pickles as a call of :func:`load_reference` with a few words that
say where the data is. Unpickling that calls the resolver which the process has installed. Decides how the
resolver is found, not how it reads the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wrens.errors import WrensError
from wrens.wire.records import JobRef, ResultRef, ValueRef

Resolver = Callable[[ResultRef | JobRef | ValueRef], Any]


class _OfThread(threading.local):
    resolver: Resolver | None = None


_of_thread = _OfThread()
_of_process: Resolver | None = None


def load_reference(ref: ResultRef | JobRef | ValueRef) -> Any:
    """Return what ``ref`` stands for, by asking the resolver of this thread, else of this process.

    Args:
        ref: Where the data is.

    Raises:
        WrensError: if no resolver is installed here.

    >>> with resolving(lambda ref: ref.digest.upper()):
    ...     load_reference(ValueRef("memory://", "ab"))
    'AB'
    """
    resolver = _of_thread.resolver or _of_process
    if resolver is None:
        raise WrensError(
            f"nothing in this process can look up {ref}: a future or a shared value is read by a worker of "
            "wrens, or by a client that has an open executor. Unpickle it there, or send the value itself."
        )
    return resolver(ref)


def set_resolver(resolver: Resolver | None) -> None:
    """Install what looks up references in this process; ``None`` takes it away.

    Args:
        resolver: Called with a reference, returns what it stands for.

    >>> set_resolver(lambda ref: "found")
    >>> load_reference(ValueRef("memory://", "ab"))
    'found'
    >>> set_resolver(None)
    """
    global _of_process
    _of_process = resolver


@contextmanager
def resolving(resolver: Resolver | None) -> Iterator[None]:
    """Install a resolver for this thread only, for the length of a ``with`` block.

    Args:
        resolver: As in :func:`set_resolver`; ``None`` leaves the lookup to the process's.

    >>> with resolving(lambda ref: 1), resolving(lambda ref: 2):
    ...     load_reference(ValueRef("memory://", "ab"))
    2
    """
    before, _of_thread.resolver = _of_thread.resolver, resolver
    try:
        yield
    finally:
        _of_thread.resolver = before
