"""The ways through an exchange as options, and one crossing from stage to stage.

Decides which way is taken when nobody says, as far as sizes are known: Redis or the store before the first stage, packed or
two-level after it. The arithmetic is in :mod:`wrens.models.exchange.choosing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from wrens.errors import BadOption, BadShard
from wrens.kv import servers
from wrens.models.exchange import choosing, sharding, storing, two_level
from wrens.models.exchange.choosing import Figures
from wrens.models.exchange.index import Slice, Written
from wrens.models.exchange.storing import Part, is_near

if TYPE_CHECKING:  # workers import this module, and no driver
    from wrens.core.executor import Executor

EXPIRES_S = 6 * 3600.0


class Exchange(Protocol):
    """A way through an exchange. It travels to the workers of stage 1, so it is small and has no secrets."""

    def write(self, parts: Iterable[Part], *, note: Any = None) -> Written:
        """Write what the running task has for the next stage, one part for each of its tasks."""
        ...


@dataclass(frozen=True, slots=True)
class Packed:
    """One object for each task of stage 1, of which each task of stage 2 reads a range: n writes, n × m reads.

    >>> Packed()
    Packed()
    """

    def write(self, parts: Iterable[Part], *, note: Any = None) -> Written:
        """Write what the running task has for the next stage as one object."""
        return storing.write(parts, note=note)


@dataclass(frozen=True, slots=True)
class TwoLevel:
    """Packed, with a stage in the middle: about 2·n writes and 2·n·√m reads, and the data moves twice.

    >>> TwoLevel()
    TwoLevel()
    """

    def write(self, parts: Iterable[Part], *, note: Any = None) -> Written:
        """Write what the running task has for the next stage as one object."""
        return storing.write(parts, note=note)


@dataclass(frozen=True, slots=True)
class Redis:
    """Values in the memory of Redis servers, and in the store what does not fit there.

    Args:
        urls: The servers, or one of them: ``redis://host:port`` or, with TLS, ``rediss://``. User and password are
            taken from ``WRENS_REDIS_USERNAME`` and ``WRENS_REDIS_PASSWORD``, by the client and by workers.
        expires_s: After how many seconds a server forgets what it was given; longer than a job takes.
        spill: What does not fit goes to the store. Otherwise nothing is begun when it will not fit, as far as that
            is known.

    Raises:
        BadOption: if an address is none, or has a password in it.

    >>> Redis("redis://127.0.0.1:6379").urls
    ('redis://127.0.0.1:6379',)
    """

    urls: str | Sequence[str]
    expires_s: float = EXPIRES_S
    spill: bool = True

    def __post_init__(self) -> None:
        urls = servers.check((self.urls,) if isinstance(self.urls, str) else self.urls, "Redis")
        if not self.expires_s > 0:
            raise BadOption(f"Redis(expires_s={self.expires_s!r})", "must be positive", "It is in seconds.")
        object.__setattr__(self, "urls", urls)

    def write(self, parts: Iterable[Part], *, note: Any = None) -> Written:
        """Write what the running task has for the next stage to the servers, and what they do not take to the store."""
        return sharding.write(parts, tuple(self.urls), self.expires_s, note=note)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whatever costs least by sizes, request rates and prices; the default, without Redis.

    Args:
        redis: Servers that may be used.
        figures: Rates and prices; those of ``wrens.plan.exchanges.figures()`` follow ``WRENS_PRICES``.

    >>> Chosen().redis is None
    True
    """

    redis: Redis | None = None
    figures: Figures = field(default_factory=Figures)

    def write(self, parts: Iterable[Part], *, note: Any = None) -> Written:
        """Write what the running task has for the next stage as one object."""
        return storing.write(parts, note=note)


class Crossing:
    """One exchange, as the client leads it; made by :func:`crossing`.

    Attributes:
        way: What the tasks of stage 1 write with.
        told: One line that tells which way was taken, and why.
    """

    def __init__(self, executor: Executor, policy: Exchange) -> None:
        self._executor, self._policy = executor, policy
        self._made: list[Written] = []
        self.way: Exchange = policy
        self.told = ""

    def begin(self, writers: int, readers: int, nbytes: int | None) -> None:
        """Decide what tasks of stage 1 write with."""
        policy = self._policy
        if isinstance(policy, Redis):
            self.told = fit(policy, choosing.memory(writers, readers, nbytes or 0), known=nbytes is not None)
        elif isinstance(policy, Chosen) and policy.redis is not None and nbytes is not None:
            self._begin_chosen(policy, policy.redis, writers, readers, nbytes)

    def _begin_chosen(self, policy: Chosen, redis: Redis, n: int, m: int, nbytes: int) -> None:
        needed = choosing.memory(n, m, nbytes)
        frees = [servers.keeps(url).free for url in redis.urls]
        room = min((len(frees) * free for free in frees if free is not None), default=needed)
        found = _ways(n, m, nbytes, self._executor.workers, policy.figures)
        by_redis = choosing.taken(
            "redis", n, m, nbytes, self._executor.workers, policy.figures, shards=len(redis.urls)
        )
        best = choosing.least([by_redis, *found])
        if needed > room:
            self.told = (
                f"not redis: {needed / 1e9:.1f} GB are needed there, and {room / 1e9:.1f} GB are free; "
            )
        elif best.way == "redis":
            self.way = self._policy = redis
            self.told = choosing.explained(best, found, n, m)

    def delivered(
        self, written: Iterable[Written], shares: Sequence[Sequence[Slice]]
    ) -> list[Sequence[Slice]]:
        """Return what each task of stage 2 reads, after a stage in the middle if that is the way.

        Args:
            written: What tasks of stage 1 have returned; it is deleted when the block ends.
            shares: For each task of stage 2 its columns, :func:`~wrens.models.exchange.joined`.
        """
        written = list(written)
        self._made += written
        policy = self._policy
        if isinstance(policy, Redis):
            spilt, nbytes = _spilt(written), sum(one.nbytes for one in written)
            self.told += f"; {nbytes / 1e9:.3g} GB were written"
            self.told += f", {spilt / 1e9:.3g} GB of them to the store" if spilt else ""
            return list(shares)
        moved, made, told = brought_together(self._executor, policy, written, shares)
        self.told += told
        self._made += made
        return moved

    def end(self) -> None:
        """Delete all that was written."""
        storing.forget(self._made)
        self._made = []


