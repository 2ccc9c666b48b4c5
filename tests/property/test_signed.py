"""Whatever is done to a signed object, and wherever it is put: it comes back as it was written, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrens.errors import BadSignature
from wrens.store import Store
from wrens.store.cloud import memory
from wrens.store.signed import HEADER, SignedStore
from wrens.store.signing_keys import SigningKey

KEY = SigningKey(bytes(range(32)), "a test")
keys = st.text("abc/0.", min_size=1, max_size=8).filter(
    lambda key: all(part not in ("", ".", "..") for part in key.split("/"))
)
parts = st.lists(st.binary(max_size=200), max_size=4)


def stored(key: str, data: list[bytes]) -> tuple[Store, SignedStore, bytes]:
    plain = memory("memory://")
    store = SignedStore(plain, KEY)
    store.put(key, data)
    return plain, store, bytes(plain.get(key))


@given(keys, parts)
def test_what_was_put_comes_back(key: str, data: list[bytes]) -> None:
    _, store, raw = stored(key, data)
    assert bytes(store.get(key)) == b"".join(data)
    assert len(raw) == len(b"".join(data)) + HEADER


@given(keys, parts, st.data())
def test_a_single_changed_byte_is_refused(key: str, data: list[bytes], drawn: st.DataObject) -> None:
    plain, store, raw = stored(key, data)
    at = drawn.draw(st.integers(0, len(raw) - 1))
    changed = bytearray(raw)
    changed[at] ^= drawn.draw(st.integers(1, 255))
    plain.put(key, changed, mode="replace")
    for ask in ({}, {"start": 1}, {"length": 1}):
        with pytest.raises(BadSignature):
            store.get(key, **ask)


@given(keys, st.binary(min_size=1, max_size=200), st.data())
def test_the_head_of_a_large_object_is_checked_alone(key: str, head: bytes, drawn: st.DataObject) -> None:
    plain, store, raw = stored(key, [head, bytes(100_000)])
    for first in (0, 1, 50, 1000):
        assert bytes(store.get_head(key, first)) == head
    changed = bytearray(raw)
    # What follows the head, and the digest of all, may be anything.
    at = drawn.draw(st.integers(0, HEADER + len(head) - 1).filter(lambda at: not 114 <= at < HEADER))
    changed[at] ^= drawn.draw(st.integers(1, 255))
    plain.put(key, changed, mode="replace")
    with pytest.raises(BadSignature):
        store.get_head(key, drawn.draw(st.integers(0, 1000)))


@given(keys, parts, st.data())
def test_a_small_object_is_checked_whole(key: str, data: list[bytes], drawn: st.DataObject) -> None:
    plain, store, raw = stored(key, data)
    first = drawn.draw(st.integers(0, 1000))
    assert bytes(store.get_head(key, first)) == b"".join(data)
    changed = bytearray(raw)
    changed[drawn.draw(st.integers(0, len(raw) - 1))] ^= drawn.draw(st.integers(1, 255))
    plain.put(key, changed, mode="replace")
    with pytest.raises(BadSignature):
        store.get_head(key, first)


@given(keys, parts, st.data())
def test_bytes_that_are_gone_or_new_are_refused(key: str, data: list[bytes], drawn: st.DataObject) -> None:
    plain, store, raw = stored(key, data)
    at = drawn.draw(st.integers(0, len(raw) - 1))
    more = drawn.draw(st.binary(min_size=1, max_size=HEADER + 1))
    for changed in (raw[:at], raw[at + 1 :], raw + more, more + raw, raw[:at] + more + raw[at:]):
        if changed == raw:
            continue
        plain.put(key, changed, mode="replace")
        with pytest.raises(BadSignature):
            store.get(key)


@given(keys, keys, parts)
def test_another_place_is_refused(key: str, other: str, data: list[bytes]) -> None:
    if key == other:
        return
    plain, store, raw = stored(key, data)
    elsewhere = memory("memory://")
    elsewhere.put(other, raw)
    with pytest.raises(BadSignature):
        SignedStore(elsewhere, KEY).get(other)
    assert bytes(plain.get(key)) == raw
    assert bytes(store.get(key)) == b"".join(data)


@given(keys, parts, st.integers(0, 900), st.one_of(st.none(), st.integers(0, 900)))
def test_ranges_are_those_of_the_object(key: str, data: list[bytes], start: int, length: int | None) -> None:
    _, store, _ = stored(key, data)
    stop = None if length is None else start + length
    assert bytes(store.get(key, start=start, length=length)) == b"".join(data)[start:stop]
