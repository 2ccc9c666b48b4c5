"""Whole programs on large data, that ``wrens bench`` runs on any backend and store: input, work, and the check of its result."""

NAMES = ("words", "sort", "group", "join")
"""Of the programs in :mod:`wrens.programs.catalogue`, for those who must not load NumPy yet."""
