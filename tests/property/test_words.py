"""Words are counted as ``bytes.split`` finds them, however long they are and whatever is in them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

import wrens
from wrens.models.partitions import words
from wrens.store import open_store

WORDS = st.sampled_from(
    [b"a", b"to", b"eightlet", b"ninelette", b"\xc3\xa4rger", b"a\0", b"\0", b"a\0b", b"x" * 300]
)
SPACES = st.sampled_from([b" ", b"  ", b"\n", b"\r\n", b"\t", b"\v\f"])


@given(st.lists(st.tuples(WORDS | st.binary(max_size=12), SPACES), max_size=60), st.booleans())
def test_a_piece_has_the_words_that_splitting_finds(parts: list[tuple[bytes, bytes]], ended: bool) -> None:
    text = b"".join(word + space for word, space in parts)
    if not ended:
        text = text.rstrip()
    found = words.of(memoryview(text))
    counted = dict(zip(found["word"].to_pylist(), found["count"].to_pylist(), strict=True))
    assert len(counted) == found.num_rows
    assert counted == Counter(text.split())


def test_the_words_of_many_pieces_come_together() -> None:
    text = b"the quick brown fox jumps over the lazy dog unconventionally \n" * 500
    name = "text"
    open_store("memory://words-property").put(name, text)
    with wrens.Executor("inline") as ex:
        parts = wrens.partition(f"memory://words-property/{name}", size=4_000)
        found = wrens.group_by(ex, parts, "word", {"count": ("count", "sum")}, prepare=words.counted).table()
    assert dict(zip(found["word"].to_pylist(), found["count"].to_pylist(), strict=True)) == Counter(
        text.split()
    )
