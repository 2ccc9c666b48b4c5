"""Packages for a worker whose interpreter has none: fetched, checked, unpacked, kept while there is room.

    <root>/<digest>/site-packages/     what to put on ``sys.path``, after Python's own and wrens'
    <root>/<digest>/used               its size; the time of its last use; locked while somebody uses it
    <root>/.draft-…/                   the same while it is being unpacked

An environment appears under its name whole or not at all, because it is unpacked beside and renamed. Several
processes of one computer may share a root. Decides what is unpacked and what has to go for it; which packages
there are, and for whom, is :mod:`wrens.environments`' business.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wrens.clock import SystemClock
from wrens.errors import DamagedObject, EnvironmentTooLarge, VersionMismatch
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import EnvironmentRecord

PACKAGES = "site-packages"
"""The folder's name tells everybody, :mod:`wrens.serialize.origins` too, that this is installed code."""
_USED = "used"
_DRAFT = ".draft-"
_held: dict[Path, int] = {}
"""For each root the lock on the environment that this process asked for last."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Packages that can be imported now.

    Args:
        folder: To be put on ``sys.path``, after Python's own modules and what wrens needs.
        fetch_s: Seconds that reading from the store took.
        unpack_s: Seconds that checking and unpacking took.
        nbytes: Bytes that were read.
        cached: Whether they were there already, from an earlier use.
    """

    folder: str
    fetch_s: float = 0.0
    unpack_s: float = 0.0
    nbytes: int = 0
    cached: bool = False


def default_root() -> Path:
    """Return where a worker keeps packages, when its platform names no place: in the directory for temporary files."""
    return Path(tempfile.gettempdir()) / f"wrens-environments-{os.geteuid()}"


def ready(
    store: Store, digest: str, *, root: str | os.PathLike[str] | None = None, limit_bytes: int | None = None
) -> Ready:
    """Make an environment's packages importable, and say where they are.

    The one that this process asked for last stays; those of before make room when it is needed, the longest
    unused first, unless another process uses them.

    Args:
        store: Where the environment is.
        digest: Its name; the object is compared with it before anything is unpacked.
        root: The folder to unpack below; by default :func:`default_root`.
        limit_bytes: What all environments may take up there together; by default what is free on the disk.

    Raises:
        ObjectMissing: if the store has no such environment.
        StoreError: if it cannot be read.
        DamagedObject: if the object is not the one that was named.
        VersionMismatch: if it was made for another minor version of Python.
        EnvironmentTooLarge: if it does not fit, whatever makes room.
        PermissionError: if the folder belongs to somebody else.

    >>> from wrens.store import open_store
    >>> ready(open_store("memory://none"), "0" * 32)
    Traceback (most recent call last):
    wrens.errors.ObjectMissing: ...
    """
    key = keys.environment(digest)
    if not keys.ENVIRONMENT.fullmatch(digest.encode()):
        raise DamagedObject(key, "this is no name of an environment")
    here = _own(Path(root) if root is not None else default_root())
    folder = here / digest
    if _hold(here, folder):
        return Ready(str(folder / PACKAGES), cached=True)
    now = SystemClock().now
    began = now()
    data = store.get(key)
    fetched = now()
    if keys.digest(data) != digest:
        raise DamagedObject(key, "its content is not what its name says; nothing of it was unpacked")
    record, body = envelope.unseal(EnvironmentRecord, data, key)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if record.python != python:
        raise VersionMismatch("Python", record.python, python, f"the environment {digest}", "the worker")
    _make_room(here, record.nbytes, limit_bytes)
    while not _hold(here, folder):
        _unpack(body, record.nbytes, folder)
    return Ready(str(folder / PACKAGES), fetched - began, now() - fetched, data.nbytes)


def _own(root: Path) -> Path:
    """Make the folder for environments; refuse one to which somebody else could add code."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = root.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(
            f"{root} belongs to user {status.st_uid}, with mode {status.st_mode & 0o777:o}; packages are "
            "unpacked only where nobody else can write. Remove it, or name another folder."
        )
    return root


def _hold(root: Path, folder: Path) -> bool:
    """Take an environment that is there into use, in the place of the last; tell whether it is there."""
    try:
        lock = os.open(folder / _USED, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    fcntl.flock(lock, fcntl.LOCK_SH)
    with contextlib.suppress(FileNotFoundError):
        if os.fstat(lock).st_ino == (folder / _USED).stat().st_ino:  # else evicted, while we waited for it
            os.utime(lock)
            before = _held.pop(root, None)
            _held[root] = lock
            if before is not None:
                os.close(before)
            return True
    os.close(lock)
    return False


def _unpack(body: memoryview, nbytes: int, folder: Path) -> None:
    """Write the files beside, and give them their name when they are complete."""
    import zipfile

    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
    lock = os.open(draft / _USED, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)  # so that nobody takes it for what a killed process left
        os.write(lock, b"%d" % nbytes)
        with zipfile.ZipFile(_View(body)) as archive:
            for entry in archive.infolist():
                path = archive.extract(entry, draft / PACKAGES)
                if entry.external_attr >> 16 & 0o111:
                    os.chmod(path, 0o700)  # noqa: PTH101
        try:
            draft.rename(folder)
        except OSError:
            # Somebody else may have been faster, and theirs is as good.
            if not (folder / _USED).exists():
                raise
    finally:
        os.close(lock)
        shutil.rmtree(draft, ignore_errors=True)  # renamed, it is not there any more


@dataclass(frozen=True, slots=True)
class _Old:
    path: Path
    nbytes: int
    used_at: float


def _make_room(root: Path, nbytes: int, limit_bytes: int | None) -> None:
    """Remove environments, the longest unused first, until one of this size fits.

    Raises:
        EnvironmentTooLarge: if it does not, with nothing left to remove.
    """
    # What this process asked for before is not in use any more.
    if (before := _held.pop(root, None)) is not None:
        os.close(before)
    kept = sorted(_kept(root), key=lambda old: old.used_at)
    while True:
        room = shutil.disk_usage(root).free
        if limit_bytes is not None:
            room = min(room, limit_bytes - sum(old.nbytes for old in kept))
        if nbytes <= room:
            return
        gone = next((old for old in kept if _evict(old.path)), None)
        if gone is None:
            raise EnvironmentTooLarge(nbytes, max(0, room), (), "the worker's disk")
        kept = [old for old in kept if old.path.exists()]


def _kept(root: Path) -> Iterator[_Old]:
    """Yield the environments that are there, and what is left of drafts."""
    for path in root.iterdir():
        try:
            size, status = (path / _USED).read_bytes(), (path / _USED).stat()
        except OSError:
            continue
        # What was left half-done may be anything up to its size.
        yield _Old(path, int(size or b"0"), 0.0 if path.name.startswith(_DRAFT) else status.st_mtime)


def _evict(path: Path) -> bool:
    """Remove an environment unless somebody uses it; tell whether it is gone."""
    try:
        lock = os.open(path / _USED, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = path.rename(path.with_name(f"{_DRAFT}{os.getpid()}-{path.name}"))  # in part it is none
        shutil.rmtree(gone, ignore_errors=True)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


class _View(io.RawIOBase):
    """Bytes as a file, without a copy."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
