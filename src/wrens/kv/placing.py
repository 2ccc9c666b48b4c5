"""Which of several servers a key belongs to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b


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


def by_server(names: Iterable[str], urls: Sequence[str]) -> dict[int, list[str]]:
    """Return names by the server that they belong to, each server's in their order.

    >>> by_server(["a", "b"], ["redis://only"])
    {0: ['a', 'b']}
    """
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(placed(name, urls), []).append(name)
    return found
