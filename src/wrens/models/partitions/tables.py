"""Records as Arrow tables; the only module that speaks to pyarrow.

Decides how the bytes of a partition become columns.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wrens.errors import BadData, MissingPackage
from wrens.models.hashing import mixed, numbers_of_records
from wrens.models.partitions.reading import decoded

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = "pip install 'wrens[data]'; for workers without packages, import pyarrow in the function as well"


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


def of_lines(piece: memoryview, mark: str, encoding: str, url: str, begun: int) -> pa.RecordBatch:
    r"""Return the records of a piece as one column of text, without what ends them.

    Args:
        piece: Whole records.
        mark: What ends each of them.
        encoding: How they are encoded.
        url: The object that the piece is from, for errors.
        begun: Where the piece begins in it.

    Raises:
        BadData: if they are encoded otherwise.

    >>> of_lines(memoryview(b"one\ntwo\r\n"), "\n", "utf-8", "example", 0).column("line").to_pylist()
    ['one', 'two']
    """
    pa = arrow()
    import pyarrow.compute as pc

    body = piece
    if encoding != "utf-8" or (not begun and bytes(piece[:3]) == codecs.BOM_UTF8):
        body = memoryview(decoded(piece, encoding, url, begun).encode())
    if mark == "\n" and _holds(body, b"\r"):
        body = memoryview(bytes(body).replace(b"\r\n", b"\n"))
    ends = mark.encode()
    if body[-len(ends) :] == ends:
        body = body[: -len(ends)]
    elif not len(body):
        return pa.RecordBatch.from_arrays([pa.array([], pa.large_string())], names=["line"])
    offsets = pa.py_buffer(struct.pack("<qq", 0, len(body)))
    text = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(body))
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        decoded(piece, encoding, url, begun)  # tells where
        raise
    column = pc.list_flatten(pc.split_pattern(text, mark))
    return pa.RecordBatch.from_arrays([column], names=["line"])


def _holds(data: memoryview, letter: bytes) -> bool:
    """Tell whether a byte is in data, which are not copied."""
    import numpy as np

    return bool((np.frombuffer(data, np.uint8) == ord(letter)).any())


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


def together(found: Sequence[pa.Table | pa.RecordBatch]) -> pa.Table:
    """Return tables or batches as one table, in types that hold what all of theirs do.

    >>> import pyarrow as pa
    >>> together([pa.table({"x": pa.array([1], pa.int8())}), pa.table({"x": [1000]})]).column("x").to_pylist()
    [1, 1000]
    """
    pa = arrow()
    tables = [pa.Table.from_batches([one]) if isinstance(one, pa.RecordBatch) else one for one in found]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")


def aggregated(
    table: pa.Table, by: Sequence[str], asked: Sequence[tuple[str, str]], names: Sequence[str]
) -> pa.Table:
    """Return one row for each group, with the aggregates under these names.

    >>> import pyarrow as pa
    >>> aggregated(pa.table({"k": [1, 1], "x": [2, 3]}), ["k"], [("x", "sum")], ["total"]).to_pylist()
    [{'k': 1, 'total': 5}]
    """
    pa = arrow()
    # Under names of ours, since Arrow makes those of its results from them, and they could be the user's, too.
    keys = {f"k{i}": _as_key(table.column(name)) for i, name in enumerate(by)}
    values = {name: f"v{i}" for i, name in enumerate(dict.fromkeys(column for column, _ in asked))}
    renamed = pa.table(keys | {new: table.column(name) for name, new in values.items()})
    # One thread: another worker has the next processor.
    grouped = renamed.group_by(list(keys), use_threads=False)
    found = grouped.aggregate([(values[column], how) for column, how in asked])
    columns = [*keys, *(f"{values[column]}_{how}" for column, how in asked)]
    return found.select(columns).rename_columns([*by, *names])


def _as_key(column: Any) -> Any:
    """Return a column so that equal keys are grouped together: of two zeros, and of all NaN, one."""
    pa = arrow()
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = pc.add(column, pa.scalar(0.0, column.type))
        column = pc.if_else(pc.is_nan(column), pa.scalar(float("nan"), column.type), column)
    return column


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


def family(kind: Any) -> str:
    """Return what all types are called in which equal keys have equal numbers; empty when there is no number.

    >>> import pyarrow as pa
    >>> family(pa.int8()), family(pa.uint64()), family(pa.large_string()), family(pa.list_(pa.int8()))
    ('integer', 'integer', 'text', '')
    """
    types = arrow().types
    if types.is_dictionary(kind):
        return family(kind.value_type)
    for name, tells in (
        ("text", (types.is_string, types.is_large_string)),
        ("binary", (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)),
        ("integer", (types.is_integer,)),
        ("number", (types.is_floating,)),
        ("boolean", (types.is_boolean,)),
        ("nothing", (types.is_null,)),
    ):
        if any(tell(kind) for tell in tells):
            return name
    return str(kind) if types.is_temporal(kind) or types.is_decimal(kind) else ""


def fit(one: Any, other: Any, *, keys: bool) -> bool:
    """Tell whether columns of two types can be put together.

    Args:
        one: A type.
        other: Another one.
        keys: Whether equal values must have equal numbers, too.

    >>> import pyarrow as pa
    >>> fit(pa.int8(), pa.float64(), keys=False), fit(pa.int8(), pa.float64(), keys=True)
    (True, False)
    """
    pa = arrow()
    if pa.types.is_null(one) or pa.types.is_null(other):
        return True
    if keys and family(one) != family(other):
        return False
    try:
        pa.unify_schemas([pa.schema({"": one}), pa.schema({"": other})], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def is_null(kind: Any) -> bool:
    """Tell whether a type is that of a column of which only nulls have been seen."""
    return bool(arrow().types.is_null(kind))


@contextmanager
def told(source: str) -> Iterator[None]:
    """Tell of what kernels refuse in words of ours.

    Raises:
        BadData: if a column does not go with what is asked of it.
    """
    pa = arrow()
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        advice = "Look at the types of the columns; prepare= can cast them."
        raise BadData(source, 0, str(error).splitlines()[0], advice) from error


def as_stream(table: pa.Table) -> memoryview:
    """Return a table as bytes that :func:`unspread` reads."""
    pa = arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


def spread(table: pa.Table, by: Sequence[str], count: int) -> list[bytes | memoryview]:
    """Return ``count`` parts of a table, so that rows with the same key are in parts of the same number everywhere."""
    pa = arrow()
    import numpy as np

    numbers = _numbers(table, by)
    order = np.argsort(numbers, kind="stable")
    ordered = table.take(pa.array(order)).combine_chunks()
    tops = np.array([-(-(i << 64) // count) for i in range(count)], np.uint64)
    edges = [*np.searchsorted(numbers[order], tops).tolist(), table.num_rows]
    return [
        as_stream(ordered.slice(begin, end - begin)) if begin < end else b"" for begin, end in pairwise(edges)
    ]


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


def schema_in(data: bytes) -> Any:
    """Return a schema that was serialized."""
    pa = arrow()
    return pa.ipc.read_schema(pa.py_buffer(data))


def _numbers(table: pa.Table, by: Sequence[str]) -> Any:
    """Return a number below 2**64 for each row that is the same for equal keys, in every process."""
    import numpy as np

    found = np.zeros(table.num_rows, np.uint64)
    with np.errstate(over="ignore"):
        for name in by:
            found = mixed(found * np.uint64(31) + _numbers_of(table.column(name)))
    return found


def _numbers_of(column: Any) -> Any:
    """Return a number for each value of a column; equal ones of a :func:`family` have equal numbers."""
    pa = arrow()
    import numpy as np
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _numbers_of(column.cast(kind.value_type))
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.uint64)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.string())
    if pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.binary())
    if family(column.type) in {"text", "binary"}:
        column = pc.fill_null(column.cast(pa.large_binary()), b"")
        edges = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
        data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
        return numbers_of_records(data, edges)
    if pa.types.is_floating(kind):
        values = pc.fill_null(_as_key(column.cast(pa.float64())), 0.0).to_numpy(zero_copy_only=False)
        return mixed(values.view(np.uint64))
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_date32(kind) or pa.types.is_time32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.int64())
    values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return mixed(values.astype(np.int64).view(np.uint64))


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
