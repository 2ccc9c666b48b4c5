"""Large data in parts: planned by the client without reading, opened by the workers that they are for.

    parts = wrens.partition("s3://lab/logs/*.txt", size=64 * 2**20)
    for part in parts:   ex.submit(count, part)         def count(part): return sum(1 for _ in part.lines())

A partition is a few hundred bytes: an object's address and a planned range. The worker that opens it finds the borders of
the records near the ends of the range (:mod:`wrens.models.borders`) and reads what is in between, in one request when it
fits, and in pieces when it is streamed. Decides how objects become ranges and how a range is read; what its records
mean is the user's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from wrens.errors import BadData, BadOption
from wrens.models.borders import NEAR, Border, Delimiter, Fixed, RowGroups, Whole, border_of
from wrens.store import data
from wrens.store.data import Address, Object, address_of, open_data

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

SIZE = 64 * 2**20
"""Bytes of a partition when nobody says otherwise: some seconds of work for most functions, and small beside the
memory of a worker."""
PIECE = 8 * 2**20
"""Bytes that are read at once when a partition is streamed."""
SMALLEST = 1


@dataclass(frozen=True, slots=True)
class Partition:
    """A range of one object, cut between records; made by :func:`partition`.

    Args:
        store: The URL of the store that the object is in.
        key: The object's key there.
        start, stop: The planned range in bytes. What is read is from the first border at or after ``start``
            to the first at or after ``stop``.
        size: The object's size when it was planned.
        border: Where it may be cut.
    """

    store: str
    key: str
    start: int
    stop: int
    size: int
    border: Border

    @property
    def url(self) -> str:
        """The object's address."""
        return address_of(self.store, self.key)

    @property
    def planned(self) -> int:
        """How many bytes it was planned to have."""
        return self.stop - self.start

    def __repr__(self) -> str:
        if isinstance(self.border, RowGroups):
            return f"<Partition {self.url} row groups {self.border.first} to {self.border.last - 1}>"
        return f"<Partition {self.url} bytes {self.start:,} to {self.stop:,}>"

    # --- reading ---

    def bounds(self) -> tuple[int, int]:
        """Return the bytes that this partition really has: where the first begins, and where the last ends."""
        return self._cut(self.start), self._cut(self.stop)

    def read(self) -> memoryview:
        """Return all bytes of the partition; they have to fit into memory.

        Raises:
            ObjectMissing: if the object is gone.
            BadData: if it is not as long as it was when it was planned.
        """
        return self.located()[1]

    def located(self) -> tuple[int, memoryview]:
        """Return where the partition really begins in the object, and all of its bytes, as :meth:`read` does."""
        if self.start >= self.stop:
            return self.start, memoryview(b"")
        if not isinstance(self.border, Delimiter):
            first, last = self.bounds()
            return first, self._get(first, last)
        # One request for all of it, with what tells where it begins and, mostly, where it ends.
        begin = max(0, self.start - self.border.behind)
        found = self._get(begin, min(self.size, self.stop + NEAR))
        ends = begin + len(found)

        def near(start: int, length: int) -> bytes:
            if begin <= start and start + length <= ends:
                return bytes(found[start - begin : start - begin + length])
            return self._read(start, length)

        first = self.border.cut(near, self.start, self.size)
        last = first if first >= self.stop else self.border.cut(near, self.stop, self.size)
        if last <= ends:
            return first, found[first - begin : last - begin]
        if first >= ends:
            return first, self._get(first, last)
        return first, memoryview(b"".join([found[first - begin :], self._get(ends, last)]))

    def pieces(self, nbytes: int = PIECE) -> Iterator[memoryview]:
        """Yield the partition's bytes in pieces that hold whole records.

        Args:
            nbytes: How much is read at once. A record that is longer comes as one piece of its own length.

        Raises:
            ObjectMissing: if the object is gone.
            BadData: if it is not as long as it was when it was planned.
        """
        for _, piece in self._pieces(nbytes):
            yield piece

    def _pieces(self, nbytes: int) -> Iterator[tuple[int, memoryview]]:
        """Yield pieces with where they begin in the object."""
        at, end = self.bounds()
        if isinstance(self.border, Fixed):
            nbytes = max(1, nbytes // self.border.width) * self.border.width
        begun, rest = at, b""
        while at < end:
            found = self._get(at, min(end, at + nbytes))
            at += len(found)
            piece = memoryview(rest + found) if rest else found
            cut = self.border.last(piece) if at < end and isinstance(self.border, Delimiter) else len(piece)
            if cut:
                yield begun, piece[:cut]
            else:
                nbytes *= 2  # a long record; reading it in small pieces would copy it again and again
            begun, rest = begun + cut, bytes(piece[cut:])

    def lines(self, encoding: str = "utf-8") -> Iterator[str]:
        r"""Yield the records as text, without what ends them; ``\r\n`` ends a line as ``\n`` does.

        Args:
            encoding: How the text was encoded.

        Raises:
            BadData: if a record is not in this encoding; it says where.
            BadOption: if the partition is not cut at a delimiter.
        """
        mark = self._delimiter("lines()").mark
        for begun, piece in self._pieces(PIECE):
            try:
                text = str(piece, encoding)
            except UnicodeDecodeError as error:
                wrong = bytes(piece[error.start : error.start + 8])
                told = f"{wrong!r} is not {encoding}: {error.reason}"
                advice = f"Name the encoding: part.lines({'latin-1'!r}), or take part.pieces()."
                raise BadData(self.url, begun + error.start, told, advice) from None
            end = mark.decode(encoding)
            records = text.split(end)
            if not records[-1]:
                records.pop()
            if mark == b"\n" and "\r" in text:
                yield from (record.removesuffix("\r") for record in records)
            else:
                yield from records

    def records(self) -> Iterator[bytes]:
        """Yield the records as bytes, without the delimiter that ends them."""
        if isinstance(self.border, Fixed):
            width = self.border.width
            for piece in self.pieces():
                for at in range(0, len(piece), width):
                    yield bytes(piece[at : at + width])
            return
        mark = self._delimiter("records()").mark
        for piece in self.pieces():
            found = bytes(piece).split(mark)
            if not found[-1]:
                found.pop()
            yield from found

    def array(self, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
        """Return records of a fixed width as a NumPy array, without copying.

        Args:
            dtype: Of one record; its size is the width. By default bytes, one row for each record.

        Raises:
            BadOption: if records have no fixed width, or another one.
        """
        import numpy as np

        if not isinstance(self.border, Fixed):
            raise BadOption(
                "array()", "needs records of a fixed width", "Partition with border=WIDTH_IN_BYTES."
            )
        width = self.border.width
        if dtype is None:
            return np.frombuffer(self.read(), np.uint8).reshape(-1, width)
        kind = np.dtype(dtype)
        if kind.itemsize != width:
            raise BadOption(f"dtype={kind}", f"has {kind.itemsize} bytes, and a record has {width}")
        return np.frombuffer(self.read(), kind)

    def batches(self, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """Yield Arrow batches: the columns of a Parquet file, or one column with the records.

        That column is called ``line`` (text) for delimited records and ``record`` (binary) for fixed ones; it lies in
        the memory that was read, without a copy.

        Args:
            rows: How many rows a batch of a Parquet file has at most.

        Raises:
            BadData: if a line is not UTF-8, or a file is not Parquet.
        """
        from wrens.models import tables

        if isinstance(self.border, RowGroups):
            groups = range(self.border.first, self.border.last)
            yield from tables.of_parquet(self.open(), groups, rows, self.url)
        elif isinstance(self.border, Fixed):
            for piece in self.pieces():
                yield tables.of_fixed(piece, self.border.width)
        else:
            mark = self._delimiter("batches()").mark
            for begun, piece in self._pieces(PIECE):
                yield tables.of_lines(piece, mark, self.url, begun)

    def open(self) -> BinaryIO:
        """Return the whole object as a file that can be read and sought in, whatever the partition's range is."""
        from wrens.models.files import ObjectFile

        return cast(BinaryIO, ObjectFile(open_data(self.store), self.key, self.size))

    # --- inside ---

    def _delimiter(self, what: str) -> Delimiter:
        if isinstance(self.border, Delimiter):
            return self.border
        if isinstance(self.border, Whole):
            return Delimiter(b"\n")
        raise BadOption(what, "needs records that end with a delimiter", "Partition with border='lines'.")

    def _cut(self, at: int) -> int:
        return self.border.cut(self._read, at, self.size)

    def _read(self, start: int, length: int) -> bytes:
        return bytes(self._get(start, min(self.size, start + length)))

    def _get(self, start: int, stop: int) -> memoryview:
        """Return these bytes, all of them."""
        if stop <= start:
            return memoryview(b"")
        found = open_data(self.store).get(self.key, start=start, length=stop - start)
        if len(found) < stop - start:
            told = f"the object ends here, and had {self.size:,} bytes when it was partitioned"
            advice = "Partition again when nobody writes to it any more."
            raise BadData(self.url, start + len(found), told, advice)
        return found


def partition(
    addresses: Address | Iterable[Address], *, size: int = SIZE, border: str | bytes | int = "lines"
) -> list[Partition]:
    r"""Plan data as partitions of about the same size, cut between records; nothing of it is read.

    Args:
        addresses: Objects, directories or globs, at any store's address or as paths; see
            :func:`wrens.store.data.find`.
        size: Bytes that a partition has at most, but for one record that reaches over its end.
        border: Where records may be parted: ``"lines"``, a delimiter in bytes, the width of each record in bytes,
            ``"parquet"`` (between row groups, whose directory is read for that), or ``"objects"`` (nowhere).

    Returns:
        The partitions in the order of the data. Of every object there is at least one, so that an empty one is not
        forgotten; side by side they are the object, byte for byte.

    Raises:
        NoData: if an address names nothing.
        BadData: if the width does not divide an object, or a file is not Parquet.
        BadOption: if size or border cannot be.

    >>> from wrens.store import open_store
    >>> open_store("memory://partitions").put("words.txt", b"one\ntwo\nthree\n")
    >>> [bytes(part.read()) for part in partition("memory://partitions/words.txt", size=7)]
    [b'one\ntwo\n', b'three\n']
    """
    if not isinstance(size, int) or isinstance(size, bool) or size < SMALLEST:
        raise BadOption(f"size={size!r}", "is no size of a partition", "It counts bytes, from 1.")
    kind = border_of(border)
    return partition_found(data.find(addresses), size, kind)


def partition_found(found: Iterable[Object], size: int, border: Border) -> list[Partition]:
    """Plan objects that were found already, as :func:`partition` does."""
    return [part for one in found for part in _of(one, size, border)]


def _of(one: Object, size: int, border: Border) -> list[Partition]:
    whole = Partition(one.store, one.key, 0, one.nbytes, one.nbytes, border)
    if isinstance(border, RowGroups):
        from wrens.models import tables

        return [
            replace(whole, start=start, stop=stop, border=groups)
            for start, stop, groups in tables.row_groups(whole.open(), size, one.url)
        ]
    if isinstance(border, Fixed):
        if one.nbytes % border.width:
            over = one.nbytes % border.width
            told = f"the last record has {over} of {border.width} bytes; the object has {one.nbytes:,}"
            raise BadData(
                one.url, one.nbytes - over, told, "Look at the width, or whether the object is complete."
            )
        size = max(1, size // border.width) * border.width
    if isinstance(border, Whole) or one.nbytes <= size:
        return [whole]
    count = -(-one.nbytes // size)
    edges = [one.nbytes * i // count for i in range(count + 1)]
    if isinstance(border, Fixed):
        edges = [border.cut(_nothing, at, one.nbytes) for at in edges]
    return [replace(whole, start=a, stop=b) for a, b in pairwise(edges)]


def _nothing(_start: int, _length: int) -> bytes:
    """Read nothing, for borders that are known without."""
    return b""
