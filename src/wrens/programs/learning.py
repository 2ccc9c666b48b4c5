"""Data to learn from, made from a seed: documents as rows of word weights, and ratings of items by users.

Decides how they are distributed: few words are in most documents, and few items have most ratings, as in real data, which is
what workers that change the same numbers at the same time have to cope with. Knows no program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

COMMONEST = 10
"""The word of rank r is as frequent as 1 / (r + COMMONEST): Zipf's law, with the words taken out that are in every document."""
TELLING = 0.2
"""Which part of the words tells something about a document's kind."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Rows of word weights in compressed form, as ``scipy.sparse.csr_array((values, columns, borders))`` takes them.

    Args:
        values: Of each row's words, by frequency in the row and rarity in all (tf-idf), of length 1 for each row.
        columns: Which words these are.
        borders: Where each row begins, and the number of all values.
        signs: The kind of each row, 1 or -1.
    """

    values: Values
    columns: Numbers
    borders: Numbers
    signs: Values

    @property
    def arrays(self) -> tuple[Values, Numbers, Numbers]:
        """Values, columns and borders."""
        return self.values, self.columns, self.borders


def documents(rows: int, words: int, seed: int, *, length: int = 60) -> Documents:
    """Return documents of two kinds, which differ in some of their words and not without exception, like RCV1 (Lewis et al., 2004).

    Args:
        rows: How many.
        words: How many different ones there may be.
        seed: Makes them the same each time.
        length: How many words a document has in the mean, about.

    >>> some = documents(100, 1000, seed=1)
    >>> len(some.borders), bool(some.columns.max() < 1000), sorted(set(some.signs.tolist()))
    (101, True, [-1.0, 1.0])
    """
    chance = np.random.default_rng(seed)
    lengths = np.maximum(5, chance.lognormal(np.log(length) - 0.25, 0.7, rows)).astype(np.int64)
    frequency = np.cumsum(1 / (np.arange(words) + COMMONEST))
    drawn = np.searchsorted(frequency, chance.random(int(lengths.sum())) * frequency[-1])
    at, times = np.unique(np.repeat(np.arange(rows), lengths) * words + drawn, return_counts=True)
    row, columns = np.divmod(at, words)
    values = (1 + np.log(times)) * np.log(1 + rows / np.bincount(columns, minlength=words)[columns])
    values /= np.sqrt(np.bincount(row, values**2, rows))[row]
    telling = chance.normal(size=words) * (chance.random(words) < TELLING) * 6
    score = np.bincount(row, values * telling[columns], rows)
    first = chance.random(rows) < 1 / (1 + np.exp(-2 * (score - np.median(score))))
    borders = np.searchsorted(row, np.arange(rows + 1))
    return Documents(values, columns, borders, np.where(first, 1.0, -1.0))


def ratings(users: int, items: int, count: int, seed: int, *, rank: int = 6) -> tuple[Numbers, Numbers, Any]:
    """Return users, items and ratings from 0.5 to 5 in halves, each pair once, like those of MovieLens (Harper and Konstan, 2015).

    Args:
        users: How many there may be.
        items: How many there may be.
        count: How many ratings, at most.
        seed: Makes them the same each time.
        rank: How many tastes there are.

    >>> who, what, stars = ratings(50, 40, 300, seed=1)
    >>> len(who) == len(what) == len(stars) == 300, float(stars.min()), float(stars.max())
    (True, 0.5, 5.0)
    """
    chance = np.random.default_rng(seed)
    busy, liked = 1 / (np.arange(users) + 20) ** 0.8, 1 / (np.arange(items) + 20) ** 0.9
    drawn = chance.choice(users, 3 * count, p=busy / busy.sum()) * items
    drawn += chance.choice(items, 3 * count, p=liked / liked.sum())
    who, what = np.divmod(chance.permutation(np.unique(drawn))[:count], items)
    tastes, traits = chance.normal(size=(users, rank)), chance.normal(size=(items, rank))
    stars = 3.4 + 0.8 * np.einsum("ij,ij->i", tastes[who], traits[what]) / np.sqrt(rank)
    stars += 0.4 * (chance.normal(size=users)[who] + chance.normal(size=items)[what])
    stars += 0.6 * chance.normal(size=len(who))
    return who, what, np.clip(np.round(2 * stars) / 2, 0.5, 5)
