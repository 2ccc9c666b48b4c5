"""Where data may be cut so that no record is in two pieces.

For any position ``at`` of an object there is one *cut*, the first border at or after it; a partition that was planned
as ``[start, stop)`` is ``[cut(start), cut(stop))``. So partitions can be planned without reading anything, and whoever
reads one finds its cuts near its ends, alone. What is planned side by side lies side by side: every byte is in
exactly one partition, and one in which no record begins is empty.

Decides what a border is for each kind of data. Pure but for the function that it is given to read with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wrens.errors import BadOption

Read = Callable[[int, int], bytes]
"""``read(start, length)`` returns these bytes of the object, fewer at its end."""
NEAR = 64 * 1024
"""How far beyond a position is looked at first for a border; twice as far each time that there was none."""
FARTHEST = 4 * 2**20
"""How much is looked at at once, however long a record is."""


@dataclass(frozen=True, slots=True)
class Delimiter:
    r"""Records end with a mark, such as a new line.

    Args:
        mark: The bytes at the end of each record but perhaps the last.

    >>> data = b"one\ntwo\nthree"
    >>> [Delimiter(b"\n").cut(lambda start, n: data[start : start + n], at, 13) for at in (0, 1, 4, 5, 9)]
    [0, 4, 4, 8, 13]
    """

    mark: bytes

    def __post_init__(self) -> None:
        if not self.mark:
            raise BadOption("border=b''", "cannot be", "A delimiter has at least one byte.")

    def cut(self, read: Read, at: int, size: int) -> int:
        """Return the first border at or after ``at``, the object's end if there is none before.

        Args:
            read: Reads the object.
            at: A position.
            size: The object's size in bytes.
        """
        if at <= 0:
            return 0
        begin, near = max(0, at - self.behind), NEAR
        while at < size:
            data = read(begin, at + near - begin)
            found = self.first(data, at - begin)
            if found is not None:
                return begin + found
            if begin + len(data) >= size:
                break
            # The next border lies beyond what was read, and its mark may have begun in it.
            at = begin + len(data) + 1
            begin, near = max(0, at - self.behind), min(2 * near, FARTHEST)
        return size

    @property
    def behind(self) -> int:
        """How many bytes before a position say whether it is a border."""
        return 2 * len(self.mark) - 1

    def first(self, data: bytes, at: int) -> int | None:
        r"""Return the first border at or after ``at`` in data that begin :attr:`behind` bytes earlier, or with the object.

        A mark that may overlap itself, such as an empty line (``b"\n\n"``), can be found at places where whoever
        splits the data from its beginning finds none: of ``\n\n\n`` only the first two count. Where no mark
        overlaps an earlier one, both find the same.
        """
        length = len(self.mark)
        i = data.find(self.mark, max(0, at - length))
        while i >= 0:
            if data.find(self.mark, max(0, i - length + 1), i + length - 1) < 0:
                return i + length
            i = data.find(self.mark, i + 1)
        return None

    def last(self, data: memoryview) -> int:
        r"""Return the last border in data that begin with a record; zero where there is none.

        >>> Delimiter(b"\n").last(memoryview(b"one\ntwo\nthree"))
        8
        """
        length, reach = len(self.mark), NEAR
        while True:
            begin = max(0, len(data) - reach)  # the last record is mostly short
            tail = bytes(data[begin:])
            i = tail.rfind(self.mark)
            while i >= (length - 1 if begin else 0):
                if tail.find(self.mark, max(0, i - length + 1), i + length - 1) < 0:
                    return begin + i + length
                i = tail.rfind(self.mark, 0, i + length - 1)
            if not begin:
                return 0
            reach *= 8


@dataclass(frozen=True, slots=True)
class Fixed:
    """Records of one width.

    Args:
        width: Of a record, in bytes.

    >>> [Fixed(100).cut(lambda start, n: b"", at, 300) for at in (0, 1, 100, 250)]
    [0, 100, 100, 300]
    """

    width: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise BadOption(f"border={self.width}", "is no width of a record", "It counts bytes, from 1.")

    def cut(self, _read: Read, at: int, size: int) -> int:
        """Return the first border at or after ``at``; nothing has to be read for it."""
        return min(size, -(-max(0, at) // self.width) * self.width)


@dataclass(frozen=True, slots=True)
class Whole:
    """Objects are not cut.

    >>> [Whole().cut(lambda start, n: b"", at, 300) for at in (0, 1, 300)]
    [0, 300, 300]
    """

    def cut(self, _read: Read, at: int, size: int) -> int:
        """Return the object's beginning or its end."""
        return 0 if at <= 0 else size


@dataclass(frozen=True, slots=True)
class RowGroups:
    """A Parquet file is cut between row groups.

    Args:
        first, last: The row groups of this partition, ``last`` not among them.
        rows: How many rows they hold.
    """

    first: int = 0
    last: int = 0
    rows: int = 0

    def cut(self, _read: Read, at: int, _size: int) -> int:
        """Return the position: what was planned from the file's own directory is exact."""
        return at


Border = Delimiter | Fixed | Whole | RowGroups


def border_of(given: str | bytes | int) -> Border:
    r"""Return the kind of border that a user means.

    Args:
        given: ``"lines"``, a delimiter in bytes, a width in bytes, ``"parquet"`` or ``"objects"``.

    Raises:
        BadOption: if it is none of these.

    >>> border_of("lines"), border_of(100), border_of("objects")
    (Delimiter(mark=b'\n'), Fixed(width=100), Whole())
    """
    if isinstance(given, bytes):
        return Delimiter(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return Fixed(given)
    named: dict[str, Border] = {"lines": Delimiter(b"\n"), "parquet": RowGroups(), "objects": Whole()}
    if isinstance(given, str) and given in named:
        return named[given]
    hint = f" To cut at this text, write {given.encode()!r}." if isinstance(given, str) and given else ""
    raise BadOption(
        f"border={given!r}",
        "is no kind of border",
        "Write 'lines', 'parquet', 'objects', a delimiter in bytes such as b'\\n', or the width of a record "
        f"in bytes.{hint}",
    )
