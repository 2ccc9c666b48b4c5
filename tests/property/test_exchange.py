"""Every way through an exchange brings every part to its reader, in the order of the tasks that wrote them."""

from __future__ import annotations

import pickle  # noqa: TID251 - as what readers are told travels
from array import array
from collections.abc import Iterator

import pytest
from crossings import expected, passed
from hypothesis import given, settings
from hypothesis import strategies as st

import wrens
from wrens.models import exchange
from wrens.models.exchange import Exchange, Packed, Redis, TwoLevel, Written, choosing

WAYS = ["packed", "two-level", "redis", None]


@pytest.fixture(scope="module")
def executor() -> Iterator[wrens.Executor]:
    with wrens.Executor("inline") as found:
        yield found


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[list[list[bytes]], list[int]]:
    """Parts of some tasks, many of them empty, and shares of columns side by side."""
    n, m = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    part = st.one_of(
        st.just(b""), st.binary(max_size=5), st.builds(bytes.__mul__, st.binary(max_size=3), st.just(500))
    )
    parts = draw(st.lists(st.lists(part, min_size=m, max_size=m), min_size=n, max_size=n))
    inner = draw(st.lists(st.integers(1, m), max_size=m))
    return parts, sorted({0, m, *inner})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("near", [True, False], ids=["near", "far"])
@given(case=exchanges())
@settings(max_examples=15, deadline=None)
def test_every_part_comes_to_its_reader(
    executor: wrens.Executor,
    shard: str,
    way: str | None,
    near: bool,
    case: tuple[list[list[bytes]], list[int]],
) -> None:
    policies: dict[str | None, Exchange] = {
        "packed": Packed(),
        "two-level": TwoLevel(),
        "redis": Redis([shard, f"{shard}/1"]),
    }
    parts, edges = case
    with pytest.MonkeyPatch.context() as patch:
        if not near:  # compressed, and read ahead
            for module in ("storing", "reading", "policies"):
                patch.setattr(f"wrens.models.exchange.{module}.is_near", lambda _: False)
        got = passed(executor, policies.get(way), parts, edges).got
    if way == "redis":  # of what lies side by side, a reader gets each value by itself
        assert [b"".join(some) for some in got] == [b"".join(some) for some in expected(parts, edges)]
    else:
        assert got == expected(parts, edges)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_stage_in_the_middle_costs_what_the_formula_says(n: int, m: int) -> None:
    rows, wide = choosing.groups(n, m)
    tasks = [(r, c) for r in range(0, n, rows) for c in range(0, m, wide)]
    assert choosing.requests("two-level", n, m)[0] == n + len(tasks)
    # No task in the middle has more to hold than the larger of those that wrote and a few of their parts.
    assert rows * wide <= m + 2 * m**0.5 + 1


@given(st.integers(1, 60), st.integers(1, 60))
def test_reads_grow_with_the_root(k: int, root: int) -> None:
    n, m = k * root, root * root
    assert choosing.requests("two-level", n, m) == (2 * n, 2 * n * root)


@st.composite
def written(draw: st.DrawFn) -> list[Written]:
    """What tasks tell that have written to different places in different ways."""
    m = draw(st.integers(1, 6))
    numbers = st.lists(st.integers(0, 9), min_size=m, max_size=m)
    found = []
    for i in range(draw(st.integers(1, 6))):
        places = array("H", draw(st.lists(st.integers(0, 2), min_size=m, max_size=m)))
        found.append(
            Written(
                draw(st.sampled_from(["file:///a", "s3://b"])),
                f"jobs/j/exchange/{i}",
                array("Q", draw(numbers)).tobytes(),
                draw(st.sampled_from([b"", array("Q", range(m)).tobytes()])),
                draw(st.sampled_from([b"", bytes(range(16 * m))])),
                shards=("redis://x", "redis://y"),
                places=draw(st.sampled_from([b"", places.tobytes()])),
                name=f"wrens/{i}",
                nested=draw(st.booleans()),
            )
        )
    return found


@given(written(), st.data())
def test_a_column_arrives_as_it_was(tasks: list[Written], data: st.DataObject) -> None:
    columns = exchange.columns(tasks)
    begin = data.draw(st.integers(0, len(columns) - 1))
    end = data.draw(st.integers(begin + 1, len(columns)))
    share = exchange.joined(columns[begin:end])
    assert pickle.loads(pickle.dumps(share)) == list(share)
    assert sum(one.length for one in share) == sum(sum(array("Q", one.lengths)[begin:end]) for one in tasks)
