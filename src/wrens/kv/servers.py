"""The only module that speaks to Redis (and to servers that speak its language, such as Valkey).

Decides how long a server may take, how often a command is sent again, and what counts as gone. The client's retries send
the same bytes again, so callers see to it that a command may be carried out twice (:mod:`wrens.kv.scripts`). Passwords are
not in addresses, which are stored with jobs, but in the variables ``WRENS_REDIS_USERNAME`` and ``WRENS_REDIS_PASSWORD`` of
each process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wrens.errors import BadOption, BadShard, MissingPackage

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
SENT = 8 * 2**10
"""Bytes that are sent together at least, while there are more."""
TRIES = 2
"""How many times a command is sent again."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server says of its memory.

    Args:
        used: Bytes in use.
        limit: Bytes that it may use; ``None`` if it does not tell.
        policy: What it does when that is used up; only ``noeviction`` keeps what it has.
    """

    used: int
    limit: int | None
    policy: str

    @property
    def free(self) -> int | None:
        """Bytes that are left, if it is known."""
        return None if self.limit is None else max(0, self.limit - self.used)


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
    for url in found:  # before any address is shown
        if "@" in url or "password" in url.lower():
            raise BadOption(
                f"{what}('…{url.rpartition('@')[2].partition('?')[0]}')",
                "has a password in it, which would be stored with the job",
                f"Set {PASSWORD} (and {USERNAME}) for the client and for workers instead.",
            )
    if not found or len(set(found)) != len(found):
        raise BadOption(f"{what}({urls!r})", "names no server, or one twice", "Name each server once.")
    for url in found:
        parts = urlsplit(url)
        if not is_server(url) or not (parts.hostname or (parts.scheme == "unix" and parts.path)):
            raise BadOption(f"{what}({url!r})", "is no address", "Write redis://host:port, or rediss://.")
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


def converse(server: Client, commands: Iterable[Command]) -> list[Any]:
    """Send commands as they are made, so that the server is at work while the next one is; return the answers, errors among them.

    If the connection breaks, all are sent again, so they have to be such that this does no harm.

    Raises:
        RedisError: of the client's library, if there is no answer at the last try either.
        Stranger: see :func:`client`.
    """
    from redis import exceptions as told

    made: list[Command] = []
    rest = iter(commands)
    connection: Any = server.connection_pool.get_connection()

    def new() -> Iterator[Command]:
        for command in rest:
            made.append(command)
            yield command

    def try_it() -> list[Any]:
        waiting: list[bytes] = []
        held = 0
        for command in chain(made[:], new()):
            packed = b"".join(connection.pack_command(*command))
            waiting.append(packed)
            held += len(packed)
            if held >= SENT:
                connection.send_packed_command([b"".join(waiting)])
                waiting, held = [], 0
        connection.send_packed_command([b"".join(waiting)])
        answers: list[Any] = []
        for _ in made:
            try:
                answers.append(connection.read_response())
            except told.NoScriptError as error:  # they were flushed; each new connection brings them along
                raise told.ConnectionError(str(error)) from error
            except told.ResponseError as error:
                answers.append(error)
        return answers

    try:
        answers: list[Any] = connection.retry.call_with_retry(try_it, lambda _: connection.disconnect())
        return answers
    except BaseException:
        connection.disconnect()  # there may be answers on it that nobody has read
        raise
    finally:
        server.connection_pool.release(connection)


def look(url: str) -> Memory:
    """Return what a server says of its memory.

    Raises:
        MissingPackage: if redis is not installed.
        BadShard: if it does not answer.
    """
    server = client(url)
    try:
        told: Mapping[str, Any] = server.info("memory")
    except failures() as error:
        raise BadShard(
            url,
            f"it does not answer: {error}",
            f"Look at the address; user and password are taken from {USERNAME} and {PASSWORD}.",
        ) from error
    limit = int(told.get("maxmemory") or 0) or int(told.get("total_system_memory") or 0)
    used = int(told["used_memory"]) + int(told.get("used_memory_vm_functions") or 0)
    return Memory(used, limit or None, str(told.get("maxmemory_policy", "noeviction")))


def keeps(url: str) -> Memory:
    """Return a server's memory, if it keeps what it has when that is full.

    Raises:
        BadShard: if it does not, or does not answer.
    """
    found = look(url)
    if found.policy != "noeviction":
        raise BadShard(
            url,
            f"its maxmemory-policy is {found.policy}, so it drops what was written when it is full",
            "Set maxmemory-policy to noeviction.",
        )
    return found


def failures() -> tuple[type[Exception], ...]:
    """Return what a client raises when a server refuses or does not answer."""
    from redis.exceptions import RedisError

    return RedisError, OSError


def is_full(answer: Exception) -> bool:
    """Tell whether a server has refused a command because it has no memory left."""
    from redis.exceptions import OutOfMemoryError

    return isinstance(answer, OutOfMemoryError)


def is_refusal(answer: Exception) -> bool:
    """Tell whether a server has refused a command because of the value that is there."""
    told = str(answer)
    return any(
        word in told
        for word in ("WRONGTYPE", "wrong kind of value", "not an integer", "not a valid float", "overflow")
    )
