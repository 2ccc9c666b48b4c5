"""Records to sort: made from a seed, and summed up so that nothing can be lost, doubled or changed unseen.

The records are those of the sort benchmark in shape: 100 bytes, of which the first ten are the key. Any range of them can be
made alone, so that many workers make one file each. Decides what they look like, and what their checksum is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wrens.core.policy import whole
from wrens.models.hashing import ODD, mixed, numbers_of_records
from wrens.models.sort.lending import lent
from wrens.models.sort.target import MANIFEST, Target, as_json, target_of
from wrens.store.data import Address

if TYPE_CHECKING:  # workers import this module, and no driver
    from wrens.core.executor import Executor

WIDTH = 100
KEY = 10
PART = 64 * 2**20
"""Bytes of an object when nobody says how many there are."""
_BLOCK = 1 << 16
"""Records that are made at a time."""
_NUMBER = 16
"""Hexadecimal digits of a record's number."""
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True, slots=True)
class Summed:
    """What records are together.

    Args:
        records: How many.
        checksum: A sum over them that does not depend on their order; below 2**64.
    """

    records: int
    checksum: int

    def __add__(self, other: Summed) -> Summed:
        """Return what two sets of records are together."""
        return Summed(self.records + other.records, (self.checksum + other.checksum) % (1 << 64))


def write(
    executor: Executor,
    target: Address,
    records: int,
    *,
    seed: int = 0,
    parts: int | None = None,
    overwrite: bool = False,
) -> Summed:
    """Write the records of a seed, each object by a task of its own.

    Args:
        executor: Runs the tasks.
        target: A directory or prefix for the objects ``part-00000``, ``part-00001``, …
        records: How many records, of 100 bytes each.
        seed: Which ones; the same seed makes the same records, however many objects they are in.
        parts: How many objects; by default one for each 64 MiB.
        overwrite: Replace what was written there before.

    Returns:
        How many there are and their checksum, which a sort must not change.

    Raises:
        TargetTaken: if something is there.
        BadOption: if a number cannot be.

    >>> import tempfile, wrens
    >>> with tempfile.TemporaryDirectory() as folder, wrens.Executor("inline") as ex:
    ...     one = write(ex, f"{folder}/one", 1000, seed=1, parts=1)
    ...     one == write(ex, f"{folder}/three", 1000, seed=1, parts=3), one.records
    (True, 1000)
    """
    whole("records", records, least=0)
    whole("seed", seed, least=0)
    count = max(1, -(-records * WIDTH // PART)) if parts is None else parts
    whole("parts", count)
    to = target_of(target)
    to.clear(overwrite=overwrite)
    edges = [records * i // count for i in range(count + 1)]
    found = executor.map_async(_writer(to, seed), list(enumerate(pairwise(edges)))).results()
    names = [(f"part-{i:05}", one.records * WIDTH, one.records) for i, one in enumerate(found)]
    to.put(MANIFEST, [as_json(records, names)])
    to.tidy()
    return sum(found, Summed(0, 0))


def _writer(target: Target, seed: int) -> Callable[[tuple[int, tuple[int, int]]], Summed]:
    """Return the task that writes one object."""

    def write_one(one: tuple[int, tuple[int, int]]) -> Summed:
        number, (first, last) = one
        with lent((last - first) * WIDTH) as room:
            rows = room.reshape(-1, WIDTH)
            for at in range(first, last, _BLOCK):
                some = generate(seed, at, min(_BLOCK, last - at))
                rows[at - first : at - first + len(some)] = some
            target.put(f"part-{number:05}", [room.data])
            return Summed(last - first, checksum(rows))

    return write_one


def generate(seed: int, first: int, count: int) -> npt.NDArray[np.uint8]:
    """Return records ``first`` to ``first + count - 1`` of the file that a seed stands for, one in each row.

    A record is a random key of ten bytes, two spaces, its number as 16 hexadecimal digits, and letters up to a width
    of 100 bytes.

    >>> two = generate(1, 0, 2)
    >>> two.shape, bytes(two[1, 12:28]), bool((generate(1, 1, 1) == two[1:]).all())
    ((2, 100), b'0000000000000001', True)
    """
    numbers = np.arange(first, first + count, dtype=np.uint64)
    rows = np.empty((count, WIDTH), np.uint8)
    high, low = _random(numbers, seed, 1), _random(numbers, seed, 2)
    rows[:, :8] = high.astype(">u8").view(np.uint8).reshape(-1, 8)
    rows[:, 8:KEY] = low.astype(">u8").view(np.uint8).reshape(-1, 8)[:, :2]
    rows[:, KEY : KEY + 2] = ord(" ")
    for digit in range(_NUMBER):
        shift = np.uint64(4 * (_NUMBER - 1 - digit))
        rows[:, KEY + 2 + digit] = _DIGITS[(numbers >> shift) & np.uint64(15)]
    begin = KEY + 2 + _NUMBER
    letters = ord("A") + (numbers % np.uint64(26)).astype(np.uint8)
    rows[:, begin:] = letters[:, None]
    return rows


def _random(numbers: npt.NDArray[np.uint64], seed: int, stream: int) -> npt.NDArray[np.uint64]:
    """Return a random number for each number: SplitMix64 (Steele, Lea and Flood, 2014), begun anew at each."""
    with np.errstate(over="ignore"):
        start = np.uint64((seed * 0xD1342543DE82EF95 + stream * 0x2545F4914F6CDD1D) & (1 << 64) - 1)
        return mixed(start + numbers * ODD)


def checksum(rows: npt.NDArray[np.uint8]) -> int:
    """Return a sum over records of one width that does not depend on their order, below 2**64.

    Each record is hashed as a whole, so that bytes which move from one record to another change it.

    >>> rows = generate(1, 0, 100)
    >>> checksum(rows) == checksum(rows[::-1]), checksum(rows) == checksum(rows[1:])
    (True, False)
    """
    count, width = rows.shape
    words = -(-width // 8)
    found = np.full(count, width, np.uint64)
    with np.errstate(over="ignore"):
        for i in range(words):
            part = rows[:, 8 * i : 8 * (i + 1)]
            if part.shape[1] < 8:
                wide = np.zeros((count, 8), np.uint8)
                wide[:, : part.shape[1]] = part
                part = wide
            word = np.ascontiguousarray(part).view(np.uint64)[:, 0]
            found = (found ^ mixed(word + np.uint64(i + 1) * ODD)) * ODD
            found ^= found >> np.uint64(29)
        return int(np.add.reduce(mixed(found), dtype=np.uint64))


def checksum_of(data: npt.NDArray[np.uint8], edges: npt.NDArray[np.int64]) -> int:
    r"""Return a sum over records of any length that does not depend on their order, below 2**64.

    Args:
        data: The bytes.
        edges: Where each record begins, and where the last one ends.

    >>> data = np.frombuffer(b"b\na\n", np.uint8)
    >>> edges = np.array([0, 2, 4])
    >>> checksum_of(data, edges) == checksum_of(data[[2, 3, 0, 1]], edges)
    True
    """
    if len(edges) < 2:
        return 0
    with np.errstate(over="ignore"):
        return int(np.add.reduce(numbers_of_records(data, edges), dtype=np.uint64))
