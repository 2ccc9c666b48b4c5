"""Two stages with an exchange between them: what tests of the exchange let run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import wrens
from wrens.models import exchange
from wrens.models.exchange import Exchange, Written

Parts = Sequence[Sequence[bytes]]


@dataclass(frozen=True)
class Passed:
    """What the readers got, one list of buffers each, and what was said about the way."""

    got: list[list[bytes]]
    told: str


def passed(
    executor: wrens.Executor,
    way: Exchange | None,
    parts: Parts,
    edges: Sequence[int] = (),
    *,
    between: Callable[[list[Written]], Any] = lambda _: None,
    write: Callable[[Exchange, Sequence[bytes]], Written] = lambda way, one: way.write(one),
) -> Passed:
    """Let one task for each row write its parts, and one for each share read them.

    Args:
        executor: Runs both stages.
        way: The policy.
        parts: For each task what it writes for each column.
        edges: At which columns shares begin and end; by default each column is one.
        between: Called between the stages.
        write: What a task does with its row.
    """
    count = max(map(len, parts), default=0)
    edges = edges or range(count + 1)
    nbytes = sum(map(len, (part for row in parts for part in row)))
    with exchange.crossing(way, executor, writers=len(parts), readers=count, nbytes=nbytes) as step:
        chosen = step.way
        written = executor.map_async(lambda row: write(chosen, row), parts).results()
        between(written)
        columns = exchange.columns(written)
        shares = [exchange.joined(columns[a:b]) for a, b in pairwise(edges)]
        slices = step.delivered(written, shares)
        read = executor.map_async(lambda some: [bytes(one) for one in exchange.read(some)], slices)
        return Passed(read.results(), step.told)


def expected(parts: Parts, edges: Sequence[int] = ()) -> list[list[bytes]]:
    """Return what the readers are to get, one buffer from each task that has something for them."""
    edges = edges or range(max(map(len, parts), default=0) + 1)
    found = [[b"".join(row[a:b]) for row in parts] for a, b in pairwise(edges)]
    return [[one for one in some if one] for some in found]


def some_parts(n: int, m: int, size: int = 20) -> list[list[bytes]]:
    """Return parts that tell where they are from and for whom."""
    return [[f"{i}/{j} ".encode() * size for j in range(m)] for i in range(n)]
