"""Arrays as the servers hold them: what is asked of which server, and that all hold parts of the same.

Decides how arrays come to be, once, whoever asks for them at the same moment; and what a reader has seen, from which staleness is
counted. What servers do is in ``functions.lua``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from wrens.clock import Clock, SystemClock
from wrens.errors import BadOption, BadUpdate, ShardFull, ShardLost
from wrens.kv import KeyValue, servers
from wrens.models.parameter_server import arrays, library
from wrens.models.parameter_server.arrays import Array, Floats, Index, Selection
from wrens.models.parameter_server.standing import Standing
from wrens.wire import keys

Updates = Sequence[tuple[str, Any, Index]]
"""Arrays, values and rows."""

BYTES = 24
"""Bytes that a server needs for a number, while it makes an array; 16 afterwards."""
JOIN_S = 5.0
"""How long another client may take to make its arrays on all servers."""


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
    def _name(self) -> str:
        """By what servers know the arrays."""
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

    def push(self, some: Updates) -> None:
        """Add to arrays; one round trip to each server, which is at work on the first while the next is made."""
        updates = [self._selection(array, index).updates(values) for array, values, index in some]
        if not updates:
            return
        if self.count == 1:
            who, number = self.tier.numbers(0, len(updates))
            words = (words for one in updates for _, words in one)
            adds = (
                ("add", *self._model(0), who, number + i, self.seen(0), *each) for i, each in enumerate(words)
            )
            library.call(self.tier, {0: adds})
            return
        calls = {}
        for server, each in arrays.by_server(updates).items():
            who, number = self.tier.numbers(server, len(each))
            calls[server] = [
                ("add", *self._model(server), who, number + i, self.seen(server), *words)
                for i, words in enumerate(each)
            ]
        library.call(self.tier, calls)

    def rows(self, array: str) -> Any:
        """Return the numbers of the rows of a sparse array that there are, ascending."""
        found = self.ask("rows", array, self.array(array).width, changes=False)
        return arrays.joined({server: answer[0] for server, answer in found.items()}, self.count)

    def updates(self, some: Updates, dtype: str | None = None) -> dict[int, list[Any]]:
        """Return what is sent to each server to add to arrays.

        Raises:
            BadUpdate: if there are no such arrays or rows, or values cannot be added to them.
        """
        found = [self._selection(array, index).updates(values, dtype) for array, values, index in some]
        return {
            server: [word for one in words for word in one]
            for server, words in arrays.by_server(found).items()
        }

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

    def make(self, first: Updates, standing: Standing | None = None) -> None:
        """Make the arrays, or join them if they are there.

        Args:
            first: What is in them when they are made.
            standing: Where workers stand. With it arrays are made and not joined.
        """
        library.put(self.tier)
        there = self._look()
        if any(there.values()) and standing is not None:
            raise BadOption(
                f"name={self.name!r}",
                "is there: servers hold arrays of this name",
                "Drop them before you restore them.",
            )
        if not any(there.values()):
            self._check_memory()
        token = keys.new_id().encode()
        specs = [
            f"{arrays.spelled(self.arrays)}; part {s + 1} of {self.count}".encode() for s in range(self.count)
        ]
        for found, spec in zip(there.values(), specs, strict=True):
            self._check_same(found, spec)
        updates = self.updates(first, dtype="float64")
        tokens: list[bytes] = []
        for server, spec in enumerate(specs):
            # One after the other: of several clients at the same moment, the one that is first at the first server makes them all.
            if tokens and tokens[0] != token:
                self._await(server)
            sizes = [
                x for key, a in self.arrays.items() for x in (key, arrays.size_of(a, server, self.count))
            ]
            args = ("create", self._name, token, spec, len(self.arrays), *sizes, *updates.get(server, ()))
            found = library.call(self.tier, {server: [args]})[server][0]
            self._check_same(found, spec)
            tokens.append(found[0])
        self.tokens = tuple(tokens)
        if len(set(tokens)) > 1:
            raise ShardLost(
                self.tier.urls[0], f"it has lost its part of {self.name!r}, which others still have", DROP
            )
        if standing is not None:
            workers = () if standing.over else (standing.settled, *standing.clocks)
            self.ask("begin", standing.run, 0 if standing.over else standing.workers, "", *workers)

    def _check_same(self, found: Sequence[bytes], spec: bytes) -> None:
        """Refuse to join arrays that are others."""
        if found and found[1] != spec:
            raise BadOption(
                f"name={self.name!r}",
                f"is taken by other arrays: there are {found[1].decode()}, and here {spec.decode()}",
                "Create the same on the same servers in the same order, or choose another name. What is there was left as it is.",
            )

    def _await(self, server: int) -> None:
        """Wait until the client that makes the arrays has made this server's part."""
        clock: Clock = SystemClock()
        end = clock.now() + JOIN_S
        while not self._look()[server]:
            if clock.now() > end:
                raise ShardLost(
                    self.tier.urls[server],
                    f"it has lost its part of {self.name!r}, which others still have",
                    DROP,
                )
            clock.sleep(0.01)

    def _look(self) -> dict[int, Any]:
        calls = {server: [("look", self._name, b"")] for server in range(self.count)}
        return {server: answer[0] for server, answer in library.call(self.tier, calls, changes=False).items()}

    def _check_memory(self) -> None:
        for server, url in enumerate(self.tier.urls):
            free = servers.look(url).free
            needed = BYTES * sum(arrays.size_of(array, server, self.count) for array in self.arrays.values())
            if free is not None and needed > free:
                raise ShardFull(url, f"arrays of {needed:,} bytes, of which it has {free:,}")

    def _selection(self, array: str, index: Index) -> Selection:
        return Selection(array, self.array(array), index, self.count)

    def _versions(self) -> dict[int, int]:
        found: dict[int, int] = self._seen.__dict__.setdefault("versions", {})
        return found

    def _model(self, server: int) -> tuple[str, bytes]:
        return self._name, self.tokens[server]


DROP = "Delete the rest with parameter_server.drop(tier, name), and restore a checkpoint."
