"""The only module that speaks to Redis (and to servers that speak its language, such as Valkey).

Decides where a value belongs, how many commands travel together, and what counts as a refusal. Passwords are not in
addresses, which are stored with the job, but in the variables ``WRENS_REDIS_USERNAME`` and ``WRENS_REDIS_PASSWORD``
of each process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from wrens.errors import BadShard, ExchangeLost, MissingPackage

if TYPE_CHECKING:
    from redis import Redis as Client

SCHEMES = ("redis://", "rediss://")
USERNAME = "WRENS_REDIS_USERNAME"
PASSWORD = "WRENS_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
CONNECT_S = 5.0
"""How long a server may take to accept a connection."""
ANSWER_S = 30.0
"""How long it may take to answer."""
TOGETHER = 4 * 2**20
"""Bytes of commands that travel together."""
COMMANDS = 1000
"""Commands that travel together at most."""
LARGEST = 256 * 2**20
"""Bytes of a value; what is larger goes to the store. Redis takes 512 MB."""


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


def is_shard(url: str) -> bool:
    """Tell whether this is the address of a Redis server."""
    return url.startswith(SCHEMES)


def placed(name: str, urls: Sequence[str]) -> int:
    """Return which of the servers a value belongs to: the one that scores highest, so another server moves only its own.

    >>> urls = ["redis://a", "redis://b", "redis://c"]
    >>> with_all, without_c = ([placed(f"v/{i}", some) for i in range(300)] for some in (urls, urls[:2]))
    >>> all(new == old for old, new in zip(with_all, without_c) if old != 2), sorted(set(with_all))
    (True, [0, 1, 2])
    """
    if len(urls) == 1:
        return 0
    key = name.encode()
    scores = [blake2b(url.encode() + b"\0" + key, digest_size=8).digest() for url in urls]
    return max(range(len(urls)), key=scores.__getitem__)


def look(url: str) -> Memory:
    """Return what a server says of its memory.

    Raises:
        MissingPackage: if redis is not installed.
        BadShard: if it does not answer.
    """
    client = _client(url)
    from redis.exceptions import RedisError

    try:
        told: Mapping[str, Any] = client.info("memory")
    except (RedisError, OSError) as error:
        raise BadShard(
            url,
            f"it does not answer: {error}",
            f"Look at the address; user and password are taken from {USERNAME} and {PASSWORD}.",
        ) from error
    limit = int(told.get("maxmemory") or 0) or int(told.get("total_system_memory") or 0)
    return Memory(int(told["used_memory"]), limit or None, str(told.get("maxmemory_policy", "noeviction")))


def give(url: str, values: Iterable[tuple[str, bytes]], expires_s: float) -> list[str]:
    """Store values, and return the names of those that the server did not take: it is full, or gone.

    Args:
        url: The server.
        values: Names, which nobody has used before, and contents.
        expires_s: After how many seconds the server forgets them.
    """
    from redis.exceptions import RedisError

    client, refused, closed = _client(url), list[str](), False
    for some in _together(values):
        names = [name for name, _ in some]
        if closed:
            refused += names
            continue
        try:
            with client.pipeline(transaction=False) as pipe:
                for name, value in some:
                    pipe.set(name, value, px=max(1, int(expires_s * 1000)))
                answers = pipe.execute(raise_on_error=False)
        except (RedisError, OSError):
            answers = [False] * len(names)
        found = [name for name, answer in zip(names, answers, strict=True) if answer is not True]
        refused += found
        closed = bool(found)  # who refused one will refuse most of the others
    return refused


def take(url: str, names: Sequence[str]) -> dict[str, bytes]:
    """Return values by their names.

    Raises:
        ExchangeLost: if one is not there, or the server does not answer.
    """
    from redis.exceptions import RedisError

    client, found = _client(url), dict[str, bytes]()
    try:
        for begin in range(0, len(names), COMMANDS):
            some = names[begin : begin + COMMANDS]
            with client.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.get(name)
                answers = pipe.execute()
            for name, value in zip(some, answers, strict=True):
                if value is None:
                    raise ExchangeLost(url, name, "it is not there any more")
                found[name] = value
    except (RedisError, OSError) as error:
        raise ExchangeLost(url, names[0], f"the server does not answer: {error}") from error
    return found


def forget(url: str, names: Sequence[str]) -> None:
    """Delete values, as far as the server can be reached; the others expire."""
    from redis.exceptions import RedisError

    client = _client(url)
    for begin in range(0, len(names), COMMANDS):
        try:
            client.unlink(*names[begin : begin + COMMANDS])
        except (RedisError, OSError):
            return


def _together(values: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Yield values as they travel together."""
    some: list[tuple[str, bytes]] = []
    held = 0
    for name, value in values:
        if some and (held + len(value) > TOGETHER or len(some) == COMMANDS):
            yield some
            some, held = [], 0
        some.append((name, value))
        held += len(value)
    if some:
        yield some


@lru_cache(maxsize=256)
def _client(url: str) -> Client:
    """Return the client of a server, one for the whole process; it connects when it is used."""
    try:
        import redis
    except ImportError as error:
        raise MissingPackage("redis", "an exchange through Redis", "pip install 'wrens[redis]'") from error
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        username=os.environ.get(USERNAME) or None,
        password=os.environ.get(PASSWORD) or None,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
        # Names are unique, so a command may be repeated. What a server that is gone does not take goes elsewhere, soon.
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 2),
        protocol=2,  # which every server speaks
    )
