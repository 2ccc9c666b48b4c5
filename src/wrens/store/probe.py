"""What a bucket is asked for before any work begins.

Decides whether it will do. A driver's store has to keep put-if-absent, on which every guarantee rests, so that is
what is tried: with one object, the same for ever, which is there already in all cases but the first. That is one
small write and one small read, and it also finds a wrong address, missing credentials, a bucket that is not
there or somebody else's, and a permission that is missing. Whoever only reads makes one small listing, and
writes nothing. Does not retry much: whoever waits here has not begun.
"""

from __future__ import annotations

import os

from wrens.errors import (
    AlreadyExists,
    BadStoreURL,
    NoPutIfAbsent,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    UncertainWrite,
)
from wrens.store.credentials import ADVICE
from wrens.store.failures import wants_credentials
from wrens.store.port import Store
from wrens.wire import keys

_CREDENTIALS = {
    "s3": ADVICE,
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}
"""Where credentials come from when this computer is none of the vendor's, which gives them by itself."""
_FOREIGN = (
    "nothing may be written or read there: the bucket is somebody else's, or your policy does not allow it "
    "(one whose requester pays needs ?requester_pays=true)"
)
_READS = (
    "writing was refused, reading was not: 'wrens show', 'wrens logs' and the results of finished jobs work, and "
    "to run anything the policy has to allow writing too"
)


def meet(store: Store, *, write: bool) -> None:
    """Return when a bucket will do.

    One that is there but too busy to answer properly is given the benefit of the doubt.

    Args:
        store: The bucket.
        write: Whether it is to be written to.

    Raises:
        BadStoreURL: if there is no such bucket.
        StoreDenied: for want of credentials or permission.
        StoreUnavailable: if nobody can be reached.
        NoPutIfAbsent: if an object was replaced that had to stay.
        StoreError: if it refuses in any other way.
    """
    try:
        if write:
            _try_put_if_absent(store)
        else:
            next(iter(store.list("nothing/")), None)
    except NoPutIfAbsent:
        raise
    except UncertainWrite as error:
        if isinstance(error.__cause__, StoreDenied):
            told = f"what is written there may not be read: {error.__cause__.reason}"
            raise StoreDenied("open", "", store.url, told) from error
    except StoreError as error:
        _tell(store, error, write=write)


def _try_put_if_absent(store: Store) -> None:
    """Write the one object that is always there, and fail if it is replaced."""
    for _ in range(2):  # the second time it is there: the first has made it
        try:
            store.put(keys.PROBE, os.urandom(32))
        except AlreadyExists:
            return
    raise NoPutIfAbsent(
        "open", "", store.url, f"two writes of {keys.PROBE!r} with If-None-Match both succeeded"
    )


def _tell(store: Store, error: StoreError, *, write: bool) -> None:
    """Raise what a failure means to somebody who opens the bucket; return when it will do all the same."""
    if wants_credentials(error.reason):
        told = f"no credentials are set: {_CREDENTIALS.get(store.url[:2], '')} ({error.reason})"
        raise StoreDenied("open", "", store.url, told) from error
    if isinstance(error, StoreUnavailable):
        if error.sent:
            return  # somebody is there, and may be less busy when it matters
        raise StoreUnavailable("open", "", store.url, error.reason, sent=False) from error
    if isinstance(error, ObjectMissing):
        raise BadStoreURL("open", "", store.url, f"there is no such bucket ({error.reason})") from error
    if "NotImplemented" in error.reason:
        raise NoPutIfAbsent("open", "", store.url, error.reason) from error
    told = error.reason
    if isinstance(error, StoreDenied) and write and "AccessDenied" in error.reason:
        told = f"{_READS if _readable(store) else _FOREIGN} ({error.reason})"
    raise type(error)("open", "", store.url, told) from error


def _readable(store: Store) -> bool:
    try:
        next(iter(store.list("nothing/")), None)
    except StoreError:
        return False
    return True
