"""Whether data are sorted, and still the same data: the sort benchmark's checks.

    same  = summed(ex, source, border=100)                           count and checksum of what is to be sorted
    valid = validate(ex, target, border=100, key=slice(0, 10), same_as=same)

Order inside the objects and from one to the next, their number and sizes against the manifest, count and checksum. Decides
nothing about how data were sorted, and takes no word of those who did it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wrens.core.executor import Executor
from wrens.core.job import Job
from wrens.errors import BadData, JobFailed, NoData
from wrens.models.partitions.partition import SIZE, Partition, partition_found
from wrens.models.sort.layouts import Layout
from wrens.models.sort.records import Summed
from wrens.models.sort.sorting import Key, fitted, layout_of
from wrens.models.sort.target import MANIFEST, target_of
from wrens.store import data as places
from wrens.store.data import Address


@dataclass(frozen=True, slots=True)
class _Seen:
    sum: Summed
    begun: int = 0
    first: Any = None
    last: Any = None


def summed(
    executor: Executor,
    source: Address | Iterable[Address],
    *,
    border: str | bytes | int | None = None,
    key: Key = None,
) -> Summed:
    r"""Return how many records there are, and their checksum.

    Args:
        executor: Reads the objects.
        source: What to look at; see :func:`wrens.partition`.
        border: What a record is, as :func:`wrens.sort` is told.
        key: Likewise; it changes nothing but what a record is.

    >>> import tempfile, wrens
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder, wrens.Executor("inline") as ex:
    ...     _ = Path(folder, "a").write_text("b\na")
    ...     _ = Path(folder, "b").write_text("a\nb\n")
    ...     summed(ex, f"{folder}/a") == summed(ex, f"{folder}/b"), summed(ex, f"{folder}/a").records
    (True, 2)
    """
    layout = layout_of(border, key)
    parts = partition_found(places.find(source), SIZE, layout.border)
    looking = executor.map_async(_looker(fitted(layout, parts), ordered=False), parts)
    return sum((one.sum for one in _results(looking)), Summed(0, 0))


def validate(
    executor: Executor,
    target: Address,
    *,
    border: str | bytes | int | None = None,
    key: Key = None,
    same_as: Summed | None = None,
) -> Summed:
    """Check that the objects of a sort are complete and in order, and return what their records are together.

    Args:
        executor: Reads the objects, each in one task or more.
        target: Where :func:`wrens.sort` has put them.
        border: What a record is, as the sort was told.
        key: By what records are compared, as it was told.
        same_as: What :func:`summed` said of the source: then nothing is lost, doubled or changed.

    Raises:
        NoData: if there is no manifest there, so the sort did not end; or an object that it names is gone.
        BadData: if something is wrong; it says what and where.
    """
    layout = layout_of(border, key)
    to = target_of(target)
    told = json.loads(to.manifest())
    parts = _listed(to.url, told["parts"], layout)
    found = _results(executor.map_async(_looker(fitted(layout, parts), ordered=True), parts))
    before: tuple[Any, Partition] | None = None
    for part, one in zip(parts, found, strict=True):
        if not one.sum.records:
            continue
        if before is not None and one.first < before[0]:
            raise BadData(part.url, one.begun, f"this record is less than the last one of {before[1].url}")
        before = (one.last, part)
    whole = sum((one.sum for one in found), Summed(0, 0))
    if whole.records != told["records"]:
        wrong = f"there are {whole.records:,} records, and the manifest says {told['records']:,}"
        raise BadData(f"{to.url}/{MANIFEST}", 0, wrong)
    if same_as is not None and whole.records != same_as.records:
        raise BadData(
            to.url, 0, f"there are {whole.records:,} records, and the source has {same_as.records:,}"
        )
    if same_as is not None and whole != same_as:
        raise BadData(
            to.url, 0, "the checksum is not that of the source: a record was changed, or lost and doubled"
        )
    return whole


def _listed(url: str, told: list[dict[str, Any]], layout: Layout) -> list[Partition]:
    """Return the objects of a manifest as partitions, in its order.

    Raises:
        NoData: if one of them is gone.
        BadData: if one has another size, or there is one more.
    """
    there = {one.url.removeprefix(f"{url}/"): one for one in (places.find(url) if told else [])}
    parts = []
    for one in told:
        found = there.pop(one["name"], None)
        if found is None:
            raise NoData(f"{url}/{one['name']}", f"there is no such object, and {MANIFEST} lists it")
        if found.nbytes != one["bytes"]:
            wrong = f"the object has {found.nbytes:,} bytes, and {MANIFEST} says {one['bytes']:,}"
            raise BadData(found.url, min(found.nbytes, one["bytes"]), wrong)
        if found.nbytes:
            parts += partition_found([found], SIZE, layout.border)
    for found in there.values():
        raise BadData(found.url, 0, f"{MANIFEST} does not list this object")
    return parts


def _results(job: Job[_Seen]) -> list[_Seen]:
    try:
        return job.results()
    except JobFailed as failed:
        first = failed.failures[min(failed.failures)]
        raise (first if isinstance(first, BadData) else failed) from None


def _looker(layout: Layout, *, ordered: bool) -> Callable[[Partition], _Seen]:
    """Return the task that looks through a partition."""

    def look(part: Partition) -> _Seen:
        records = layout.load(part)
        if not records.count:
            return _Seen(Summed(0, 0))
        wrong = records.first_out_of_order() if ordered else None
        if wrong is not None:
            raise BadData(part.url, records.offset(wrong), "this record is less than the one before it")
        seen = Summed(records.count, records.checksum())
        return _Seen(seen, records.offset(0), records.key(0), records.key(records.count - 1))

    return look
