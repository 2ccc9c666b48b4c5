"""The one adapter over obstore: S3 and compatibles, Google Cloud, Azure, and memory.

Decides how the four verbs become requests, that a put-if-absent which a service may have carried out twice is
settled by reading back, and how large objects travel to S3. Does not retry, except for the single steps of a
large object, and does not parse URLs. Nothing else in wrens imports obstore; :mod:`wrens.store.opening` imports
this module when a URL asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from wrens.errors import (
    AlreadyExists,
    BadStoreURL,
    NoPutIfAbsent,
    ObjectMissing,
    ObjectTooLarge,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from wrens.store.failures import first_line, translate
from wrens.store.meters import Verb, meter_at, unbilled
from wrens.store.naming import as_buffers, check_key, check_prefix, check_range, pieces, total
from wrens.store.port import Buffer, Mode
from wrens.store.readback import same_object
from wrens.wire import keys

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_FAILURES = (BaseError, OSError, ValueError)
_ENDPOINTS = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
)
"""Where the environment names a service; one without encryption is used when it is asked for."""
_JOIN = 256 * 1024
"""Below this size buffers are joined: copying them is cheaper than handing them over one by one."""
_PAGE = 1000
"""Keys of one listing or deletion request, as the services have it."""

_STEPS = 2
"""Requests that begin and complete what travels in parts."""

LARGE = 64 * 2**20
"""From this size on an object travels to S3 in parts. In one request it would be sent anew as a whole after every
fault, by one connection only; below it the handful of requests more would cost more time than that."""
PART = 16 * 2**20
PARTS_AT_ONCE = 4
"""Together no more than ``LARGE``, so that a slow line is given the same time for them."""
LARGEST = 5 * 2**30
"""What S3 takes with one request, and copies with one."""
_STEP_RETRIES = 4
"""Tries again of each step of a large object. They change nothing that counts before the last one, and what the
last one has done is read back."""


class CloudStore:
    """Keeps objects in a service that obstore speaks to.

    Args:
        inner: The store of obstore.
        url: What opens the same store again; without credentials.
        repeats: Whether requests may be repeated underneath, by ``inner`` or by a proxy, so that a
            put-if-absent can meet its own object. True for every service behind a network.
        steps: The same store by a client that repeats requests: it carries the steps of large objects. Without
            it, every object is one request.
        large: From which size on an object is large.
        part: How large its parts are.

    >>> from obstore.store import MemoryStore
    >>> store = CloudStore(MemoryStore(), "memory://", repeats=False)
    >>> store.put("greetings/en", [b"hel", b"lo"])
    >>> bytes(store.get("greetings/en"))
    b'hello'
    """

    def __init__(
        self,
        inner: ObjectStore,
        url: str,
        *,
        repeats: bool = True,
        steps: ObjectStore | None = None,
        large: int = LARGE,
        part: int = PART,
    ) -> None:
        self._inner = inner
        self._repeats = repeats
        self._steps = steps
        self._large = large
        self._part = part
        self._copies = False
        self._meter = meter_at(url) if repeats else unbilled
        self.url = url

    def _count(self, verb: Verb, key: str, nbytes: int = 0, *, times: int = 1) -> None:
        """Note requests before they are made, so that those which fail are counted too."""
        self._meter.count(verb, key, nbytes, times=times)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object, given as one buffer or as several that are joined.

        Raises:
            AlreadyExists: if ``mode`` is ``"if_absent"`` and the key is taken.
            UncertainWrite: if that cannot be told.
            ObjectTooLarge: if the service takes no object of this size.
            StoreError: if the service refused or failed.
        """
        check_key(key)
        buffers = as_buffers(data)
        if self._steps is not None and total(buffers) >= self._large:
            self._put_large(key, buffers, mode, self._steps)
            return
        size = total(buffers)
        if not self._repeats:
            buffers = [b"".join(buffers)]  # memory would keep the caller's own, which may change
        small = len(buffers) < 2 or size < _JOIN
        self._count("put", key, size)
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

    def _settle(self, key: str, buffers: list[bytes | memoryview], failure: StoreError) -> None:
        """Tell whether the object in our way is the one that this very put has written.

        Whoever repeats a request whose reply was lost finds what the first one has left.
        """
        ours = same_object(self, key, buffers)
        if ours is None:
            # S3 answers two writers at once with 409 although neither may have written.
            raise StoreUnavailable("put", key, self.url, f"{failure.reason}; but nothing is there") from None
        if not ours:
            raise AlreadyExists("put", key, self.url, failure.reason) from None

    def _put_large(self, key: str, buffers: list[bytes | memoryview], mode: Mode, steps: ObjectStore) -> None:
        """Send an object in parts; see decision 0013.

        An upload in parts cannot be told through obstore to end only where nothing is. A copy can. So the object
        is put together under a key of its own, copied to where it belongs if nothing is there, and deleted.
        """
        size = total(buffers)
        if size > LARGEST:
            told = f"it has {size:,} bytes, and S3 copies up to {LARGEST:,} at once"
            raise ObjectTooLarge("put", key, self.url, told)
        if mode == "if_absent":
            self._prove_copies(key, steps)
        at = key if mode == "replace" else keys.upload(keys.new_id())
        self._count("put", key, size, times=_STEPS + -(-size // self._part))
        try:
            obstore.put(
                steps,
                at,
                pieces(buffers, self._part),
                use_multipart=True,
                chunk_size=self._part,
                max_concurrency=PARTS_AT_ONCE,
            )
        except _FAILURES as error:
            raise translate(error, "put", key, self.url) from error
        if mode == "replace":
            return
        self._count("put", key, times=_STEPS + 1)
        self._count("delete", key)
        try:
            obstore.copy(steps, at, key, overwrite=False)
        except _FAILURES as error:
            failure = translate(error, "put", key, self.url)
            if not isinstance(failure, (AlreadyExists, ObjectMissing, StoreUnavailable)):
                raise failure from error
            # Repeated underneath, and so it may have met what it did itself: then the upload is gone, or used.
            self._settle(key, buffers, failure)
        finally:
            with suppress(*_FAILURES):  # 'wrens clean' takes away what is left
                obstore.delete(steps, at)

    def _prove_copies(self, key: str, steps: ObjectStore) -> None:
        """Refuse a service whose copies replace what is there; once for each store, before its first large object.

        The object that is copied, to where it is, is the one that a driver tries every bucket with. So nothing
        changes even if it is replaced.

        Raises:
            NoPutIfAbsent: if it was replaced.
        """
        for _ in range(0 if self._copies else 2):
            self._count("put", keys.PROBE, times=_STEPS + 1)
            try:
                obstore.copy(steps, keys.PROBE, keys.PROBE, overwrite=False)
            except _FAILURES as error:
                failure = translate(error, "put", key, self.url)
                if isinstance(failure, AlreadyExists):
                    self._copies = True
                    return
                if not isinstance(failure, ObjectMissing):
                    raise failure from error
                with suppress(AlreadyExists):
                    self.put(keys.PROBE, os.urandom(32))
            else:
                told = "a copy to where an object is, completed with If-None-Match, succeeded"
                raise NoPutIfAbsent("put", key, self.url, told)

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
            self.size(key)
            return memoryview(b"")
        if length is not None:
            options["range"] = (start, start + length)
        elif start:
            options["range"] = {"offset": start}
        self._count("get", key)
        try:
            found = memoryview(obstore.get(self._inner, key, options=options).bytes())
        except _FAILURES as error:
            failure = self._not_read(key, error)
            missing = isinstance(failure, (ObjectMissing, StoreUnavailable))
            if not missing and options and start >= self.size(key):
                return memoryview(b"")  # services call a start past the end an error
            raise failure from error
        self._count("get", key, found.nbytes, times=0)
        return found

    def size(self, key: str) -> int:
        """Return how many bytes an object has.

        Raises:
            ObjectMissing: if there is no such object.
            StoreError: if the service refused or failed.
        """
        self._count("get", check_key(key))
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
            there = next((found for found, _ in near if found >= key), None) == key
        except StoreError:
            return failure
        return failure if there else ObjectMissing("get", key, self.url, failure.reason)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order, one page of the service at a time."""
        check_prefix(prefix)
        return (key for key, _ in self._pages(prefix, after))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the keys that begin with ``prefix``, in order, each with how many bytes the object has."""
        check_prefix(prefix)
        return self._pages(prefix, "")

    def _pages(self, prefix: str, after: str) -> Iterator[tuple[str, int]]:
        self._count("list", prefix)
        try:
            # A listing begins where ``after`` ends, but a service may take it for a hint only.
            found = obstore.list(self._inner, prefix or None, offset=after or None, chunk_size=_PAGE)
            for number, page in enumerate(found):
                if number:
                    self._count("list", prefix)
                for entry in page:
                    if entry["path"] > after:
                        yield entry["path"], entry["size"]
        except _FAILURES as error:
            raise translate(error, "list", prefix, self.url) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, up to 1000 with one request; missing ones are ignored."""
        rest = iter(keys)
        while batch := [check_key(key) for key in islice(rest, _PAGE)]:
            self._count("delete", batch[0])
            try:
                obstore.delete(self._inner, batch)
            except FileNotFoundError:
                self._delete_each(batch)
            except _FAILURES as error:
                raise translate(error, "delete", batch[0], self.url) from error

    def _delete_each(self, keys: Sequence[str]) -> None:
        """Remove one by one: a service that calls a missing object an error does not say which it was."""
        for key in keys:
            self._count("delete", key)
            try:
                obstore.delete(self._inner, key)
            except FileNotFoundError:
                continue
            except _FAILURES as error:
                raise translate(error, "delete", key, self.url) from error

    def __repr__(self) -> str:
        return f"CloudStore({self.url!r})"


@dataclass(frozen=True)
class Patience:
    """How long one request to a service may take; retries come on top.

    Args:
        connect_s: Until there is a connection.
        silence_s: From the request's beginning until the first of the answer, and between any two parts of it.
            An object of :data:`LARGE` bytes has to pass in this time, which needs 4.5 Mbit/s.
        whole_s: For everything.
    """

    connect_s: float = 10.0
    silence_s: float = 120.0
    whole_s: float = 3600.0

    def for_client(self) -> ClientConfig:
        """Return this in obstore's words."""
        return {
            "connect_timeout": f"{self.connect_s * 1000:.0f}ms",
            "read_timeout": f"{self.silence_s * 1000:.0f}ms",
            "timeout": f"{self.whole_s * 1000:.0f}ms",
        }


def connect(url: str, options: Mapping[str, str], patience: Patience | None = None) -> CloudStore:
    """Return the store of a bucket; no request is made.

    Args:
        url: ``s3://bucket/prefix`` and the like, without a query.
        options: Settings of the service that are no secrets, such as ``endpoint`` and ``region``.
        patience: How long requests may take.

    Raises:
        BadStoreURL: if obstore cannot make sense of it, or of what the environment says about the service.
        StoreDenied: if the credentials that there are need a package that is not installed.
    """
    from datetime import timedelta
    from urllib.parse import urlencode

    from obstore.store import from_url

    def shown(settings: Mapping[str, str]) -> str:
        return url + ("?" + urlencode(settings) if settings else "")

    s3 = url.startswith("s3:")
    config, extra, said = options, {}, options
    endpoints = {"endpoint": options.get("endpoint", "")}
    if s3:
        from wrens.store.amazon import find_access

        try:
            access = find_access(options, os.environ)
        except StoreError as error:
            raise type(error)("open", "", shown(options), error.reason) from error
        config, said = access.config, access.settings
        extra = {"credential_provider": access.provider} if access.provider else {}
        endpoints["endpoint"] = said.get("endpoint", "")
    endpoints |= {name: os.environ.get(name, "") for name in _ENDPOINTS}
    for name, endpoint in endpoints.items():
        if endpoint and not endpoint.startswith(("http://", "https://")):
            told = f"{name}={endpoint} has to begin with http:// or https://"
            raise BadStoreURL("open", "", shown(said), told)
    client = (patience or Patience()).for_client()
    client["allow_http"] = any(endpoint.startswith("http://") for endpoint in endpoints.values())

    def client_that_retries(times: int) -> ObjectStore:
        retry: RetryConfig = {"max_retries": times, "retry_timeout": timedelta(seconds=180)}
        return from_url(url, client_options=client, retry_config=retry, **extra, **config)  # type: ignore[call-overload, no-any-return]

    try:
        # Tried again by RetryingStore only: it has to know of each try whether it may have been carried out.
        inner = client_that_retries(0)
        steps = client_that_retries(_STEP_RETRIES) if s3 else None
    except _FAILURES as error:
        # No request was made, so what is wrong is said by the URL or the environment.
        raise BadStoreURL("open", "", shown(said), _in_words(first_line(error))) from error
    return CloudStore(inner, shown(said), steps=steps)


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
