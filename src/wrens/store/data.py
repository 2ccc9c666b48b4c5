"""The user's own data: which objects an address names, and a store to read them from.

    /data/words.txt   /data/words/   /data/*.txt   s3://lab/words/**/*.csv   memory://scratch/words

What lies there is not a part of any job: it is neither signed nor unpickled, and it is read only, except where the user
names a place for results. Decides how addresses, directories and globs become objects; what is in an object is
nobody's business here.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from wrens.errors import NoData, ObjectMissing
from wrens.store import port
from wrens.store.addresses import SCHEME, checked_path, path_of
from wrens.store.opening import open_store
from wrens.store.port import Store

Address = str | os.PathLike[str]
_MAGIC = re.compile(r"[*?[]")
_HIDDEN = ("_", ".")


@dataclass(frozen=True, slots=True)
class Object:
    """One object of the user's.

    Args:
        store: The URL with which :func:`open_data` opens what it is in.
        key: Its key there.
        nbytes: How large it is.
    """

    store: str
    key: str
    nbytes: int

    @property
    def url(self) -> str:
        """The object's address, for people.

        >>> Object("s3://lab?region=x&signed=no", "words/a.txt", 3).url
        's3://lab/words/a.txt'
        """
        return address_of(self.store, self.key)


def address_of(store: str, key: str) -> str:
    """Return the address of an object as a person would write it.

    >>> address_of("file:///", "data/a.txt")
    '/data/a.txt'
    """
    bare = store.partition("?")[0].rstrip("/")
    return f"{unquote(bare.removeprefix('file://').removeprefix('file:'))}/{key}"


@lru_cache(maxsize=32)
def open_data(url: str) -> Store:
    """Return the store that data is read from, the same one for the same URL; see :func:`place_of`.

    >>> open_data("memory://of-examples") is open_data("memory://of-examples")
    True
    """
    return open_store(url, create=False, decided=True)


def find(addresses: Address | Iterable[Address]) -> list[Object]:
    """Return the objects that addresses name, in the order of the addresses and below each in key order.

    An address is that of one object, or of a directory (then all that is below it counts, without what has a
    name that begins with ``_`` or ``.``, as usual with data), or a glob: ``*`` and ``?`` stay within one part of
    a name, ``[...]`` is one of some letters, and ``**`` is any number of directories.

    Raises:
        NoData: if an address names nothing.
        BadStoreURL: if it can name nothing.
        StoreError: if the store cannot be asked.

    >>> from wrens.store import open_store
    >>> open_store("memory://finds").put("words/a.txt", b"one two")
    >>> [found.url for found in find("memory://finds/words/*.txt")]
    ['memory://finds/words/a.txt']
    """
    if isinstance(addresses, str | os.PathLike):
        addresses = (addresses,)
    return [found for address in addresses for found in _named(os.fspath(address))]


def _named(address: str) -> list[Object]:
    url, pattern = place_of(address)
    found = list(_files(url, pattern) if url.startswith("file:") else _objects(url, pattern))
    if not found:
        if _MAGIC.search(pattern):
            told = "no object matches"
        elif pattern.endswith("/") or _is_directory(url, pattern):
            told = "nothing is in this directory, or only what has a name that begins with '_' or '.'"
        else:
            told = "there is no such object, and none below it"
        raise NoData(address, told)
    return found


def place_of(address: Address) -> tuple[str, str]:
    """Return the URL of the store that an address is in, and its key there, which may be a glob.

    >>> place_of("file:///data/my%20words.txt"), place_of("/data/words/")
    (('file:///?signed=no', 'data/my words.txt'), ('file:///?signed=no', 'data/words/'))
    >>> place_of("memory://scratch/words/a.txt")
    ('memory://scratch?signed=no', 'words/a.txt')
    """
    address = os.fspath(address)
    match = SCHEME.match(address)
    scheme = match.group(1).lower() if match else "file"
    if match is None or scheme == "file":
        given = checked_path(address) if match is None else path_of(address)
        path = os.path.abspath(given)  # noqa: PTH100 - keeps symbolic links
        return "file:///?signed=no", path.lstrip("/") + ("/" if given.endswith("/") and path != "/" else "")
    bare, _, query = (
        address.partition("?") if scheme in {"s3", "gs", "az"} and "?" in address else (address, "", "")
    )
    rest = bare[match.end() :]
    if scheme in {"s3", "gs", "az"} and query and not re.match(r"\w+=", query):
        rest, query = address[match.end() :], ""  # the question mark is one of a glob
    bucket, _, key = rest.partition("/")
    url = f"{scheme}://{bucket}" if bucket else f"{scheme}:///"
    if scheme in {"s3", "gs", "az"}:
        return _reached(f"{url}?{query}&signed=no" if query else f"{url}?signed=no"), key
    return f"{url}?signed=no" if scheme == "memory" else url, key


@lru_cache(maxsize=32)
def _reached(url: str) -> str:
    """Return the URL of a bucket with its region, once it has answered.

    Raises:
        StoreError: if it does not.
    """
    return open_store(url, create=False, check=True).url


def _files(url: str, pattern: str) -> Iterator[Object]:
    """Yield the files that a path names, through symbolic links, as the user's own programs would find them."""
    path = f"/{pattern}"
    if os.path.lexists(path.rstrip("/") or "/"):
        yield from _below(url, path) if os.path.isdir(path) else _file(url, path)  # noqa: PTH112
        return
    for match in sorted(glob.iglob(path, recursive=True)):  # noqa: PTH207 - an absolute pattern
        if not os.path.isdir(match):  # noqa: PTH112
            yield from _file(url, match)


