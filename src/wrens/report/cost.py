"""What a job has used that is billed, and what that costs.

    verdicts    useful work: billed time, memory size, requests of the worker
    losses      wasted: attempts that ended without a verdict
    wasted      wasted: attempts that came too late, because somebody else had settled their batch
    account     what each driver has asked of the store, and how many attempts it has launched

Decides what counts as wasted, what is multiplied with which price, and what is said not to be known. Reads only.
Figures of prices are :mod:`wrens.plan.prices`' matter; how it is printed is that of the command.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from wrens.errors import BadSignature, DamagedObject, ObjectMissing
from wrens.plan.prices import Price, Prices, current
from wrens.report.summary import Summary, read_all, summarize
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import Account, Loss, Requests, Usage

GB = 10**9
T = TypeVar("T", Account, Usage)
Record = Usage | Loss


@dataclass(frozen=True, slots=True)
class Compute:
    """Billed time of one kind of worker.

    Args:
        machine: Its processor.
        useful: GB-seconds of attempts that settled something. A GB is 1024 MB of the worker's memory size.
        wasted: GB-seconds of others.
    """

    machine: str
    useful: float = 0.0
    wasted: float = 0.0


@dataclass(frozen=True, slots=True)
class Spending:
    """What a job has used that somebody may bill.

    Args:
        compute: Billed time, for each kind of worker.
        invocations: As how many the platform counts what is recorded.
        wasted_invocations: Those of them that settled nothing.
        unknown_invocations: Launched, and left no record: still running, or over before they began.
        unknown_losses: Lost attempts of which nobody knows how long they ran.
        lost: Lost attempts, whose requests nobody knows.
        workers: Requests by workers that left a record.
        clients: Requests by drivers that left an account.
        accounts: How many such drivers there were.
        billed: Whether the workers' platform bills time.
        bucket: Whether the store is a bucket, whose requests are billed.
    """

    compute: tuple[Compute, ...] = ()
    invocations: int = 0
    wasted_invocations: int = 0
    unknown_invocations: int = 0
    unknown_losses: int = 0
    lost: int = 0
    workers: Requests = field(default_factory=Requests)
    clients: Requests = field(default_factory=Requests)
    accounts: int = 0
    billed: bool = False
    bucket: bool = False

    @property
    def useful(self) -> float:
        """GB-seconds of attempts that settled something."""
        return sum(part.useful for part in self.compute)

    @property
    def wasted(self) -> float:
        """GB-seconds of attempts that settled nothing."""
        return sum(part.wasted for part in self.compute)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a bill: a quantity and its price."""

    name: str
    quantity: float
    price: Price

    @property
    def usd(self) -> float:
        """Dollars."""
        return self.quantity * self.price.usd


@dataclass(frozen=True, slots=True)
class Bill:
    """What a job has cost, as far as it is known.

    Args:
        items: Line by line.
        unknown: What is missing, in words.
        prices: The table.
    """

    items: tuple[Item, ...]
    unknown: tuple[str, ...]
    prices: Prices

    @property
    def usd(self) -> float:
        """Dollars in all."""
        return sum(item.usd for item in self.items)


def cost_of(job_id: str, store: Store, prices: Prices | None = None) -> Bill:
    """Return what a job has cost, as far as the store knows.

    Args:
        job_id: The job's id or name.
        store: Where it is.
        prices: The table; by default :func:`wrens.plan.prices.current`.

    Raises:
        UnknownJob: if the store holds no such job.
        BadOption: if ``WRENS_PRICES`` names no table.

    >>> from wrens import Executor
    >>> from wrens.store import open_store
    >>> store = open_store("memory://cost")
    >>> with Executor("inline", store=store, keep=True) as ex:
    ...     job = ex.map_async(abs, [-1, 2])
    >>> cost_of(job.id, store).usd
    0
    """
    return bill(spending(store, summarize(store, job_id)), prices or current())


def spending(store: Store, summary: Summary) -> Spending:
    """Add up what the records of a job tell.

    Args:
        store: Where it is.
        summary: Its verdicts and losses.
    """
    evidence = list(store.list(keys.attempts(summary.job)))
    accounts = _read(store, evidence, "account", Account)
    late = _read(store, evidence, "wasted", Usage)
    return add_up(
        [verdict.usage for verdict in summary.verdicts],
        late,
        summary.losses,
        accounts,
        bucket=store.url.startswith(("s3:", "gs:", "az:")),
    )


