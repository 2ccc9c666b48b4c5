"""Whether data are sorted, and still the same data: the sort benchmark's checks.

    valid = validate(ex, target, border=100, key=slice(0, 10))      order inside and across objects, count, checksum
    same  = summed(ex, source, border=100)                          count and checksum of what was to be sorted

Decides nothing about how data were sorted, and takes no word of those who did it: only the manifest's list of objects
is compared with what is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wrens.core.executor import Executor
from wrens.errors import BadData, NoData, ObjectMissing
from wrens.models import records as checks
from wrens.models.borders import Fixed
from wrens.models.layouts import Layout, Records
from wrens.models.partition import SIZE, Partition, partition
from wrens.models.sorting import MANIFEST, layout_of
from wrens.store import data as places
from wrens.store.data import Address, open_data


@dataclass(frozen=True, slots=True)
class Summed:
    """What records are together.

    Args:
        records: How many.
        checksum: A sum over them that does not depend on their order; below 2**64.
    """

    records: int
    checksum: int


@dataclass(frozen=True, slots=True)
class _Seen:
    records: int
    checksum: int
    first: Any = None
    last: Any = None


def summed(
    executor: Executor, source: Address | Iterable[Address], *, border: str | bytes | int = "lines"
) -> Summed:
    r"""Return how many records there are, and their checksum.

    >>> import tempfile, wrens
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder, wrens.Executor("inline") as ex:
    ...     _ = Path(folder, "a").write_text("b\na\n")
    ...     _ = Path(folder, "b").write_text("a\nb\n")
    ...     summed(ex, f"{folder}/a") == summed(ex, f"{folder}/b"), summed(ex, f"{folder}/a").records
    (True, 2)
    """
    layout = layout_of(border, None)
    found = executor.map_async(
        _looker(layout, ordered=False), partition(source, size=SIZE, border=border)
    ).results()
    return Summed(sum(one.records for one in found), sum(one.checksum for one in found) % (1 << 64))


def validate(
    executor: Executor, target: Address, *, border: str | bytes | int = "lines", key: Any = None
) -> Summed:
    """Check that the objects of a sort are complete and in order, and return what their records are together.

    Args:
        executor: Reads the objects, each in one task or more.
        target: Where :func:`wrens.sort` has put them.
        border: What a record is, as the sort was told.
        key: By what records are compared, as it was told.

    Raises:
        NoData: if there is no manifest there, so the sort did not end; or an object that it names is gone.
        BadData: if records are not in order, or their number is not the manifest's; it says where.
    """
    layout = layout_of(border, key)
    store, prefix = places.place_of(target)
    prefix = prefix.rstrip("/")
    try:
        told = json.loads(bytes(open_data(store).get(f"{prefix}/{MANIFEST}")))
    except ObjectMissing:
        raise NoData(
            str(target), f"there is no {MANIFEST}: the sort has not ended, or nothing was sorted here"
        ) from None
    names = [f"{str(target).rstrip('/')}/{one['name']}" for one in told["parts"] if one["bytes"]]
    parts = partition(names, size=SIZE, border=border) if names else []
    found = executor.map_async(_looker(layout, ordered=True), parts).results()
    before: tuple[Any, Partition] | None = None
    for part, one in zip(parts, found, strict=True):
        if not one.records:
            continue
        if before is not None and one.first < before[0]:
            raise BadData(
                part.url, part.bounds()[0], f"this record is less than the last one of {before[1].url}"
            )
        before = (one.last, part)
    records = sum(one.records for one in found)
    if records != told["records"]:
        raise BadData(
            str(target), 0, f"there are {records:,} records, and the manifest says {told['records']:,}"
        )
    return Summed(records, sum(one.checksum for one in found) % (1 << 64))


def _looker(layout: Layout, *, ordered: bool) -> Callable[[Partition], _Seen]:
    """Return the task that looks through a partition."""

    def look(part: Partition) -> _Seen:
        data = part.read()
        records = layout.of([data], part)
        if not records.count:
            return _Seen(0, 0)
        if ordered:
            order = records.order()
            wrong = np.flatnonzero(order != np.arange(records.count))
            if len(wrong):
                at = part.bounds()[0] + records.offset(int(wrong[0]))
                raise BadData(part.url, at, "the records are not in order from here on")
        return _Seen(
            records.count, _checksum(layout, records, data), records.key(0), records.key(records.count - 1)
        )

    return look


def _checksum(layout: Layout, records: Records, data: memoryview) -> int:
    if isinstance(layout.border, Fixed):
        return checks.checksum(np.frombuffer(data, np.uint8).reshape(-1, layout.border.width))
    edges = np.array([records.offset(i) for i in range(records.count)] + [len(data)], np.int64)
    return checks.checksum_of(np.frombuffer(data, np.uint8), edges)
