"""The shipped modules of a worker: several versions of them, one at a time.

A world is a directory with unpacked modules and what was imported from it. Bundles that agree on all modules
which they share live in one world, so that a function and the classes of its inputs meet. A bundle that holds
another version of a module needs another world: the imported modules of the old one are set aside, and put
back when a bundle of it is activated again, because functions that were loaded there still refer to them.

    activate(A: m v1)        world 1 {m v1}
    activate(B: m v1, n v1)  world 1 {m v1, n v1}     agrees, so it is added
    activate(C: m v2)        world 2 {m v2}           set aside what came from world 1
    activate(A)              world 1 again, with the same module objects

Decides which modules of the user can be imported now. Modules that came from elsewhere are never touched.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from wrens.errors import DamagedObject, VersionMismatch
from wrens.serialize.scratch import scratch
from wrens.wire import envelope, keys

KEPT = 8
"""Worlds beyond this many are removed, the one that was unused for longest first."""


class World:
    """A directory of modules, and the modules imported from it while it is set aside."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.root = str(directory)
        self.units: dict[str, str] = {}
        self.bundles: set[str] = set()
        self._aside: dict[str, ModuleType] = {}

    def agrees(self, units: dict[str, str]) -> bool:
        """Tell whether no module of ``units`` is here in another version."""
        return all(self.units.get(name, digest) == digest for name, digest in units.items())

    def add(self, bundle: str, units: dict[str, str], archive: memoryview) -> None:
        """Unpack the modules that are not here yet."""
        import zipfile

        new = {name for name in units if name not in self.units}
        if new:
            with zipfile.ZipFile(io.BytesIO(archive)) as packed:
                packed.extractall(  # the driver that sent it sends code to run, too
                    self.root, [name for name in packed.namelist() if _unit_of(name, new)]
                )
            importlib.invalidate_caches()
        self.units.update(units)
        self.bundles.add(bundle)

    def enter(self) -> None:
        """Make the modules importable, before all others as they were for the client."""
        sys.path.insert(0, self.root)
        sys.modules.update(self._aside)
        self._aside = {}

    def leave(self) -> None:
        """Set aside what was imported from here."""
        while self.root in sys.path:
            sys.path.remove(self.root)
        self._aside = {name: module for name, module in list(sys.modules.items()) if self._holds(module)}
        for name in self._aside:
            del sys.modules[name]
            parent, _, last = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(last, None)  # of a namespace package that is shared

    def _holds(self, module: object) -> bool:
        """Tell whether a module came from here, all of it."""
        below = os.path.join(self.root, "")  # noqa: PTH118
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            return file.startswith(below)
        try:
            portions = list(getattr(module, "__path__", ()))
        except (TypeError, KeyError):
            return False
        return bool(portions) and all(isinstance(p, str) and p.startswith(below) for p in portions)


class Worlds:
    """The worlds of this process; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._worlds: list[World] = []  # the one in use, or used last, is the last
        self._inside = False
        self._count = 0

    def activate(self, bundle: str, fetch: Callable[[], memoryview]) -> World:
        """Make the modules of a bundle importable, and return the world that they are in.

        Args:
            bundle: Its digest.
            fetch: Returns the bundle's object; called when it is not unpacked yet.
        """
        with self._lock:
            if self._inside and bundle in self._worlds[-1].bundles:
                return self._worlds[-1]
            for world in reversed(self._worlds):
                if bundle in world.bundles:
                    return self._go_to(world)
            return self._unpack(bundle, fetch())

    def _unpack(self, bundle: str, data: memoryview) -> World:
        """Add a new bundle to the world in use, or to a new one when they do not agree."""
        from wrens.serialize.bundles import BundleRecord, python_version

        record, archive = envelope.unseal(BundleRecord, data, keys.function(bundle))
        if record.python != python_version():
            raise VersionMismatch("Python", record.python, python_version(), keys.function(bundle))
        units = dict(record.units)
        if self._inside and self._worlds[-1].agrees(units):
            world = self._worlds[-1]
        else:
            self._count += 1
            world = World(scratch() / f"{self._count}")
        try:
            world.add(bundle, units, archive)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OSError):
                raise
            raise DamagedObject(keys.function(bundle), f"the archive of modules: {error}") from error
        return self._go_to(world)

    def _go_to(self, world: World) -> World:
        """Leave the world in use, if it is another, and enter this one."""
        if not (self._inside and self._worlds[-1] is world):
            if self._inside:
                self._worlds[-1].leave()
            world.enter()
            self._inside = True
        self._worlds = [one for one in self._worlds if one is not world] + [world]
        for old in self._worlds[:-KEPT]:
            shutil.rmtree(old.root, ignore_errors=True)
            sys.path_importer_cache.pop(old.root, None)
        self._worlds = self._worlds[-KEPT:]
        return world


def _unit_of(name: str, units: set[str]) -> bool:
    """Tell whether a file of an archive belongs to one of these top-level modules."""
    first, _, rest = name.partition("/")
    return (first if rest else first.partition(".")[0]) in units


WORLDS = Worlds()
"""Those of this process: what can be imported is the same for all its threads."""
