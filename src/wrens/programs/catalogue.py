"""The programs by name: which input each has, what it does, and how its result is checked.

    words      group_by over text            every word was counted
    sort       sort of 100-byte lines        order, number and checksum of the records
    group      map_reduce over a table       cents by customer, summed up once more
    join       map_reduce twice              two tables by customer, then cents by country

Each is as short as a user would write it. Decides no sizes and prints nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.core.executor import Executor
from wrens.errors import BadOption
from wrens.models.mapreduce.aggregating import group_by
from wrens.models.mapreduce.functions import map_reduce
from wrens.models.partitions.partition import Partition, partition
from wrens.models.sort.sorting import sort
from wrens.models.sort.validating import summed, validate
from wrens.models.stages import Stage
from wrens.programs import ABOUT, inputs

Run = Callable[[Executor, str, str, int], "Outcome"]
"""``run(executor, source, target, size)``: addresses of input and output, bytes of a partition."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program did.

    Args:
        stages: One after the other.
        told: Its result in one line.
        right: Whether the check found it right.
    """

    stages: tuple[Stage, ...]
    told: str
    right: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A program.

    Args:
        about: What it does, in a few words.
        tables: For each directory of its input what the parts hold.
        run: Does it.
    """

    about: str
    tables: dict[str, inputs.Part]
    run: Run


def _words(ex: Executor, source: str, _target: str, size: int) -> Outcome:
    from wrens.models.partitions import words

    parts = partition(f"{source}/text", size=size)
    done = group_by(ex, parts, "word", {"count": ("count", "sum")}, prepare=words.counted)
    found = done.table()
    every = sum(found["count"].to_pylist())
    expected = sum(ex.map(_count_words, parts))
    return Outcome(done.stages, f"{found.num_rows:,} different words, {every:,} in all", every == expected)


def _count_words(part: Partition) -> int:
    return sum(len(bytes(piece).split()) for piece in part.pieces())


def _sort(ex: Executor, source: str, target: str, size: int) -> Outcome:
    done = sort(ex, f"{source}/records", target, border=100, key=slice(0, 10), size=size)
    before = summed(ex, f"{source}/records", border=100)
    after = validate(ex, target, border=100, key=slice(0, 10))
    return Outcome(
        done.stages, f"{done.records:,} records in {len(done.parts)} objects at {target}", before == after
    )


def _group(ex: Executor, source: str, _target: str, size: int) -> Outcome:
    parts = partition(f"{source}/orders", size=size)
    done = map_reduce(ex, parts, _by_customer, combine=operator.add)
    totals = done.collect()
    expected = sum(ex.map(_sum_cents, parts))
    return Outcome(
        done.stages,
        f"{len(totals):,} customers, {sum(totals.values()):,} cents",
        sum(totals.values()) == expected,
    )


def _by_customer(part: Partition) -> Iterator[tuple[int, int]]:
    for line in part.lines():
        _, customer, cents = line.split(",")
        yield int(customer), int(cents)


def _sum_cents(part: Partition) -> int:
    return sum(int(line.rpartition(",")[2]) for line in part.lines())


def _join(ex: Executor, source: str, _target: str, size: int) -> Outcome:
    orders = partition(f"{source}/orders", size=size)
    both = [*orders, *partition(f"{source}/customers", size=size)]
    joined = map_reduce(ex, both, _sides, _matched)
    totals = map_reduce(ex, joined.parts, _by_country, combine=operator.add)
    found = totals.collect()
    expected = sum(ex.map(_sum_cents, orders))
    told = f"{len(found)} countries, {sum(found.values()):,} cents"
    return Outcome((*joined.stages, *totals.stages), told, sum(found.values()) == expected)


def _sides(part: Partition) -> Iterator[tuple[str, tuple[str, int]]]:
    """Tell orders by their three columns from customers with their two."""
    for line in part.lines():
        columns = line.split(",")
        if len(columns) == 3:
            yield columns[1], ("", int(columns[2]))
        else:
            yield columns[0], (columns[1], 0)


def _matched(_customer: Any, values: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Return a customer's country and the cents of all orders."""
    country = next((name for name, _ in values if name), "nobody's")
    return country, sum(cents for _, cents in values)


def _by_country(joined: Sequence[tuple[Any, tuple[str, int]]]) -> Iterator[tuple[str, int]]:
    for _, (country, cents) in joined:
        yield country, cents


PROGRAMS: dict[str, Program] = {
    "words": Program(ABOUT["words"], {"text": inputs.text}, _words),
    "sort": Program(ABOUT["sort"], {"records": inputs.lines_to_sort}, _sort),
    "group": Program(ABOUT["group"], {"orders": inputs.orders}, _group),
    "join": Program(
        ABOUT["join"],
        {"orders": inputs.orders, "customers": inputs.customers},
        _join,
    ),
}


def program(name: str) -> Program:
    """Return the program with this name.

    Raises:
        BadOption: if there is none.

    >>> program("sort").about
    'sorts records of 100 bytes'
    """
    try:
        return PROGRAMS[name]
    except KeyError:
        raise BadOption(f"program {name!r}", "does not exist", f"There are {', '.join(PROGRAMS)}.") from None
