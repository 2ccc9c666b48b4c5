"""Values of an exchange on Redis servers: given, taken, forgotten.

Decides how many commands travel together, and what counts as a refusal; how servers are reached is decided in
:mod:`wrens.kv.servers`. Names are unique, so a command may be repeated. What a server that is gone does not take goes
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wrens.errors import BadShard, ExchangeLost
from wrens.kv.servers import PASSWORD, USERNAME, client, failures

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
    return Memory(int(told["used_memory"]), limit or None, str(told.get("maxmemory_policy", "noeviction")))


def give(url: str, values: Iterable[tuple[str, bytes]], expires_s: float) -> list[str]:
    """Store values, and return the names of those that the server did not take: it is full, or gone.

    Args:
        url: The server.
        values: Names, which nobody has used before, and contents.
        expires_s: After how many seconds the server forgets them.
    """
    server, refused, closed = client(url), list[str](), False
    for some in _together(values):
        names = [name for name, _ in some]
        if closed:
            refused += names
            continue
        try:
            with server.pipeline(transaction=False) as pipe:
                for name, value in some:
                    pipe.set(name, value, px=max(1, int(expires_s * 1000)))
                answers = pipe.execute(raise_on_error=False)
        except failures():
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
    server, found = client(url), dict[str, bytes]()
    try:
        for begin in range(0, len(names), COMMANDS):
            some = names[begin : begin + COMMANDS]
            with server.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.get(name)
                answers = pipe.execute()
            for name, value in zip(some, answers, strict=True):
                if value is None:
                    raise ExchangeLost(url, name, "it is not there any more")
                found[name] = value
    except failures() as error:
        raise ExchangeLost(url, names[0], f"the server does not answer: {error}") from error
    return found


def forget(url: str, names: Sequence[str]) -> None:
    """Delete values, as far as the server can be reached; the others expire."""
    server = client(url)
    for begin in range(0, len(names), COMMANDS):
        try:
            server.unlink(*names[begin : begin + COMMANDS])
        except failures():
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
