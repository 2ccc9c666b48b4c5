"""What the services bill for what: a table with a date and a source for each figure.

    AWS             the table that comes with wrens: US East (N. Virginia), first tier, without free tiers
    WRENS_PRICES    a TOML or JSON file with other figures, by the names of the fields of Prices

Prices change, differ by region, and are lower for who buys much; so every figure says when it was true and who says
so, and each can be replaced. Decides the figures and how they are replaced; what is multiplied with them is decided
in :mod:`wrens.report.cost`. Asks nobody over the network.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from wrens.errors import BadOption

VARIABLE = "WRENS_PRICES"
"""Names a file with prices that take the place of those that come with wrens."""
FREE_DISK_MB = 512
"""The part of a function's disk that costs nothing."""


@dataclass(frozen=True)
class Price:
    """One figure.

    Args:
        usd: US dollars for one of ``unit``.
        unit: Such as ``"GB-second"``.
        date: When it was true, as ``YYYY-MM`` or ``YYYY-MM-DD``.
        source: Who says so.
    """

    usd: float
    unit: str
    date: str
    source: str


_LIST = "AWS Price List, US East (N. Virginia)"


@dataclass(frozen=True)
class Prices:
    """What a region bills.

    Args:
        region: Where.
        x86_64, arm64: Time of a function, by its memory; a GB is 1024 MB of it.
        invocation: A request to a function. A payload beyond 256 KB counts as one more for each 64 KB.
        disk: A function's disk beyond ``FREE_DISK_MB``, by time.
        put: PUT, COPY, POST and LIST requests to S3.
        get: GET, HEAD and all other requests to S3 but DELETE, which are free.
        stored: What lies in S3 Standard, by months.
        out: What leaves the region for the internet, such as to a client on a desk. A GB is 10**9 bytes here.
        logged: What functions and their tasks write to the log.

    >>> AWS.put.usd, AWS.put.date
    (5e-06, '2025-10-28')
    """

    region: str
    x86_64: Price
    arm64: Price
    invocation: Price
    disk: Price
    put: Price
    get: Price
    stored: Price
    out: Price
    logged: Price

    def compute(self, machine: str) -> Price:
        """Return the price of a function's time on a kind of processor, as it calls itself."""
        return self.arm64 if machine in ("aarch64", "arm64") else self.x86_64

    @property
    def dates(self) -> tuple[str, str]:
        """The earliest and the latest date of these figures."""
        dates = [getattr(self, name).date for name in PRICED]
        return min(dates), max(dates)


PRICED = tuple(field.name for field in fields(Prices) if field.name != "region")
"""Names of the figures."""

AWS = Prices(
    region="us-east-1",
    x86_64=Price(0.0000166667, "GB-second", "2025-10-28", _LIST),
    arm64=Price(0.0000133334, "GB-second", "2025-10-28", _LIST),
    invocation=Price(0.0000002, "request", "2025-10-28", _LIST),
    disk=Price(0.0000000309, "GB-second", "2025-10-28", _LIST),
    put=Price(0.000005, "request", "2025-10-28", _LIST),
    get=Price(0.0000004, "request", "2025-10-28", _LIST),
    stored=Price(0.023, "GB-month", "2025-10-28", _LIST),
    out=Price(0.09, "GB", "2026-04-27", "https://leanopstech.com/blog/aws-data-transfer-pricing-2026/"),
    logged=Price(0.50, "GB", "2025-05", "https://www.duckbillgroup.com/?p=9080"),
)
"""Where the figures stand at Amazon: https://aws.amazon.com/lambda/pricing/ and https://aws.amazon.com/s3/pricing/"""


def current(environ: Mapping[str, str] | None = None) -> Prices:
    """Return the prices to reckon with: those of ``WRENS_PRICES``, or those that come with wrens.

    Raises:
        BadOption: if that file cannot be read or holds what is no price.
    """
    named = (os.environ if environ is None else environ).get(VARIABLE)
    return load(named) if named else AWS


def load(path: str | os.PathLike[str], base: Prices = AWS) -> Prices:
    r"""Read prices from a file; what it does not name is as in ``base``.

    Args:
        path: A JSON file if its name ends so, otherwise TOML. ``put = 0.0000054`` is a figure; a table may have
            ``usd``, ``date`` and ``source``.
        base: What stays where the file is silent.

    Raises:
        BadOption: if the file cannot be read or holds what is no price.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "prices.toml")
    >>> _ = path.write_text('region = "eu-west-1"\ndate = "2026-11"\nput = 0.0000054\n')
    >>> load(path).put.usd, load(path).put.date, load(path).get.date
    (5.4e-06, '2026-11', '2025-10-28')
    """
    told = str(path)
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
        found = json.loads(text) if told.endswith(".json") else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise _bad(told, f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise _bad(told, "holds no table of prices")
    date, source = str(found.pop("date", "no date")), str(found.pop("source", told))
    changes: dict[str, object] = {}
    if "region" in found:
        changes["region"] = str(found.pop("region"))
    for name, value in found.items():
        if name not in PRICED:
            raise _bad(told, f"names {name}, which is no price; there are {', '.join(PRICED)}")
        entry = value if isinstance(value, dict) else {"usd": value}
        usd = entry.get("usd")
        if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not 0 <= usd < float("inf"):
            raise _bad(told, f"has {usd!r} for {name}, which is no amount of dollars")
        unit = getattr(base, name).unit
        changes[name] = Price(
            float(usd), unit, str(entry.get("date", date)), str(entry.get("source", source))
        )
    return replace(base, **changes)  # type: ignore[arg-type]


def _bad(path: str, problem: str) -> BadOption:
    advice = f"Correct the file, or unset {VARIABLE} to reckon with the prices that come with wrens."
    return BadOption(f"{VARIABLE}={path}", problem, advice)
