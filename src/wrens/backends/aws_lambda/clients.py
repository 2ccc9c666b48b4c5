"""Clients of AWS, and what their exceptions mean: the one place that speaks to boto3.

Credentials, region, profile and endpoint come from the standard chain of AWS's own tools; nothing of it is read
or kept here. Decides timeouts, which refusals are worth another try (:exc:`Throttled`, :exc:`Unreachable`), and in
which words the others are told, with the command that mends it. Does not decide when something is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from wrens.errors import BackendError

T = TypeVar("T")

CONNECT_S = 5.0
READ_S = 30.0
DEPLOY = "wrens deploy aws --store s3://BUCKET/PREFIX"
DOCTOR = "'wrens doctor' checks every part of the set-up."
_BUSY = {"TooManyRequestsException", "ThrottlingException", "Throttling", "EC2ThrottledException"}
_DENIED = {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}
_CREDENTIALS = {"UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"}
_NOT_NOW = {
    "ServiceException",
    "InternalFailure",
    "ServiceUnavailable",
    "RequestTimeout",
    "ResourceNotReadyException",
}
INSTALL = "Install it with: pip install 'wrens[aws]'"


class Throttled(Exception):
    """The service takes no more requests, or runs no more attempts, at this moment."""


class Unreachable(Exception):
    """The service did not answer, or had a fault of its own."""


def session() -> Any:
    """Return a session of boto3: it finds the credentials, and making one takes longer than making a client.

    Raises:
        BackendError: if boto3 is not installed, or the profile does not exist.
    """
    try:
        import boto3
        import botocore.session
        from botocore.exceptions import ProfileNotFound
    except ImportError as error:
        raise BackendError("lambda", "boto3 is not installed", str(error), INSTALL) from error
    made = botocore.session.Session()
    made.register_component("data_loader", _loader())
    try:
        return boto3.session.Session(botocore_session=made)
    except ProfileNotFound as error:
        raise _no_profile(error) from error


def client(
    service: str, *, region: str | None = None, connections: int = 10, tries: int = 4, of: Any = None
) -> Any:
    """Return a client of one of AWS's services.

    Args:
        service: Such as ``"lambda"``.
        region: By default that of the standard chain.
        connections: How many requests may be open at a time.
        tries: How often boto3 sends a request before it gives up; 1 leaves that to the caller.
        of: The :func:`session` whose credentials it uses; by default one of its own.

    Raises:
        BackendError: if boto3 is not installed, no region is known, or the profile does not exist.
    """
    found = of or session()
    from botocore.config import Config
    from botocore.exceptions import NoRegionError, ProfileNotFound

    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": tries},
        user_agent_extra="wrens",
    )
    try:
        # boto3 itself passes over AWS_REGION, which AWS's other tools, the store's client among them, go by.
        return found.client(service, region_name=region or os.environ.get("AWS_REGION"), config=config)
    except NoRegionError as error:
        told = "Set AWS_REGION, or a region in your profile: aws configure set region eu-west-1"
        raise BackendError("lambda", "no region is set", str(error), told) from error
    except ProfileNotFound as error:
        raise _no_profile(error) from error


def _no_profile(error: Exception) -> BackendError:
    told = "Correct AWS_PROFILE, or make the profile: aws configure --profile NAME"
    return BackendError("lambda", "the profile does not exist", str(error), told)


@cache
def _loader() -> Any:
    """Return what reads the descriptions of services and keeps them: reading takes longer than most requests."""
    from botocore.loaders import Loader

    return Loader()


def or_none(call: Callable[[], T]) -> T | None:
    """Ask for what is good to know; without an answer the caller does without."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except (BotoCoreError, ClientError):
        return None


@contextmanager
def told(permission: str, region: str, name: str) -> Iterator[None]:
    """Turn what boto3 raises into the errors of this module."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        raise _refusal(error, permission, region, name) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        advice = "Sign in (aws configure, aws sso login), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        raise BackendError("lambda", "no credentials were found", str(error), advice) from error
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise Unreachable(str(error)) from error


def _refusal(error: Any, permission: str, region: str, name: str) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{code}: {error.response.get('Error', {}).get('Message', '')}"
    if code in _BUSY or status == 429:
        return Throttled(text)
    if code in _NOT_NOW or status >= 500:
        return Unreachable(text)
    if code in _CREDENTIALS:
        advice = "Sign in again (aws sso login), or correct the keys and this computer's clock."
        return BackendError("lambda", "the credentials are not accepted", text, advice)
    if code in _DENIED or status == 403:
        advice = f"Have it granted: 'wrens deploy aws --print-policies' shows what is needed. {DOCTOR}"
        return BackendError("lambda", f"the permission {permission} is missing", text, advice)
    if code == "ResourceNotFoundException":
        advice = f"Make it with: {DEPLOY}   Or name another region (AWS_REGION) or function (WRENS_LAMBDA_FUNCTION)."
        return BackendError("lambda", f"there is no function {name} in {region}", text, advice)
    return BackendError("lambda", f"{permission} was refused", text, DOCTOR)