def add_up(
    useful: Iterable[Usage],
    late: Iterable[Usage],
    losses: Iterable[Loss],
    accounts: Iterable[Account],
    *,
    bucket: bool = False,
) -> Spending:
    """Add up records.

    Args:
        useful: Of attempts that settled something.
        late: Of attempts that came too late.
        losses: Attempts without a verdict.
        accounts: Of drivers.
        bucket: Whether the store is one.

    >>> half = Usage(billed_s=2.0, billed_mb=512, machine="x86_64", invocations=1)
    >>> found = add_up([half, half], [], [Loss("gone", billed_s=3.0, billed_mb=512, invocations=1)], [])
    >>> found.useful, found.wasted, found.invocations, found.wasted_invocations
    (2.0, 1.5, 3, 1)
    """
    useful, late, losses, accounts = list(useful), list(late), list(losses), list(accounts)
    begun = [loss for loss in losses if loss.started]
    billed = any(usage.billed_s for usage in (*useful, *late)) or any(loss.billed_s for loss in begun)
    machine = next((usage.machine for usage in useful if usage.machine), "")
    parts: dict[str, list[float]] = {}
    vain: list[Record] = [*late, *begun]
    columns: tuple[Sequence[Record], ...] = (useful, vain)
    for column, records in enumerate(columns):
        for one in records:
            if one.billed_s:
                parts.setdefault(one.machine or machine, [0.0, 0.0])[column] += gb_seconds(one)
    wasted = sum(one.invocations for one in vain)
    invocations = wasted + sum(usage.invocations for usage in useful)
    launched = sum(account.launched for account in accounts) - sum(not loss.started for loss in losses)
    asked = [usage.requests for usage in (*useful, *late) if usage.requests is not None]
    return Spending(
        compute=tuple(Compute(name, *both) for name, both in sorted(parts.items())),
        invocations=invocations,
        wasted_invocations=wasted,
        unknown_invocations=max(0, launched - invocations) if billed else 0,
        unknown_losses=sum(not loss.billed_s for loss in begun) if billed else 0,
        lost=len(begun),
        workers=sum(asked, Requests()),
        clients=sum((account.requests + account.shared for account in accounts), Requests()),
        accounts=len(accounts),
        billed=billed,
        bucket=bucket,
    )


def gb_seconds(one: Usage | Loss) -> float:
    """Return billed time times memory size; the platform rounds time up to 1 ms.

    >>> gb_seconds(Usage(billed_s=0.0992, billed_mb=2048))
    0.2
    """
    return math.ceil(round(one.billed_s * 1000, 3)) / 1000 * one.billed_mb / 1024


def bill(spent: Spending, prices: Prices) -> Bill:
    """Price what was used.

    Args:
        spent: What was used.
        prices: The table.

    >>> from wrens.plan.prices import AWS
    >>> thousand = Spending(workers=Requests(puts=1000, gets=1000), bucket=True)
    >>> for item in bill(thousand, AWS).items:
    ...     print(f"{item.name}: {item.usd:.4f}")
    PUT, COPY, POST, LIST requests: 0.0050
    GET and other requests: 0.0004
    """
    items = []
    for part in spent.compute:
        price = prices.compute(part.machine)
        items.append(Item(f"compute, useful ({part.machine or 'x86_64'})", part.useful, price))
        items.append(Item(f"compute, wasted ({part.machine or 'x86_64'})", part.wasted, price))
    items.append(Item("invocations", spent.invocations + spent.unknown_invocations, prices.invocation))
    both = spent.workers + spent.clients
    items.append(Item("PUT, COPY, POST, LIST requests", both.puts + both.lists, prices.put))
    items.append(Item("GET and other requests", both.gets, prices.get))
    items.append(Item("bytes to clients outside the region", spent.clients.bytes_read / GB, prices.out))
    return Bill(tuple(item for item in items if item.quantity), tuple(_unknown(spent, prices)), prices)


def _unknown(spent: Spending, prices: Prices) -> list[str]:
    """Return what the bill lacks, in words."""
    told = []
    if spent.bucket and not spent.accounts:
        told.append("requests by clients: none has left an account; each does when its job has ended")
    if spent.unknown_invocations:
        told.append(f"the time of {spent.unknown_invocations:,} invocations that have left no record")
    if spent.unknown_losses:
        told.append(f"the time of {spent.unknown_losses:,} lost attempts")
    if spent.bucket and spent.lost:
        told.append(f"the requests of {spent.lost:,} lost attempts")
    if spent.billed:
        told.append("in each invocation the time after its verdict was sealed, some hundredths of a second")
        told.append(f"a disk of functions beyond 512 MB, and log lines (${prices.logged.usd:g} per GB)")
    if spent.bucket:
        told.append(f"keeping the job's objects (${prices.stored.usd:g} per GB and month)")
    return told


def _read(store: Store, evidence: Iterable[str], name: str, kind: type[T]) -> list[T]:
    """Return the evidence of one kind; what is gone, or signed by nobody, is none."""

    def read(key: str) -> T | None:
        try:
            return envelope.from_json(kind, store.get(key), key)
        except (ObjectMissing, BadSignature, DamagedObject):
            return None

    reader: Callable[[str], T | None] = read
    found = read_all(reader, [key for key in evidence if keys.basename(key) == name])
    return [one for one in found if one is not None]
