"""Where a module comes from, and so how code of it travels.

    INSTALLED   the standard library, installed packages, wrens itself and what it needs: by name, the worker
                has them
    USER        files of the user (scripts beside, checkouts, editable installs): by name, and shipped
    VALUE       no worker could import it under its name: its functions and classes travel by value

Decides that and finds the files; does not read them. Finding never imports anything.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class Origin(Enum):
    """How code of a module travels."""

    INSTALLED = "installed"
    USER = "user"
    VALUE = "value"


WORKER_HAS = frozenset({"wrens", "cloudpickle", "msgspec", "obstore", "typing_extensions"})
"""wrens and what it needs: every worker has them, also where they lie beside the code of a function in a cloud."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a top-level module of the user is: one file, or one or more directories of a package."""

    name: str
    paths: tuple[str, ...]
    package: bool


@lru_cache(maxsize=1)
def _installed_roots() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the directories of installed packages, and those of the standard library."""
    paths = sysconfig.get_paths()
    packages = {paths["purelib"], paths["platlib"], site.getusersitepackages(), *site.getsitepackages()}
    library = {paths["stdlib"], paths["platstdlib"], os.path.dirname(os.__file__)}  # noqa: PTH120

    def real(found: Iterable[str]) -> tuple[str, ...]:
        return tuple({form(path) + os.sep for path in found for form in (os.path.abspath, os.path.realpath)})

    return real(packages), real(library)


@lru_cache(maxsize=4096)
def is_installed(path: str) -> bool:
    """Tell whether a file or directory belongs to an installed package or to the standard library.

    >>> import os
    >>> is_installed(os.__file__)
    True
    """
    packages, library = _installed_roots()
    parts = Path(path).parts
    if path.startswith(packages) or "site-packages" in parts or "dist-packages" in parts:
        return True
    return path.startswith(library)


def find(name: str) -> ModuleSpec | None:
    """Return the spec under which a fresh process with this ``sys.path`` would import ``name``.

    Unlike :func:`importlib.util.find_spec` this imports no parent and ignores what is imported already.
    """
    path: Iterable[str] | None = None
    full, spec = "", None
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        spec = _find_one(full, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations or ()
    return spec


def _find_one(name: str, path: Iterable[str] | None) -> ModuleSpec | None:
    """Ask the finders for one module of a package whose search path is known."""
    for finder in list(sys.meta_path):
        ask = getattr(finder, "find_spec", None)
        try:
            spec = ask(name, path, None) if ask is not None else None
        except (ImportError, AttributeError, KeyError, ValueError):  # a finder that knows only loaded parents
            continue
        if isinstance(spec, ModuleSpec):
            return spec
    return None


class Origins:
    """Remembers origins and places as long as ``sys.path`` stays as it is; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._path: list[str] = []
        self._origins: dict[str, tuple[ModuleType | None, Origin]] = {}
        self._places: dict[str, Place | None] = {}

    def forget(self) -> None:
        """Look everything up anew, because files have changed."""
        with self._lock:
            self._origins.clear()
            self._places.clear()

    def of(self, name: str) -> Origin:
        """Return how code of the imported module ``name`` travels.

        >>> Origins().of("json.decoder"), Origins().of("msgspec"), Origins().of("wrens.errors")
        (<Origin.INSTALLED: 'installed'>, <Origin.INSTALLED: 'installed'>, <Origin.INSTALLED: 'installed'>)
        """
        if sys.path != self._path:
            self.forget()
            self._path = list(sys.path)
        module = sys.modules.get(name)
        known = self._origins.get(name)
        if known is None or known[0] is not module:
            known = self._origins[name] = (module, _origin(name, module))
        return known[1]

    def place(self, top: str) -> Place | None:
        """Return where the user's top-level module ``top`` is; ``None`` when it is not the user's."""
        if sys.path != self._path:
            self.forget()
            self._path = list(sys.path)
        if top not in self._places:
            self._places[top] = _place(top)
        return self._places[top]


def _origin(name: str, module: ModuleType | None) -> Origin:
    """Work out the origin of a module."""
    top = name.partition(".")[0]
    if name in ("__main__", "__mp_main__"):
        return Origin.VALUE
    if module is None or top in WORKER_HAS or top in sys.builtin_module_names:
        return Origin.INSTALLED  # not imported: cloudpickle sees for itself that it cannot go by name
    file = getattr(module, "__file__", None)
    spec = getattr(module, "__spec__", None)
    if file is None and getattr(spec, "origin", None) in ("built-in", "frozen"):
        return Origin.INSTALLED
    portions = [file] if file else list(getattr(module, "__path__", ()))
    if portions and all(is_installed(portion) for portion in portions):
        return Origin.INSTALLED
    found = find(name)
    if found is None or not _same(found, file, portions):
        return Origin.VALUE
    return Origin.USER


def _same(found: ModuleSpec, file: str | None, portions: list[str]) -> bool:
    """Tell whether a spec leads to the module that is loaded."""
    if file is None:
        return bool(portions) and found.submodule_search_locations is not None
    return found.origin is not None and os.path.realpath(found.origin) == os.path.realpath(file)


def _place(top: str) -> Place | None:
    """Find the files of a top-level module, if it is the user's."""
    if top in sys.builtin_module_names or top in WORKER_HAS or top == "__main__":
        return None
    spec = _find_one(top, None)
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    if spec.origin is None:
        portions = tuple(
            os.path.realpath(p) for p in spec.submodule_search_locations or () if not is_installed(p)
        )
        return Place(top, portions, package=True) if portions else None
    if is_installed(spec.origin):
        return None
    if spec.submodule_search_locations is not None:
        return Place(top, tuple(os.path.abspath(p) for p in spec.submodule_search_locations), package=True)  # noqa: PTH100
    return Place(top, (os.path.abspath(spec.origin),), package=False)  # noqa: PTH100


ORIGINS = Origins()
"""What this process knows."""
