"""Where the results of a sort go: numbered objects, each written once, and a manifest that is written last.

Nothing that is there already is changed unless that was asked for, and then only what a sort has made. Every object has its
name from its number, and whoever writes it writes the same; so an attempt that comes late finds its own work done. Decides
what may be written where, and what is said about it; what is in the objects is nobody's business here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from wrens.errors import AlreadyExists, BadOption, BadStoreURL, NoData, ObjectMissing, TargetTaken
from wrens.store import data as places
from wrens.store import open_store
from wrens.store.data import Address, Object
from wrens.store.port import Buffer, Store, size, sizes
from wrens.wire import keys

MANIFEST = "_manifest.json"
_OURS = re.compile(r"part-\d{5,}(\.\w+)?|_trial-.*|uploads/.*|probe|" + re.escape(MANIFEST))
_ASIDE = ("uploads/", keys.PROBE)
"""What large objects leave on their way."""
_PIECE = 8 * 2**20


@lru_cache(maxsize=32)
def _opened(url: str) -> Store:
    return open_store(url, decided=True)


@dataclass(frozen=True, slots=True)
class Target:
    """A directory or prefix for sorted data; see :func:`target_of`.

    Args:
        store: URL of the store.
        prefix: What keys begin with there, empty or with a slash at its end.
        url: The address, for people.
    """

    store: str
    prefix: str
    url: str

    def taken(self, *, overwrite: bool) -> list[str]:
        """Return the keys of what is there.

        Raises:
            TargetTaken: if something is, and may not be replaced.
        """
        if self.store.startswith("file:") and not os.path.isdir(self.url):  # noqa: PTH112
            if os.path.lexists(self.url):
                told = "It is a file. Name a directory for the objects."
                raise TargetTaken(self.url, self.url, told)
            return []
        found = [key.removeprefix(self.prefix) for key, _ in sizes(self._open(), self.prefix)]
        foreign = next((name for name in found if not _OURS.fullmatch(name)), None)
        if foreign is not None:
            told = (
                f"{self._url_of(foreign)} was not made by a sort, so it is not replaced. Name another place."
            )
            raise TargetTaken(self.url, self._url_of(foreign), told)
        if found and not overwrite:
            ended = MANIFEST in found
            told = (
                ""
                if ended
                else (
                    "There is no manifest, so a sort has not ended here. Pass overwrite=True to begin again in its place."
                )
            )
            raise TargetTaken(self.url, self._url_of(found[0]), told)
        return [self.prefix + name for name in found]

    def clear(self, *, overwrite: bool) -> None:
        """Delete what is there, if that is allowed; the manifest first, so that nothing incomplete has one.

        Raises:
            TargetTaken: if it is not allowed.
        """
        found = self.taken(overwrite=overwrite)
        if found:
            self._open().delete([self.prefix + MANIFEST])
            self._open().delete(found)

    def put(self, name: str, data: Sequence[Buffer]) -> None:
        """Write an object if there is none; another attempt at the same task may have written the same.

        Raises:
            TargetTaken: if another one is there.
        """
        store, key = self._open(), self.prefix + name
        try:
            store.put(key, data)
        except AlreadyExists:
            if not _is(store, key, data):
                told = (
                    "Another sort writes to the same place, or an earlier one still does. Name another one."
                )
                raise TargetTaken(self.url, self._url_of(name), told) from None

    def tidy(self) -> None:
        """Delete what large objects have left on their way."""
        if not self.store.startswith(("file:", "memory:")):
            store = self._open()
            left = [key for key, _ in sizes(store, self.prefix)]
            store.delete([key for key in left if key.removeprefix(self.prefix).startswith(_ASIDE)])

    def try_out(self, trial: str) -> None:
        """Write a small object, to see whether this process may; for workers."""
        with suppress(AlreadyExists):  # by a worker that was lost after that
            self._open().put(f"{self.prefix}_trial-{trial}", [trial.encode()])

    def see(self, trial: str) -> None:
        """Look whether this process sees what a worker has written, and delete it.

        Raises:
            BadOption: if it does not.
        """
        store, key = self._open(), f"{self.prefix}_trial-{trial}"
        try:
            store.get(key)
        except ObjectMissing:
            told = (
                "is another place for workers than it is here: an object that one of them wrote is not there"
            )
            raise BadOption(
                f"target={self.url!r}", told, "Name a bucket, or a directory that all see."
            ) from None
        store.delete([key])

    def manifest(self) -> bytes:
        """Return the manifest.

        Raises:
            NoData: if there is none.
        """
        try:
            return bytes(self._open().get(self.prefix + MANIFEST))
        except (ObjectMissing, BadStoreURL):
            told = f"there is no {MANIFEST}: the sort has not ended, or nothing was sorted here"
            raise NoData(self.url, told, "Sort again, with overwrite=True if there are objects.") from None

    def _open(self) -> Store:
        return _opened(self.store)

    def _url_of(self, name: str) -> str:
        return f"{self.url}/{name}"


def target_of(address: Address) -> Target:
    """Return the place that an address names.

    >>> target_of("/data/sorted/").store, target_of("memory://scratch/sorted").prefix
    ('file:///data/sorted?signed=no', 'sorted/')
    """
    url, key = places.place_of(address)
    key = key.rstrip("/")
    told = places.address_of(url, key)
    if url.startswith("memory:"):
        return Target(url, f"{key}/" if key else "", told)
    if url.startswith("file:"):
        return Target(f"{Path('/', key).as_uri()}?signed=no", "", told)
    bare, _, query = url.partition("?")
    return Target(f"{bare.rstrip('/')}/{key}?{query}" if key else url, "", told.rstrip("/"))


def check_apart(source: Address | Iterable[Address], found: Iterable[Object], target: Address) -> None:
    """Refuse a target that lies in what is sorted, where a second run would read what the first has written.

    Raises:
        BadOption: saying which of them lies in the other.
    """
    store, key = _real(*places.place_of(target))
    for one in found:
        there, name = _real(one.store, one.key)
        if there == store and (not key or name == key or name.startswith(f"{key}/")):
            told = f"holds what is to be sorted, such as {one.url}"
            raise BadOption(f"target={os.fspath(target)!r}", told, "Name a directory of its own.")
    for address in [source] if isinstance(source, str | os.PathLike) else source:
        url, pattern = places.place_of(address)
        magic = re.search(r"[*?[]", pattern)
        if magic and "**" not in pattern:
            continue
        above = pattern[: pattern.rfind("/", 0, magic.start()) + 1] if magic else pattern
        there, folder = _real(url, above)
        if there == store and (not folder or f"{key}/".startswith(f"{folder}/")):
            told = f"lies in {os.fspath(address)}, which is to be sorted"
            raise BadOption(f"target={os.fspath(target)!r}", told, "Name a directory beside it.")


def _real(store: str, key: str) -> tuple[str, str]:
    """Return a place without what hides that two are the same."""
    key = key.rstrip("/")
    if store.startswith("file:"):
        key = os.path.realpath(f"/{key}").strip("/")
    return store, key


def _is(store: Store, key: str, data: Sequence[Buffer]) -> bool:
    """Tell whether an object is these bytes."""
    if size(store, key) != sum(map(len, data)):
        return False
    at = 0
    for buffer in data:
        for begin in range(0, len(buffer), _PIECE):
            mine = memoryview(buffer)[begin : begin + _PIECE]
            if bytes(store.get(key, start=at + begin, length=len(mine))) != bytes(mine):
                return False
        at += len(buffer)
    return True


def as_json(records: int, parts: Sequence[tuple[str, int, int]]) -> bytes:
    """Return a manifest.

    Args:
        records: How many there are in all.
        parts: For each object its name, its bytes and its records, in the order of the data.

    >>> json.loads(as_json(3, [("part-00000", 300, 3)]))
    {'wrens': 1, 'records': 3, 'parts': [{'name': 'part-00000', 'bytes': 300, 'records': 3}]}
    """
    found = [{"name": name, "bytes": nbytes, "records": count} for name, nbytes, count in parts]
    return json.dumps({"wrens": 1, "records": records, "parts": found}, indent=1).encode()
