"""Errors of the key-value tier."""

from __future__ import annotations

from wrens.errors.base import WrensError, lines


class ShardLost(WrensError, ConnectionError):
    """A server of the key-value tier does not answer, or does not hold any more what it held.

    Args:
        url: The server.
        problem: What is wrong, as a sentence without a full stop.
        advice: What to do.
    """

    def __init__(self, url: str, problem: str = "it does not answer", advice: str = "") -> None:
        super().__init__(url, problem, advice)
        self.url, self.problem, self.advice = url, problem, advice

    def __str__(self) -> str:
        return lines(
            f"{self.url}: {self.problem}",
            self.advice or "What a server held is gone with it, unless it keeps it on its disk.",
        )


class ShardFull(WrensError):
    """A server of the key-value tier has no memory left; nothing was changed.

    Args:
        url: The server.
        key: What was to be changed.
    """

    def __init__(self, url: str, key: str = "") -> None:
        super().__init__(url, key)
        self.url, self.key = url, key

    def __str__(self) -> str:
        return lines(
            f"{self.url} has no memory left for {self.key!r}; nothing was changed",
            "Delete what is not needed, give values a time after which they expire, or add a server.",
        )


class BadValue(WrensError, ValueError):
    """A value of the key-value tier is not what an operation needs.

    Args:
        key: Where it is.
        problem: What is wrong with it, as a sentence without a full stop.
    """

    def __init__(self, key: str, problem: str = "") -> None:
        super().__init__(key, problem)
        self.key, self.problem = key, problem

    def __str__(self) -> str:
        return lines(f"{self.key!r} {self.problem}", "It was left as it was.")
