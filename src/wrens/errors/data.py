"""Errors of the user's data: what is not there, what does not fit, what would be overwritten."""

from __future__ import annotations

from wrens.errors.base import WrensError, lines


class NoData(WrensError, FileNotFoundError):
    """An address of data names nothing that is there.

    Args:
        url: The address as it was given.
        problem: What is wrong, as a sentence without a full stop.
        advice: What to do.
    """

    def __init__(self, url: str, problem: str = "nothing is there", advice: str = "") -> None:
        super().__init__(url, problem, advice)
        self.url, self.problem, self.advice = url, problem, advice

    def __str__(self) -> str:
        return lines(
            f"{self.url}: {self.problem}", self.advice or "Look at the address. Nothing was started."
        )


class BadData(WrensError, ValueError):
    """A piece of the user's data is not what it was said to be.

    Args:
        url: The object's address.
        offset: Where in the object, in bytes from its beginning.
        problem: What is wrong there, as a sentence without a full stop.
        advice: What to do.
    """

    def __init__(self, url: str, offset: int = 0, problem: str = "", advice: str = "") -> None:
        super().__init__(url, offset, problem, advice)
        self.url, self.offset, self.problem, self.advice = url, offset, problem, advice

    def __str__(self) -> str:
        at = f"{self.offset:,}" if isinstance(self.offset, int) else self.offset
        return lines(f"{self.url}, byte {at}: {self.problem}", self.advice)


class TargetTaken(WrensError, FileExistsError):
    """Where results should go there is something already.

    Args:
        url: The place.
        found: One of the objects there.
        advice: What to do.
    """

    def __init__(self, url: str, found: str = "", advice: str = "") -> None:
        super().__init__(url, found, advice)
        self.url, self.found, self.advice = url, found, advice

    def __str__(self) -> str:
        return lines(
            f"{self.url} holds data already, such as {self.found}; nothing was written",
            self.advice or "Name another place, or pass overwrite=True to have what is there replaced.",
        )


class ExchangeLost(WrensError):
    """What one stage has written for the next is not there any more, so the job ended without a result.

    Args:
        place: Where it was: the URL of a store or a server.
        name: What it was called there.
        reason: What was seen, as a sentence without a full stop.
    """

    def __init__(self, place: str, name: str, reason: str = "") -> None:
        super().__init__(place, name, reason)
        self.place, self.name, self.reason = place, name, reason

    def __str__(self) -> str:
        return lines(
            f"{self.place} had {self.name} for the next stage, and {self.reason}",
            "No result was made of what is left, which is deleted. The input is as it was: run it again, with "
            "exchange=wrens.Packed() if the server does not last.",
        )


class BadMessage(WrensError, ValueError):
    """A partition of a bulk-synchronous program has sent or told what cannot be, or asks for what it was not sent.

    Args:
        partition: Its number.
        superstep: The superstep's.
        problem: What it did, as the end of a sentence.
        advice: What to do instead.
    """

    def __init__(self, partition: int, superstep: int, problem: str = "", advice: str = "") -> None:
        super().__init__(partition, superstep, problem, advice)
        self.partition, self.superstep, self.problem, self.advice = partition, superstep, problem, advice

    def __str__(self) -> str:
        return lines(f"partition {self.partition} {self.problem}, in superstep {self.superstep}", self.advice)


class BadPair(WrensError, TypeError):
    """What a function has made of an input cannot be grouped by key.

    Args:
        pair: It, or its key, as text.
        problem: What is wrong with it, as the end of a sentence.
        advice: What to return instead.
    """

    def __init__(self, pair: str, problem: str = "is no pair", advice: str = "") -> None:
        super().__init__(pair, problem, advice)
        self.pair, self.problem, self.advice = pair, problem, advice

    def __str__(self) -> str:
        return lines(f"{self.pair} {self.problem}", self.advice)
