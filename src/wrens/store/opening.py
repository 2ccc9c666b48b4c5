"""From a URL or a path to a store.

Decides which kinds of store there are, which of them are signed, what is checked before any work begins, and where
the default store lies; what an address may say is decided in :mod:`wrens.store.addresses`.
The classes that keep the promises are imported only when an address asks for them, so that a directory
never loads the object store library.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from wrens.errors import BadStoreURL, StoreDenied, StoreError
from wrens.store.addresses import (
    SCHEME,
    bucket_and_settings,
    checked_path,
    path_of,
    signing_of,
    unknown,
    with_signing,
)
from wrens.store.failures import translate
from wrens.store.port import Store, is_signed

Opener = Callable[..., Store]
"""``opener(url, create=...)`` returns the store of a URL."""

_openers: dict[str, Opener] = {}
_memories: dict[str, Store] = {}
_lock = Lock()


def register_scheme(scheme: str, opener: Opener) -> None:
    """Make URLs that begin with ``scheme://`` open through ``opener``, in this process.

    A package does the same for every process, workers included, by an entry point in the group
    ``wrens.stores`` whose name is the scheme.

    Args:
        scheme: Such as ``"sftp"``.
        opener: Called as ``opener(url, create=...)``; returns the store, or raises ``BadStoreURL``.

    >>> from wrens.store import open_store
    >>> register_scheme("null", lambda url, create: open_store("memory://null"))
    >>> open_store("null://anything").url
    'memory://null'
    """
    _openers[scheme.lower()] = opener


def open_store(
    url_or_path: str | os.PathLike[str], *, create: bool = True, check: bool = False, decided: bool = False
) -> Store:
    """Open the store at an address.

    What is in a store is unpickled. So a store to which others may write is signed (:mod:`wrens.store.signed`):
    every bucket, every registered scheme, and a directory that is not the user's own. ``?signed=no`` and
    ``?signed=yes`` at the end of a URL say otherwise.

    Args:
        url_or_path: A directory (``/data/jobs``, ``~/jobs``, ``file:///data/jobs``), ``memory://name`` (one
            per process), ``s3://bucket/prefix``, ``gs://…`` or ``az://…``. A bucket's query may name an
            ``endpoint``, a ``region`` and more (see the how-to about S3), but never credentials.
        create: Make the directory when there is none. Without it, a directory has to be there and need
            only be readable, and so need a bucket that is checked.
        check: Ask a bucket for something first, so that a wrong address, missing credentials, a bucket that is
            not there or one without put-if-absent are told at once, and not by the first job.
        decided: The address is the ``url`` of a store that a client has opened: take its word for it whether the
            store is signed, and do not make a signing key. For workers.

    Returns:
        The store. Its ``url`` opens the same store again, also on another machine that reaches it.

    Raises:
        BadStoreURL: if the address names no store.
        BadSigningKey: if the store is signed, and the user's key cannot be had.
        StoreDenied: if the directory cannot be used for want of permission; with ``check``, a bucket for
            want of credentials or permission.
        StoreUnavailable: if ``check`` finds no service at this address.
        NoPutIfAbsent: if ``check`` finds that the service replaces what it was told to leave.

    >>> open_store("memory://scratch") is open_store("memory://scratch")
    True
    >>> open_store("s3://bucket/prefix?region=eu-west-1").url
    's3://bucket/prefix?region=eu-west-1'
    """
    address, told = signing_of(os.fsdecode(url_or_path))
    store = _open_unsigned(address, create=create, check=check)
    if is_signed(store):
        return store  # an opener of another scheme has gone through here
    url, before = signing_of(store.url)
    told = before if told is None else told
    usual = _usually_signed(store, url, decided=decided)
    wanted = usual if told is None else told
    if told not in (None, usual) or (url.startswith("file:") and (wanted or told is not None)):
        # Whoever opens it again by its URL, perhaps elsewhere, shall come to the same.
        url = with_signing(url, signed=wanted)
    if not wanted:
        store.url = url
        return store
    if url.startswith("file:"):
        from wrens.store.directory import DirectoryStore

        if isinstance(store, DirectoryStore):
            store.maps = False
    from wrens.store.signed import SignedStore
    from wrens.store.signing_keys import signing_key

    return SignedStore(store, signing_key(make=not decided), url=url)


def _usually_signed(store: Store, url: str, *, decided: bool) -> bool:
    """Decide whether a store is signed when its address does not say it: when others may write to it."""
    if url.startswith("file:"):
        from wrens.store.privacy import is_private

        return not decided and not is_private(path_of(url))
    return not (url.startswith("memory:") or getattr(store, "trusted", False))


def _open_unsigned(address: str, *, create: bool, check: bool) -> Store:
    match = SCHEME.match(address)
    if match is None:
        return _open_path(address, create=create)
    scheme = match.group(1).lower()
    if scheme == "file":
        return _open_path(path_of(address), create=create)
    if scheme == "memory":
        return _open_memory(address)
    if scheme in {"s3", "gs", "az"}:
        return _open_bucket(scheme, address, create=create, check=check)
    opener = _openers.get(scheme) or _entry_point(scheme)
    if opener is None:
        raise unknown(scheme, address, _known())
    return opener(address, create=create)


def _open_path(path: str, *, create: bool) -> Store:
    from wrens.store.directory import DirectoryStore

    path = checked_path(path)
    root = os.path.abspath(path)  # noqa: PTH100 - keeps symbolic links
    url = Path(root).as_uri()
    try:
        if create:
            os.makedirs(root, mode=0o700, exist_ok=True)  # noqa: PTH103 - parents by the umask
        elif not os.path.exists(root):  # noqa: PTH110
            raise BadStoreURL("open", "", url, "there is no such directory")
    except BadStoreURL:
        raise
    except (FileExistsError, NotADirectoryError):
        raise BadStoreURL("open", "", url, "a part of this path is a file, not a directory") from None
    except OSError as error:
        raise translate(error, "open", "", url) from error
    if not os.path.isdir(root):  # noqa: PTH112
        raise BadStoreURL("open", "", url, "this is a file, not a directory")
    needed = os.R_OK | os.X_OK | (os.W_OK if create else 0)
    if not os.access(root, needed):
        raise StoreDenied("open", "", url, f"you may not {'write' if create else 'read'} there")
    return DirectoryStore(root)


def _open_memory(url: str) -> Store:
    url = "memory://" + url.partition("://")[2].strip("/")
    with _lock:
        store = _memories.get(url)
        if store is None:
            store = _memories[url] = _cloud().memory(url)
    return store


def _open_bucket(scheme: str, url: str, *, create: bool, check: bool) -> Store:
    from wrens.store.retrying import RetryingStore, StoreRetry

    clean, settings = bucket_and_settings(scheme, url)
    store: Store = _cloud().connect(clean, settings)
    if check:
        store = _met(store, scheme, settings, write=create)
    return RetryingStore(store, StoreRetry(attempts=8, base_s=0.1, cap_s=5.0))


def _met(store: Store, scheme: str, settings: dict[str, str], *, write: bool) -> Store:
    """Return the store when it will do; where only the region was wrong, the same bucket in the right one.

    Raises:
        StoreError: if it will not do.
    """
    from wrens.store import amazon, probe, regions
    from wrens.store.retrying import RetryingStore, StoreRetry

    few = StoreRetry(attempts=2, base_s=0.5)
    try:
        probe.meet(RetryingStore(store, few), write=write)
    except StoreError as error:
        if scheme != "s3" or not regions.is_wrong(error.reason):
            raise
        clean, known = bucket_and_settings(scheme, store.url)
        service = amazon.endpoint_of(known, os.environ) or regions.SERVICE
        right = regions.right_one(error.reason, urlsplit(clean).netloc, service)
        if right is None:
            told = f"the bucket is in another region; add ?region=... with the right one ({error.reason})"
            raise BadStoreURL("open", "", store.url, told) from error
        if "region" in settings:
            told = f"the bucket is not in {settings['region']} but in {right}: write region={right}"
            raise BadStoreURL("open", "", store.url, told) from error
        # In the URL it reaches the workers too.
        store = _cloud().connect(clean, {**known, "region": right})
        probe.meet(RetryingStore(store, few), write=write)
    return store


def _cloud() -> Any:
    """Return the adapter's module, by name: whoever opens a store by its URL imports no adapter."""
    return import_module("wrens.store.cloud")


