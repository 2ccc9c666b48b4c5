"""From the words of obstore and of the operating system to the errors of wrens.

Decides which class a failure of a store becomes, and so whether it is worth another try. Does not retry.
Exceptions of obstore are told by name, so that reading this module does not import obstore.
"""

from __future__ import annotations

import errno
import os
import re

from wrens.errors import (
    AlreadyExists,
    BadStoreURL,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

BY_NAME: dict[str, type[StoreError]] = {
    "AlreadyExistsError": AlreadyExists,
    "NotFoundError": ObjectMissing,
    "FileNotFoundError": ObjectMissing,
    # A put-if-absent is the only condition that is ever sent, so this is what has failed.
    "PreconditionError": AlreadyExists,
    "PermissionDeniedError": StoreDenied,
    "UnauthenticatedError": StoreDenied,
    "UnknownConfigurationKeyError": BadStoreURL,
    "InvalidPathError": StoreError,
    "JoinError": StoreError,
    "NotModifiedError": StoreError,
    "NotSupportedError": StoreError,
    # These two say too little by name; their text and number decide.
    "GenericError": StoreError,
    "BaseError": StoreError,
}
"""Every exception class of obstore, and what becomes of it."""

_BY_ERRNO: dict[int, type[StoreError]] = {
    errno.ENOENT: ObjectMissing,
    errno.EEXIST: AlreadyExists,
    errno.EACCES: StoreDenied,
    errno.EPERM: StoreDenied,
    errno.EROFS: StoreDenied,
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EFBIG: StoreFull,
    errno.ETIMEDOUT: StoreUnavailable,
    errno.ECONNREFUSED: StoreUnavailable,
    errno.ECONNRESET: StoreUnavailable,
    errno.EHOSTDOWN: StoreUnavailable,
    errno.EHOSTUNREACH: StoreUnavailable,
    errno.ENETUNREACH: StoreUnavailable,
    errno.ESTALE: StoreUnavailable,  # a network file system whose server came back
}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_TRY_AGAIN = re.compile(
    r"timed? ?out|time-?out|connection|connect error|error sending request|dns error|broken pipe|reset by peer"
    r"|slow ?down|too many requests|service unavailable|internal server error|bad gateway|incomplete"
    r"|error decoding response body|request or response body error|status(?: code)?:? (?:5(?!01)\d\d|429|408)\b",
    re.IGNORECASE,
)
_NO_CONNECTION = re.compile(r"\bkind: Connect\b")
_FIRST_TRY = re.compile(r"\bretries: 0\b")
"""obstore tells only how its last try ended; an earlier one may have been sent."""
_REQUEST = re.compile(r"performing ([A-Z]+) (\w+://[^/\s]+)(\S*)")
_CAUSE = re.compile(r'(?:message|error): "([^"]+)"')
_QUERY = re.compile(r"(\w+://[^\s?]+)\?\S+")
"""What a request asked for, without its query: that may hold a signature."""
_METADATA = re.compile(r"/latest/(?:api/token|meta-data)|/computeMetadata/|/metadata/identity")
_DENIED = re.compile(
    r"access ?denied|forbidden|credential|unauthori[sz]ed|status(?: code)?:? 40[13]\b", re.IGNORECASE
)

_PROVIDER = "External AWS credential provider"
_BODY = re.compile(r"(?:<\?xml[^>]*>\s*)?<Error>.*", re.DOTALL)
_FIELDS = re.compile(r"<(Code|Message|Region)>([^<]*)</\1>")
_MISSING = re.compile(r"status(?: code)?:? 404\b", re.IGNORECASE)


def translate(error: Exception, action: str, key: str, url: str) -> StoreError:
    """Return the error of wrens that tells what ``error`` means for the caller.

    Args:
        error: What obstore or the operating system raised.
        action: The verb that failed.
        key: The key or prefix concerned.
        url: The store's URL, without credentials.

    Returns:
        The error to raise; its ``reason`` is one line.

    >>> type(translate(OSError(28, "No space left on device"), "put", "k", "file:///d")).__name__
    'StoreFull'
    """
    reason = _QUERY.sub(r"\1", _said(error))
    if isinstance(error, OSError) and error.errno is not None:
        kind = _BY_ERRNO.get(error.errno, StoreError)
        if kind is not StoreError:
            return kind(action, key, url, reason)
    kind = BY_NAME.get(type(error).__name__, StoreError)
    if kind is StoreDenied and _PROVIDER in reason and _TRY_AGAIN.search(reason):
        # Whoever gives the credentials was not reached, so nothing was sent to the store.
        return StoreUnavailable(action, key, url, reason, sent=False)
    if kind is StoreError:
        text = str(error)
        if _NO_CONNECTION.search(text) and _FIRST_TRY.search(text):
            return StoreUnavailable(action, key, url, _no_connection(reason, text), sent=False)
        kind = _by_text(text)
    return kind(action, key, url, reason)


def wants_credentials(reason: str) -> bool:
    """Tell whether a request failed that asks this machine's cloud for credentials, as is done when none are set.

    >>> wants_credentials("no connection to http://169.254.169.254 for PUT /latest/api/token: timed out")
    True
    """
    return bool(_METADATA.search(reason))


def _no_connection(reason: str, text: str) -> str:
    """Say where no connection could be made, and why; the why is only in the dump of internals."""
    asked = _REQUEST.search(reason)
    causes = _CAUSE.findall(text)
    if asked is None:
        return reason
    verb, address, path = asked.groups()
    return f"no connection to {address} for {verb} {path or '/'}: {causes[-1] if causes else 'no answer in time'}"


def _by_text(text: str) -> type[StoreError]:
    """Judge an error that has no class of its own by the number or the words in it."""
    number = _OS_ERROR.search(text)
    if number:
        kind = _BY_ERRNO.get(int(number.group(1)))
        if kind is not None:
            return kind
    head = text.partition("\nDebug source:")[0]
    # Denial first: "connection"-like words also occur in long explanations of a refusal.
    if _DENIED.search(head):
        return StoreDenied
    if _MISSING.search(head):
        return ObjectMissing
    return StoreUnavailable if _TRY_AGAIN.search(head) else StoreError


def _said(error: Exception) -> str:
    """Return the first line of what an error says; of S3's answer in it, the code and the message."""
    head = str(error).partition("\nDebug source:")[0]
    body = _BODY.search(head)
    if body is None:
        return first_line(error)
    fields = dict(_FIELDS.findall(body.group()))
    said = ": ".join(fields[name] for name in ("Code", "Message") if fields.get(name))
    region = f" (region {fields['Region']})" if fields.get("Region") else ""
    return " ".join(f"{head[: body.start()]}{said}{region}".split())[:500]


def first_line(error: BaseException) -> str:
    r"""Return what ``error`` says, without the dump of internals that follows it.

    >>> first_line(ValueError("no such bucket\n\nDebug source:\nGeneric {"))
    'no such bucket'
    """
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"{error.strerror} ({errno.errorcode.get(error.errno, os.strerror(error.errno))})"
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:500]
