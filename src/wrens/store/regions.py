"""In which of AWS's regions a bucket is.

Decides how a refusal is told that means "not in this region", and whom to ask for the right one: the refusal
itself often names it, and the service tells it to anybody in the header of an answer. Does not decide what
follows; :mod:`wrens.store.opening` does.
"""

from __future__ import annotations

import re
from typing import Any

SERVICE = "https://s3.amazonaws.com"
"""Knows where every bucket is; asked when no other endpoint is set."""
PATIENCE_S = 5.0
_WRONG = re.compile(
    r"redirect without LOCATION|AuthorizationHeaderMalformed|PermanentRedirect|IllegalLocationConstraint"
    r"|IncorrectEndpoint"
)
_NAMED = re.compile(r"expecting '([a-z]{2}[a-z0-9-]+\d)'|\(region ([a-z0-9-]+)\)")


def is_wrong(reason: str) -> bool:
    """Tell whether a request was refused because the bucket is in another region.

    >>> is_wrong("Received redirect without LOCATION, this normally indicates an incorrectly configured region")
    True
    """
    return bool(_WRONG.search(reason))


def right_one(reason: str, bucket: str, service: str = SERVICE) -> str | None:
    """Return the region of a bucket, after a request to another one was refused.

    Args:
        reason: What the refusal says; it may name the region.
        bucket: The bucket's name.
        service: URL of whom to ask when it does not.

    Returns:
        Such as ``eu-west-1``; ``None`` when nobody tells.

    >>> right_one("AuthorizationHeaderMalformed: the region 'us-east-1' is wrong; expecting 'eu-west-1'", "lab")
    'eu-west-1'
    """
    named = _NAMED.search(reason)
    return (named.group(1) or named.group(2)) if named else _ask(bucket, service)


def _ask(bucket: str, service: str) -> str | None:
    """Ask the service with a request that needs no credentials; every answer, refusals too, has the header."""
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """Follow nobody: the answer that sends us elsewhere has told where."""

    request = Request(f"{service.rstrip('/')}/{bucket}", method="HEAD")  # noqa: S310 - checked by connect()
    try:
        with build_opener(Stay).open(request, timeout=PATIENCE_S) as answer:
            told = answer.headers
    except HTTPError as refusal:
        told = refusal.headers
    except OSError:
        return None
    region: str | None = told.get("x-amz-bucket-region")
    return region
