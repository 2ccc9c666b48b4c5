"""From names and URLs to a session.

Decides what stands for an option that was left out: the backend, the store, and both inside of a task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from wrens import events
from wrens.backends import registry
from wrens.backends.base import Backend
from wrens.core.session import Session
from wrens.core.watching import watched
from wrens.errors import BadOption
from wrens.store import default_store_url, open_store
from wrens.store.port import Store
from wrens.worker.context import current_task


def open_session(
    backend: str | Backend | None,
    store: str | os.PathLike[str] | Store | None,
    *,
    max_workers: int | None = None,
    initializer: tuple[Callable[..., object], tuple[Any, ...]] | None = None,
    observers: Sequence[events.Observer] = (),
) -> Session:
    """Open a backend and a store by name and URL, and make a session of them.

    Raises:
        UnknownBackend: if no backend has this name.
        StoreError: if the store cannot be opened.
        BadOption: if an option cannot be.
    """
    task = current_task()
    if backend is not None and not isinstance(backend, str) and not hasattr(backend, "launch"):
        raise BadOption("backend", f"must be a name or a backend, not {backend!r}")
    if store is not None and not isinstance(store, (str, os.PathLike)) and not hasattr(store, "put"):
        raise BadOption("store", f"must be a URL, a path or a store, not {store!r}")
    if backend is None:
        backend = registry.default()
    if task is not None and backend == "local":
        # Workers of this computer have one pool; a task uses the place that it already has.
        backend = "inline"
    inherited = store is None and task is not None
    if store is None:
        store = default_store_url() if task is None else task.store
    if isinstance(store, (str, os.PathLike)):
        store = open_store(store, check=True, decided=inherited)
    if isinstance(backend, str):
        backend = registry.open_backend(backend, max_workers=max_workers)
    try:
        watching = watched(observers, in_process=backend.limits.in_process)
        return Session(backend, store, initializer=initializer, observers=watching)
    except BaseException:
        backend.close()
        raise
