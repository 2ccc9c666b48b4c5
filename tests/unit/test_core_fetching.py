"""Objects that are read ahead."""

from __future__ import annotations

import threading

import pytest

from wrens.core.fetching import READERS, Fetcher
from wrens.errors import ObjectMissing
from wrens.store import Fault, FaultyStore, Store, open_store


@pytest.fixture
def far() -> Store:
    """A store that is worth reading ahead from."""
    store = FaultyStore(open_store("memory://fetching-far"), [])
    for n in range(3 * READERS):
        store.put(str(n), str(n).encode(), mode="replace")
    store.url = "s3://bucket"
    return store


@pytest.mark.parametrize("ending", [False, True])
def test_what_is_wanted_together_is_there_in_order(
    far: Store, monkeypatch: pytest.MonkeyPatch, ending: bool
) -> None:
    # What the standard library sets when the program has come to its end, while executors are still waited for.
    monkeypatch.setattr("concurrent.futures.thread._shutdown", ending)
    fetcher = Fetcher(far)
    numbers = list(range(3 * READERS))
    found = [int(bytes(fetcher.get(str(n)))) for n in fetcher.together(numbers, str)]
    assert found == numbers
    fetcher.close()


def test_several_are_read_at_a_time() -> None:
    class Meeting:
        """A store that answers when eight have asked."""

        url = "s3://bucket"
        barrier = threading.Barrier(8)

        def get(self, key: str) -> memoryview:
            self.barrier.wait(10)
            return memoryview(key.encode())

    fetcher = Fetcher(Meeting())  # type: ignore[arg-type]
    found = [bytes(fetcher.get(str(n))) for n in fetcher.together(range(8), str)]
    assert found == [b"%d" % n for n in range(8)]
    fetcher.close()


def test_what_was_read_in_vain_is_tried_once_more_and_what_is_missing_is_said_to_be(far: Store) -> None:
    once = FaultyStore(far, [Fault("get", key_contains="1", times=1)])
    once.url = far.url
    fetcher = Fetcher(once)
    keys = ["0", "1", "nothing"]
    found = []
    for key in fetcher.together(keys, str):
        try:
            found.append(bytes(fetcher.get(key)))
        except ObjectMissing:
            found.append(b"missing")
    assert found == [b"0", b"1", b"missing"]
    fetcher.close()
