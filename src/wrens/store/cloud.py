"""The one adapter over obstore: S3 and compatibles, Google Cloud, Azure, and memory.

Decides how the four verbs become requests, and that a put-if-absent which a service may have carried out
twice is settled by reading back. Does not retry, and does not parse URLs. Nothing else in wrens imports obstore; :mod:`wrens.store.opening` imports this module when a URL
asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from wrens.errors import (
    AlreadyExists,
    BadStoreURL,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from wrens.store.failures import first_line, translate
from wrens.store.naming import as_buffers, check_key, check_prefix, check_range, total
from wrens.store.port import Buffer, Mode
from wrens.store.readback import same_object

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_FAILURES = (BaseError, OSError, ValueError)
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
"""Where the environment names a service; one without encryption is used when it is asked for."""
_JOIN = 256 * 1024
"""Below this size buffers are joined: copying them is cheaper than handing them over one by one."""
_PAGE = 1000
"""Keys of one listing or deletion request, as the services have it."""


class CloudStore:
    """Keeps objects in a service that obstore speaks to.

    Args:
        inner: The store of obstore.
        url: What opens the same store again; without credentials.
        repeats: Whether requests may be repeated underneath, by ``inner`` or by a proxy, so that a
            put-if-absent can meet its own object. True for every service behind a network.

    >>> from obstore.store import MemoryStore
    >>> store = CloudStore(MemoryStore(), "memory://", repeats=False)
    >>> store.put("greetings/en", [b"hel", b"lo"])
    >>> bytes(store.get("greetings/en"))
    b'hello'
    """

    def __init__(self, inner: ObjectStore, url: str, *, repeats: bool = True) -> None:
        self._inner = inner
        self._repeats = repeats
        self.url = url

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object, given as one buffer or as several that are joined.

        Raises:
            AlreadyExists: if ``mode`` is ``"if_absent"`` and the key is taken.
            UncertainWrite: if that cannot be told.
            StoreError: if the service refused or failed.
        """
        check_key(key)
        buffers = as_buffers(data)
        small = len(buffers) < 2 or total(buffers) < _JOIN
        try:
            obstore.put(
                self._inner,
                key,
                b"".join(buffers) if small and len(buffers) != 1 else buffers[0] if small else iter(buffers),
                mode="overwrite" if mode == "replace" else "create",
                # One request, so that the object appears at once and under the condition.
                use_multipart=False,
            )
        except _FAILURES as error:
            failure = translate(error, "put", key, self.url)
            if not (isinstance(failure, AlreadyExists) and self._repeats):
                raise failure from error
            self._settle(key, buffers, failure)

    def _settle(self, key: str, buffers: list[bytes | memoryview], failure: AlreadyExists) -> None:
        """Tell whether the object in our way is the one that this very put has written.

        Whoever repeats a request whose reply was lost finds what the first one has left.
        """
        ours = same_object(self, key, buffers)
        if ours is None:
            # Two writers at once make some services answer like this although neither has written.
            raise StoreUnavailable("put", key, self.url, f"{failure.reason}; but nothing is there") from None
        if not ours:
            raise failure from None

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return the object's bytes from ``start``, all or at most ``length`` of them.

        Raises:
            ObjectMissing: if there is no such object.
            StoreError: if the service refused or failed.
        """
        check_key(key)
        check_range(start, length)
        options: GetOptions = {}
        if length == 0:
            self._size(key)
            return memoryview(b"")
        if length is not None:
            options["range"] = (start, start + length)
        elif start:
            options["range"] = {"offset": start}
        try:
            return memoryview(obstore.get(self._inner, key, options=options).bytes())
        except _FAILURES as error:
            failure = self._not_read(key, error)
            missing = isinstance(failure, (ObjectMissing, StoreUnavailable))
            if not missing and options and start >= self._size(key):
                return memoryview(b"")  # services call a start past the end an error
            raise failure from error

    def _size(self, key: str) -> int:
        try:
            return obstore.head(self._inner, key)["size"]
        except _FAILURES as error:
            raise self._not_read(key, error) from error

    def _not_read(self, key: str, error: Exception) -> StoreError:
        """Say why an object could not be read.

        To a caller whose right to list is bound to a prefix, S3 says of a missing object that it is denied. Within
        that prefix a listing tells.
        """
        failure = translate(error, "get", key, self.url)
        if not isinstance(failure, StoreDenied):
            return failure
        try:
            near = self._pages(key[: key.rfind("/") + 1], key[:-1])
            there = next((found for found in near if found >= key), None) == key
        except StoreError:
            return failure
        return failure if there else ObjectMissing("get", key, self.url, failure.reason)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order, one page of the service at a time."""
        check_prefix(prefix)
        return self._pages(prefix, after)

    def _pages(self, prefix: str, after: str) -> Iterator[str]:
        try:
            # A listing begins where ``after`` ends, but a service may take it for a hint only.
            for page in obstore.list(self._inner, prefix or None, offset=after or None, chunk_size=_PAGE):
                for entry in page:
                    if entry["path"] > after:
                        yield entry["path"]
        except _FAILURES as error:
            raise translate(error, "list", prefix, self.url) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, up to 1000 with one request; missing ones are ignored."""
        rest = iter(keys)
        while batch := [check_key(key) for key in islice(rest, _PAGE)]:
            try:
                obstore.delete(self._inner, batch)
            except FileNotFoundError:
                self._delete_each(batch)
            except _FAILURES as error:
                raise translate(error, "delete", batch[0], self.url) from error

    def _delete_each(self, keys: Sequence[str]) -> None:
        """Remove one by one: a service that calls a missing object an error does not say which it was."""
        for key in keys:
            try:
                obstore.delete(self._inner, key)
            except FileNotFoundError:
                continue
            except _FAILURES as error:
                raise translate(error, "delete", key, self.url) from error

    def __repr__(self) -> str:
        return f"CloudStore({self.url!r})"


def connect(url: str, options: dict[str, str]) -> CloudStore:
    """Return the store of a bucket; no request is made.

    Args:
        url: ``s3://bucket/prefix`` and the like, without a query.
        options: Settings of the service that are no secrets, such as ``endpoint`` and ``region``.

    Raises:
        BadStoreURL: if obstore cannot make sense of it, or of what the environment says about the service.
    """
    from datetime import timedelta
    from urllib.parse import urlencode

    from obstore.store import from_url

    shown = url + ("?" + urlencode(options) if options else "")
    endpoints = {"endpoint": options.get("endpoint", "")}
    endpoints |= {name: os.environ.get(name, "") for name in _ENDPOINTS}
    for name, endpoint in endpoints.items():
        if endpoint and not endpoint.startswith(("http://", "https://")):
            told = f"{name}={endpoint} has to begin with http:// or https://"
            raise BadStoreURL("open", "", shown, told)
    plain = any(endpoint.startswith("http://") for endpoint in endpoints.values())
    # The whole object has to pass within ``timeout``; obstore's own 30 s is too short for a large one.
    client: ClientConfig = {"timeout": "300s", "connect_timeout": "10s", "allow_http": plain}
    # Tried again by RetryingStore only: it has to know of each try whether it may have been carried out.
    retry: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}
    try:
        inner = from_url(url, client_options=client, retry_config=retry, **options)  # type: ignore[call-overload]
    except _FAILURES as error:
        # No request was made, so what is wrong is said by the URL or the environment.
        raise BadStoreURL("open", "", shown, _in_words(first_line(error))) from error
    return CloudStore(inner, shown)


def _in_words(reason: str) -> str:
    """Say what to do about a store that obstore cannot make."""
    if "Account must be specified" in reason:
        return "the account is missing: add ?account_name=... or set AZURE_STORAGE_ACCOUNT_NAME"
    return reason


def memory(url: str) -> CloudStore:
    """Return a new, empty store in this process's memory, known as ``url``.

    >>> list(memory("memory://scratch").list(""))
    []
    """
    from obstore.store import MemoryStore

    return CloudStore(MemoryStore(), url, repeats=False)
