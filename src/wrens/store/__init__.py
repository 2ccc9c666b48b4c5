"""Where every byte of a job lives.

    from wrens.store import open_store
    store = open_store("/data/jobs")        # or memory://, s3://bucket/prefix, gs://…, az://…

Decides which names other packages may use; they are imported when first asked for, because a worker that
only reads a directory must not pay for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wrens.store.port import Buffer, Mode, Store

if TYPE_CHECKING:
    from wrens.store.faulty import Fault, FaultyStore
    from wrens.store.metered import MeteredStore, Reading
    from wrens.store.opening import default_store_url, open_store, register_scheme
    from wrens.store.retrying import RetryingStore, StoreRetry

__all__ = [
    "Buffer",
    "Fault",
    "FaultyStore",
    "MeteredStore",
    "Mode",
    "Reading",
    "RetryingStore",
    "Store",
    "StoreRetry",
    "default_store_url",
    "open_store",
    "register_scheme",
]

_HOMES = {
    "Fault": "faulty",
    "FaultyStore": "faulty",
    "MeteredStore": "metered",
    "Reading": "metered",
    "RetryingStore": "retrying",
    "StoreRetry": "retrying",
    "default_store_url": "opening",
    "open_store": "opening",
    "register_scheme": "opening",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
