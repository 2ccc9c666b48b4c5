"""Small values by key on one or more servers, for tasks and clients alike.

    with wrens.kv.connect() as kv:                    # a server of its own on this computer
    kv = wrens.kv.connect("redis://host:6379")        # one that is there, or a list of them

A :class:`KeyValue` travels with functions and inputs; on a worker it connects again, once for each process, and the
connections stay open while the worker is warm. Decides which server is asked, what travels together, and which error an
answer is. What operations are is in :mod:`wrens.kv.operations`, and how often they are sent in :mod:`wrens.kv.servers`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from wrens.errors import BadShard, BadValue, ShardFull, ShardLost
from wrens.kv import operations, scripts, servers
from wrens.kv.embedded import serve
from wrens.kv.operations import Operation, Value
from wrens.kv.placing import placed
from wrens.wire import keys

NAMESPACE = "wrens/kv/"
ANSWER_S = 5.0
"""How long a server may take to answer, before it is asked again."""
TOGETHER = 1000
"""Operations that travel together at most."""


def connect(
    urls: str | Sequence[str] | None = None, *, namespace: str = NAMESPACE, answer_s: float = ANSWER_S
) -> KeyValue:
    """Return a :class:`KeyValue`.

    Args:
        urls: One or more servers of Redis (6 or newer) or Valkey: ``redis://host:port`` or, with TLS, ``rediss://``. A key
            belongs to one of them. User and password are taken from ``WRENS_REDIS_USERNAME`` and
            ``WRENS_REDIS_PASSWORD``, here and on workers. By default a server is started on this computer, for this
            computer's workers; it ends, with all that it holds, when the ``KeyValue`` is closed or this process ends.
        namespace: What all keys on the servers begin with. Whoever has the same servers and namespace sees the same values.
        answer_s: How long a server may take to answer, in seconds. It is asked three times.

    Raises:
        BadOption: if an address is none, or has a password in it.
        BadShard: if a server does not answer.
        MissingPackage: if redis is not installed, or what brings the server.

    >>> with connect() as kv:
    ...     kv.put("greeting", b"hello")
    ...     kv.get("greeting"), kv.add("visits", 2), kv.add("visits", 0.5)
    (b'hello', 2, 2.5)
    """
    stack = ExitStack()
    if urls is None:
        urls = stack.enter_context(serve())
    found = servers.check((urls,) if isinstance(urls, str) else urls, "connect")
    try:
        return KeyValue(
            found, namespace, [_token(url, namespace, answer_s) for url in found], answer_s, stack
        )
    except BaseException:
        stack.close()
        raise


def _token(url: str, namespace: str, answer_s: float) -> bytes:
    """Return by what a server is known again, whatever connection it is reached by."""
    client = servers.client(url, answer_s)
    try:
        client.set(f"{namespace}token", keys.new_id(), nx=True)
        found: Any = client.get(f"{namespace}token")
        return bytes(found)
    except servers.failures() as error:
        raise BadShard(
            url,
            f"it does not answer: {error}",
            f"Look at the address; user and password are taken from {servers.USERNAME} and {servers.PASSWORD}.",
        ) from error


@dataclass(frozen=True, slots=True)
class _Greeting:
    """What is done with each new connection: the server is looked at, and is given the scripts."""

    key: str
    token: bytes

    def __call__(self, connection: Any) -> None:
        connection.on_connect()
        for command in (
            ("GET", self.key),
            *(("SCRIPT", "LOAD", text) for text in (scripts.ADD, scripts.SET_IF)),
        ):
            connection.send_command(*command)
            found = connection.read_response()
            if command[0] == "GET" and found != self.token:
                connection.disconnect()
                raise servers.Stranger


@dataclass(slots=True)
class _Client:
    """Who numbers operations: one thread of one process."""

    record: str
    process: int
    number: int = 0
    """Of the last operation that was numbered."""


@dataclass(slots=True)
class _Batch:
    """What travels to one server together."""

    places: list[int] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)


class KeyValue:
    """Small values by key. Made by :func:`connect`; it may be used by many threads, and travels to tasks.

    Every change is made once, however often it has to be sent. When a server does not answer in time, and not
    at the third try either, that is a ``ShardLost``, and for a change it is not known then whether it was made; a server
    that answers but has been emptied since :func:`connect` is a ``ShardLost`` too, when a connection to it is made.
    """

    def __init__(
        self,
        urls: Sequence[str],
        namespace: str,
        tokens: Sequence[bytes],
        answer_s: float,
        owned: ExitStack | None = None,
    ) -> None:
        self.urls, self.namespace = tuple(urls), namespace
        self._tokens, self._answer_s, self._owned = tuple(tokens), answer_s, owned
        self._clients = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyValue, (self.urls, self.namespace, self._tokens, self._answer_s)

    def __repr__(self) -> str:
        return f"<KeyValue {self.namespace!r} on {', '.join(self.urls)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server, if :func:`connect` has started one."""
        if self._owned is not None:
            self._owned.close()

    def get(self, key: str) -> bytes | None:
        """Return a value; ``None`` if there is none."""
        found: bytes | None = self._one(operations.get(key))
        return found

    def put(self, key: str, value: Value, *, expires_s: float | None = None) -> None:
        """Write a value, whatever was there.

        Args:
            key: Any text.
            value: Bytes.
            expires_s: After how many seconds it is forgotten; by default never.
        """
        self._one(operations.put(key, value, expires_s))

    def add(self, key: str, amount: float = 1) -> int | float:
        """Add to a number, which is 0 if there is none, and return the new one.

        Args:
            key: Any text. What is there is the number as text: ``b"42"``.
            amount: How much; an int of 64 bits, or a float.

        Raises:
            BadValue: if what is there is no number.
        """
        found: int | float = self._one(operations.add(key, amount))
        return found

    def compare_and_set(
        self, key: str, expected: Value | None, new: Value | None, *, expires_s: float | None = None
    ) -> bool:
        """Write a value if a certain one is there, and tell whether it was.

        Args:
            key: Any text.
            expected: What has to be there; ``None`` for no value.
            new: What is there then; ``None`` deletes it.
            expires_s: After how many seconds it is forgotten; by default never.
        """
        return bool(self._one(operations.compare_and_set(key, expected, new, expires_s)))

    def expire(self, key: str, seconds: float) -> bool:
        """Let a value be forgotten after some seconds, and tell whether there is one."""
        return bool(self._one(operations.expire(key, seconds)))

    def delete(self, *names: str) -> None:
        """Delete values, as far as there are any."""
        self.carry_out([operations.delete(name) for name in names])

    def get_many(self, names: Iterable[str]) -> list[bytes | None]:
        """Return the values of many keys, in their order; one round trip for each server and thousand keys."""
        return self.carry_out([operations.get(name) for name in names])

    def put_many(self, values: Mapping[str, Value], *, expires_s: float | None = None) -> None:
        """Write many values; not all at one moment, but together."""
        self.carry_out([operations.put(name, value, expires_s) for name, value in values.items()])

    def add_many(self, amounts: Mapping[str, float]) -> dict[str, int | float]:
        """Add to many numbers, and return the new ones."""
        found = self.carry_out([operations.add(name, amount) for name, amount in amounts.items()])
        return dict(zip(amounts, found, strict=True))

    def carry_out(self, batch: Sequence[Operation]) -> list[Any]:
        """Carry out operations of several kinds that travel together, and return their results in order.

        Those on one server are carried out in their order, with others' in between.

        Raises:
            ShardLost: if a server is gone. Operations on other servers were carried out.
            ShardFull: if one has no memory left for a value.
            BadValue: if a value is not what an operation needs; the others were carried out.

        >>> from wrens.kv import operations
        >>> with connect() as kv:
        ...     kv.carry_out([operations.put("a", b"1"), operations.add("a", 1), operations.get("a")])
        [None, 2, b'2']
        """
        results: list[Any] = [None] * len(batch)
        batches: dict[int, _Batch] = {}
        for place, operation in enumerate(batch):
            one = batches.setdefault(placed(operation.key, self.urls), _Batch())
            one.places.append(place)
            one.operations.append(operation)
        clients = {server: self._client(server) for server in batches}

        def ask(server: int) -> None:
            one = batches[server]
            found = self._asked(server, clients[server], one.operations)
            for place, result in zip(one.places, found, strict=True):
                results[place] = result

        if len(batches) == 1:
            ask(next(iter(batches)))
        elif batches:
            with ThreadPoolExecutor(min(len(batches), 16), thread_name_prefix="wrens-kv") as pool:
                list(pool.map(ask, batches))
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results

    def _one(self, operation: Operation) -> Any:
        return self.carry_out([operation])[0]

    def _client(self, server: int) -> _Client:
        """Return who this thread is for a server; a process that was forked is somebody else."""
        held: dict[int, _Client] = self._clients.__dict__.setdefault("clients", {})
        found = held.get(server)
        if found is None or found.process != os.getpid():
            found = held[server] = _Client(f"{self.namespace}once/{keys.new_id()}", os.getpid())
        return found

    def _asked(self, server: int, who: _Client, batch: Sequence[Operation]) -> Iterator[Any]:
        """Yield what a server answers, errors of single operations among it."""
        for begin in range(0, len(batch), TOGETHER):
            some = batch[begin : begin + TOGETHER]
            numbered = sum(one.once for one in some)
            first = number = who.number + 1
            who.number += numbered
            commands = []
            for one in some:
                name = f"{self.namespace}{_checked(one.key)}"
                commands.append(one.spelled(name, who.record, number, first))
                number += one.once
            answers = self._sent(server, commands, changes=any(one.command != "GET" for one in some))
            for one, answer in zip(some, answers, strict=True):
                yield self._result(self.urls[server], one, answer)

    def _sent(self, server: int, commands: Sequence[servers.Command], *, changes: bool) -> list[Any]:
        url = self.urls[server]
        greeting = _Greeting(f"{self.namespace}token", self._tokens[server])
        try:
            client = servers.client(url, self._answer_s, greeting)
            with client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]
                return pipe.execute(raise_on_error=False)
        except servers.Stranger:
            told = "it does not hold any more what it held: it was emptied, or begun again without its data"
            raise ShardLost(url, told) from None
        except servers.failures() as error:
            told = f"it does not answer: {error}"
            raise ShardLost(
                url, told, "It is not known whether the change was made." if changes else ""
            ) from error

    def _result(self, url: str, one: Operation, answer: Any) -> Any:
        if not isinstance(answer, Exception):
            return one.meant(answer)
        told = str(answer)
        if servers.is_full(answer):
            return ShardFull(url, one.key)
        if isinstance(answer, servers.refusals()):
            return BadValue(one.key, f"cannot be used so: {told}")
        return ShardLost(url, told)


def _checked(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is text, and not {type(key).__name__}")
    return key
