"""A store whose objects carry a signature, for places to which others may write too.

    bytes 0-191   #wrens-signed 1 FINGERPRINT LENGTH-OF-HEAD DIGEST-OF-HEAD DIGEST-OF-ALL, filled up, a new line
    then          the object

The digests are HMAC-SHA256, and the key in the store is a part of what they are taken over: an object that was
changed, or put under another key, is refused before anybody looks into it. The head of a large object is the first
of the buffers as which it was put, so that a record can be read, and checked, without the pack behind it.

Decides what is signed and what is said of an object that is not. Which stores are signed is decided in
:mod:`wrens.store.opening`; which of several validly signed objects belongs to a job, by the records that name it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap

from wrens.errors import BadSignature
from wrens.store.naming import as_buffers, check_key, check_range, total
from wrens.store.port import Buffer, Mode, Store
from wrens.store.signing_keys import VARIABLE, SigningKey

HEADER = 192
"""Bytes that a signature adds to an object: a multiple of 64, so that arrays keep their places."""
_MARK = b"#wrens-signed 1 "
_UNSIGNED = b"#wrens-unsigned".ljust(HEADER - 1) + b"\n"
_LINE = re.compile(_MARK + rb"([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{64}) [0-9a-f]{64} *\n")
_LONGEST = 1 << 40
"""No head is longer; who says so is not asked for the bytes."""
_SMALL = 64 * 1024
"""Up to this size an object is read whole, so that its head needs no digest."""
_NO_HEAD = 64 * b"0"
_DIGEST = 64


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
    >>> bytes(store.get("greetings/en")), len(inner.get("greetings/en")) - HEADER
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
        """Store an object behind its signature; of a large one, the first of several buffers can be read alone."""
        check_key(key)
        buffers = as_buffers(data)
        head = buffers[0] if len(buffers) > 1 and total(buffers) > _SMALL else b""
        told = _MARK + f"{self._key.fingerprint} {len(head):016x} ".encode()
        told += self._digest_of_head(key, told, head) if head else _NO_HEAD
        whole = self._digest_of_all(key, told, buffers)
        self._inner.put(key, [_line(told, whole), *buffers], mode=mode)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> memoryview:
        """Return the object's bytes from ``start``, all or at most ``length`` of them.

        Raises:
            BadSignature: if the object was not written like this by who has the key.
        """
        check_range(start, length)
        found = self._checked(key, _own(self._inner.get(key)))
        return found[start : None if length is None else start + length]

    def get_head(self, key: str, length: int) -> memoryview:
        """Return the first of the buffers as which a large object was put, and all of another one.

        Args:
            key: The object's key.
            length: How much to read at first.

        Raises:
            BadSignature: if this part was not written like this by who has the key.
        """
        found = _own(self._inner.get(key, length=HEADER + length))
        told, size = self._told(key, found)
        if not size:
            whole = len(found) < HEADER + length
            return self._checked(key, found) if whole else self.get(key)
        if len(found) < HEADER + size:
            found = _own(self._inner.get(key, length=HEADER + size))
            told, size = self._told(key, found)
        head = found[HEADER : HEADER + size]
        begun = told[:-_DIGEST]
        self._compare(key, told, begun + self._digest_of_head(key, begun, head))
        return head

    def put_raw(self, key: str, data: Buffer | Sequence[Buffer]) -> None:
        """Store an object without a signature: whoever reads it by :meth:`raw_range` has digests to check it by."""
        self._inner.put(key, [_UNSIGNED, *as_buffers(data)])

    def raw_range(self, key: str, start: int, length: int) -> memoryview:
        """Return a range of the object, which nobody has checked."""
        return _own(self._inner.get(key, start=HEADER + start, length=length))

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order, whoever has put them there."""
        return self._inner.list(prefix, after=after)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, whoever has put them there."""
        self._inner.delete(keys)

    def _checked(self, key: str, found: memoryview) -> memoryview:
        """Return the object behind a signature that fits all of it."""
        told, _ = self._told(key, found)
        content = found[HEADER:]
        self._compare(key, bytes(found[:HEADER]), _line(told, self._digest_of_all(key, told, [content])))
        return content

    def _told(self, key: str, found: memoryview) -> tuple[bytes, int]:
        """Return what an object's signature says but for the digest of all, and the length of the head."""
        line = _LINE.fullmatch(bytes(found[:HEADER]))
        if line is None:
            raise BadSignature(
                key,
                self.url,
                "it carries no signature",
                "Somebody without the key has written it, or it was written when this store was not signed. "
                "When nobody else could write there, open that store with ?signed=no.",
            )
        theirs, size = line[1].decode(), int(line[2], 16)
        if theirs != self._key.fingerprint:
            raise BadSignature(
                key,
                self.url,
                f"it is signed with another key, {theirs}; the one here is "
                f"{self._key.fingerprint}, from {self._key.place}",
                f"If you trust its writer: 'wrens key --export' prints the key there, {VARIABLE} takes it here.",
            )
        if size > _LONGEST:
            raise self._changed(key)
        return line[0][: line.end(3)], size

    def _compare(self, key: str, found: bytes, expected: bytes) -> None:
        if not hmac.compare_digest(found, expected):
            raise self._changed(key)

    def _changed(self, key: str) -> BadSignature:
        return BadSignature(
            key,
            self.url,
            "its bytes or its place are not those that were signed",
            "Somebody has changed it, or put another signed object in its place.",
        )

    def _digest_of_head(self, key: str, told: bytes, head: bytes | memoryview) -> bytes:
        state = self._key.begin()
        # No name is so long that the digest of a whole object could begin like this.
        state.update(b"\xff\xff\xff\xff" + _framed(key) + told)
        state.update(head)
        return state.hexdigest().encode()

    def _digest_of_all(self, key: str, told: bytes, buffers: Iterable[bytes | memoryview]) -> bytes:
        state = self._key.begin()
        state.update(_framed(key) + told)
        for buffer in buffers:
            state.update(buffer)
        return state.hexdigest().encode()

    def __repr__(self) -> str:
        return f"SignedStore({self._inner!r}, {self._key!r})"


def _line(told: bytes, digest: bytes) -> bytes:
    """Return a whole signature."""
    return (told + b" " + digest).ljust(HEADER - 1) + b"\n"


def _framed(key: str) -> bytes:
    """Return a key with its length before it, so that no byte can move from it to what follows."""
    name = key.encode()
    return len(name).to_bytes(4, "little") + name


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
