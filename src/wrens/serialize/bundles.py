"""The user's modules that a function needs, as one object.

For a module in a package the whole top-level package directory is taken, data files and extension modules
included; for a namespace package the portions that are the user's; otherwise the one file. What these files
import is followed. A worker must not miss a file that the code opens beside itself, so packages are taken
whole; what is never needed (bytecode, hidden directories, ``node_modules``) is left out.

The object is an envelope with a :class:`BundleRecord` and a zip, made so that equal files give equal bytes.
Decides which files; where a module comes from is decided in :mod:`wrens.serialize.origins`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec import Struct

from wrens.errors import CannotShip
from wrens.serialize.imports import imports_of_source
from wrens.serialize.origins import ORIGINS, Place
from wrens.wire import envelope, keys
from wrens.wire.envelope import Buffer
from wrens.wire.records import VERSION

LIMIT_BYTES = 256 * 10**6
"""A bundle may be this large, unpacked."""

Stamp = tuple[str, str, int, int]
"""A file: its name in the bundle, its path, its time of change in ns, its length."""


class BundleRecord(Struct, frozen=True):
    """What a bundle holds: for each top-level module a digest of its files."""

    v: int
    python: str
    units: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was made, and the files that it was made of."""

    digest: str
    buffers: list[Buffer]
    stamps: dict[Place, list[Stamp]]


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    imports: frozenset[str]


_imports: dict[tuple[str, str], tuple[int, int, frozenset[str]]] = {}
"""What the file of a path and name imports, with its time and length: parsing is slow, so all executors share it."""


class Files:
    """Contents and imports of files that were read, good until a file's time or length changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, _File]] = {}

    def read(self, stamp: Stamp) -> _File:
        """Return a file's content and what it imports."""
        _, path, changed, length = stamp
        known = self._known.get(path)
        if known is None or known[:2] != (changed, length):
            with open(path, "rb") as file:  # noqa: PTH123
                content = file.read()
            known = self._known[path] = (changed, length, _File(content, _imports_of(stamp, content)))
        return known[2]


def _imports_of(stamp: Stamp, content: bytes) -> frozenset[str]:
    """Return what a file with this content imports."""
    name, path, changed, length = stamp
    if not name.endswith(".py"):
        return frozenset()
    known = _imports.get((path, name))
    if known is None or known[:2] != (changed, length):
        found = imports_of_source(content, _package_of(name))
        known = _imports[path, name] = (changed, length, found)
    return known[2]


def make_bundle(modules: Iterable[str], files: Files) -> Bundle:
    """Gather the files of these modules and of all user modules that they import.

    Args:
        modules: Dotted names; those that are not the user's are passed over.
        files: Remembers what was read before.

    Returns:
        The bundle; its digest is empty when there is nothing to ship.

    Raises:
        CannotShip: if a module is in an archive, cannot be read, or the files are too large together.
    """
    stamps: dict[Place, list[Stamp]] = {}
    waiting, seen = sorted({name.partition(".")[0] for name in modules}), set[str]()
    while waiting:
        top = waiting.pop()
        if top in seen:
            continue
        seen.add(top)
        place = ORIGINS.place(top)
        if place is None:
            continue
        found = stamps[place] = stamps_of(place)
        _check_size(stamps.values())
        try:
            imports = frozenset[str]().union(*(files.read(stamp).imports for stamp in found))
        except OSError as error:
            raise CannotShip(f"the module {top}", reason=f"its file cannot be read: {error}") from error
        waiting += {name.partition(".")[0] for name in imports} - seen
    if not stamps:
        return Bundle("", [], {})
    return _seal(stamps, files)


def _seal(stamps: dict[Place, list[Stamp]], files: Files) -> Bundle:
    """Put files that were read into an object."""
    import zipfile

    units = []
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for place in sorted(stamps, key=lambda place: place.name):
            parts: list[bytes] = []
            for stamp in stamps[place]:
                content = files.read(stamp).content
                archive.writestr(zipfile.ZipInfo(stamp[0]), content, zipfile.ZIP_DEFLATED)
                parts += (stamp[0].encode(), len(content).to_bytes(8, "little"), content)
            units.append((place.name, keys.digest(*parts)))
    record = BundleRecord(VERSION, python_version(), tuple(units))
    buffers = envelope.seal(record, [body.getvalue()])
    return Bundle(keys.digest(*(memoryview(part) for part in buffers)), buffers, stamps)


def stamps_of(place: Place) -> list[Stamp]:
    """Return the files of a top-level module as they are now, in the order of their names.

    Raises:
        CannotShip: if they are in an archive or gone.
    """
    found: dict[str, Stamp] = {}
    for path in place.paths:
        if place.package and os.path.isdir(path):  # noqa: PTH112
            for stamp in _walk(path, place.name, set()):
                found.setdefault(stamp[0], stamp)
        elif os.path.isfile(path):  # noqa: PTH113
            status = os.stat(path)  # noqa: PTH116
            name = os.path.basename(path)  # noqa: PTH119
            found.setdefault(name, (name, path, status.st_mtime_ns, status.st_size))
        else:
            raise CannotShip(
                f"the module {place.name}",
                reason=f"{path} is not a file; modules in archives cannot be shipped",
            )
    return sorted(found.values())


def _walk(directory: str, name: str, above: set[str]) -> Iterator[Stamp]:
    """Yield the files below a directory; links are followed, but never into a directory above."""
    real = os.path.realpath(directory)
    if real in above:
        return
    with os.scandir(directory) as entries:
        for entry in entries:
            inner = f"{name}/{entry.name}"
            try:
                if entry.is_dir():
                    if not entry.name.startswith(".") and entry.name not in ("__pycache__", "node_modules"):
                        yield from _walk(entry.path, inner, above | {real})
                elif entry.is_file() and not entry.name.endswith((".pyc", ".pyo")):
                    status = entry.stat()
                    yield inner, entry.path, status.st_mtime_ns, status.st_size
            except FileNotFoundError:  # removed while we look
                continue


def _check_size(groups: Iterable[list[Stamp]]) -> None:
    """Refuse more than fits, before it is read."""
    stamps = [stamp for group in groups for stamp in group]
    total = sum(stamp[3] for stamp in stamps)
    if total <= LIMIT_BYTES:
        return
    biggest = sorted(stamps, key=lambda stamp: -stamp[3])[:5]
    listed = ", ".join(f"{name} ({length / 1e6:.1f} MB)" for name, _, _, length in biggest)
    tops = sorted({stamp[0].partition("/")[0] for stamp in biggest})
    raise CannotShip(
        f"the modules of {', '.join(tops)}",
        reason=f"their files have {total / 1e6:.0f} MB and the limit is {LIMIT_BYTES / 1e6:.0f} MB; "
        f"the biggest are {listed}",
        kept="Nothing was uploaded. Move data out of the package, or send it with ex.put.",
    )


def _package_of(name: str) -> str:
    """Return the package of the file with this name in a bundle: ``a/b/c.py`` is in ``a.b``."""
    return name.rpartition("/")[0].replace("/", ".")


def python_version() -> str:
    """Return the part of Python's version on which bytecode and extension modules depend.

    >>> python_version().count(".")
    1
    """
    return f"{sys.version_info.major}.{sys.version_info.minor}"
