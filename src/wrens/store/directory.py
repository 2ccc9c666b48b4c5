"""A directory as a store.

    <root>/jobs/j/verdicts/00000007     an object: the file at its key
    <root>/.wrens/<unique>              a file that is still being written; never listed

A file is written apart (without any name, where the system can do that) and then linked to its key: the
link is the commit, it fails when somebody was first, and a reader sees the whole file or none. Large
objects are mapped, not read.

Decides how the store's promises are kept on a file system. It stands beside the adapter for object stores
because here the system calls themselves are the fastest way: a put takes less than half of the time, a get less
than a tenth, and no library has to be loaded. Does not decide what is stored. Not promised: that a write
survives a power cut; files are not flushed one by one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from wrens.errors import AlreadyExists, ObjectMissing, StoreError, StoreUnavailable
from wrens.store.failures import translate
from wrens.store.files import read, write_all
from wrens.store.meters import unbilled
from wrens.store.naming import RESERVED, as_buffers, check_key, check_prefix, check_range
from wrens.store.port import Buffer, Mode

_NO_SUCH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
# Linux can write a file that has no name yet; most of its file systems can, and NFS cannot.
_NAMELESS: int = getattr(os, "O_TMPFILE", 0) if os.path.exists("/proc/self/fd") else 0  # noqa: PTH110
_PAGE = 1000
"""Keys that a bucket lists or deletes with one request."""
_RACES = 64
"""How often a put makes its directory anew when a delete removes it in between."""


class DirectoryStore:
    """Keeps objects as files below one directory, which every process that opens it shares.

    A key cannot be both an object and the beginning of another one (``a`` and ``a/b``), as files go.

    Args:
        root: An existing directory, absolute.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     store = DirectoryStore(root)
    ...     store.put("greetings/en", b"hello")
    ...     bytes(store.get("greetings/en", start=1, length=3)), list(store.list(""))
    (b'ell', ['greetings/en'])
    """

    maps = True
    """Whether long objects are mapped; not where others can write into the files."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") + "/"
        self.url = Path(root).as_uri()
        self._desk = f"{self._root}{RESERVED}/"
        # Unique among machines by chance, among forks of this process by its id, within it by the count.
        self._token = os.urandom(8).hex()
        self._count = count()
        self._nameless = bool(_NAMELESS)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object, given as one buffer or as several that are joined.

        Raises:
            AlreadyExists: if ``mode`` is ``"if_absent"`` and the key is taken.
            StoreError: if it could not be written; nothing is there then.
        """
        target = self._root + check_key(key)
        buffers = as_buffers(data)
        unbilled.count("put", key, sum(map(len, buffers)))
        try:
            if mode == "if_absent" and self._nameless and self._put_nameless(buffers, target, key):
                return
            self._put_named(buffers, target, key, mode)
        except StoreError:
            raise
        except OSError as error:
            raise self._explained(error, key) from error

    def _put_nameless(self, buffers: list[bytes | memoryview], target: str, key: str) -> bool:
        """Write a file that has no name until it is linked, so that a crash leaves nothing behind.

        Returns ``False`` when this system cannot do it here; nothing has happened then.
        """
        try:
            fd = os.open(self._root, os.O_WRONLY | _NAMELESS, 0o666)
        except OSError:
            self._nameless = False
            return False
        try:
            write_all(fd, buffers)
            for _ in range(2):
                try:
                    # The descriptor as directory is not used for an absolute path; naming one makes the
                    # call follow the link in /proc to the file.
                    os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd)
                    return True
                except FileNotFoundError:
                    _make_parent(target)
        except FileExistsError:
            if os.path.isdir(target):  # noqa: PTH112
                raise
            raise AlreadyExists("put", key, self.url) from None
        except OSError as error:
            if error.filename2 is None or error.errno not in _NO_LINKS:
                raise
            self._nameless = False
        finally:
            os.close(fd)
        return False

    def _put_named(self, buffers: list[bytes | memoryview], target: str, key: str, mode: Mode) -> None:
        draft = self._write(buffers)
        try:
            for _ in range(_RACES):
                if self._publish(draft, target, key, mode):
                    return
        finally:
            _unlink(draft)
        raise StoreUnavailable("put", key, self.url, "its directory was removed again and again")

    def _write(self, buffers: list[bytes | memoryview]) -> str:
        """Write a draft and return its path."""
        draft = f"{self._desk}{self._token}-{os.getpid()}-{next(self._count)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            fd = os.open(draft, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(self._desk, exist_ok=True)  # noqa: PTH103 - strings here, for speed
            fd = os.open(draft, flags, 0o666)
        try:
            write_all(fd, buffers)
        except BaseException:
            _unlink(draft)
            raise
        finally:
            os.close(fd)
        return draft

    def _publish(self, draft: str, target: str, key: str, mode: Mode) -> bool:
        """Give the draft its name; ``False`` when the directory vanished meanwhile."""
        try:
            if mode == "replace":
                os.replace(draft, target)  # noqa: PTH105
            else:
                os.link(draft, target)
            return True
        except FileExistsError:
            # On a network file system the link may have been made and its reply lost. A draft with two
            # names says that the other name is ours.
            if os.stat(draft).st_nlink > 1:  # noqa: PTH116
                return True
            if os.path.isdir(target):  # noqa: PTH112
                raise
            raise AlreadyExists("put", key, self.url) from None
        except FileNotFoundError:
            _make_parent(target)
            return False

    def _explained(self, error: OSError, key: str) -> StoreError:
        """Return the error of a put, with a reason that a person can act on."""
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            return StoreError(
                "put", key, self.url, "in a directory, one key cannot be the beginning of another one"
            )
        if error.filename2 is not None and error.errno in _NO_LINKS:
            return StoreError(
                "put",
                key,
                self.url,
                f"this file system makes no hard links ({error.strerror}), which put-if-absent needs",
            )
        return translate(error, "put", key, self.url)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return the object's bytes from ``start``, all or at most ``length`` of them.

        A long range is mapped from the file, so its pages are read when they are touched.

        Raises:
            ObjectMissing: if there is no such object.
        """
        if start or length is not None:
            check_range(start, length)
        try:
            found = read(self._root + check_key(key), start, length, maps=self.maps)
        except OSError as error:
            unbilled.count("get", key)
            if error.errno in _NO_SUCH:
                raise ObjectMissing("get", key, self.url) from None
            raise translate(error, "get", key, self.url) from error
        unbilled.count("get", key, len(found))
        return found

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order, one directory at a time."""
        return self._listed(check_prefix(prefix), after)

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the keys that begin with ``prefix``, in order, each with how many bytes the object has."""
        for key in self.list(prefix):
            with suppress(ObjectMissing):  # deleted while listing
                yield key, self._size(key)

    def size(self, key: str) -> int:
        """Return how many bytes an object has.

        Raises:
            ObjectMissing: if there is no such object.
        """
        unbilled.count("get", key)
        return self._size(key)

    def _size(self, key: str) -> int:
        try:
            status = os.stat(self._root + check_key(key))  # noqa: PTH116
        except OSError as error:
            if error.errno in _NO_SUCH:
                raise ObjectMissing("get", key, self.url) from None
            raise translate(error, "get", key, self.url) from error
        if stat.S_ISDIR(status.st_mode):
            raise ObjectMissing("get", key, self.url)
        return status.st_size

    def _listed(self, prefix: str, after: str) -> Iterator[str]:
        unbilled.count("list", prefix)
        for n, key in enumerate(self._walk(prefix, after), start=1):
            if n % _PAGE == 1 and n > 1:
                unbilled.count("list", prefix)
            yield key

    def _walk(self, prefix: str, after: str) -> Iterator[str]:
        for name in self._names(prefix):
            key = prefix + name
            if not key.endswith("/"):
                if key > after:
                    yield key
            elif key > after or after.startswith(key):
                yield from self._walk(key, after)

    def _names(self, prefix: str) -> Iterable[str]:
        """Return what is in one directory, in key order; directories end in ``/``, and sort so.

        A symbolic link inside is not followed: what is listed is deleted some day, and a link that somebody has put
        there may lead anywhere.
        """
        try:
            with os.scandir(self._root + prefix) as entries:
                names = [f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name for e in entries]
        except OSError as error:
            if error.errno in _NO_SUCH:
                return ()  # never there, or deleted while listing
            raise translate(error, "list", prefix, self.url) from error
        if not prefix:
            names = [name for name in names if name != RESERVED + "/"]
        names.sort()
        return names

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, and the directories that they leave empty; missing ones are ignored."""
        parents: set[str] = set()
        for n, key in enumerate(keys):
            if n % _PAGE == 0:
                unbilled.count("delete", key)
            try:
                os.unlink(self._root + check_key(key))  # noqa: PTH108
            except OSError as error:
                # Some systems answer EPERM when asked to unlink a directory: no object either.
                if error.errno not in _NO_SUCH and not os.path.isdir(self._root + key):  # noqa: PTH112
                    raise translate(error, "delete", key, self.url) from error
            parents.add(key.rpartition("/")[0])
        self._prune(parents)

    def _prune(self, parents: set[str]) -> None:
        """Remove empty directories upwards. Only an empty one can be removed, so no put is harmed."""
        while parents:
            parents.discard("")
            emptied: set[str] = set()
            for parent in sorted(parents, key=len, reverse=True):
                try:
                    os.rmdir(self._root + parent)  # noqa: PTH106
                except OSError:
                    continue  # not empty, or gone already
                emptied.add(parent.rpartition("/")[0])
            parents = emptied

    def __repr__(self) -> str:
        return f"DirectoryStore({self._root[:-1] or '/'!r})"


def _make_parent(target: str) -> None:
    # When a delete is faster than this, the next round makes it again. A directory that is removed between
    # the call that finds it and the one that looks what it is makes makedirs say that it exists; should a
    # file really be in the way, linking below it says so.
    with suppress(FileNotFoundError, FileExistsError):
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):  # it was renamed to its key
        os.unlink(path)  # noqa: PTH108
