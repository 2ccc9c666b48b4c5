"""Every store of wrens, and every wrapper around one, passes the published exam."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import get_ident
from typing import Literal
from zlib import crc32

import pytest

from wrens.clock import VirtualClock
from wrens.store import Fault, FaultyStore, MeteredStore, RetryingStore, Store, open_store
from wrens.store.cloud import CloudStore, memory
from wrens.store.directory import DirectoryStore
from wrens.store.signed import SignedStore
from wrens.store.signing_keys import SigningKey
from wrens.testing import StoreContract

_names = itertools.count()


class InDirectories(StoreContract):
    @pytest.fixture(autouse=True)
    def _parent(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as parent:
            self.parent = Path(parent)
            yield

    def make_directory(self) -> Store:
        return open_store(self.parent / f"store {next(_names)}")


class TestDirectory(InDirectories):
    def make_store(self) -> Store:
        return self.make_directory()


class TestDirectoryWithNamedDrafts(InDirectories):
    """As on macOS and on network file systems, which cannot write a file without a name."""

    def make_store(self) -> Store:
        store = self.make_directory()
        assert isinstance(store, DirectoryStore)
        store._nameless = False
        return store


class TestMemory(StoreContract):
    def make_store(self) -> Store:
        return open_store(f"memory://contract-{next(_names)}")


class TestBehindRepeatingClient(StoreContract):
    """The path that buckets take: a put-if-absent that failed is read back."""

    def make_store(self) -> Store:
        plain = memory("memory://")
        return CloudStore(plain._inner, "memory://", repeats=True)


class TestMetered(InDirectories):
    def make_store(self) -> Store:
        return MeteredStore(self.make_directory())


class TestRetrying(InDirectories):
    def make_store(self) -> Store:
        return RetryingStore(self.make_directory(), clock=VirtualClock())


KEY = SigningKey(bytes(range(32)), "a test")


class TestSigned(InDirectories):
    def make_store(self) -> Store:
        return SignedStore(self.make_directory(), KEY)


class TestSignedInMemory(StoreContract):
    def make_store(self) -> Store:
        return SignedStore(memory("memory://"), KEY)


class TestSignedOverLostReplies(InDirectories):
    """The signature is around the retries, so that what is read back is compared with what was written."""

    def make_store(self) -> Store:
        faulty = FaultyStore(self.make_directory(), LostReplies())
        return SignedStore(RetryingStore(faulty, clock=VirtualClock()), KEY)


class TestFaultyWithoutFaults(InDirectories):
    def make_store(self) -> Store:
        return FaultyStore(self.make_directory(), [])


KINDS: tuple[Literal["lost_reply", "error", "torn"] | None, ...]
KINDS = ("lost_reply", None, "error", None, None, "torn", None, None)


class LostReplies:
    """Every third call on a key goes wrong, and the retrying client in front has to make good for it.

    What goes wrong depends on the key and on the thread's own calls, not on what other threads do, so no call
    meets two faults in a row.
    """

    def __init__(self) -> None:
        self.calls: Counter[tuple[int, str, str]] = Counter()

    def __call__(self, action: str, key: str, call: int) -> Fault | None:
        place = (get_ident(), action, key)
        number = self.calls[place] + crc32(key.encode())
        self.calls[place] += 1
        kind = KINDS[number % len(KINDS)]
        return None if kind is None else Fault(kind=kind)


class TestRetryingOverLostReplies(InDirectories):
    def make_store(self) -> Store:
        return RetryingStore(FaultyStore(self.make_directory(), LostReplies()), clock=VirtualClock())


class TestRetryingOverLostRepliesInMemory(StoreContract):
    def make_store(self) -> Store:
        faulty = FaultyStore(memory("memory://"), LostReplies())
        return MeteredStore(RetryingStore(faulty, clock=VirtualClock()))
