"""From a URL or a path to a store.

Decides which addresses there are, what is checked before any work begins, and where the default store lies.
The classes that keep the promises are imported only when an address asks for them, so that a directory
never loads the object store library.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from wrens.errors import BadStoreURL, StoreDenied
from wrens.store.failures import translate
from wrens.store.port import Store

Opener = Callable[..., Store]
"""``opener(url, create=...)`` returns the store of a URL."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ALIASES = {
    "s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az", "abfs": "az", "abfss": "az", "adl": "az",
    "wasb": "az", "mem": "memory", "dir": "file", "local": "file",
}  # fmt: skip
_SETTINGS = ("endpoint", "region", "virtual_hosted_style_request", "skip_signature", "account_name")
"""What a URL's query may say. Nothing secret: URLs are shown, logged and sent to workers."""

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


def open_store(url_or_path: str | os.PathLike[str], *, create: bool = True) -> Store:
    """Open the store at an address.

    Args:
        url_or_path: A directory (``/data/jobs``, ``~/jobs``, ``file:///data/jobs``), ``memory://name`` (one
            per process), ``s3://bucket/prefix``, ``gs://…`` or ``az://…``. A bucket's query may name an
            ``endpoint`` or a ``region``; credentials come from the environment.
        create: Make the directory when there is none. Without it, a directory has to be there and need
            only be readable.

    Returns:
        The store. Its ``url`` opens the same store again, also on another machine that reaches it.

    Raises:
        BadStoreURL: if the address names no store.
        StoreDenied: if the directory cannot be used for want of permission.

    >>> open_store("memory://scratch") is open_store("memory://scratch")
    True
    >>> open_store("s3://bucket/prefix?region=eu-west-1").url
    's3://bucket/prefix?region=eu-west-1'
    """
    address = os.fspath(url_or_path)
    match = _SCHEME.match(address)
    if match is None:
        return _open_path(address, create=create)
    scheme = match.group(1).lower()
    if scheme == "file":
        return _open_path(_path_of(address), create=create)
    if scheme == "memory":
        return _open_memory(address)
    if scheme in {"s3", "gs", "az"}:
        return _open_bucket(scheme, address)
    opener = _openers.get(scheme) or _entry_point(scheme)
    if opener is None:
        raise _unknown(scheme, address)
    return opener(address, create=create)


def _open_path(path: str, *, create: bool) -> Store:
    from wrens.store.directory import DirectoryStore

    near = re.match(r"(file|memory|s3|gs|az):/?(?!/)(.*)", path)
    if near:
        slashes = "///" if near.group(1) == "file" else "//"
        raise BadStoreURL("open", "", path, f"did you mean {near.group(1)}:{slashes}{near.group(2)}?")
    if not path or "\0" in path:
        raise BadStoreURL("open", "", path, "this is no path")
    root = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - keeps symbolic links
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


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        path = f"/{parts.netloc}{parts.path}"
        raise BadStoreURL("open", "", url, f"a file URL has three slashes; did you mean file://{path}?")
    if not parts.path.startswith("/") or parts.query or parts.fragment:
        raise BadStoreURL("open", "", url, "a file URL is file:///, then a path, and '%3F' for a '?' in it")
    return unquote(parts.path)


def _open_memory(url: str) -> Store:
    url = "memory://" + url.partition("://")[2].strip("/")
    with _lock:
        store = _memories.get(url)
        if store is None:
            store = _memories[url] = _cloud().memory(url)
    return store


def _open_bucket(scheme: str, url: str) -> Store:
    from wrens.store.retrying import RetryingStore

    parts = urlsplit(url)
    bucket = parts.netloc.rpartition("@")[2]
    clean = f"{scheme}://{bucket}{parts.path.rstrip('/')}"
    settings = dict(parse_qsl(parts.query))
    if "@" in parts.netloc or parts.fragment:
        raise BadStoreURL("open", "", clean, "a URL carries no user name, password or '#'")
    if not bucket:
        raise BadStoreURL("open", "", clean, f"the name of the bucket is missing: {scheme}://bucket/prefix")
    strange = sorted(set(settings) - set(_SETTINGS))
    if strange:
        near = get_close_matches(strange[0], _SETTINGS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadStoreURL(
            "open",
            "",
            clean,
            f"a URL cannot set {strange[0]!r}{hint} (it can set {', '.join(_SETTINGS)}; credentials come "
            "from the environment)",
        )
    return RetryingStore(_cloud().connect(clean, settings))


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


def _unknown(scheme: str, url: str) -> BadStoreURL:
    from importlib.metadata import entry_points

    known = ["file", "memory", "s3", "gs", "az", *_openers, *entry_points(group="wrens.stores").names]
    near = _ALIASES.get(scheme) or next(iter(get_close_matches(scheme, known, n=1, cutoff=0.5)), None)
    rest = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    hint = f"; did you mean {near}://{rest}?" if near else ""
    return BadStoreURL("open", "", f"{scheme}://{rest}", f"{scheme!r} is not a kind of store{hint}")


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
    root = _cache() / "wrens"
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


def _cache() -> Path:
    if sys.platform == "darwin":
        return Path("~/Library/Caches").expanduser()
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The convention says to ignore a relative path.
    return named if named.is_absolute() else Path("~/.cache").expanduser()
