"""What ``wrens show`` says of a job's cost.

Decides the words and how many digits. The numbers come from :mod:`wrens.report.cost`.
"""

from __future__ import annotations

from typing import Any

from wrens.cli.screen import data, table
from wrens.report import texts
from wrens.report.cost import Bill, Spending
from wrens.wire.records import Requests


def show_cost(spent: Spending, bill: Bill) -> None:
    """Print what a job has used that is billed, and what it costs; nothing where nobody bills."""
    if not (spent.billed or spent.bucket):
        return
    rows = []
    if spent.billed:
        unknown = f", {spent.unknown_invocations:,} without a record" if spent.unknown_invocations else ""
        told = (
            f"{spent.useful + spent.wasted:,.3f} GB-seconds, {spent.wasted:,.3f} of them wasted; "
            f"{texts.count(spent.invocations, 'invocation')}, {spent.wasted_invocations:,} of them wasted"
        )
        rows.append(("billed", told + unknown))
    if spent.bucket:
        rows.append(("requests", f"{_asked(spent.workers)} by workers; {_asked(spent.clients)} by clients"))
        rows.append(("traffic", f"{_moved(spent.workers)} by workers; {_moved(spent.clients)} by clients"))
    rows.append(("cost", f"{dollars(bill.usd)}, by prices of {bill.prices.region}, {dates(bill)}"))
    for name, text in rows:
        data(f"{name:<10}{text}")
    data("")
    table(
        ["item", ">quantity", "unit", ">price", ">cost"],
        [
            (
                item.name,
                f"{item.quantity:,.0f}" if item.price.unit == "request" else f"{item.quantity:,.6f}",
                item.price.unit,
                f"${item.price.usd:.10f}".rstrip("0"),
                dollars(item.usd),
            )
            for item in bill.items
        ],
    )
    if bill.unknown:
        data("not in it: " + "; ".join(bill.unknown))
    for date, source in dict.fromkeys((item.price.date, item.price.source) for item in bill.items):
        data(f"prices of {date}: {source}")


def cost_facts(spent: Spending, bill: Bill) -> dict[str, Any]:
    """Return the same as data."""
    return {
        "gb_seconds_useful": spent.useful,
        "gb_seconds_wasted": spent.wasted,
        "invocations": spent.invocations,
        "invocations_wasted": spent.wasted_invocations,
        "invocations_unknown": spent.unknown_invocations,
        "requests": {"workers": facts_of(spent.workers), "clients": facts_of(spent.clients)},
        "usd": bill.usd,
        "items": [
            {
                "name": item.name,
                "quantity": item.quantity,
                "unit": item.price.unit,
                "usd_each": item.price.usd,
                "usd": item.usd,
                "date": item.price.date,
                "source": item.price.source,
            }
            for item in bill.items
        ],
        "unknown": list(bill.unknown),
        "region": bill.prices.region,
    }


def facts_of(requests: Requests) -> dict[str, int]:
    """Return requests by class, those classes of which there were none included."""
    return {name: getattr(requests, name) for name in requests.__struct_fields__}


def dollars(usd: float) -> str:
    """Return an amount with as many digits as it needs.

    >>> dollars(12.3456), dollars(0.000123456), dollars(0)
    ('$12.35', '$0.000123', '$0.00')
    """
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.6f}"


def dates(bill: Bill) -> str:
    """Return from when the prices are."""
    first, last = bill.prices.dates
    return f"as they were in {first}" if first == last else f"as they were from {first} to {last}"


def _asked(requests: Requests) -> str:
    return f"{requests.puts:,} PUT, {requests.lists:,} LIST, {requests.gets:,} GET"


def _moved(requests: Requests) -> str:
    return f"{texts.size(requests.bytes_read)} read, {texts.size(requests.bytes_written)} written"
