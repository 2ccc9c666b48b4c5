"""Arrays as the servers hold them: what is asked of which server.

Decides what a reader has seen, from which staleness is counted. How arrays come to be is in
:mod:`wrens.models.parameter_server.making`, and what servers do in ``functions.lua``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wrens.errors import BadUpdate
from wrens.kv import KeyValue
from wrens.models.parameter_server import arrays, library
from wrens.models.parameter_server.arrays import Array, Floats, Index, Selection, Sparse, Words
from wrens.models.parameter_server.standing import Standing

Updates = Sequence[tuple[str, Any, Index]]
"""Arrays, values and rows."""


class Shards:
    """Arrays on servers.

    Args:
        tier: The servers.
        name: Of all the arrays together.
        found: What each array is.
        tokens: By what each server knows them.
    """

    def __init__(
        self, tier: KeyValue, name: str, found: Mapping[str, Array], tokens: Sequence[bytes] = ()
    ) -> None:
        self.tier, self.name, self.arrays = tier, name, dict(found)
        self.tokens = tuple(tokens)
        self._seen = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return Shards, (self.tier, self.name, self.arrays, self.tokens)

    @property
    def key(self) -> str:
        """By what name servers know the arrays."""
        return f"{self.tier.namespace}{self.name}"

    @property
    def count(self) -> int:
        """How many servers there are."""
        return len(self.tier.urls)

    def pull(self, some: Sequence[tuple[str, Index]], dtype: str | None = None) -> list[Floats]:
        """Return rows of arrays; one round trip to each server."""
        selections = [self._selection(array, index) for array, index in some]
        calls: dict[int, list[tuple[Any, ...]]] = {}
        answers: list[dict[int, int]] = []
        for one in selections:
            answers.append(mine := {})
            for server, words in one.requests(dtype):
                mine[server] = len(calls.setdefault(server, []))
                calls[server].append(("take", *self._model(server), *words))
        found = library.call(self.tier, calls, changes=False) if calls else {}
        for server, told in found.items():
            self._versions()[server] = told[0][0]
        return [
            one.values({server: found[server][place][1] for server, place in mine.items()}, dtype)
            for one, mine in zip(selections, answers, strict=True)
        ]

    def read(self, name: str, dtype: str | None = None) -> tuple[Any, Floats]:
        """Return the numbers of the rows that there are, ascending, and the rows; in pages, each of its own moment."""
        array = self.array(name)
        rows = self.rows(name) if isinstance(array, Sparse) else np.arange(array.rows)
        step = max(1, arrays.PAGE // array.width) * self.count
        pages = (slice(at, min(at + step, len(rows))) for at in range(0, len(rows), step))
        # Of a dense array the slice itself is sent, and not the number of each row.
        found = [
            self.pull([(name, rows[page] if isinstance(array, Sparse) else page)], dtype)[0] for page in pages
        ]
        return rows, np.concatenate(found) if found else self.pull([(name, rows)], dtype)[0]

    def push(self, some: Updates) -> None:
        """Add to arrays; one round trip to each server, which is at work on the first while the next is made."""
        updates = [self._selection(array, index).updates(values) for array, values, index in some]
        if self.count == 1 and updates:
            self.add({0: (len(updates), (words for one in updates for _, words in one))})
        else:
            self.add(
                {server: (len(each), each) for server, each in arrays.by_server(updates).items() if each}
            )

    def add(self, some: Mapping[int, tuple[int, Iterable[Words]]]) -> None:
        """Carry out updates, for each server so many, each of them once."""
        if not some:
            return
        library.call(self.tier, {server: self._adds(server, *each) for server, each in some.items()})
        for server, (count, _) in some.items():
            if server in self._versions():
                self._versions()[server] += count  # staleness is what others have added

    def _adds(self, server: int, count: int, updates: Iterable[Words]) -> Iterator[tuple[Any, ...]]:
        # Both are this thread's own; the calls are made in another one where there are several servers.
        (who, number), seen = self.tier.numbers(server, count), self.seen(server)
        return (
            ("add", *self._model(server), who, number + i, seen + i if seen >= 0 else -1, *words)
            for i, words in enumerate(updates)
        )

    def rows(self, array: str) -> Any:
        """Return the numbers of the rows of a sparse array that there are, ascending."""
        found = dict.fromkeys(range(self.count), b"")
        unread = list(found)
        while unread:
            args = {server: (array, len(found[server]) // 4, arrays.PAGE) for server in unread}
            answers = self.ask_each("rows", args, changes=False)
            for server, (page,) in answers.items():
                found[server] += page
            unread = [server for server, (page,) in answers.items() if len(page) == 4 * arrays.PAGE]
        return arrays.joined(found, self.count)

    def updates(self, some: Updates, dtype: str | None = None) -> dict[int, list[Words]]:
        """Return what is sent to each server to add to arrays.

        Raises:
            BadUpdate: if there are no such arrays or rows, or values cannot be added to them.
        """
        return arrays.by_server(
            [self._selection(array, index).updates(values, dtype) for array, values, index in some]
        )

    def array(self, name: str) -> Array:
        """Return what an array is.

        Raises:
            BadUpdate: if there is none of this name.
        """
        if name not in self.arrays:
            raise BadUpdate(name, "does not exist", f"There are {', '.join(map(repr, self.arrays))}.")
        return self.arrays[name]

    def seen(self, server: int) -> int:
        """Return the version that this thread has last read from a server; -1 if it has read nothing."""
        return self._versions().get(server, -1)

    def look(self) -> dict[int, Any]:
        """Return what each server knows of arrays of this name: their token, what they are, and whether they may be used."""
        calls = {server: [("look", self.key, b"")] for server in range(self.count)}
        return {server: answer[0] for server, answer in library.call(self.tier, calls, changes=False).items()}

    def standing(self) -> Standing:
        """Return where workers stand."""
        return Standing.of(self.ask("state", changes=False))

    def settled(self, standing: Standing) -> Standing:
        """Let servers add, of a synchronous run, what all workers have told to all of them; return where they stand then."""
        return Standing.of(self.ask("settle", standing.run, standing.ready))

    def ask(self, operation: str, *args: Any, changes: bool = True) -> dict[int, list[Any]]:
        """Call a function with the same arguments on all servers, and return what each has answered."""
        return self.ask_each(operation, dict.fromkeys(range(self.count), args), changes=changes)

    def ask_each(
        self, operation: str, args: Mapping[int, Sequence[Any]], *, changes: bool = True
    ) -> dict[int, list[Any]]:
        """Call a function on servers, with each one's own arguments."""
        calls = {server: [(operation, *self._model(server), *some)] for server, some in args.items()}
        return library.call(self.tier, calls, changes=changes)

    def _selection(self, array: str, index: Index) -> Selection:
        return Selection(array, self.array(array), index, self.count)

    def _versions(self) -> dict[int, int]:
        found: dict[int, int] = self._seen.__dict__.setdefault("versions", {})
        return found

    def _model(self, server: int) -> tuple[str, bytes]:
        return self.key, self.tokens[server]
