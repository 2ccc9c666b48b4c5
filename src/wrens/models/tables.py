"""Records as Arrow tables; the only module that speaks to pyarrow.

Decides how the bytes of a partition become columns.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

from wrens.errors import BadData, MissingPackage
from wrens.models.borders import RowGroups
from wrens.models.hashing import mixed, numbers_of_records

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = "pip install 'wrens[data]'"


def arrow() -> Any:
    """Return the module pyarrow.

    Raises:
        MissingPackage: if it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingPackage("pyarrow", "Arrow tables and Parquet", NEEDED) from error
    return pa


def of_lines(piece: memoryview, mark: bytes, url: str, begun: int) -> pa.RecordBatch:
    r"""Return the records of a piece as one column of text, without what ends them.

    Args:
        piece: Whole records.
        mark: What ends each of them.
        url: The object that the piece is from, for errors.
        begun: Where the piece begins in it.

    Raises:
        BadData: if it is not UTF-8.

    >>> of_lines(memoryview(b"one\ntwo\r\n"), b"\n", "example", 0).column("line").to_pylist()
    ['one', 'two']
    """
    pa = arrow()
    import pyarrow.compute as pc

    try:
        str(piece, "utf-8")
    except UnicodeDecodeError as error:
        told = f"{bytes(piece[error.start : error.start + 8])!r} is not utf-8: {error.reason}"
        raise BadData(url, begun + error.start, told) from None
    ended = bytes(piece[-len(mark) :]) == mark
    body = piece[: len(piece) - len(mark)] if ended else piece
    offsets = pa.py_buffer(struct.pack("<qq", 0, len(body)))
    whole = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(body))
    column = pc.list_flatten(pc.split_pattern(whole, mark.decode()))
    if mark == b"\n" and b"\r" in bytes(body):
        column = pc.replace_substring_regex(column, "\\r$", "")
    return pa.RecordBatch.from_arrays([column], names=["line"])


def of_fixed(piece: memoryview, width: int) -> pa.RecordBatch:
    """Return records of one width as a column that lies in the piece.

    >>> of_fixed(memoryview(b"aabb"), 2).column("record").to_pylist()
    [b'aa', b'bb']
    """
    pa = arrow()
    count = len(piece) // width
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, pa.py_buffer(piece)])
    return pa.RecordBatch.from_arrays([column], names=["record"])


def gathered(data: Any, edges: Any, places: Any) -> memoryview:
    """Return records at some places, one after the other.

    Args:
        data: The bytes, as a NumPy array.
        edges: Where each record begins in them, and where the last one ends.
        places: The numbers of the records that are wanted.

    >>> import numpy as np
    >>> bytes(gathered(np.frombuffer(b"bbba", np.uint8), np.array([0, 3, 4]), np.array([1, 0])))
    b'abbb'
    """
    pa = arrow()
    import pyarrow.compute as pc

    # From the system's memory, which counts what is used: Arrow's own pool sets aside more.
    pool = pa.system_memory_pool()
    buffers = [None, pa.py_buffer(edges), pa.py_buffer(data)]
    whole = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(edges) - 1, buffers)
    found = pc.take(whole, pa.array(places), boundscheck=False, memory_pool=pool)
    return memoryview(found.buffers()[2])


def parquet(file: BinaryIO, url: str) -> Any:
    """Open a Parquet file.

    Raises:
        BadData: if it is none.
    """
    arrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        told = f"this is no Parquet file: {str(error).splitlines()[0]}"
        raise BadData(
            url, 0, told, "border='parquet' is for files that Parquet writers have completed."
        ) from error


def row_groups(file: BinaryIO, size: int, url: str) -> Iterator[tuple[int, int, RowGroups]]:
    """Yield ranges of a file's row groups that have about a size, each with the bytes that they lie in.

    Raises:
        BadData: if it is no Parquet file.
    """
    directory = parquet(file, url).metadata
    first = rows = held = begin = at = 0
    for i in range(directory.num_row_groups):
        group = directory.row_group(i)
        nbytes = sum(group.column(c).total_compressed_size for c in range(group.num_columns))
        if held and held + nbytes > size:
            yield begin, at, RowGroups(first, i, rows)
            first, rows, held, begin = i, 0, 0, at
        rows, held, at = rows + group.num_rows, held + nbytes, at + nbytes
    yield begin, at, RowGroups(first, directory.num_row_groups, rows)


