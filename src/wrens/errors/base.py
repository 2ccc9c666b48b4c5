"""What all exceptions of wrens share: a base, and how their sentences are put together."""

from __future__ import annotations


class WrensError(Exception):
    """The base of every exception of wrens, so that ``except WrensError`` catches no user error."""


def lines(*parts: str) -> str:
    """Join the parts that say something, the first as the headline and the others below it."""
    head, *rest = (part for part in parts if part)
    return "\n  ".join([head, *rest])
