"""Whatever is packed comes out the same, in whole and in parts, and whichever kind of pack it became."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wrens.serialize import Pack, describe_failure, open_pack, pack, rebuild_failure

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=40)
)
hashable = st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=3)
nested = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(hashable, inner, max_size=3) | st.tuples(inner, inner)
    ),
    max_leaves=6,
)
large = st.integers(0, 6000).map(lambda n: np.arange(n, dtype=np.int64))


def packed(values: list[Any]) -> bytes:
    made = pack(values, what=str)
    assert not made.failures
    whole = b"".join(made.buffers)
    assert len(whole) == made.nbytes
    return whole


def told(values: list[Any]) -> list[Any]:
    """Return values in a form that compares arrays too."""
    return [(type(v), v.tolist() if isinstance(v, np.ndarray) else v) for v in values]


@given(st.lists(nested, max_size=12))
def test_nested_values_come_back(values: list[Any]) -> None:
    one = Pack(packed(values))
    assert told(one.items(0, len(values))) == told(values)
    assert told([one.item(i) for i in range(len(values))]) == told(values)


@given(st.lists(plain, max_size=30))
def test_both_kinds_of_pack_mean_the_same(values: list[Any]) -> None:
    as_plain = Pack(packed(values)).items(0, len(values))
    as_each = Pack(packed([*values, ()])).items(0, len(values))
    assert told(as_plain) == told(as_each)


@given(
    st.lists(plain | nested | large, max_size=10)
    | st.lists(st.integers(), max_size=10).map(lambda v: v * 300),
    st.data(),
)
@settings(deadline=None)
def test_a_part_is_a_slice(values: list[Any], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(first, len(values)))
    whole = memoryview(packed(values))
    part = open_pack(lambda at, n: whole[at : at + n], len(whole), first, stop)
    assert len(part) == stop - first
    assert told(part.items(0, len(part))) == told(values[first:stop])
    low = data.draw(st.integers(0, len(values)))
    high = data.draw(st.integers(0, len(values)))
    assert told(part.items(low, high)) == told(values[first:stop][low:high])


@given(st.lists(st.sampled_from([1, (2,), "bad"]), max_size=20))
def test_bad_values_leave_the_order_of_the_others(kinds: list[Any]) -> None:
    values = [(i for i in ()) if kind == "bad" else kind for kind in kinds]
    made = pack(values, what=str)
    good = [kind for kind in kinds if kind != "bad"]
    assert list(made.failures) == [i for i, kind in enumerate(kinds) if kind == "bad"]
    assert made.count == len(good)
    assert Pack(b"".join(made.buffers)).items(0, len(good)) == good


@given(st.lists(nested, max_size=3), st.dictionaries(st.text(min_size=1), nested, max_size=3))
def test_exceptions_come_back_with_arguments_and_attributes(args: list[Any], facts: dict[str, Any]) -> None:
    facts = {f"fact_{name}": value for name, value in facts.items()}
    error = LookupError(*args)
    vars(error).update(facts)
    found = rebuild_failure(describe_failure(error))
    assert type(found) is LookupError
    assert found.args == tuple(args)
    assert {k: v for k, v in vars(found).items() if k != "__notes__"} == facts