def _below(url: str, folder: str) -> Iterator[Object]:
    found = []
    for path, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        found += [os.path.join(path, name) for name in names if not name.startswith(_HIDDEN)]  # noqa: PTH118
    for path in sorted(found):
        yield from _file(url, path)


def _file(url: str, path: str) -> Iterator[Object]:
    try:
        yield Object(url, path.lstrip("/"), Path(path).stat().st_size)
    except OSError as error:
        raise NoData(path, f"it cannot be read: {error.strerror}") from None


def _objects(url: str, pattern: str) -> Iterator[Object]:
    """Yield the objects of a bucket that a key names: one, all below a prefix, or all that match a glob."""
    store = open_data(url)
    magic = _MAGIC.search(pattern)
    if pattern and not pattern.endswith("/"):
        try:
            yield Object(url, pattern, port.size(store, pattern))
        except ObjectMissing:
            pass
        else:
            return
    if magic:
        prefix = pattern[: pattern.rfind("/", 0, magic.start()) + 1]
        wanted = re.compile(_as_regex(pattern))
        yield from (Object(url, k, n) for k, n in port.sizes(store, prefix) if wanted.fullmatch(k))
        return
    prefix = f"{pattern.rstrip('/')}/" if pattern else ""
    for key, nbytes in port.sizes(store, prefix):
        parts = key[len(prefix) :].split("/")
        if not any(part.startswith(_HIDDEN) for part in parts):
            yield Object(url, key, nbytes)


def _as_regex(pattern: str) -> str:
    r"""Return a glob as a regular expression over whole keys.

    >>> _as_regex("a/*.txt"), bool(re.fullmatch(_as_regex("a/**/*.txt"), "a/b/c/d.txt"))
    ('a/[^/]*\\.txt', True)
    """
    out, i = [], 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out.append("(?:[^/]+/)*")
            i += 3
            continue
        letter = pattern[i]
        end = pattern.find("]", i + 2) if letter == "[" else -1
        if pattern.startswith("**", i):
            out.append(".*")
            i += 1
        elif letter == "*":
            out.append("[^/]*")
        elif letter == "?":
            out.append("[^/]")
        elif end > 0:
            chosen = pattern[i + 1 : end].replace("\\", r"\\")
            out.append(f"[^{chosen[1:]}]" if chosen[0] == "!" else f"[{chosen}]")
            i = end
        else:
            out.append(re.escape(letter))
        i += 1
    return "".join(out)


def _is_directory(url: str, pattern: str) -> bool:
    return url.startswith("file:") and os.path.isdir(f"/{pattern}")  # noqa: PTH112
