"""Large data in parts: planned by the client without reading, opened by the workers that they are for.

    parts = wrens.partition("s3://lab/logs/*.txt", size=64 * 2**20)
    for part in parts:   ex.submit(count, part)         def count(part): return sum(1 for _ in part.lines())

A partition is a few hundred bytes: an object's address and a planned range. The worker that opens it finds the borders of
the records near the ends of the range (:mod:`wrens.models.partitions.borders`) and reads what is in between, in one request when it
fits, and in pieces when it is streamed. Decides how objects become ranges and how a range is read; what its records
mean is the user's.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from wrens.errors import BadData, BadOption, NoData, ObjectMissing
from wrens.models.partitions.borders import Border, Delimiter, Fixed, RowGroups, Whole, border_of
from wrens.models.partitions.files import AHEAD, ObjectFile
from wrens.models.partitions.reading import Range, bites, decoded, joined
from wrens.store import data
from wrens.store.data import Address, Object, address_of, is_near, open_data
from wrens.store.port import size as size_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

SIZE = 64 * 2**20
"""Bytes of a partition when nobody says otherwise: some seconds of work for most functions, and small beside the
memory of a worker."""
PIECE = 8 * 2**20
"""Bytes that are read at once when a partition is streamed."""
ROWS = 65_536
"""Rows of a batch of a Parquet file at most."""
MOST = 1_000_000
"""Partitions at most: more are a slip in the size, and would fill the client's memory."""
AT_ONCE = 16
"""Parquet files whose directories are read at a time."""
COMPRESSED = {
    ".gz": "gzip.open(part.open(), 'rt')",
    ".bz2": "bz2.open(part.open(), 'rt')",
    ".xz": "lzma.open(part.open(), 'rt')",
    ".zst": "zstandard.open(part.open(), 'rt')",
    ".lz4": "lz4.frame.open(part.open(), 'rt')",
    ".zip": "zipfile.ZipFile(part.open())",
}
"""Names of compressed objects, by how they end, and what opens them."""


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
            return f"<Partition {self.url} row groups {self.border.first}:{self.border.last}>"
        return f"<Partition {self.url} bytes {self.start:,} to {self.stop:,}>"

    # --- reading ---

    def bounds(self) -> tuple[int, int]:
        """Return where in the object this partition's first record begins, and where its last one ends.

        Both are the same where no record begins in the planned range, because a longer one reaches over it.

        Raises:
            NoData, BadData: as :meth:`read` does.
        """
        return self._range().bounds(self._get)

    def read(self) -> memoryview:
        """Return all bytes of the partition; they have to fit into memory.

        Raises:
            NoData: if the object is gone.
            BadData: if it is not as long as it was when it was planned.
            BadOption: if the partition is one of a Parquet file, which has rows and not bytes.
        """
        return joined(self._range().pieces(self._get, self.size + 1, ahead=False))

    def located(self) -> tuple[int, memoryview]:
        """Return where the partition really begins in the object, and all of its bytes, as :meth:`read` does."""
        if self.start >= self.stop:
            return self.start, memoryview(b"")
        return self.bounds()[0], self.read()

    def pieces(self, nbytes: int = PIECE) -> Iterator[memoryview]:
        """Yield the partition's bytes in pieces that hold whole records.

        Args:
            nbytes: How much is read at once. A record that is longer comes as one piece of its own length. Up to
                three times as much is in memory: what is worked on, what was read, and from a store behind
                a network what is on its way.

        Raises:
            NoData, BadData, BadOption: as :meth:`read` does.
        """
        _counts("nbytes", nbytes)
        for _, piece in self._range().pieces(self._get, nbytes, ahead=not is_near(self.store)):
            yield piece

    def lines(self, encoding: str | None = None) -> Iterator[str]:
        r"""Yield the records as text, without what ends them; ``\r\n`` ends a line as ``\n`` does.

        A byte order mark at the beginning of an object is no part of its first line.

        Args:
            encoding: How the text was encoded; by default as :func:`partition` was told.

        Raises:
            BadData: if a record is not in this encoding; it says where.
            BadOption: if the partition is not cut at a delimiter, or the encoding is another one than it was cut for.
            NoData: if the object is gone.
        """
        return chain.from_iterable(self._texts(self._delimiter("lines()", encoding)))

    def _texts(self, border: Delimiter) -> Iterator[list[str]]:
        end = border.text()
        for begun, bite in self._bites(border):
            text = decoded(bite, border.encoding, self.url, begun)
            if end == "\n" and "\r" in text:
                text = text.replace("\r\n", "\n")
            records = text.split(end)
            if not records[-1]:
                records.pop()
            yield records

    def records(self) -> Iterator[bytes]:
        """Yield the records as bytes, without the delimiter that ends them.

        Raises:
            NoData, BadData, BadOption: as :meth:`lines` does.
        """
        if isinstance(self.border, Fixed):
            record = struct.Struct(f"{self.border.width}s")
            return chain.from_iterable(chain.from_iterable(map(record.iter_unpack, self.pieces())))
        border = self._delimiter("records()")
        return chain.from_iterable(border.split(bytes(bite)) for _, bite in self._bites(border))

    def array(self, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
        """Return records of a fixed width as a NumPy array, without copying.

        Args:
            dtype: Of one record; its size is the width. By default bytes, one row for each record.

        Raises:
            BadOption: if records have no fixed width, or another one.
            NoData, BadData: as :meth:`read` does.
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

    def batches(self, rows: int = ROWS, *, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield Arrow batches: the columns of a Parquet file, or one column with the records.

        That column is called ``line`` (text, decoded as by :meth:`lines`) for delimited records and ``record``
        (binary, in the memory that was read) for those of a fixed width.

        Args:
            rows: How many rows a batch of a Parquet file has at most.
            columns: Which columns of a Parquet file are read; by default all.

        Raises:
            MissingPackage: if pyarrow is not installed.
            BadData: if a line is not in the encoding, or a file is not Parquet, has no such column, or is another one
                than it was when it was planned.
            BadOption: if columns are named of what has none.
            NoData: if the object is gone.
        """
        from wrens.models.partitions import parquet, tables

        _counts("rows", rows)
        if isinstance(self.border, RowGroups):
            yield from parquet.of_parquet(self._file(), self.border, rows, columns, self.url)
            return
        if columns is not None:
            told = "needs a Parquet file: lines and records have one column"
            raise BadOption("batches(columns=...)", told, "Partition with border='parquet'.")
        if isinstance(self.border, Fixed):
            for piece in self.pieces():
                yield tables.of_fixed(piece, self.border.width)
            return
        border = self._delimiter("batches()")
        mark = border.text()
        for begun, piece in self._streamed(border):
            yield tables.of_lines(piece, mark, border.encoding, self.url, begun)

    def open(self) -> BinaryIO:
        """Return the whole object as a file that can be read and sought in, whatever the partition's range is.

        For libraries that read files, such as ``gzip.open(part.open(), "rt")``.
        """
        return io.BufferedReader(self._file(), AHEAD)

    # --- inside ---

    def _range(self) -> Range:
        if isinstance(self.border, RowGroups):
            told = "is not for Parquet, whose parts have rows and not bytes"
            raise BadOption("read()", told, "Take part.batches(), or part.open() for the whole file.")
        return Range(self.start, self.stop, self.size, self.border)

    def _delimiter(self, what: str, encoding: str | None = None) -> Delimiter:
        """Return where records end; in an object that is not cut, at the ends of lines."""
        if isinstance(self.border, Whole):
            refuse_compressed(self.url, what)
            found = border_of("lines", encoding or "utf-8")
        elif isinstance(self.border, Delimiter):
            found = self.border.read_as(encoding) if encoding else self.border
        else:
            raise BadOption(what, "needs records that end with a delimiter", "Partition with border='lines'.")
        assert isinstance(found, Delimiter)  # noqa: S101
        return found

    def _streamed(self, border: Delimiter) -> Iterator[tuple[int, memoryview]]:
        span = Range(self.start, self.stop, self.size, border)
        return span.pieces(self._get, PIECE, ahead=not is_near(self.store))

    def _bites(self, border: Delimiter) -> Iterator[tuple[int, memoryview]]:
        """Yield small pieces, each with where it begins in the object."""
        for begun, piece in self._streamed(border):
            for at, bite in bites(border, piece):
                yield begun + at, bite

    def _file(self) -> ObjectFile:
        return ObjectFile(self._get, self.size)

    def _get(self, start: int, stop: int) -> memoryview:
        """Return these bytes, all of them."""
        if stop <= start:
            return memoryview(b"")
        store = open_data(self.store)
        try:
            found = store.get(self.key, start=start, length=stop - start)
        except ObjectMissing:
            told = "the object is gone; it was there when it was partitioned"
            raise NoData(self.url, told, "Partition again what is there now.") from None
        if len(found) < stop - start:
            told = f"the object ends here, and had {self.size:,} bytes when it was partitioned"
            advice = "Partition again when nobody writes to it any more."
            ends = start + len(found) if found else size_of(store, self.key)
            raise BadData(self.url, ends, told, advice)
        return found


def partition(
    addresses: Address | Iterable[Address],
    *,
    size: int = SIZE,
    border: str | bytes | int = "lines",
    encoding: str = "utf-8",
) -> list[Partition]:
    r"""Plan data as partitions of about the same size, cut between records; nothing of it is read.

    Args:
        addresses: Objects, directories or globs, at any store's address or as paths; see
            :func:`wrens.store.data.find`.
        size: Bytes that a partition has at most, but for one record that reaches over its end.
        border: Where records may be parted: ``"lines"``, a delimiter in bytes, the width of each record in bytes,
            ``"parquet"`` (between row groups, whose directory is read for that), or ``"objects"`` (nowhere).
        encoding: How lines are encoded, such as ``"latin-1"`` or ``"utf-16-le"``.

    Returns:
        The partitions in the order of the data. Of every object there is at least one, so that an empty one is not
        forgotten; side by side they are the object, byte for byte.

    Raises:
        NoData: if an address names nothing.
        BadData: if an object is compressed and would have to be cut, if the width does not divide it, or if it is not
            Parquet.
        BadOption: if size, border or encoding cannot be, or there would be more than a million partitions.

    >>> from wrens.store import open_store
    >>> open_store("memory://partitions").put("words.txt", b"one\ntwo\nthree\n")
    >>> [bytes(part.read()) for part in partition("memory://partitions/words.txt", size=7)]
    [b'one\ntwo\n', b'three\n']
    """
    _counts("size", size)
    kind = border_of(border, encoding)
    return partition_found(data.find(addresses), size, kind)


def partition_found(found: Sequence[Object], size: int, border: Border) -> list[Partition]:
    """Plan objects that were found already, as :func:`partition` does.

    Args:
        found: The objects.
        size: Bytes that a partition has at most, but for one record that reaches over its end.
        border: Where they may be cut.

    Raises:
        BadData: if an object cannot be cut so.
        BadOption: if there would be too many partitions.
    """
    if isinstance(border, RowGroups):
        return _of_parquet(found, size)
    if not isinstance(border, Whole):
        for one in found:
            refuse_compressed(one.url, _called(border))
        count = sum(-(-one.nbytes // size) for one in found)
        if count > MOST:
            told = f"would make {count:,} partitions of {sum(one.nbytes for one in found):,} bytes"
            raise BadOption(f"size={size}", told, "It counts bytes: 64 * 2**20 is usual.")
    return [part for one in found for part in _of(one, size, border)]


def _called(border: Border) -> str:
    """Return how a user asks for a border."""
    if isinstance(border, Delimiter):
        return "border='lines'" if border.mark == b"\n" else f"border={border.mark!r}"
    return f"border={border.width}" if isinstance(border, Fixed) else "border='objects'"


def _counts(name: str, value: object) -> None:
    """Refuse what counts nothing.

    Raises:
        BadOption: naming it.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadOption(f"{name}={value!r}", "must be a whole number of at least 1")


def _of(one: Object, size: int, border: Border) -> list[Partition]:
    whole = Partition(one.store, one.key, 0, one.nbytes, one.nbytes, border)
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
        edges = [-(-at // border.width) * border.width for at in edges]
    return [replace(whole, start=a, stop=b) for a, b in pairwise(edges)]


def _of_parquet(found: Sequence[Object], size: int) -> list[Partition]:
    """Read the directories of files, several at a time, and plan them by their row groups."""
    from wrens.models.partitions import parquet, tables

    def of(one: Object) -> list[Partition]:
        file = Partition(one.store, one.key, 0, one.nbytes, one.nbytes, RowGroups())
        return [
            replace(file, start=start, stop=stop, border=groups)
            for start, stop, groups in parquet.row_groups(file.open(), size, one.url)
        ]

    tables.arrow()
    if len(found) == 1 or all(is_near(one.store) for one in found):
        return [part for one in found for part in of(one)]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wrens-partition") as pool:
        return [part for parts in pool.map(of, found) for part in parts]


def refuse_compressed(url: str, what: str) -> None:
    """Refuse an object whose name says that it is compressed, where its records would have to be found.

    Raises:
        BadData: if it is.

    >>> refuse_compressed("s3://lab/words.txt.gz", "border='lines'")
    Traceback (most recent call last):
        ...
    wrens.errors.BadData: s3://lab/words.txt.gz, byte 0: a compressed object cannot be cut between records (border='lines')
      Take it whole with border='objects' and unpack it in the task, as in gzip.open(part.open(), 'rt').
    """
    suffix = PurePosixPath(url).suffix.lower()
    if suffix in COMPRESSED:
        told = f"a compressed object cannot be cut between records ({what})"
        advice = f"Take it whole with border='objects' and unpack it in the task, as in {COMPRESSED[suffix]}."
        raise BadData(url, 0, told, advice)
