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
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import chain
from types import TracebackType
from typing import Any, Self

from wrens.errors import BadOption, BadShard, BadValue, ShardFull, ShardLost
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
        BadShard: if a server does not answer, or drops what it holds when it is full.
        MissingPackage: if redis is not installed, or what brings the server.

    >>> with connect() as kv:
    ...     kv.put("greeting", b"hello")
    ...     kv.get("greeting"), kv.add("visits", 2), kv.add("visits", 0.5)
    (b'hello', 2, 2.5)
    """
    stack = ExitStack()
    if urls is None:
        urls = stack.enter_context(serve())
    try:
        found = servers.check((urls,) if isinstance(urls, str) else urls, "connect")
        tokens = [_token(url, namespace, answer_s) for url in found]
        if len(set(tokens)) < len(tokens):
            raise BadOption(
                f"connect({list(found)})", "names one server by two addresses", "Name each server once."
            )
        return KeyValue(found, namespace, tokens, answer_s, stack)
    except BaseException:
        stack.close()
        raise


def _token(url: str, namespace: str, answer_s: float) -> bytes:
    """Return by what a server is known again, whatever connection it is reached by."""
    client = servers.client(url, answer_s)
    try:
        servers.keeps(url)
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
            *(("SCRIPT", "LOAD", text) for text in (scripts.DO, scripts.SET_IF)),
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


_CLIENTS = threading.local()
"""Who this thread is for each server; shared by all that were unpickled for the same one."""


class KeyValue:
    """Small values by key. Made by :func:`connect`; it may be used by many threads, and travels to tasks.

    Every change is made once, however often it has to be sent. When a server does not answer in time, and not
    at the third try either, that is a ``ShardLost``, and for a change it is not known then whether it was made; a server
    that answers but has been emptied since :func:`connect` is a ``ShardLost`` too.
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
            ShardLost: if a server is gone. What was for others of the same thousand was carried out.
            ShardFull: if one has no memory left for a value.
            BadValue: if a value is not what an operation needs; the others were carried out.

        >>> from wrens.kv import operations
        >>> with connect() as kv:
        ...     kv.carry_out([operations.put("a", b"1"), operations.add("a", 1), operations.get("a")])
        [None, 2, b'2']
        """
        results: list[Any] = [None] * len(batch)
        for begin in range(0, len(batch), TOGETHER):
            commands: dict[int, list[servers.Command]] = {}
            places: dict[int, list[int]] = {}
            for server, some in self._by_server(
                batch, range(begin, min(begin + TOGETHER, len(batch)))
            ).items():
                who, number = self.numbers(server, sum(batch[i].once for i in some))
                first = number
                for i in some:
                    name = f"{self.namespace}{_checked(batch[i].key)}"
                    commands.setdefault(server, []).append(batch[i].spelled(name, who, number, first))
                    number += batch[i].once
                places[server] = some
            changes = any(batch[i].once for some in places.values() for i in some)
            for server, answers in self.ask(commands, changes=changes).items():
                for i, answer in zip(places[server], answers, strict=True):
                    results[i] = self._result(self.urls[server], batch[i], answer)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results

    def ask(
        self, commands: Mapping[int, Iterable[servers.Command]], *, changes: bool
    ) -> dict[int, list[Any]]:
        """Send commands as Redis has them to servers, all at once, and return what each has answered, errors among it.

        They may be sent three times, so they have to be such that this does no harm (:meth:`numbers`).

        Args:
            commands: For each server, by its place in ``urls``; they are sent as they are made.
            changes: Whether one of them changes something.

        Raises:
            ShardLost: if a server is gone. The others have carried out theirs.
        """
        if len(commands) == 1:
            ((server, some),) = commands.items()
            return {server: self._sent(server, some, changes=changes)}
        asked = {
            server: _threads().submit(self._sent, server, some, changes=changes)
            for server, some in commands.items()
        }
        wait(asked.values())
        return {server: future.result() for server, future in asked.items()}

    def numbers(self, server: int, count: int) -> tuple[str, int]:
        """Return who this thread is for a server, and the first of so many numbers for changes that are made once."""
        place = self.urls[server], self.namespace, self._tokens[server]
        held: dict[tuple[str, str, bytes], _Client] = _CLIENTS.__dict__.setdefault("held", {})
        who = held.get(place)
        if who is None or who.process != os.getpid():  # a process that was forked is somebody else
            who = held[place] = _Client(f"{self.namespace}once/{keys.new_id()}", os.getpid())
        first = who.number + 1
        who.number += count
        return who.record, first

    def _one(self, operation: Operation) -> Any:
        return self.carry_out([operation])[0]

    def _by_server(self, batch: Sequence[Operation], some: Iterable[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for i in some:
            found.setdefault(placed(batch[i].key, self.urls), []).append(i)
        return found

    def _sent(self, server: int, commands: Iterable[servers.Command], *, changes: bool) -> list[Any]:
        url = self.urls[server]
        greeting = _Greeting(f"{self.namespace}token", self._tokens[server])
        try:
            first, *answers = servers.converse(
                servers.client(url, self._answer_s, greeting), chain([("GET", greeting.key)], commands)
            )
            if first != greeting.token:  # emptied since the connection was made
                raise servers.Stranger
            return answers
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
        if servers.is_refusal(answer):
            return BadValue(one.key, f"cannot be used so: {told}")
        return ShardLost(
            url, f"it refused a command: {told}", "It is not known whether others were carried out."
        )


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads that ask several servers at once."""
    return ThreadPoolExecutor(16, thread_name_prefix="wrens-kv")


os.register_at_fork(after_in_child=_threads.cache_clear)


def _checked(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is text, and not {type(key).__name__}")
    return key
