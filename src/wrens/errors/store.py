"""Errors of the store, each with what to look at."""

from __future__ import annotations

from wrens.errors.base import WrensError, lines


class StoreError(WrensError, OSError):
    """An operation of the store failed.

    Args:
        action: The verb that failed: ``"put"``, ``"get"``, ``"list"``, ``"delete"``, ``"open"``.
        key: The key or prefix concerned.
        store: The store's URL, without credentials.
        reason: What the store said.
    """

    advice = ""
    problem = "failed"

    def __init__(self, action: str, key: str = "", store: str = "", reason: str = "") -> None:
        super().__init__(action, key, store, reason)
        self.action, self.key, self.store, self.reason = action, key, store, reason

    def __str__(self) -> str:
        store = self.store or "the store"
        if self.action == "open":
            return lines(f"cannot open {store}: {self.problem}", self.reason, self.advice)
        return lines(
            f"{self.action} {self.key or '(the whole store)'} in {store}: {self.problem}",
            f"the store says: {self.reason}" if self.reason else "",
            self.advice,
        )


class BadStoreURL(StoreError, ValueError):
    """The URL does not name a store that wrens can open."""

    problem = "this URL names no store"
    advice = (
        "Write one of: a directory (/data/jobs or file:///data/jobs), memory://, s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix. Nothing was started."
    )


class ObjectMissing(StoreError, FileNotFoundError):
    """No object has this key."""

    problem = "there is no such object"


class AlreadyExists(StoreError, FileExistsError):
    """Put-if-absent found an object that somebody else had put there first."""

    problem = "somebody else had created it first; it was left as it is"


class UncertainWrite(StoreError):
    """A put-if-absent whose outcome is not known: no reply came, and reading back failed too."""

    problem = "it may or may not have been written"
    advice = "Read the object before deciding anything; writing it again is safe only with put-if-absent."


class StoreDenied(StoreError, PermissionError):
    """The store refused for want of permission."""

    problem = "permission denied"
    advice = "Check the owner and mode of the directory, or the credentials and policy of the bucket."


class NoPutIfAbsent(StoreError):
    """The service replaces an object that it was told to leave as it is: nothing can be settled there."""

    problem = "this service does not keep put-if-absent (a write with 'If-None-Match: *')"
    advice = (
        "Without it two workers could both settle one batch, so no job is run there. Reading works: 'wrens show', "
        "'wrens logs', and the results of finished jobs. Take another service, or a newer version of this one; "
        "look also for a proxy in between that drops the header."
    )


class ObjectTooLarge(StoreError):
    """The object is larger than the service takes."""

    problem = "this is more than the service takes as one object"
    advice = (
        "Make batches smaller (packing=wrens.Packing(size=1) is one task each), or let tasks write large data "
        "themselves and return where it is."
    )


class StoreFull(StoreError):
    """The store has no space left."""

    problem = "no space left"
    advice = "Free space ('wrens clean --older-than 7d --dry-run' lists old jobs) or choose another store."


class StoreUnavailable(StoreError, ConnectionError):
    """The store did not answer, or asked to slow down; another try may succeed.

    Args:
        sent: Whether a request may have arrived there. Without a connection none has, and a write is certain
            not to have happened.
    """

    problem = "the store did not answer properly"
    advice = "wrens tried again as often as its policy allows; look at the network and the service."

    def __init__(
        self, action: str, key: str = "", store: str = "", reason: str = "", *, sent: bool = True
    ) -> None:
        super().__init__(action, key, store, reason)
        self.sent = sent
        if not sent:
            self.problem = "the store cannot be reached"
            self.advice = (
                "Nothing was sent, so nothing was changed there. Check the network, that the service runs, and "
                "its address: the URL's ?endpoint=... or AWS_ENDPOINT_URL name it when it is not the vendor's."
            )


class DamagedObject(WrensError):
    """A stored record does not decode.

    Args:
        key: The object's key.
        reason: What is wrong with it.
    """

    def __init__(self, key: str, reason: str = "") -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return lines(
            f"the object {self.key} is damaged: {self.reason}",
            "It was left as it is. Unless the disk or a power loss cut it off, please report a bug.",
        )
