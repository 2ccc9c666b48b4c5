"""The only module that speaks to Redis (and to servers that speak its language, such as Valkey).

Decides how long a server may take, how often a command is sent again, and what counts as gone. The client's retries send
the same bytes again, so callers see to it that a command may be carried out twice (:mod:`wrens.kv.scripts`). Passwords are
not in addresses, which are stored with jobs, but in the variables ``WRENS_REDIS_USERNAME`` and ``WRENS_REDIS_PASSWORD`` of
each process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wrens.errors import BadOption, MissingPackage

if TYPE_CHECKING:
    from redis import Redis as Client

Command = tuple[Any, ...]
"""A command as Redis takes it: its name, keys and values."""
SCHEMES = ("redis://", "rediss://", "unix://")
USERNAME = "WRENS_REDIS_USERNAME"
PASSWORD = "WRENS_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
CONNECT_S = 5.0
"""How long a server may take to accept a connection."""
ANSWER_S = 30.0
"""How long it may take to answer."""
TRIES = 2
"""How many times a command is sent again."""


class Stranger(Exception):
    """A server does not hold what it should: it was emptied, or it is another one."""


def check(urls: Sequence[str], what: str) -> tuple[str, ...]:
    """Return addresses of servers, if that is what they are.

    Args:
        urls: The addresses.
        what: Whose they are, for the error.

    Raises:
        BadOption: if one is no address, is there twice, or has a password in it.

    >>> check(["redis://127.0.0.1:6379"], "Redis")
    ('redis://127.0.0.1:6379',)
    """
    found = tuple(urls)
    if not found or len(set(found)) != len(found):
        raise BadOption(f"{what}({urls!r})", "names no server, or one twice", "Name each server once.")
    for url in found:
        parts = urlsplit(url)
        if not is_server(url) or not (parts.hostname or (parts.scheme == "unix" and parts.path)):
            raise BadOption(f"{what}({url!r})", "is no address", "Write redis://host:port, or rediss://.")
        if "@" in parts.netloc:
            raise BadOption(
                f"{what}('…@{url.rpartition('@')[2]}')",
                "has a password in it, which would be stored with the job",
                f"Set {PASSWORD} (and {USERNAME}) for the client and for workers instead.",
            )
    return found


def is_server(url: str) -> bool:
    """Tell whether this is the address of a server, and not of a store."""
    return url.startswith(SCHEMES)


@lru_cache(maxsize=256)
def client(url: str, answer_s: float = ANSWER_S, greet: Callable[[Any], None] | None = None) -> Client:
    """Return the client of a server, one for the whole process; it connects when it is used, and keeps its connections.

    Args:
        url: The server.
        answer_s: How long it may take to answer, in seconds.
        greet: Called with each new connection before it is used; what it raises is the caller's.

    Raises:
        MissingPackage: if redis is not installed.
    """
    try:
        import redis
    except ImportError as error:
        raise MissingPackage("redis", "a Redis server", "pip install 'wrens[redis]'") from error
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        username=os.environ.get(USERNAME) or None,
        password=os.environ.get(PASSWORD) or None,
        socket_connect_timeout=min(CONNECT_S, answer_s),
        socket_timeout=answer_s,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), TRIES),
        protocol=2,  # which every server speaks
        redis_connect_func=greet,
    )


def failures() -> tuple[type[Exception], ...]:
    """Return what a client raises when a server refuses or does not answer."""
    from redis.exceptions import RedisError

    return RedisError, OSError


def is_full(answer: Exception) -> bool:
    """Tell whether a server has refused a command because it has no memory left."""
    from redis.exceptions import OutOfMemoryError

    return isinstance(answer, OutOfMemoryError)


def refusals() -> tuple[type[Exception], ...]:
    """Return what a client raises, or returns among answers, when a server has refused a command."""
    from redis.exceptions import ResponseError

    return (ResponseError,)