def of_parquet(file: BinaryIO, groups: Sequence[int], rows: int, url: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some row groups as batches of at most ``rows``."""
    if groups:
        yield from parquet(file, url).iter_batches(batch_size=rows, row_groups=list(groups))


def aggregated(
    table: pa.Table, by: Sequence[str], asked: Sequence[tuple[str, str]], names: Sequence[str]
) -> pa.Table:
    """Return one row for each group, with the aggregates under these names.

    >>> import pyarrow as pa
    >>> aggregated(pa.table({"k": [1, 1], "x": [2, 3]}), ["k"], [("x", "sum")], ["total"]).to_pylist()
    [{'k': 1, 'total': 5}]
    """
    # One thread: another worker has the next processor.
    found = table.group_by(list(by), use_threads=False).aggregate(list(asked))
    return found.select([*by, *(f"{column}_{how}" for column, how in asked)]).rename_columns([*by, *names])


def finished(table: pa.Table, by: Sequence[str], wanted: Sequence[tuple[str, str, str]]) -> pa.Table:
    """Return the columns that were wanted, from those that parts were put together of."""
    pa = arrow()
    import pyarrow.compute as pc

    columns = {name: table.column(name) for name in by}
    for name, column, how in wanted:
        if how == "mean":
            total, count = table.column(f"{column}:sum"), table.column(f"{column}:count")
            columns[name] = pc.divide(pc.cast(total, pa.float64()), pc.cast(count, pa.float64()))
        else:
            columns[name] = table.column(f"{column}:{how}")
    return pa.table(columns)


def spread(table: pa.Table, by: Sequence[str], count: int) -> list[bytes | memoryview]:
    """Return ``count`` parts of a table, so that rows with the same key are in parts of the same number everywhere."""
    pa = arrow()
    import numpy as np

    numbers = _numbers(table, by)
    order = np.argsort(numbers, kind="stable")
    ordered = table.take(pa.array(order)).combine_chunks()
    tops = np.array([-(-(i << 64) // count) for i in range(count)], np.uint64)
    edges = [*np.searchsorted(numbers[order], tops).tolist(), table.num_rows]
    parts: list[bytes | memoryview] = []
    for begin, end in pairwise(edges):
        if begin == end:
            parts.append(b"")
            continue
        parts.append(as_stream(ordered.slice(begin, end - begin)))
    return parts


def as_stream(table: pa.Table) -> memoryview:
    """Return a table as a stream, which may lie beside others."""
    pa = arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


def as_parquet(table: pa.Table) -> memoryview:
    """Return a table as a Parquet file, the same one for the same rows."""
    pa = arrow()
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return memoryview(sink.getvalue())


def order_of_rows(table: pa.Table, columns: Sequence[tuple[str, bool]]) -> Any:
    """Return the places of rows in the order of columns; equal rows keep theirs, and nulls are last.

    Args:
        table: The rows.
        columns: Names of columns, and whether each is in descending order.

    >>> import pyarrow as pa
    >>> order_of_rows(pa.table({"a": [2, None, 3]}), [("a", True)]).tolist()
    [2, 0, 1]
    """
    arrow()
    import numpy as np
    import pyarrow.compute as pc

    by = [(name, "descending" if reverse else "ascending") for name, reverse in columns]
    return pc.sort_indices(table, sort_keys=by).to_numpy().astype(np.int64)  # nulls last by default


def as_records(column: pa.ChunkedArray) -> tuple[Any, Any, Any]:
    """Return a column as bytes: where each value begins and the last one ends, all of them, and which are null."""
    pa = arrow()
    import numpy as np
    import pyarrow.compute as pc

    nulls = pc.is_null(column).to_numpy()
    kind = column.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_string(kind)):
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)):
            column = pa.chunked_array([[repr(value) for value in column.to_pylist()]], pa.large_string())
        else:
            whole = pa.chunked_array(column.chunks, kind).combine_chunks()
            width = kind.bit_width // 8
            data = np.frombuffer(whole.buffers()[1] or b"", np.uint8)
            edges = (np.arange(len(whole) + 1) + whole.offset) * width
            return edges, data, nulls
    column = pc.fill_null(column.cast(pa.large_binary()), b"").combine_chunks()
    edges = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    return edges, np.frombuffer(column.buffers()[2] or b"", np.uint8), nulls


def unspread(data: memoryview) -> Iterator[pa.Table]:
    """Yield the tables of parts that lie side by side."""
    pa = arrow()
    source = pa.BufferReader(data)
    while source.tell() < len(data):
        yield pa.ipc.open_stream(source).read_all()


def _numbers(table: pa.Table, by: Sequence[str]) -> Any:
    """Return a number below 2**64 for each row that is the same for equal keys, in every process."""
    import numpy as np

    found = np.zeros(table.num_rows, np.uint64)
    with np.errstate(over="ignore"):
        for name in by:
            found = mixed(found * np.uint64(31) + _numbers_of(table.column(name).combine_chunks()))
    return found


def _numbers_of(column: Any) -> Any:
    pa = arrow()
    import numpy as np
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _numbers_of(column.dictionary_decode())
    if (
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    ):
        column = pc.fill_null(column.cast(pa.large_binary()), b"")
        edges = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
        data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
        return numbers_of_records(data, edges)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_floating(kind):
        column = pc.add(column.cast(pa.float64()), 0.0)  # of two zeros one
    elif not pa.types.is_integer(kind):
        column = column.cast(pa.int64())
    values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    wide = (
        values.astype(np.float64).view(np.uint64)
        if values.dtype.kind == "f"
        else values.astype(np.int64).view(np.uint64)
    )
    return mixed(wide)


def counted(data: Any, edges: Any) -> tuple[Any, Any]:
    """Return the different ones of texts that lie side by side, and how often each is there, as Arrow columns.

    Args:
        data: Their bytes, as a NumPy array.
        edges: Where each begins, and where the last ends.
    """
    pa = arrow()
    import pyarrow.compute as pc

    found = pc.value_counts(binary(data, edges))
    return found.field("values").cast(pa.binary()), found.field("counts")


def binary(data: Any, edges: Any) -> Any:
    """Return texts that lie side by side as an Arrow column, which uses that memory."""
    pa = arrow()
    import numpy as np

    buffers = [
        None,
        pa.py_buffer(np.ascontiguousarray(edges, np.int64)),
        pa.py_buffer(np.ascontiguousarray(data)),
    ]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(edges) - 1, buffers)


def table_of(**columns: Sequence[Any]) -> pa.Table:
    """Return a table of columns, each of them one or more Arrow arrays of one type."""
    pa = arrow()
    return pa.table({name: pa.chunked_array(parts) for name, parts in columns.items()})
