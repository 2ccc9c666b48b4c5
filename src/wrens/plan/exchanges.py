"""What an exchange of some size takes each way, with the prices of the table: the arithmetic of docs/explain/exchange.md.

Decides which figures go in: rates of S3 and of workers as :mod:`wrens.models.exchange.choosing` has them, prices as
:mod:`wrens.plan.prices` has them, and the price of memory in Redis, which that table lacks.
"""

from __future__ import annotations

from collections.abc import Sequence

from wrens.models.exchange.choosing import Figures, Taken, Way, taken
from wrens.plan.prices import Price, Prices, current

CACHE = Price(0.0231, "GB-hour", "2019-02", "733 times the price of a GB in S3: Locus, NSDI 2019")
"""Memory of a Redis server that somebody else runs."""
SIZES = (10**9, 10**11, 10**12, 10**14)
"""Bytes: 1 GB, 100 GB, 1 TB and 100 TB."""
PART = 400 * 10**6
"""Bytes that one task writes or reads: a terabyte in 2,500, as in the paper."""
WORKERS = 1000
"""Tasks that run at a time."""
WAYS: tuple[Way, ...] = ("objects", "packed", "two-level", "redis")
_NAMES = {"objects": "n × m objects", "redis": "Redis"}


def figures(prices: Prices | None = None) -> Figures:
    """Return figures for :class:`wrens.Chosen` with the prices of a table.

    Args:
        prices: The table; by default that of ``WRENS_PRICES``, or the one that comes with wrens.

    >>> figures().put_usd
    5e-06
    """
    table = prices or current()
    return Figures(
        put_usd=table.put.usd,
        get_usd=table.get.usd,
        gb_second_usd=table.x86_64.usd,
        cache_gb_hour_usd=CACHE.usd,
    )


def compared(
    nbytes: int, *, part: int = PART, workers: int = WORKERS, prices: Prices | None = None
) -> list[Taken]:
    """Return what each way takes for an exchange in which as many tasks read as write.

    Args:
        nbytes: All that is passed on.
        part: Bytes that one task writes.
        workers: How many tasks run at a time.
        prices: The table of prices; see :func:`figures`.

    >>> [(one.way, one.writes, one.reads) for one in compared(10**12)][1:3]
    [('packed', 2500, 6250000), ('two-level', 5000, 250000)]
    """
    n = -(-nbytes // part)
    return [taken(way, n, n, nbytes, workers, figures(prices)) for way in WAYS]


def markdown(sizes: Sequence[int] = SIZES, *, part: int = PART, workers: int = WORKERS) -> str:
    """Return the comparison for some sizes as a table for a document.

    >>> print(markdown([10**9]).splitlines()[2])
    | 1 GB | 3 | n × m objects | 9 | 9 | 2 GB | 19 s | $0.0015 | |
    """
    lines = [
        "| Data | n = m | Way | Writes | Reads | Moved | Time | Cost | Memory |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for nbytes in sizes:
        n = -(-nbytes // part)
        for one in compared(nbytes, part=part, workers=workers):
            held = f"{_bytes(one.memory)} in {one.shards:,}" if one.memory else ""
            cells = (
                *(
                    _bytes(nbytes),
                    f"{n:,}",
                    _NAMES.get(one.way, one.way),
                    f"{one.writes:,}",
                    f"{one.reads:,}",
                ),
                *(_bytes(one.moved), _time(one.seconds), f"${_figure(one.usd)}", held),
            )
            lines.append(("| " + " | ".join(cells)).rstrip() + " |")
    return "\n".join(lines)


def _bytes(count: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{_figure(count / unit)} {name}"
    return f"{count:,.0f} B"


def _time(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{_figure(seconds / unit)} {name}"
    return f"{_figure(seconds)} s"


def _figure(value: float) -> str:
    """Return a number with two digits that tell, without an exponent."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{float(f'{value:.2g}'):.10f}".rstrip("0").rstrip(".")
