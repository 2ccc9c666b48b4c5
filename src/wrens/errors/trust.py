"""Errors of what does not come from whom it should: signatures, the key for them, records of other jobs.

They stop a job at once and are held against no task. Nothing of the object was unpickled or used.
"""

from __future__ import annotations

from wrens.errors.base import WrensError, lines


class BadSignature(WrensError):
    """An object of a signed store that was not written like this, under this key, by who has the signing key.

    Args:
        key: The object's key.
        store: The store's URL.
        problem: What is wrong: no signature, another key's, or one that does not fit.
        advice: What to do about this problem.
        where: Who has read it, or empty for this process.
    """

    def __init__(
        self, key: str, store: str = "", problem: str = "", advice: str = "", where: str = ""
    ) -> None:
        super().__init__(key, store, problem, advice, where)
        self.key, self.store, self.problem, self.advice, self.where = key, store, problem, advice, where

    def __str__(self) -> str:
        return lines(
            f"{self.where or 'this process'} refused the object {self.key} in {self.store or 'the store'}: "
            f"{self.problem}",
            "Nothing of it was unpickled or used, and it was left as it is.",
            self.advice,
        )


class BadSigningKey(WrensError):
    """The key that signs a store's objects is not there, cannot be used, or is no secret.

    Args:
        place: Where it was looked for.
        problem: What is wrong, as the end of a sentence.
        advice: What to do.
    """

    def __init__(self, place: str, problem: str = "", advice: str = "") -> None:
        super().__init__(place, problem, advice)
        self.place, self.problem, self.advice = place, problem, advice

    def __str__(self) -> str:
        return lines(f"the signing key in {self.place} {self.problem}", self.advice)


class ForeignRecord(WrensError):
    """A record that was made for another job of the same name.

    Args:
        key: The object's key.
        store: The store's URL.
        found: Which making of the job it names.
        made: Which making is the one that was asked for.
    """

    def __init__(self, key: str, store: str = "", found: str = "", made: str = "") -> None:
        super().__init__(key, store, found, made)
        self.key, self.store, self.found, self.made = key, store, found, made

    def __str__(self) -> str:
        return lines(
            f"the object {self.key} in {self.store or 'the store'} belongs to another job of the same name: it was "
            f"made for {self.found or 'one of an older wrens'}, and this job is {self.made or 'older'}",
            "Nothing of it was unpickled or used, and it was left as it is.",
            "A worker of a deleted job came too late, or somebody has put an old object back. Delete the job "
            "with 'wrens clean --job', and run it again, best under a name that was never used.",
        )
