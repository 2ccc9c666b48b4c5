"""Which installed distributions modules belong to, and what these are pinned to.

    a module ──▶ distributions that have its files ──▶ "numpy==2.1.0"
                                                   ──▶ what they require, as far as it is installed

Reads the metadata of this process's installation and decides nothing about versions but to keep them: client
and worker shall agree. What was installed from a folder or a repository is in no index; if it is pure Python its
installed files are taken as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)", re.DOTALL)
_COMPILED = (".so", ".pyd", ".dylib", ".dll")


def canonical(name: str) -> str:
    """Return a distribution's name as indexes compare it.

    >>> canonical("Ruamel.Yaml_Clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def split(requirement: str) -> tuple[str, str]:
    """Return the name that a requirement begins with, and what it says of versions and origins.

    >>> split("dask[array] >=2024 ; python_version > '3.8'"), split("numpy")
    (('dask', '>=2024'), ('numpy', ''))
    """
    match = _NAME.match(requirement)
    return (canonical(match[1]), match[2].partition(";")[0].strip()) if match else ("", requirement)


@dataclass(frozen=True)
class Distribution:
    """One installed distribution."""

    found: metadata.Distribution

    @property
    def name(self) -> str:
        """Its name, as indexes compare it."""
        return canonical(self.found.metadata["Name"])

    @property
    def pin(self) -> str:
        """The requirement that means this very version."""
        return f"{self.name}=={self.found.version}"

    @cached_property
    def origin(self) -> str:
        """The folder, file or repository that it was installed from; empty when it came from an index.

        A folder that is not there is one of another computer's, on which somebody has built it for all, such as
        for conda: then an index has it, too.
        """
        try:
            url = str(json.loads(self.found.read_text("direct_url.json") or "{}").get("url", ""))
        except ValueError:
            return ""
        parts = urlsplit(url)
        return url if parts.scheme != "file" or Path(unquote(parts.path)).exists() else ""

    @cached_property
    def files(self) -> dict[str, Path]:
        """Its files, by their path below ``site-packages``; without bytecode and without commands."""
        named = {path.as_posix(): Path(str(path.locate())) for path in self.found.files or ()}
        return {
            name: path
            for name, path in named.items()
            if not name.startswith(("..", "/")) and not name.endswith((".pyc", "direct_url.json"))
        }

    @property
    def pure(self) -> bool:
        """Whether its files run on every platform."""
        said = self.found.read_text("WHEEL") or ""
        return "Root-Is-Purelib: true" in said and not any(name.endswith(_COMPILED) for name in self.files)

    @property
    def requires(self) -> frozenset[str]:
        """The names of what it requires, whatever the platform; not what only its extras do."""
        listed = self.found.requires or []
        return frozenset(split(each)[0] for each in listed if "extra ==" not in each.partition(";")[2])

    def holds(self, module: str) -> bool:
        """Tell whether it has a file of a module, or below it."""
        base = module.replace(".", "/")
        return any(name.startswith((f"{base}/", f"{base}.")) for name in self.files)


class Installed:
    """What is installed in this process's environment; read once.

    >>> found = Installed().owners("msgspec.json")
    >>> [each.name for each in found]
    ['msgspec']
    """

    @cached_property
    def _tops(self) -> dict[str, list[str]]:
        return {top: list(names) for top, names in metadata.packages_distributions().items()}

    @cached_property
    def by_name(self) -> dict[str, Distribution]:
        """All distributions, by their names."""
        found: dict[str, Distribution] = {}
        for each in metadata.distributions():
            if each.metadata["Name"]:
                found.setdefault(canonical(each.metadata["Name"]), Distribution(each))
        return found

    def owners(self, module: str) -> tuple[Distribution, ...]:
        """Return the distributions that a module is from: one, or for a namespace all that may be meant."""
        top = module.partition(".")[0]
        names = sorted({canonical(name) for name in self._tops.get(top, ())})
        found = [self.by_name[name] for name in names if name in self.by_name]
        parts = module.split(".")
        if len(found) > 1:
            for depth in range(len(parts), 0, -1):
                if exact := [each for each in found if each.holds(".".join(parts[:depth]))]:
                    return tuple(exact)
        return tuple(found)

    def tops_of(self, names: Iterable[str]) -> frozenset[str]:
        """Return the modules that distributions with these names are imported as."""
        wanted = {canonical(name) for name in names}
        return frozenset(top for top, dists in self._tops.items() if wanted & set(map(canonical, dists)))

    def closure(self, names: Iterable[str]) -> tuple[Distribution, ...]:
        """Return the installed distributions with these names and all that they require, in order of names."""
        found: dict[str, Distribution] = {}
        todo = set(names)
        while todo:
            name = todo.pop()
            if name not in found and (each := self.by_name.get(name)) is not None:
                found[name] = each
                todo |= each.requires - found.keys()
        return tuple(found[name] for name in sorted(found))
