"""Input for the programs, made from a seed by the workers that will read it: text, records, and two tables to join.

Every part depends on the seed and its number only, so a part that is made twice is the same. Decides what the data look
like; who makes how many of them is in :mod:`wrens.programs.running`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from wrens.models.sort import records

VOCABULARY = 200_000
ZIPF = 1.05
"""The exponent of the words' distribution; in language it is near 1 (Zipf, 1949)."""
LINE = 10
"""Words in a line."""
AT_ONCE = 500_000
"""Words that are drawn together."""
Part = Callable[[int, int], Iterator[bytes]]
"""``part(number, nbytes)`` yields the bytes of one object, about so many."""


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[npt.NDArray[np.uint8], Any, Any, Any]:
    """Return all words, each with a space behind it, where each begins, its length, and their shares summed up."""
    chance = np.random.default_rng(1)
    lengths = np.clip(chance.poisson(5.5, VOCABULARY), 2, 14)
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", np.uint8)
    words = sorted({letters[np.minimum(chance.geometric(0.13, n) - 1, 25)].tobytes() for n in lengths})
    chance.shuffle(words)
    sizes = np.array([len(word) + 1 for word in words])
    share = 1 / np.arange(1, len(words) + 1) ** ZIPF
    whole = np.frombuffer(b" ".join(words) + b" ", np.uint8)
    return whole, np.cumsum(sizes) - sizes, sizes, np.cumsum(share / share.sum())


def text(number: int, nbytes: int) -> Iterator[bytes]:
    r"""Yield lines of words whose frequencies are Zipf's.

    >>> line = next(text(0, 100)).split(b"\n")[0]
    >>> len(line.split())
    10
    """
    whole, starts, sizes, reach = _vocabulary()
    chance = np.random.default_rng([2, number])
    while nbytes > 0:
        count = min(AT_ONCE, max(1, nbytes // (7 * LINE)) * LINE)
        chosen = np.minimum(np.searchsorted(reach, chance.random(count)), len(sizes) - 1)
        lengths = sizes[chosen]
        ends = np.cumsum(lengths)
        block = whole[np.repeat(starts[chosen] - (ends - lengths), lengths) + np.arange(ends[-1])]
        block[ends[LINE - 1 :: LINE] - 1] = ord("\n")
        yield block.tobytes()
        nbytes -= len(block)


def lines_to_sort(number: int, nbytes: int) -> Iterator[bytes]:
    r"""Yield records of 100 bytes that are lines: ten letters to sort by, then the record's number.

    >>> record = next(lines_to_sort(0, 100))
    >>> len(record), record.endswith(b"\n")
    (100, True)
    """
    count = -(-nbytes // records.WIDTH)
    for first in range(0, count, AT_ONCE):
        rows = records.generate(1, number * count + first, min(AT_ONCE, count - first))
        rows[:, : records.KEY] = rows[:, : records.KEY] % 94 + 33
        rows[:, -1] = ord("\n")
        yield rows.tobytes()


def orders(number: int, nbytes: int) -> Iterator[bytes]:
    r"""Yield lines ``order,customer,cents``.

    >>> next(orders(0, 20)).split(b"\n")[0].count(b",")
    2
    """
    yield _table(
        number,
        nbytes,
        lambda chance, count: (chance.zipf(1.3, count) % CUSTOMERS, chance.integers(1, 10_000, count)),
    )


def customers(number: int, nbytes: int) -> Iterator[bytes]:
    """Yield lines ``customer,country``, all of them in the first part."""
    del nbytes
    if number == 0:
        yield b"".join(b"%d,c%d\n" % (customer, customer % COUNTRIES) for customer in range(CUSTOMERS))


CUSTOMERS, COUNTRIES = 50_000, 50


def _table(number: int, nbytes: int, columns: Callable[[np.random.Generator, int], tuple[Any, Any]]) -> bytes:
    count = max(1, nbytes // 20)
    who, cents = columns(np.random.default_rng([3, number]), count)
    first = number * count
    return b"".join(
        b"%d,%d,%d\n" % (first + i, a, b) for i, (a, b) in enumerate(zip(who, cents, strict=True))
    )
