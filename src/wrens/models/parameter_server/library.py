"""The functions on the servers: put there once, called by name, and what their answers mean.

Their name has a digest of their text, so that clients of several versions of wrens do not take away each other's. Decides which
error an answer is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from wrens.errors import BadShard, ShardFull, ShardLost
from wrens.kv import KeyValue, servers

LOST = "it does not hold the arrays any more: it was begun again, or they were dropped"


@cache
def text() -> tuple[str, str]:
    """Return the name of the functions, and what they are."""
    source = files("wrens.models.parameter_server").joinpath("functions.lua").read_text("utf-8")
    name = f"wrens_parameters_{blake2b(source.encode(), digest_size=8).hexdigest()}"
    return name, source.replace("@LIBRARY@", name)


def put(tier: KeyValue) -> None:
    """Put the functions on all servers.

    Raises:
        BadShard: if a server has no functions.
        ShardFull: if it has no memory for them.
        ShardLost: if it does not answer.
    """
    name, source = text()
    commands = [("FUNCTION", "LOAD", source), ("FUNCTION", "LIST", "LIBRARYNAME", name)]
    asked = dict.fromkeys(range(len(tier.urls)), commands)
    for server, (answer, there) in tier.ask(asked, changes=True).items():
        if there and not isinstance(there, Exception):
            continue
        if servers.is_full(answer):
            raise ShardFull(tier.urls[server], "functions")
        raise BadShard(
            tier.urls[server],
            f"it takes no functions: {answer}",
            "A parameter server needs Redis 7 or newer, or Valkey.",
        )


def call(
    tier: KeyValue, calls: Mapping[int, Iterable[tuple[Any, ...]]], *, changes: bool = True
) -> dict[int, list[Any]]:
    """Call functions on servers, and return what they have answered.

    Args:
        tier: The servers.
        calls: For each server, by its place, the arguments of one or more calls, which travel together.
        changes: Whether one of them changes something.

    Raises:
        ShardLost: if a server does not answer, or does not hold the model any more.
        ShardFull: if it has no memory left.
    """
    name = text()[0]
    commands = {server: (("FCALL", name, 0, *args) for args in some) for server, some in calls.items()}
    found = tier.ask(commands, changes=changes)
    for server, answers in found.items():
        for answer in answers:
            if isinstance(answer, Exception):
                raise _error(tier.urls[server], answer)
    return found


def _error(url: str, answer: Exception) -> Exception:
    told = str(answer)
    if servers.is_full(answer):
        return ShardFull(url, "an array")
    if "Function not found" in told or told.startswith("GONE"):
        return ShardLost(url, LOST, "Restore them from a checkpoint, or create them anew.")
    if told.startswith("OVER"):
        return ShardLost(url, "it has begun a new run since this worker's began", "Its work was not added.")
    return ShardLost(url, told)
