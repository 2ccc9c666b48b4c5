"""Where data may be cut so that no record is in two pieces.

For any position ``at`` of an object there is one *cut*, the first border at or after it; a partition that was planned
as ``[start, stop)`` is ``[cut(start), cut(stop))``. So partitions can be planned without reading anything, and whoever
reads one finds its cuts near its ends, alone. What is planned side by side lies side by side: every byte is in
exactly one partition, and one in which no record begins is empty.

Decides what a border is for each kind of data. Pure but for the function that it is given to read with.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import suppress
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
        encoding: How text is encoded. Where each letter has several bytes, as in UTF-16, a mark counts only where
            a letter begins.

    >>> data = b"one\ntwo\nthree"
    >>> [Delimiter(b"\n").cut(lambda start, n: data[start : start + n], at, 13) for at in (0, 1, 4, 5, 9)]
    [0, 4, 4, 8, 13]
    """

    mark: bytes
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if not self.mark:
            raise BadOption("border=b''", "cannot be", "A delimiter has at least one byte.")
        if len(self.mark) % self.unit:
            advice = f"Write the delimiter as text.encode({self.encoding!r})."
            raise BadOption(f"border={self.mark!r}", f"is not {self.encoding}", advice)

    @property
    def unit(self) -> int:
        """How many bytes the smallest piece of a letter has in this encoding."""
        return len("\n".encode(self.encoding))

    def text(self) -> str:
        r"""Return the mark as text.

        Raises:
            BadOption: if it is none in this encoding.

        >>> Delimiter(b"\n").text()
        '\n'
        """
        try:
            return self.mark.decode(self.encoding)
        except UnicodeDecodeError:
            advice = "Partition with the right encoding=, or take the bytes by part.records()."
            raise BadOption(f"border={self.mark!r}", f"is not {self.encoding}", advice) from None

    def read_as(self, encoding: str) -> Delimiter:
        """Return the same mark for text that is encoded otherwise.

        Raises:
            BadOption: if records in that encoding end with another mark.

        >>> Delimiter(b"|").read_as("latin-1")
        Delimiter(mark=b'|', encoding='iso8859-1')
        """
        told = f"is not how records were parted: that was for {self.encoding}"
        refused = BadOption(f"encoding={encoding!r}", told, f"Partition with encoding={encoding!r}.")
        name = encoding_of(encoding)
        if len("\n".encode(name)) != self.unit:
            raise refused
        found = Delimiter(self.mark, name)
        with suppress(UnicodeDecodeError):
            if found.text() != self.mark.decode(self.encoding):
                raise refused
        return found

    @property
    def behind(self) -> int:
        """How many bytes before a position say whether it is a border."""
        return 2 * len(self.mark) - 1

    def cut(self, read: Read, at: int, size: int) -> int:
        """Return the first border at or after ``at``, or ``size`` if there is none before it.

        Args:
            read: Reads the object.
            at: A position.
            size: The object's size in bytes, or where to stop looking.
        """
        if at <= 0:
            return 0
        begin, near = max(0, at - self.behind), NEAR
        while at < size:
            data = read(begin, at + near - begin)
            found = self._first(data, at - begin, begin)
            if found is not None:
                return min(size, begin + found)
            if begin + len(data) >= size:
                break
            # The next border lies beyond what was read, and its mark may have begun in it.
            at = begin + len(data) + 1
            begin, near = max(0, at - self.behind), min(2 * near, FARTHEST)
        return size

    def _first(self, data: bytes, at: int, begin: int) -> int | None:
        r"""Return the first border at or after ``at`` in data that begin :attr:`behind` bytes earlier, or with the object.

        A mark that may overlap itself, such as an empty line (``b"\n\n"``), can be found at places where whoever
        splits the data from its beginning finds none: of ``\n\n\n`` only the first two count. Where no mark
        overlaps an earlier one, both find the same.
        """
        length, phase = len(self.mark), -begin % self.unit
        i = self._find(data, max(0, at - length), len(data), phase)
        while i >= 0:
            if self._find(data, max(0, i - length + 1), i + length - 1, phase) < 0:
                return i + length
            i = self._find(data, i + 1, len(data), phase)
        return None

    def ends(self, data: bytes, begin: int) -> bool:
        """Tell whether there is a border behind data that begin there in the object, :attr:`behind` bytes before."""
        return self._first(data, len(data), begin) is not None

    def last(self, data: memoryview) -> int:
        r"""Return the last border in data that begin with a record; zero where there is none.

        >>> Delimiter(b"\n").last(memoryview(b"one\ntwo\nthree"))
        8
        """
        length, reach = len(self.mark), NEAR
        while True:
            begin = max(0, len(data) - reach)  # the last record is mostly short
            tail, phase = bytes(data[begin:]), -begin % self.unit
            i = self._find_last(tail, len(tail), phase)
            while i >= (length - 1 if begin else 0):
                if self._find(tail, max(0, i - length + 1), i + length - 1, phase) < 0:
                    return begin + i + length
                i = self._find_last(tail, i + length - 1, phase)
            if not begin:
                return 0
            reach *= 8

    def split(self, data: bytes) -> list[bytes]:
        r"""Return the records in data that begin with one, without what ends them.

        >>> Delimiter(b"\n").split(b"one\n\ntwo"), Delimiter(b"\n\0", "utf-16-le").split(b"\0\n\0\0\n\0")
        ([b'one', b'', b'two'], [b'\x00\n\x00\x00'])
        """
        if self.unit == 1:
            found = data.split(self.mark)
        else:
            found, at = [], 0
            while (i := self._find(data, at, len(data), 0)) >= 0:
                found.append(data[at:i])
                at = i + len(self.mark)
            found.append(data[at:])
        return found if found[-1] else found[:-1]

    def _find(self, data: bytes, begin: int, end: int, phase: int) -> int:
        """Return where the mark is first, at places with this remainder when divided by the unit; -1 for nowhere."""
        i = data.find(self.mark, begin, end)
        while i >= 0 and i % self.unit != phase:
            i = data.find(self.mark, i + 1, end)
        return i

    def _find_last(self, data: bytes, end: int, phase: int) -> int:
        i = data.rfind(self.mark, 0, end)
        while i >= 0 and i % self.unit != phase:
            i = data.rfind(self.mark, 0, i + len(self.mark) - 1)
        return i


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
        directory: A digest of the file's directory when it was planned.
    """

    first: int = 0
    last: int = 0
    rows: int = 0
    directory: str = ""

    def cut(self, _read: Read, at: int, _size: int) -> int:
        """Return the position: what was planned from the file's own directory is exact."""
        return at


