"""The exams that every store and backend passes, and the tools to write one's own tests with.

    from wrens.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore(...)

Public: an adapter in another package is tested with the same classes as those of wrens. Decides which names
there are; each is imported when first asked for. May import everything; nothing but tests imports it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wrens.testing.backend_contract import BackendContract
    from wrens.testing.small_jobs import SmallJob
    from wrens.testing.store_contract import StoreContract
    from wrens.testing.store_faults import faulty_url
    from wrens.testing.tasks import Scripted, ScriptedError

__all__ = ["BackendContract", "Scripted", "ScriptedError", "SmallJob", "StoreContract", "faulty_url"]

_HOMES = {
    "BackendContract": "backend_contract",
    "Scripted": "tasks",
    "ScriptedError": "tasks",
    "SmallJob": "small_jobs",
    "StoreContract": "store_contract",
    "faulty_url": "store_faults",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
