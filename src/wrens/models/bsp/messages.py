"""Messages between two supersteps: gathered by the sender, packed as one part for each receiver, read by the receiver.

A part is a pack of two items: a list of Python messages, and the typed ones as columns (with their index, if they have one),
whose arrays lie beside the pickle and are not copied. Decides their order (by sender, then as they were sent), what typed
messages may be, and that what is combined is combined on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from wrens.errors import BadMessage
from wrens.models import exchange
from wrens.models.bsp import combining
from wrens.models.bsp.combining import Columns, Way
from wrens.models.exchange import Slice
from wrens.serialize import Pack, pack
from wrens.store.port import Buffer

ONLY = ""
"""The name of the column of arrays that were sent without one."""
Typed = tuple[npt.NDArray[Any] | None, Columns]
"""An index, if there is one, and columns."""


def packed(value: Any, what: str) -> list[Buffer]:
    """Return a value as it is stored.

    Raises:
        CannotShip: if it cannot be pickled.
    """
    done = pack([value], what=lambda _: what)
    if done.failures:
        raise done.failures[0]
    return done.buffers


class Outbox:
    """What a partition sends in one superstep.

    Args:
        sender: Its number.
        number: The superstep's.
        partitions: How many receivers there are.
        combine: How messages to one receiver become one, if they do.
    """

    def __init__(self, sender: int, number: int, partitions: int, combine: Way | None) -> None:
        self.sender, self.number, self.partitions, self.combine = sender, number, partitions, combine
        self._python: dict[int, list[Any]] = {}
        self._typed: dict[int, list[Typed]] = {}
        self.sent = 0

    def send(self, to: int, message: Any) -> None:
        """Send a Python value."""
        waiting = self._python.setdefault(self._receiver(to), [])
        self.sent += 1
        if self.combine is not None and waiting:
            waiting[0] = combining.function_of(self.combine)(waiting[0], message)
        else:
            waiting.append(message)

    def send_array(self, to: int, values: Any, index: Any) -> None:
        """Send rows."""
        to = self._receiver(to)
        columns = self._columns(values)
        rows = None if index is None else np.asarray(index)
        if rows is not None and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
            raise self._bad(to, f"an index of {rows.ndim} dimensions of {rows.dtype}", "Whole numbers in a row.")
        lengths = {len(column) for column in columns.values()} | ({len(rows)} if rows is not None else set())
        if len(lengths) != 1:
            raise self._bad(to, f"columns and index of different lengths: {sorted(lengths)}", "")
        sent = self._typed.setdefault(to, [])
        if sent and not alike(sent[0], (rows, columns)):
            raise self._bad(
                to, f"{shape_of((rows, columns))} after {shape_of(sent[0])}", "Send one receiver one kind."
            )
        sent.append((rows, columns))
        self.sent += lengths.pop()

    def parts(self) -> Iterator[list[Buffer]]:
        """Yield for each receiver what is written for it.

        Raises:
            CannotShip: if a message cannot be pickled.
        """
        for to in range(self.partitions):
            python, typed = self._python.get(to, []), self._typed.get(to, [])
            if not python and not typed:
                yield []
                continue
            what = f"a message of partition {self.sender} to partition {to}"
            yield packed((self.sender, python, joined(typed, self.combine) if typed else None), what)

    def _receiver(self, to: int) -> int:
        try:
            if to == int(to) and 0 <= to < self.partitions:
                return int(to)
        except (TypeError, ValueError):
            pass
        raise BadMessage(
            self.sender,
            self.number,
            f"sent a message to partition {to!r}, which does not exist",
            f"There are {self.partitions}, from 0 to {self.partitions - 1}.",
        )

    def _columns(self, values: Any) -> Columns:
        columns: Columns
        if isinstance(values, Mapping):
            columns = {str(name): np.asarray(column) for name, column in values.items()}
        elif hasattr(values, "schema") and hasattr(values, "column"):  # an Arrow batch or table
            names = values.schema.names
            columns = {name: np.asarray(values.column(i)) for i, name in enumerate(names)}
        else:
            columns = {ONLY: np.asarray(values)}
        for name, column in columns.items():
            if column.dtype.hasobject or not column.ndim:
                raise BadMessage(
                    self.sender,
                    self.number,
                    f"sent {column.dtype} of {column.ndim} dimensions as a column {name!r}",
                    "send_array takes arrays of numbers; send takes any value.",
                )
        return columns

    def _bad(self, to: int, problem: str, advice: str) -> BadMessage:
        return BadMessage(self.sender, self.number, f"sent partition {to} {problem}", advice)


class Inbox:
    """The messages to a partition, read from the store when they are first looked at.

    Args:
        slices: Where they are, in the order of the senders.
        combine: How they become one, if they do.
        receiver: The partition's number, for errors.
        number: The superstep's.

    Iterating yields the Python messages, by the number of the sender and as each has sent them; if they are combined,
    there is at most one.
    """

    def __init__(self, slices: Sequence[Slice], combine: Way | None, receiver: int, number: int) -> None:
        self._slices, self._combine = slices, combine
        self._receiver, self._number = receiver, number
        self._found: tuple[list[Any], list[Typed]] | None = None

    def __bool__(self) -> bool:
        """Tell whether there is any message, typed or not; reads nothing."""
        return bool(self._slices)

    def __len__(self) -> int:
        """Return how many Python messages there are."""
        return len(self._read()[0])

    def __iter__(self) -> Iterator[Any]:
        """Yield the Python messages."""
        return iter(self._read()[0])

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return what each sender has sent as arrays without names: one array for each, in the order of the senders.

        With ``combine="sum"`` and an index, or to be added up by hand: ``sum(inbox.arrays())``.
        """
        return [self._only(columns) for _, columns in self._read()[1]]

    def array(self) -> npt.NDArray[Any]:
        """Return all that was sent as arrays without names as one, in the order of the senders; maybe an empty one."""
        return self._only(self._all()[1]) if self._read()[1] else np.empty(0)

    def columns(self) -> Columns:
        """Return all that was sent as named columns: one array for each name; empty if nothing was."""
        return self._all()[1] if self._read()[1] else {}

    @property
    def index(self) -> npt.NDArray[Any]:
        """For each row of the arrays the index that it was sent with."""
        index = self._all()[0] if self._read()[1] else None
        return np.empty(0, np.int64) if index is None else index

    def _only(self, columns: Columns) -> npt.NDArray[Any]:
        if set(columns) != {ONLY}:
            raise BadMessage(
                self._receiver,
                self._number,
                f"asked for an array, and was sent the columns {sorted(columns)}",
                "inbox.columns() returns them by name.",
                receives=True,
            )
        return columns[ONLY]

    def _all(self) -> Typed:
        """Return the typed messages as one."""
        python, typed = self._read()
        if len(typed) > 1:
            first = typed[0]
            for other in typed[1:]:
                if not alike(first, other):
                    problem = f"was sent {shape_of(first)} and {shape_of(other)}"
                    raise BadMessage(
                        self._receiver, self._number, problem, "Send one kind of rows.", receives=True
                    )
            typed = [joined(typed, self._combine)]
            self._found = python, typed
        return typed[0]

    def _read(self) -> tuple[list[Any], list[Typed]]:
        if self._found is None:
            python: list[Any] = []
            typed: list[Typed] = []
            for data in exchange.read(self._slices):
                _, messages, rows = Pack(data).item(0)
                python += messages
                if rows is not None:
                    typed.append(rows)
            if self._combine is not None and len(python) > 1:
                python = [reduce(combining.function_of(self._combine), python)]
            self._found = python, typed
        return self._found


def joined(typed: Sequence[Typed], combine: Way | None) -> Typed:
    """Return rows one below the other; those of one index combined, if there is an index and a word for how."""
    index, columns = typed[0]
    if len(typed) > 1:
        columns = {name: np.concatenate([some[name] for _, some in typed]) for name in columns}
        index = None if index is None else np.concatenate([rows for rows, _ in typed if rows is not None])
    if index is not None and isinstance(combine, str):
        return combining.by_index(index, columns, combine)
    return index, columns


def alike(one: Typed, other: Typed) -> bool:
    """Tell whether rows can stand below each other."""
    return shape_of(one) == shape_of(other)


def shape_of(typed: Typed) -> str:
    """Return what kind of rows these are, in words."""
    index, columns = typed
    told = [f"{name or 'values'}: {c.dtype}{list(c.shape[1:]) or ''}" for name, c in sorted(columns.items())]
    return f"rows of {', '.join(told)}" + (" with an index" if index is not None else "")
