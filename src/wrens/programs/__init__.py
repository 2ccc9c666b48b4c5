"""Whole programs on large data, that ``wrens bench`` runs on any backend and store: input, work, and the check of its result.

Micro-benchmarks are in :mod:`wrens.programs.micro`.
"""

ABOUT = {
    "words": "counts the words of text",
    "sort": "sorts records of 100 bytes",
    "group": "sums up a table by one column",
    "join": "joins two tables, and sums up the result",
}
"""Of the programs in :mod:`wrens.programs.catalogue`, for those who must not load NumPy yet."""
NAMES = tuple(ABOUT)