@contextmanager
def crossing(
    policy: Exchange | None,
    executor: Executor,
    *,
    writers: int,
    readers: int,
    nbytes: int | None = None,
) -> Iterator[Crossing]:
    """Lead one exchange from stage to stage, and delete what it has written when the block ends.

    Args:
        policy: The way; ``None`` chooses.
        executor: Runs the stages.
        writers: How many tasks write.
        readers: How many parts each writes.
        nbytes: How much will be written, if that is known.

    Raises:
        BadOption: if the policy is none.
        BadShard: if a Redis server cannot be used.
    """
    if policy is not None and (isinstance(policy, type) or not callable(getattr(policy, "write", None))):
        ways = "wrens.Packed(), wrens.TwoLevel(), wrens.Redis(urls) or wrens.Chosen()"
        raise BadOption(f"exchange={policy!r}", "is no way through an exchange", f"Pass {ways}.")
    step = Crossing(executor, Chosen() if policy is None else policy)
    step.begin(writers, readers, nbytes)
    try:
        yield step
    finally:
        step.end()


def brought_together(
    executor: Executor,
    policy: Exchange,
    written: Sequence[Written],
    shares: Sequence[Sequence[Slice]],
    folder: str = "",
) -> tuple[list[Sequence[Slice]], list[Written], str]:
    """Run a stage in the middle, if that is the way.

    Args:
        executor: Runs it.
        policy: The way that is wished for.
        written: What tasks of stage 1 have returned.
        shares: For each task of stage 2 its columns.
        folder: What keys of its objects begin with; by default they lie below its job.

    Returns:
        What each task of stage 2 reads; what was written in the middle; and a line that tells why.
    """
    n, m = sum(one.nbytes > 0 for one in written), len(shares)
    if not isinstance(policy, (Packed, TwoLevel)) and any(is_near(one.store) for one in written):
        told = f"packed: {n:,} × {m:,} parts on this computer, where reading needs no requests"
        return list(shares), [], told
    parts, nbytes = two_level.extent(shares)
    figures = policy.figures if isinstance(policy, Chosen) else Figures()
    packed, twice = _ways(n, m, nbytes, executor.workers, figures, parts=parts)
    wished = packed if isinstance(policy, Packed) else twice if isinstance(policy, TwoLevel) else None
    best = wished or choosing.least([packed, twice])
    told = choosing.explained(best, [packed, twice], n, m)
    if best.way != "two-level" or not two_level.can_move(shares):
        return list(shares), [], told
    moved, made = two_level.moved(executor, shares, folder)
    return moved, made, told


def fit(policy: Redis, needed: int, *, known: bool) -> str:
    """Look whether servers have the memory that is needed, and return a sentence about it.

    Raises:
        BadShard: if a server cannot be used, or if it will not fit and must.
    """
    each = needed / len(policy.urls)
    found = [(url, servers.keeps(url)) for url in policy.urls]
    short = [(url, one.free) for url, one in found if one.free is not None and one.free < each]
    frees = [one.free for _, one in found if one.free is not None]
    room = (
        f"{sum(frees) / 1e9:.3g} GB are free" if len(frees) == len(found) else "how much is free is not told"
    )
    count = f"{len(found)} shard{'s' * (len(found) != 1)}"
    if not known:
        return f"redis: {count}, of which {room}; how much is needed shows when it is written"
    if short and not policy.spill:
        url, free = short[0]
        raise BadShard(
            url,
            f"about {each / 1e9:.3g} GB are needed there, and {(free or 0) / 1e9:.3g} GB are free",
            "Give more shards or memory, or pass spill=True to have the rest written to the store.",
        )
    return f"redis: {count}, about {needed / 1e9:.3g} GB are needed and {room}" + (
        "; the rest goes to the store" if short else ""
    )


def _ways(
    n: int, m: int, nbytes: int, workers: int, figures: Figures, *, parts: int | None = None
) -> list[choosing.Taken]:
    """Return what packed and two-level take, in this order."""
    return [
        choosing.taken("packed", n, m, nbytes, workers, figures, parts=parts),
        choosing.taken("two-level", n, m, nbytes, workers, figures),
    ]


def _spilt(written: Iterable[Written]) -> int:
    """Return how many bytes the store holds of what was meant for Redis."""
    return sum(
        length
        for one in written
        for length, place in zip(
            memoryview(one.lengths).cast("Q"), memoryview(one.places).cast("H"), strict=True
        )
        if not place
    )