Border = Delimiter | Fixed | Whole | RowGroups


def border_of(given: str | bytes | int, encoding: str = "utf-8") -> Border:
    r"""Return the kind of border that a user means.

    Args:
        given: ``"lines"``, a delimiter in bytes, a width in bytes, ``"parquet"`` or ``"objects"``.
        encoding: How text is encoded.

    Raises:
        BadOption: if it is none of these, or there is no such encoding.

    >>> border_of("lines"), border_of(100), border_of("objects")
    (Delimiter(mark=b'\n', encoding='utf-8'), Fixed(width=100), Whole())
    >>> border_of("lines", "utf-16-le").mark
    b'\n\x00'
    """
    text = encoding_of(encoding)
    if given == "lines":
        return Delimiter("\n".encode(text), text)
    if isinstance(given, bytes):
        return Delimiter(given, text)
    if text != "utf-8":
        told = "says how lines are encoded, and there are none"
        raise BadOption(f"encoding={encoding!r}", told, "Leave it out, or write border='lines'.")
    if isinstance(given, int) and not isinstance(given, bool):
        return Fixed(given)
    named: dict[str, Border] = {"parquet": RowGroups(), "objects": Whole()}
    if isinstance(given, str) and given in named:
        return named[given]
    hint = f" To cut at this text, write {given.encode()!r}." if isinstance(given, str) and given else ""
    raise BadOption(
        f"border={given!r}",
        "is no kind of border",
        "Write 'lines', 'parquet', 'objects', a delimiter in bytes such as b'\\n', or the width of a record "
        f"in bytes.{hint}",
    )


def encoding_of(name: str) -> str:
    """Return the encoding that is meant, by the name under which every part of an object can be decoded alone.

    Raises:
        BadOption: if there is no such encoding, or its name leaves the order of bytes to the object's first two.

    >>> encoding_of("UTF8"), encoding_of("utf-8-sig"), encoding_of("latin-1")
    ('utf-8', 'utf-8', 'iso8859-1')
    """
    try:
        found = codecs.lookup(name).name
        "\n".encode(found)
    except (LookupError, TypeError):
        told = "is no encoding of text that Python knows"
        raise BadOption(f"encoding={name!r}", told, "Write one such as 'utf-8' or 'latin-1'.") from None
    if found in ("utf-16", "utf-32"):
        advice = (
            f"Write '{found}-le' when the object begins with the bytes FF FE, and '{found}-be' otherwise."
        )
        raise BadOption(f"encoding={name!r}", "leaves open which byte of a letter comes first", advice)
    return "utf-8" if found == "utf-8-sig" else found
