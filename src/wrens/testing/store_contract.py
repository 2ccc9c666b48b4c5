"""The exam that every store passes.

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore(...)

Each promise of :class:`wrens.store.Store` is a test here, and nothing else is. It is written for pytest but
does not import it, so that ``wrens.testing`` needs no test runner. What it asks is only what the port says:
no latency, no request count, no listing order beyond key order.
"""

# The names of the tests are their documentation, and an exam consists of assertions.
# ruff: noqa: D102, S101

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import TypeVar

from wrens.errors import AlreadyExists, BadOption, ObjectMissing
from wrens.store import port
from wrens.store.port import Buffer, Store

T = TypeVar("T")
MB = 1 << 20


@contextmanager
def raises(kind: type[BaseException]) -> Iterator[None]:
    """Expect that the body raises ``kind``."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was expected, but nothing was raised")


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Run ``work(0)`` … ``work(count - 1)`` in threads that start at the same moment."""
    gate = Barrier(count)

    def one(number: int) -> T:
        gate.wait(timeout=60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


class StoreContract:
    """What callers may rely on, one test for each promise.

    Inherit from it in a class that pytest collects and define :meth:`make_store`.
    """

    large = 32 * MB
    """Size of the largest object that is tried; a store far away may choose less."""

    def make_store(self) -> Store:
        """Return a new store that holds nothing yet."""
        raise NotImplementedError("define make_store() in the test class")

    # --- whole or absent, seen by all --------------------------------------------------------------------

    def test_what_was_put_is_there(self) -> None:
        store = self.make_store()
        store.put("jobs/j/manifest", b"content")
        assert bytes(store.get("jobs/j/manifest")) == b"content"
        assert list(store.list("")) == ["jobs/j/manifest"]

    def test_every_kind_of_buffer_can_be_put(self) -> None:
        store = self.make_store()
        numbers = memoryview(bytearray(range(16)))
        kinds: dict[str, Buffer] = {
            "bytes": b"abc",
            "bytearray": bytearray(b"abc"),
            "view": memoryview(b"abc"),
            "wide": numbers.cast("i"),
            "shaped": numbers.cast("B", (4, 4)),
            "strided": numbers[::2],
        }
        for key, data in kinds.items():
            store.put(key, data)
            assert bytes(store.get(key)) == bytes(data), key

    def test_several_buffers_are_joined_in_order(self) -> None:
        store = self.make_store()
        cases: dict[str, list[Buffer]] = {
            "small": [b"a", bytearray(b"bc"), memoryview(b"def")],
            "with-gaps": [b"", b"a", b"", memoryview(b""), b"b"],
            "none": [],
            "many": [bytes([n % 256]) for n in range(3000)],
            "large": [b"head", memoryview(os.urandom(MB)), b"", os.urandom(3), memoryview(os.urandom(MB))],
        }
        for key, parts in cases.items():
            store.put(key, parts)
            assert bytes(store.get(key)) == b"".join(parts), key

    def test_an_object_may_be_empty(self) -> None:
        store = self.make_store()
        store.put("empty", b"")
        assert store.get("empty").nbytes == 0
        assert store.get("empty", start=0, length=10).nbytes == 0
        assert list(store.list("")) == ["empty"]
        with raises(AlreadyExists):
            store.put("empty", b"x")

    def test_an_object_may_be_large(self) -> None:
        store = self.make_store()
        content = os.urandom(MB) * (self.large // MB)
        store.put("large", [b"head", content])
        found = store.get("large")
        assert found.nbytes == len(content) + 4
        assert bytes(found[:4]) == b"head"
        assert found[4:] == memoryview(content)

    def test_a_key_may_have_many_parts_and_unusual_letters(self) -> None:
        store = self.make_store()
        keys = ["/".join("abcdefghijklmnopqrst"), "a b/ü/100%/x=1,y+2", "0/..5/.hidden", "~/-/_", "a#1/b#2"]
        for key in keys:
            store.put(key, key.encode())
        assert list(store.list("")) == sorted(keys)
        assert [bytes(store.get(key)).decode() for key in keys] == keys

    def test_writing_into_what_was_read_changes_no_object_and_no_other_read(self) -> None:
        store = self.make_store()
        for key, size in {"small": 10, "large": 2 * MB}.items():
            store.put(key, bytes(size))
            mine, other = store.get(key), store.get(key)
            if not mine.readonly:
                mine[0] = mine[-1] = 1
            assert not any(other), key
            assert not any(store.get(key)), key
            assert not any(store.get(key, start=1, length=size // 2)), key

    def test_changing_a_buffer_after_the_put_changes_nothing(self) -> None:
        store = self.make_store()
        for key, size in {"small": 10, "large": MB}.items():
            data = bytearray(b"a" * size)
            store.put(key, [data, data])
            data[:] = b"b" * size
            assert bytes(store.get(key)) == b"a" * (2 * size), key

    def test_no_reader_sees_a_part(self) -> None:
        store = self.make_store()
        sizes = [100, MB, 200, MB + 1]
        contents = {bytes([n]) * size for n, size in enumerate(sizes)}
        store.put("k", b"\0" * 100)
        done = Event()

        def work(number: int) -> bool:
            if number == 0:
                try:
                    for n in range(60):
                        store.put("k", bytes([n % 4]) * sizes[n % 4], mode="replace")
                finally:
                    done.set()
                return True
            whole = True
            while not done.is_set():
                whole = whole and bytes(store.get("k")) in contents
                whole = whole and list(store.list("")) == ["k"]
            return whole

        assert all(together(4, work))

    def test_a_view_outlives_the_object(self) -> None:
        store = self.make_store()
        for key, size in {"small": 10, "large": 2 * MB}.items():
            store.put(key, b"a" * size)
            before = store.get(key)
            store.put(key, b"b" * size, mode="replace")
            store.delete([key])
            assert bytes(before) == b"a" * size, key

    # --- one winner --------------------------------------------------------------------------------------

    def test_the_first_put_wins(self) -> None:
        store = self.make_store()
        store.put("k", b"first")
        with raises(AlreadyExists):
            store.put("k", b"second")
        assert bytes(store.get("k")) == b"first"

    def test_of_many_putters_one_wins(self) -> None:
        store = self.make_store()
        keys = [f"jobs/j/verdicts/{n:08d}" for n in range(12)]

        def work(number: int) -> list[str]:
            won = []
            # Half of them go the other way round, so that every key is fought over.
            for key in keys if number % 2 else reversed(keys):
                try:
                    store.put(key, [b"by %d" % number, b"x" * 5000])
                    won.append(key)
                except AlreadyExists:
                    assert bytes(store.get(key)[:3]) == b"by "
            return won

        winners: Sequence[list[str]] = together(16, work)
        assert sorted(key for won in winners for key in won) == keys
        for number, won in enumerate(winners):
            for key in won:
                assert bytes(store.get(key)) == b"by %d" % number + b"x" * 5000

    def test_replace_takes_the_place(self) -> None:
        store = self.make_store()
        store.put("k", b"new", mode="replace")
        store.put("k", [b"new", b"er"], mode="replace")
        assert bytes(store.get("k")) == b"newer"
        with raises(AlreadyExists):
            store.put("k", b"late")

    # --- reading -----------------------------------------------------------------------------------------

    def test_ranges(self) -> None:
        store = self.make_store()
        for key, size in {"small": 100, "large": MB + 77}.items():
            data = os.urandom(size)
            store.put(key, data)
            for start in (0, 1, 50, size // 3, size - 1, size, size + 1, 10 * size):
                for length in (None, 0, 1, 7, size // 2, size, 10 * size):
                    stop = None if length is None else start + length
                    found = store.get(key, start=start, length=length)
                    assert bytes(found) == data[start:stop], (key, start, length)

    def test_absence_has_a_name(self) -> None:
        store = self.make_store()
        store.put("a/b/c", b"x")
        for key in ("missing", "a", "a/b", "a/b/d", "a/b/c/d", "x/y/z"):
            for range_ in ({}, {"start": 5}, {"length": 0}, {"start": 3, "length": 4}):
                with raises(ObjectMissing):
                    store.get(key, **range_)

    # --- listing -----------------------------------------------------------------------------------------

    def test_listing_is_in_key_order_and_below_the_prefix(self) -> None:
        store = self.make_store()
        keys = [
            "a-b/c",
            "a.b",
            "a/a",
            "a/b/c",
            "a/b-c",
            "a/b.d",
            "a/z",
            "a0",
            "ab/a",
            "b",
            "b!/x",
            "Z",
            "é/1",
            "𝄞",
        ]
        for key in reversed(keys):
            store.put(key, b"")
        assert list(store.list("")) == sorted(keys)
        assert list(store.list("a/")) == ["a/a", "a/b-c", "a/b.d", "a/b/c", "a/z"]
        assert list(store.list("a/b/")) == ["a/b/c"]
        assert list(store.list("c/")) == []
        assert list(store.list("b/")) == []

    def test_listing_begins_after_a_key(self) -> None:
        store = self.make_store()
        keys = sorted(["a/1", "a/2", "a/b/1", "a/b/2", "a/b-1", "a/c", "b/1"])
        for key in keys:
            store.put(key, b"")
        for after in [*keys, "", "a", "a/", "a/b", "a/b/", "a/b/1x", "a/zzz", "b/0", "zzz", "a/b."]:
            for prefix in ("", "a/", "a/b/", "b/"):
                expected = [key for key in keys if key.startswith(prefix) and key > after]
                assert list(store.list(prefix, after=after)) == expected, (prefix, after)

    def test_a_long_listing_comes_in_pages_that_fit_and_many_are_deleted_at_once(self) -> None:
        store = self.make_store()
        keys = [f"p/{n:05d}" for n in range(2100)]

        def work(number: int) -> None:
            for key in keys[number::4]:
                store.put(key, b"")

        together(4, work)
        assert list(store.list("p/")) == keys
        assert list(store.list("p/", after=keys[1499])) == keys[1500:]
        store.delete(keys[1:])
        assert list(store.list("")) == keys[:1]

    def test_listing_while_others_write_and_delete(self) -> None:
        store = self.make_store()
        kept = [f"k/{n:03d}/x" for n in range(40)]
        for key in kept:
            store.put(key, b"")

        def work(number: int) -> bool:
            for n in range(40):
                key = f"k/{n:03d}/{number}/y"
                if number < 2:
                    store.put(key, b"")
                    store.delete([key])
                else:
                    found = list(store.list("k/"))
                    assert found == sorted(found)
                    assert set(kept) <= set(found)
            return True

        assert all(together(4, work))
        assert list(store.list("")) == kept

    # --- how large objects are ---------------------------------------------------------------------------

    def test_sizes_are_told_in_key_order(self) -> None:
        store = self.make_store()
        found = {"a/1": 5, "a/b/2": 0, "a/b-3": 70_000, "b": 1, "a b/ü": 2}
        for key, nbytes in found.items():
            store.put(key, bytes(nbytes))
        assert list(port.sizes(store, "")) == sorted(found.items())
        assert list(port.sizes(store, "a/")) == [("a/1", 5), ("a/b-3", 70_000), ("a/b/2", 0)]
        assert list(port.sizes(store, "c/")) == []
        for key, nbytes in found.items():
            assert port.size(store, key) == nbytes
        store.put("b", bytes(9), mode="replace")
        assert port.size(store, "b") == 9
        for key in ("missing", "a", "a/b", "a/1/x"):
            with raises(ObjectMissing):
                port.size(store, key)

    # --- deleting ----------------------------------------------------------------------------------------

    def test_deleting(self) -> None:
        store = self.make_store()
        for key in ("a/1", "a/2", "b/1"):
            store.put(key, b"x")
        store.delete(iter(["a/1", "missing", "no/such/key", "b/1", "a"]))
        assert list(store.list("")) == ["a/2"]
        with raises(ObjectMissing):
            store.get("a/1")
        store.delete([])
        store.delete(["a/1"])
        store.put("a/1", b"again")
        assert bytes(store.get("a/1")) == b"again"

    def test_no_put_is_lost_beside_a_delete(self) -> None:
        store = self.make_store()

        def work(number: int) -> None:
            for n in range(40):
                store.put(f"d/{n % 2}/{number}-{n}", b"x")
                if number % 2:
                    store.delete([f"d/{n % 2}/{number}-{n}"])

        together(8, work)
        expected = [f"d/{n % 2}/{number}-{n}" for number in range(0, 8, 2) for n in range(40)]
        assert list(store.list("d/")) == sorted(expected)

    # --- what is no key ----------------------------------------------------------------------------------

    def test_bad_keys_are_refused(self) -> None:
        store = self.make_store()
        for key in ("", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\nb", "a\0b", ".wrens/x"):
            with raises(BadOption):
                store.put(key, b"")
            with raises(BadOption):
                store.get(key)
            with raises(BadOption):
                store.delete([key])
        for prefix in ("a", "/", "../", "a//"):
            with raises(BadOption):
                list(store.list(prefix))
        for start, length in ((-1, None), (0, -1)):
            with raises(BadOption):
                store.get("a", start=start, length=length)

    def test_the_url_shows_where_it_is(self) -> None:
        assert "://" in self.make_store().url
