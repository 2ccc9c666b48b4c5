"""Messages between two supersteps: gathered by the sender, packed as one part for each receiver, read by the receiver.

A part is a pack of two items: a list of Python messages, and the typed ones as columns (with their index, if they have one),
whose arrays lie beside the pickle and are not copied. Decides their order (by sender, then as they were sent), what typed
messages may be, and that what is combined is combined on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from functools import reduce
from typing import TYPE_CHECKING, Any

from wrens.errors import BadMessage
from wrens.models import exchange
from wrens.models.bsp import combining
from wrens.models.bsp.combining import Way
from wrens.models.exchange import Slice
from wrens.serialize import Pack, pack
from wrens.serialize.functions import name_of
from wrens.store.port import Buffer

if TYPE_CHECKING:  # programs with Python messages do without NumPy
    import numpy.typing as npt

    from wrens.models.bsp.columns import Columns, Kind, Typed

ONE_KIND = (
    "Send one receiver rows of one kind: columns of the same names and types, all with an index or all without, and no "
    "index of uint64 beside one of a signed type."
)
FOR_ROWS = (
    "Rows of one index become one by combine='sum', 'min' or 'max'. For a function, send Python messages with at.send; or "
    "leave combine= out, and call it on what the inbox has."
)


_NEVER_CHANGE = frozenset({int, float, complex, bool, str, bytes, type(None)})


def own(value: Any) -> Any:
    """Return a value that stays as it is when whoever has sent it changes theirs.

    >>> mine = [1, [2]]
    >>> sent = own(mine)
    >>> mine[1].append(3)
    >>> sent
    [1, [2]]
    """
    kind = type(value)
    if kind in _NEVER_CHANGE or (kind is tuple and all(type(one) in _NEVER_CHANGE for one in value)):
        return value
    if kind.__module__.partition(".")[0] == "pyarrow":  # what Arrow holds cannot be changed
        return value
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied can hardly be packed, and that is told where it is
        return value


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
    """What a partition sends, tells and votes in one superstep.

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
        self._kinds: dict[int, dict[Kind, int]] = {}
        self.sent = 0
        self.told: dict[str, Any] = {}
        self.halted = False

    def send(self, to: int, message: Any) -> None:
        """Send a Python value, as it is now."""
        message = own(message)
        waiting = self._python.setdefault(self._receiver(to), [])
        self.sent += 1
        if self.combine is not None and waiting:
            waiting[0] = combining.function_of(self.combine)(waiting[0], message)
        else:
            waiting.append(message)

    def send_array(self, to: int, values: Any, index: Any) -> None:
        """Send rows, as they are now."""
        from wrens.models.bsp import columns

        to = self._receiver(to)
        sent = self._typed.setdefault(to, [])
        if callable(self.combine):
            problem = f"sent partition {to} rows, which combine={name_of(self.combine)} is not applied to"
            raise self._bad(problem, FOR_ROWS)
        try:
            rows = columns.typed(values, index, self.combine)
        except ValueError as error:
            advice = "send_array takes arrays of numbers, all of one length; send takes any value."
            raise self._bad(f"sent partition {to} {error}", advice) from error
        if other := columns.misfit(rows, self.sender, self._kinds.setdefault(to, {})):
            raise self._bad(f"sent partition {to} {columns.kind_of(rows)} after {other[0]}", ONE_KIND)
        index, found = rows
        sent.append((copy(index), {name: copy(column) for name, column in found.items()}))
        self.sent += len(next(iter(found.values())))

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
            rows = (self.sender, _joined(typed, self.combine)) if typed else None
            yield packed((python, rows), what)

    def _receiver(self, to: int) -> int:
        try:
            if to == int(to) and 0 <= to < self.partitions:
                return int(to)
        except (TypeError, ValueError):
            pass
        raise self._bad(
            f"sent a message to partition {to!r}, which does not exist",
            f"There are {self.partitions}, from 0 to {self.partitions - 1}.",
        )

    def _bad(self, problem: str, advice: str) -> BadMessage:
        return BadMessage(self.sender, self.number, problem, advice)


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
        self._found: tuple[list[Any], dict[int, Typed]] | None = None
        self._rows: Typed | None = None

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
        return [self._only(columns) for _, columns in self._read()[1].values()]

    def array(self) -> npt.NDArray[Any]:
        """Return all that was sent as arrays without names as one, in the order of the senders; maybe an empty one."""
        return self._only(self._all()[1])

    def columns(self) -> Columns:
        """Return all that was sent as named columns: one array for each name; empty if nothing was."""
        return self._all()[1] if self._read()[1] else {}

    @property
    def index(self) -> npt.NDArray[Any]:
        """For each row of the arrays the index that it was sent with; empty if there was none."""
        from wrens.models.bsp import columns

        index = self._all()[0]
        return columns.none_at_all()[0] if index is None else index

    def _only(self, columns: Columns) -> npt.NDArray[Any]:
        from wrens.models.bsp.columns import ONLY

        if set(columns) != {ONLY}:
            problem = f"was sent the columns {sorted(columns)}, and asked for an array without a name"
            raise BadMessage(self._receiver, self._number, problem, "inbox.columns() returns them by name.")
        return columns[ONLY]

    def _all(self) -> Typed:
        """Return the typed messages as one."""
        from wrens.models.bsp import columns

        _, typed = self._read()
        if not typed:
            index, array = columns.none_at_all()
            return index, {columns.ONLY: array}
        if self._rows is None:
            known: dict[Kind, int] = {}
            for sender, rows in typed.items():
                if other := columns.misfit(rows, sender, known):
                    kind, who = other
                    problem = f"was sent {kind} by partition {who} and {columns.kind_of(rows)} by partition {sender}"
                    raise BadMessage(self._receiver, self._number, problem, ONE_KIND)
            some = list(typed.values())
            self._rows = columns.joined(some, self._combine) if len(some) > 1 else some[0]
        return self._rows

    def _read(self) -> tuple[list[Any], dict[int, Typed]]:
        """Return the Python messages, and the typed ones by sender."""
        if self._found is None:
            python: list[Any] = []
            typed: dict[int, Typed] = {}
            for data in exchange.read(self._slices):
                messages, rows = Pack(data).item(0)
                python += messages
                if rows is not None:
                    typed[rows[0]] = rows[1]
            if self._combine is not None and len(python) > 1:
                python = [reduce(combining.function_of(self._combine), python)]
            self._found = python, typed
        return self._found


def _joined(typed: Sequence[Typed], combine: Way | None) -> Typed:
    from wrens.models.bsp import columns

    return columns.joined(typed, combine)
