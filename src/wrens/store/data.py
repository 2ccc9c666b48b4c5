"""The user's own data: which objects an address names, and a store to read them from.

    /data/words.txt   /data/words/   /data/*.txt   s3://lab/words/**/*.csv   memory://scratch/words

What lies there is not a part of any job: it is neither signed nor unpickled, and it is read only, except where the user
names a place for results. Decides how addresses, directories and globs become objects; what is in an object is
nobody's business here.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from wrens.errors import BadOption, NoData, ObjectMissing, StoreDenied
from wrens.store import globs, port
from wrens.store.addresses import SCHEME, checked_path, path_of
from wrens.store.failures import translate, wants_credentials
from wrens.store.naming import check_key
from wrens.store.opening import open_store
from wrens.store.port import Store

Address = str | os.PathLike[str]


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


def is_near(store: str) -> bool:
    """Tell whether a store is on this computer, where reading costs no round trip.

    >>> is_near("file:///"), is_near("s3://lab")
    (True, False)
    """
    return store.startswith(("file:", "memory:"))


@lru_cache(maxsize=32)
def open_data(url: str) -> Store:
    """Return the store that data is read from, the same one for the same URL; see :func:`place_of`.

    >>> open_data("memory://of-examples") is open_data("memory://of-examples")
    True
    """
    return open_store(url, create=False, decided=True)


def find(addresses: Address | Iterable[Address]) -> list[Object]:
    """Return the objects that addresses name, in the order of the addresses and below each in key order.

    An address is that of one object; or of a directory, and then all that is below it counts; or a glob, in which
    ``*`` and ``?`` stay within one part of a name, ``[...]`` is one of some letters, and ``**`` is any number of
    directories. What is found in a directory or by a glob is without names that begin with ``_`` or ``.``, unless
    the glob says so itself. An object that has just this name comes first, whatever letters are in it.

    Raises:
        NoData: if an address names nothing.
        BadOption: if it is no address, or what it names cannot be a key of a store.
        BadStoreURL: if it can name nothing.
        StoreError: if the store cannot be asked.

    >>> from wrens.store import open_store
    >>> open_store("memory://finds").put("words/a.txt", b"one two")
    >>> [found.url for found in find("memory://finds/words/*.txt")]
    ['memory://finds/words/a.txt']
    """
    if isinstance(addresses, str | os.PathLike):
        addresses = (addresses,)
    return [found for address in addresses for found in _named(address)]


def first(address: Address) -> Object | None:
    """Return the first object that an address names, or ``None``; what follows it is not listed.

    Raises:
        StoreError: if the store cannot be asked.

    >>> first("memory://nothing-there/words/") is None
    True
    """
    url, pattern = place_of(address)
    return next(_files(url, pattern) if url.startswith("file:") else _objects(url, pattern), None)


def _named(address: Address) -> list[Object]:
    url, pattern = place_of(address)
    found = list(_files(url, pattern) if url.startswith("file:") else _objects(url, pattern))
    if not found:
        if globs.has_magic(pattern):
            told = (
                "no object matches ('*' stays within one part of a name, '**/' is any number of directories)"
            )
        elif url.startswith("file:") and not os.path.isdir(f"/{pattern}"):  # noqa: PTH112
            told = "there is no such file or directory"
        elif url.startswith("file:") or pattern.endswith("/") or not pattern:
            told = "nothing is in this directory, or only what has a name that begins with '_' or '.'"
        else:
            told = "there is no such object, and none below it"
        raise NoData(os.fspath(address), told)
    return found


def place_of(address: Address) -> tuple[str, str]:
    """Return the URL of the store that an address is in, and its key there, which may be a glob.

    >>> place_of("file:///data/my%20words.txt"), place_of("/data/words/")
    (('file:///?signed=no', 'data/my words.txt'), ('file:///?signed=no', 'data/words/'))
    >>> place_of("memory://scratch/words/a.txt")
    ('memory://scratch?signed=no', 'words/a.txt')
    """
    address = _text(address)
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
    return f"{url}?signed=no", key


def _text(address: Address) -> str:
    found = os.fspath(address) if isinstance(address, str | os.PathLike) else None
    if not isinstance(found, str):
        raise BadOption(f"address {address!r}", "is no address of data", "Write a path or a URL.")
    return found


@lru_cache(maxsize=32)
def _reached(url: str) -> str:
    """Return the URL of a bucket with its region, once it has answered.

    Raises:
        StoreError: if it does not.
    """
    try:
        return open_store(url, create=False, check=True).url
    except StoreDenied as error:
        if wants_credentials(error.reason):
            raise
        # It answered. Of what may be read there, the whole bucket need not be a part.
        return open_store(url, create=False).url


def _files(url: str, pattern: str) -> Iterator[Object]:
    """Yield the files that a path names, through symbolic links, as the user's own programs would find them."""
    path = f"/{pattern}"
    if os.path.lexists(path.rstrip("/") or "/"):
        if os.path.isdir(path):  # noqa: PTH112
            yield from _below(url, path.rstrip("/") + "/", ["**", "*"])
        else:
            yield _file(url, path)
    elif globs.has_magic(pattern):
        folder, parts = globs.parted(pattern)
        yield from _below(url, f"/{folder}", parts)


