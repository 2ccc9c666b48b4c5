"""Which modules that are not the user's own a function reaches.

Follows imports from file to file through the user's modules, from those that the function and its inputs refer
to. Only what is reached counts: a package travels whole, but its tests and plots are not what a worker runs.
Runs nothing and imports nothing. Whose a module is, is decided in :mod:`wrens.serialize.origins`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from wrens.serialize.imports import imports_at_run
from wrens.serialize.origins import ORIGINS, Place

_OURS = frozenset({"wrens", "cloudpickle", "__main__", "__mp_main__", "builtins"})
"""Pickles of functions refer to cloudpickle, which no worker is without."""
OURS_NEED = {
    "wrens.kv.keyvalue": ("redis",),
    "wrens.models.bsp.columns": ("numpy",),
    "wrens.models.parameter_server": ("numpy", "redis"),
    "wrens.models.parameter_server.arrays": ("numpy",),
    "wrens.models.parameter_server.making": ("numpy",),
    "wrens.models.parameter_server.shards": ("numpy",),
    "wrens.models.partitions.borders.Fixed": ("numpy",),
    "wrens.models.partitions.borders.RowGroups": ("pyarrow",),
    "wrens.models.mapreduce.folding": ("numpy", "pyarrow"),
    "wrens.models.hashing": ("numpy",),
    "wrens.models.sort.layouts": ("numpy",),
    "wrens.models.sort.lending": ("numpy",),
    "wrens.models.sort.ordering": ("numpy",),
    "wrens.models.sort.ranging": ("numpy",),
    "wrens.models.sort.records": ("numpy",),
    "wrens.models.mapreduce.results.Rows": ("pyarrow",),
    "wrens.models.sort.rows": ("numpy", "pyarrow"),
    "wrens.models.partitions.tables": ("numpy", "pyarrow"),
    "wrens.models.sort.validating": ("numpy",),
    "wrens.models.partitions.words": ("numpy", "pyarrow"),
    "wrens.programs.catalogue": ("numpy",),
    "wrens.programs.graphs": ("numpy",),
    "wrens.programs.learning": ("numpy",),
    "wrens.programs.inputs": ("numpy",),
    "wrens.programs.making": ("numpy",),
    "wrens.programs.micro.flops": ("numpy",),
}
"""What is used by those modules and classes of wrens that a task, or an input, may refer to. Only what they cannot do
without: bytes between stages are compressed where pyarrow happens to be."""


def is_builtin(name: str) -> bool:
    """Tell whether a module comes with Python or with wrens.

    >>> is_builtin("os.path"), is_builtin("wrens.errors"), is_builtin("msgspec")
    (True, True, False)
    """
    top = name.partition(".")[0]
    return top in _OURS or top in sys.stdlib_module_names or top in sys.builtin_module_names


class Imports:
    """Reads files of the user, once as long as they stay as they are."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int, frozenset[str]]] = {}

    def reached(self, modules: Iterable[str]) -> frozenset[str]:
        """Return the dotted names of all modules that are reached and belong neither to Python nor the user.

        Args:
            modules: Dotted names to begin with. A name may go beyond the module: ``numpy.array`` for what was
                imported from ``numpy``.

        >>> sorted(Imports().reached({"json", "msgspec.json"}))
        ['msgspec.json']
        """
        found, todo, seen = set[str](), set(modules), set[str]()
        todo |= {each for name in todo for each in _of_ours(name)}
        while todo:
            name = todo.pop()
            if name in seen or is_builtin(name):
                continue
            seen.add(name)
            place = ORIGINS.place(name.partition(".")[0])
            if place is None:
                found.add(name)
                continue
            for path, package in _files(place, name):
                todo |= self._imports(path, package) - seen
        return frozenset(found)

    def _imports(self, path: Path, package: str) -> frozenset[str]:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._known.get(path)
            if known is None or known[:2] != stamp:
                known = self._known[path] = (*stamp, imports_at_run(path.read_bytes(), package))
        except OSError:
            return frozenset()
        return known[2]


def _of_ours(name: str) -> tuple[str, ...]:
    """Return the packages that a module or class of wrens needs.

    >>> _of_ours("wrens.models.partitions.borders.Fixed"), _of_ours("wrens.models.partitions.borders.Delimiter")
    (('numpy',), ())
    """
    parts = name.split(".") if name.startswith(("wrens.kv.", "wrens.models.", "wrens.programs.")) else []
    reached = (".".join(parts[:depth]) for depth in range(3, len(parts) + 1))
    return next((OURS_NEED[part] for part in reached if part in OURS_NEED), ())


def _files(place: Place, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the source files that importing a module runs, each with the package that it is in."""
    if not place.package:
        yield Path(place.paths[0]), ""
        return
    parts = name.split(".")
    for root in map(Path, place.paths):
        folder = root
        for depth, part in enumerate(parts, 1):
            folder = folder / part if depth > 1 else root
            yield folder / "__init__.py", ".".join(parts[:depth])
            if depth > 1:
                yield folder.with_name(f"{part}.py"), ".".join(parts[: depth - 1])
