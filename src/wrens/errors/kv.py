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


class BadUpdate(WrensError, ValueError):
    """What an array of a parameter server was sent, or asked for, does not go with it. Nothing was sent.

    Args:
        array: Its name.
        problem: What is wrong, as a sentence without a full stop that goes on from the name.
        advice: What to do.
    """

    def __init__(self, array: str, problem: str = "", advice: str = "") -> None:
        super().__init__(array, problem, advice)
        self.array, self.problem, self.advice = array, problem, advice

    def __str__(self) -> str:
        return lines(f"the array {self.array!r} {self.problem}", self.advice)


class WorkersStalled(WrensError, TimeoutError):
    """A worker of a parameter server has waited in vain for the others.

    Args:
        clock: Where it stands.
        others: The clocks of all that have not finished, by number.
        seconds: How long it has waited.
        failed: The number of a worker that has failed, if one has.
    """

    def __init__(
        self,
        clock: int,
        others: dict[int, int] | None = None,
        seconds: float = 0.0,
        failed: int | None = None,
    ) -> None:
        super().__init__(clock, others, seconds, failed)
        self.clock, self.others, self.seconds, self.failed = clock, dict(others or {}), seconds, failed

    def __str__(self) -> str:
        where = ", ".join(f"worker {w} at {clock}" for w, clock in sorted(self.others.items())[:8])
        if self.failed is not None:
            first = f"worker {self.failed} has failed, for which the others wait at clock {self.clock}"
        else:
            first = f"nobody went on for {self.seconds:.0f} s while a worker waited at clock {self.clock}"
        return lines(
            first,
            f"Not finished are: {where}." if where else "",
            "The arrays and clocks are kept on the servers: run(..., resume=True) goes on where each worker was.",
        )