def _below(url: str, folder: str, pattern: Sequence[str]) -> Iterator[Object]:
    found: list[str] = []

    def look(parts: list[str], above: tuple[tuple[int, int], ...]) -> None:
        at = folder + "".join(f"{part}/" for part in parts)
        try:
            here = os.stat(at)  # noqa: PTH116
            if (here.st_dev, here.st_ino) in above:
                return  # a link leads back to where we come from
            with os.scandir(at) as entries:
                for entry in entries:
                    name = [*parts, entry.name]
                    if entry.is_dir():
                        if globs.leads_on(name, pattern):
                            look(name, (*above, (here.st_dev, here.st_ino)))
                    elif (entry.is_file() or entry.is_symlink()) and globs.matches(name, pattern):
                        found.append(folder + "/".join(name))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise translate(error, "list", at.lstrip("/"), url) from error

    look([], ())
    for path in sorted(found):
        yield _file(url, path)


def _file(url: str, path: str) -> Object:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise NoData(path, f"it cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise NoData(path, "this is neither a file nor a directory")
    return Object(url, check_key(path.lstrip("/")), status.st_size)


def _objects(url: str, pattern: str) -> Iterator[Object]:
    """Yield the objects of a bucket that a key names: one, all below a prefix, or all that match a glob."""
    store, denied = open_data(url), None
    if pattern and not pattern.endswith("/"):
        try:
            yield Object(url, pattern, port.size(store, pattern))
        except ObjectMissing:
            pass
        except StoreDenied as error:
            denied = error  # of what is not there this is said too, where one may not list
        else:
            return
    if globs.has_magic(pattern):
        prefix, parts = globs.parted(pattern)
    else:
        prefix, parts = f"{pattern.rstrip('/')}/" if pattern else "", ["**", "*"]
    try:
        for key, nbytes in _without_markers(port.sizes(store, prefix)):
            if key.startswith(prefix) and globs.matches(key[len(prefix) :].split("/"), parts):
                denied = None
                yield Object(url, key, nbytes)
    except StoreDenied as error:
        raise denied or error from None
    if denied is not None:
        raise denied


def _without_markers(listed: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Leave out the empty objects that consoles make so that a bucket seems to have directories.

    >>> list(_without_markers([("logs", 0), ("logs/a.txt", 3), ("logs/empty", 0)]))
    [('logs/a.txt', 3), ('logs/empty', 0)]
    """
    before = None
    for one in listed:
        if before and (before[1] or not one[0].startswith(f"{before[0]}/")):
            yield before
        before = one
    if before:
        yield before
