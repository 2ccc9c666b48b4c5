"""Parquet files: their directories, their row groups as partitions, and rows read from them and written to them.

Decides what of a file is read, and that a file which is another one than when it was planned is noticed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from wrens.errors import BadData, WrensError
from wrens.models.partitions.borders import RowGroups
from wrens.models.partitions.files import ObjectFile
from wrens.models.partitions.tables import arrow

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"PAR1"
"""What a Parquet file begins and ends with."""
TAIL = 64 * 1024
"""Bytes at the end of a Parquet file that are read first; most directories are smaller."""
KEPT = 8
"""Directories of Parquet files that a worker keeps: mostly it reads several parts of one file."""
_directories: dict[tuple[str, str], Any] = {}


def opened(file: BinaryIO | ObjectFile, url: str) -> Any:
    """Open a Parquet file.

    Raises:
        BadData: if it is none.
    """
    arrow()
    import pyarrow.parquet as pq

    directory, _ = _directory(file, url)
    return pq.ParquetFile(file, metadata=directory)


def row_groups(file: BinaryIO, size: int, url: str) -> Iterator[tuple[int, int, RowGroups]]:
    """Yield ranges of a file's row groups that have about a size, each with the bytes that they lie in.

    Args:
        file: The file; only its directory is read.
        size: Bytes, as they are stored.
        url: The file's address, for errors.

    Raises:
        BadData: if it is no Parquet file.
    """
    directory, digest = _directory(file, url)
    first = rows = 0
    begin = at = len(_MAGIC)
    for i in range(directory.num_row_groups):
        group = directory.row_group(i)
        nbytes = sum(group.column(c).total_compressed_size for c in range(group.num_columns))
        if at > begin and at + nbytes - begin > size:
            yield begin, at, RowGroups(first, i, rows, digest)
            first, rows, begin = i, 0, at
        rows, at = rows + group.num_rows, at + nbytes
    yield begin, at, RowGroups(first, directory.num_row_groups, rows, digest)


def of_parquet(
    file: ObjectFile, groups: RowGroups, rows: int, columns: Sequence[str] | None, url: str
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some row groups as batches, one row group after the other, so that one is in memory.

    Args:
        file: The file.
        groups: Which ones, and of which directory they were planned.
        rows: How many a batch has at most.
        columns: Which ones are read; all if ``None``.
        url: The file's address, for errors.

    Raises:
        BadData: if the file has another directory than when it was planned, no such column, or is damaged.
    """
    pa = arrow()
    import pyarrow.parquet as pq

    directory = _directories.get((url, groups.directory))
    if directory is None:
        directory, digest = _directory(file, url)
        if digest != groups.directory:
            told = "this Parquet file is another one than when it was partitioned"
            raise BadData(url, 0, told, "Partition again when nobody writes to it any more.")
        while len(_directories) >= KEPT:
            _directories.pop(next(iter(_directories)), None)
        _directories[url, digest] = directory
    names = directory.schema.to_arrow_schema().names
    missing = [name for name in columns or () if name not in names]
    if missing:
        raise BadData(url, 0, f"there is no column {missing[0]!r}, but {', '.join(map(repr, names))}")
    reader = pq.ParquetFile(file, metadata=directory, pre_buffer=True)
    for i in range(groups.first, groups.last):
        try:
            yield from reader.iter_batches(rows, [i], columns=columns, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, WrensError):
                raise
            at = min(_begin(directory.row_group(i), c) for c in range(directory.num_columns))
            raise BadData(url, at, f"row group {i} cannot be read: {_first_line(error)}") from error


def _directory(file: BinaryIO | ObjectFile, url: str) -> tuple[Any, str]:
    """Return a Parquet file's directory, read with one request if it is not very large, and a digest of it.

    Raises:
        BadData: if it has none.
    """
    pa = arrow()
    import pyarrow.parquet as pq

    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    tail = file.read()
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < length <= size - len(_MAGIC):
        file.seek(size - length)
        tail = file.read()
    try:
        if tail[-4:] != _MAGIC:
            raise pa.ArrowInvalid(f"it ends with {tail[-4:]!r} and not {_MAGIC!r}")
        found = pq.read_metadata(pa.BufferReader(_MAGIC + tail[-length:]))
    except (pa.ArrowInvalid, OSError) as error:
        told = f"this is no Parquet file: {_first_line(error)}"
        advice = "border='parquet' is for files that Parquet writers have completed."
        raise BadData(url, max(0, size - len(_MAGIC)), told, advice) from error
    return found, hashlib.sha256(tail[-length:]).hexdigest()[:32]


def _begin(group: Any, i: int) -> int:
    """Return where a column of a row group begins in its file."""
    column = group.column(i)
    return int(column.dictionary_page_offset or column.data_page_offset)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def as_parquet(table: pa.Table) -> memoryview:
    """Return a table as a Parquet file, the same one for the same rows."""
    pa = arrow()
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return memoryview(sink.getvalue())
