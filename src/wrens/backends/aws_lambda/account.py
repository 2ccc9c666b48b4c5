"""Requests to an account of AWS, as data: for deploying and for checking.

Decides what each refusal means: every failure of a request leaves as a :exc:`~wrens.errors.ServiceError` that says
what to do. Decides nothing about functions, roles or buckets, nor how clients are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wrens.backends.aws_lambda.clients import client, session
from wrens.errors import ServiceError

ASK_S = 0.2
"""How often it is asked whether something is ready."""
WAIT_S = 300.0
"""How long that is waited for."""
MISSING = frozenset(
    {
        "404", "NoSuchBucket", "NoSuchEntity", "NoSuchKey", "NoSuchTagSet", "NotFound",
        "ResourceNotFoundException",
    }
)  # fmt: skip
"""Codes that say that a thing is not there."""
DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "Forbidden",
        "UnauthorizedOperation",
    }
)
"""Codes that say that the caller may not."""
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_UNKNOWN_KEYS = frozenset(
    {
        "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)  # fmt: skip
NO_CREDENTIALS, UNREACHABLE = "NoCredentials", "Unreachable"
_ADVICE = {
    NO_CREDENTIALS: (
        "Run 'aws configure' or 'aws sso login', or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY. No request was made."
    ),
    UNREACHABLE: (
        "Check the network, that there is such a region, and AWS_ENDPOINT_URL when it is set. "
        "Nothing was changed."
    ),
}


def advice_for(code: str) -> str:
    """Return what to do about a code, or nothing when that depends on the request.

    >>> advice_for("ExpiredToken")
    "The credentials have expired: run 'aws sso login', or get new ones."
    """
    if code in _EXPIRED:
        return "The credentials have expired: run 'aws sso login', or get new ones."
    if code in _UNKNOWN_KEYS:
        return (
            "AWS does not know these credentials: look at AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN "
            "('aws sts get-caller-identity' says the same without wrens)."
        )
    if code in DENIED:
        return (
            "Whoever manages the account has to allow it: 'wrens deploy aws --store URL --print-policies' "
            "prints the policies that are needed."
        )
    return _ADVICE.get(code, "")


def is_missing(error: ServiceError) -> bool:
    """Tell whether the service said that there is no such thing."""
    return error.code in MISSING


def is_denied(error: ServiceError) -> bool:
    """Tell whether the service said that the caller may not."""
    return error.code in DENIED


class Aws:
    """Requests to AWS, in one region.

    Args:
        region: Such as ``"eu-central-1"``; by default that of AWS's own tools.

    Raises:
        BackendError: if boto3 is not installed, no region is set, or the profile does not exist.
    """

    def __init__(self, region: str | None = None) -> None:
        # Of a service that has to be told a region: others take one of their own when none is set.
        self._session = session()
        first = client("lambda", region=region, of=self._session)
        self.region = str(first.meta.region_name)
        self.partition = str(first.meta.partition)
        self._clients = {"lambda": first}

    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        if service not in self._clients:
            self._clients[service] = client(service, region=self.region, of=self._session)
        return self._clients[service]

    def call(self, service: str, action: str, /, **parameters: Any) -> dict[str, Any]:
        """Make one request.

        Args:
            service: Such as ``"lambda"``.
            action: The request as AWS spells it, such as ``"GetFunction"``.
            parameters: Its parameters as AWS spells them.

        Raises:
            ServiceError: if it was refused, or could not be made.
        """
        asked = getattr(self.client(service), _snake(action))
        with _told(service, action):
            answer: dict[str, Any] = asked(**parameters)
        return answer

    def pages(self, service: str, action: str, field: str, /, **parameters: Any) -> Iterator[Any]:
        """Yield what lies in ``field`` of the answers to one request, page after page.

        Raises:
            ServiceError: if it was refused, or could not be made.
        """
        pages = self.client(service).get_paginator(_snake(action)).paginate(**parameters)
        with _told(service, action):
            for page in pages:
                yield from page.get(field, ())

    def wait(self, service: str, waiter: str, /, **parameters: Any) -> None:
        """Wait for what botocore's waiter of this name waits for.

        Raises:
            ServiceError: if it does not come, or the service refused.
        """
        waiting = self.client(service).get_waiter(waiter)
        with _told(service, waiter):
            # The defaults ask every five seconds; most of what is waited for is there within one.
            waiting.wait(WaiterConfig={"Delay": ASK_S, "MaxAttempts": round(WAIT_S / ASK_S)}, **parameters)


@contextmanager
def _told(service: str, action: str) -> Iterator[None]:
    """Turn what boto3 raises into :exc:`ServiceError`."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        told = error.response.get("Error", {})
        code, message = str(told.get("Code", "")), str(told.get("Message", ""))
        raise ServiceError(service, action, code, message, advice_for(code)) from error
    except boto.BotoCoreError as error:
        code = _code_of(error)
        raise ServiceError(service, action, code, str(error), advice_for(code)) from error


def _code_of(error: Exception) -> str:
    """Return what an exception of botocore is called here that is no answer of a service."""
    from botocore import exceptions as boto

    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        return NO_CREDENTIALS
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        return UNREACHABLE
    if isinstance(error, (boto.TokenRetrievalError, boto.CredentialRetrievalError)):
        return "ExpiredToken"
    return type(error).__name__


def _snake(action: str) -> str:
    """Return boto3's name of a request.

    >>> _snake("GetFunctionConfiguration")
    'get_function_configuration'
    """
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in action).lstrip("_")