def _entry_point(scheme: str) -> Opener | None:
    """Return the opener that an installed package offers for this scheme."""
    from importlib.metadata import entry_points

    for found in entry_points(group="wrens.stores", name=scheme):
        opener: Opener = found.load()
        register_scheme(scheme, opener)
        return opener
    return None


def _known() -> list[str]:
    from importlib.metadata import entry_points

    return ["file", "memory", "s3", "gs", "az", *_openers, *entry_points(group="wrens.stores").names]


def default_store_url() -> str:
    """Return where jobs are kept when no store is named, and make that directory if need be.

    It is ``WRENS_STORE`` when that is set, otherwise ``wrens`` in the user's cache: ``$XDG_CACHE_HOME`` or
    ``~/.cache``, on macOS ``~/Library/Caches``. What lies there is unpickled, so a directory that others
    can write is refused.

    Returns:
        A URL for :func:`open_store`.

    Raises:
        StoreDenied: if the directory belongs to another user or others may write to it, or cannot be made.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", WRENS_STORE="s3://lab/jobs"):
    ...     default_store_url()
    's3://lab/jobs'
    """
    chosen = os.environ.get("WRENS_STORE")
    if chosen:
        return chosen
    root = cache_home() / "wrens"
    url = root.as_uri()
    advice = "Set WRENS_STORE to a directory of your own, or pass store=."
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
    except OSError as error:
        raise StoreDenied("open", "", url, f"{error.strerror or error}. {advice}") from error
    if status.st_uid != os.geteuid():
        raise StoreDenied("open", "", url, f"it belongs to user {status.st_uid}, not to you. {advice}")
    if status.st_mode & 0o022:
        mode = f"{status.st_mode & 0o777:o}"
        raise StoreDenied(
            "open", "", url, f"others may write there (mode {mode}): chmod 700 {root}. Or: {advice}"
        )
    return url


def cache_home() -> Path:
    """Return the user's directory for what can be made anew."""
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The convention says to ignore a relative path.
    return named if named.is_absolute() else Path("~/.cache").expanduser()
