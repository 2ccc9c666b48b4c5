"""A store whose objects carry a signature, for places to which others may write too.

    …the object…
    #wrens-signed <fingerprint of the signing key> <HMAC-SHA256, in hexadecimal digits>

The digest is taken over the object's key in the store and its bytes, so an object that was changed, or put
under another key, is refused before anybody looks into it. Decides what is signed and what is said of an object that is not. Which
stores are signed is decided in :mod:`wrens.store.opening`; which of several validly signed objects belongs to a
job, by the records that name it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap

from wrens.errors import BadSignature
from wrens.store.naming import as_buffers, check_key, check_range
from wrens.store.port import Buffer, Mode, Store
from wrens.store.signing_keys import FINGERPRINT_DIGITS, VARIABLE, SigningKey

_MARK = b"\n#wrens-signed "
TRAILER = len(_MARK) + FINGERPRINT_DIGITS + 1 + 64 + 1
"""Bytes that a signature adds to an object."""


class SignedStore:
    """Signs what is put, and returns nothing whose signature it has not checked.

    It belongs around a :class:`~wrens.store.RetryingStore`, which then compares signed objects when a reply was
    lost. A range is read by reading the whole object, because its signature is over the whole; who has
    another means to check a range asks for it by :meth:`raw_range`.

    Args:
        inner: The store that keeps the objects.
        key: Signs and checks.
        url: What opens this store again; by default the URL of ``inner``.

    >>> from wrens.store import open_store
    >>> inner, key = open_store("memory://signed"), SigningKey(bytes(32), "an example")
    >>> store = SignedStore(inner, key)
    >>> store.put("greetings/en", b"hello")
    >>> bytes(store.get("greetings/en")), len(inner.get("greetings/en")) - TRAILER
    (b'hello', 5)
    >>> inner.put("greetings/de", inner.get("greetings/en"))
    >>> store.get("greetings/de")
    Traceback (most recent call last):
        ...
    wrens.errors.BadSignature: this process refused the object greetings/de in memory://signed: its bytes or ...
    """

    signed = True

    def __init__(self, inner: Store, key: SigningKey, *, url: str = "") -> None:
        self._inner = inner
        self._key = key
        self.url = url or inner.url

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, mode: Mode = "if_absent") -> None:
        """Store an object and its signature."""
        buffers = as_buffers(data)
        told = f"{self._key.fingerprint} {self._digest(check_key(key), buffers)}\n"
        self._inner.put(key, [*buffers, _MARK + told.encode()], mode=mode)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return the object's bytes from ``start``, all or at most ``length`` of them.

        Raises:
            BadSignature: if the object was not written like this by who has the key.
        """
        check_range(start, length)
        found = self._checked(key, _own(self._inner.get(key)))
        return found[start : None if length is None else start + length]

    def raw_range(self, key: str, start: int, length: int) -> memoryview:
        """Return a range of what is stored, which nobody has checked."""
        return _own(self._inner.get(key, start=start, length=length))

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order, whoever has put them there."""
        return self._inner.list(prefix, after=after)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, whoever has put them there."""
        self._inner.delete(keys)

    def _checked(self, key: str, found: memoryview) -> memoryview:
        """Return an object without its signature, which fits."""
        content, trailer = found[:-TRAILER], bytes(found[-TRAILER:])
        if len(trailer) < TRAILER or not trailer.startswith(_MARK):
            raise BadSignature(
                key,
                self.url,
                "it carries no signature",
                "Somebody without the key has written it, or it was written when this store was not signed. "
                "When nobody else could write there, open that store with ?signed=no.",
            )
        theirs, _, digest = trailer[len(_MARK) : -1].partition(b" ")
        if theirs != self._key.fingerprint.encode():
            raise BadSignature(
                key,
                self.url,
                f"it is signed with another key, {theirs.decode('ascii', 'backslashreplace')}; the one here is "
                f"{self._key.fingerprint}, from {self._key.place}",
                f"If you trust its writer: 'wrens key --export' prints the key there, {VARIABLE} takes it here.",
            )
        if not hmac.compare_digest(self._digest(key, [content]).encode(), digest) or trailer[-1:] != b"\n":
            raise BadSignature(
                key,
                self.url,
                "its bytes or its place are not those that were signed",
                "Somebody has changed it, or put another signed object in its place.",
            )
        return content

    def _digest(self, key: str, buffers: Sequence[bytes | memoryview]) -> str:
        state, name = self._key.begin(), key.encode()
        # Its length first, so that no byte can move from the name to the content.
        state.update(len(name).to_bytes(4, "little") + name)
        for buffer in buffers:
            state.update(buffer)
        return state.hexdigest()

    def __repr__(self) -> str:
        return f"SignedStore({self._inner!r}, {self._key!r})"


def digest_of(buffers: Iterable[Buffer]) -> bytes:
    """Return the digest by which a part of a signed object is known: SHA-256 of the buffers, joined."""
    state = hashlib.sha256()
    for buffer in buffers:
        state.update(buffer)
    return state.digest()


def _own(found: memoryview) -> memoryview:
    """Return memory that nobody else can change.

    What is mapped from a file still follows the file: whoever owns that could show one thing to the check and
    another to the reader.
    """
    return memoryview(bytearray(found)) if isinstance(found.obj, mmap) else found
