"""Futures among arguments: what is computed from what has not been computed yet.

Decides where futures are looked for (as an argument, and in a list, tuple or dict that is one), that they are
waited for, and what stands for them then: a reference when a worker can read the result from the store, else
the result itself. The failure of a future becomes that of the call. Does not decide who waits.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NoReturn

from wrens.core.future import Future

_CONTAINERS = {list, tuple, dict}


class FailedInput:
    """Takes the place of an input that needs a future which has failed."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> NoReturn:
        raise TypeError("a failed input has no value")


def any_future(arguments: Sequence[Any]) -> bool:
    """Tell whether there is a future among arguments, or in a list, tuple or dict that is one of them.

    >>> any_future([1, [2, Future()]]), any_future([1, [2, [Future()]]])
    (True, False)
    """
    # By sets of types, because there may be millions of them.
    kinds = set(map(type, arguments))
    if _any_future(kinds):
        return True
    if not kinds & _CONTAINERS:
        return False
    containers = (each for each in arguments if type(each) in _CONTAINERS)
    return _any_future(set(map(type, chain.from_iterable(map(_items, containers)))))


def futures_in(arguments: Iterable[Any]) -> Iterator[concurrent.futures.Future[Any]]:
    """Yield the futures among arguments, and in lists, tuples and dicts that are arguments."""
    for argument in arguments:
        if isinstance(argument, concurrent.futures.Future):
            yield argument
        elif type(argument) in _CONTAINERS:
            yield from (each for each in _items(argument) if isinstance(each, concurrent.futures.Future))


def failure_in(arguments: Iterable[Any]) -> BaseException | None:
    """Wait for the futures among arguments; returns the exception of the first that failed."""
    for future in futures_in(arguments):
        try:
            error = future.exception()
        except concurrent.futures.CancelledError:
            return concurrent.futures.CancelledError("a future among the arguments was cancelled")
        if error is not None:
            return error
    return None


def settled(argument: Any, store_url: str) -> Any:
    """Return what can be sent in place of an argument whose futures are done.

    Args:
        argument: As it was given.
        store_url: The store from which workers read.
    """

    def value(each: Any) -> Any:
        if not isinstance(each, concurrent.futures.Future):
            return each
        there = isinstance(each, Future) and each.stored_in(store_url)
        return each if there else each.result()

    kind = type(argument)
    if kind is dict:
        return {key: value(each) for key, each in argument.items()}
    return kind(map(value, argument)) if kind in _CONTAINERS else value(argument)


def awaited(inputs: list[Any], *, star: bool, store_url: str) -> list[Any]:
    """Wait for all futures among the arguments of these inputs, and return what can be sent in their place.

    Args:
        inputs: One object each.
        star: Whether an input is a sequence of arguments, and not the only one.
        store_url: The store from which workers read.
    """
    if not any_input_with_future(inputs, star=star):
        return inputs

    def sendable(value: Any) -> Any:
        arguments = value if star else (value,)
        if (error := failure_in(arguments)) is not None:
            return FailedInput(error)
        if star:
            return tuple(settled(each, store_url) for each in value)
        return settled(value, store_url)

    return list(map(sendable, inputs))


def any_input_with_future(inputs: Sequence[Any], *, star: bool) -> bool:
    """Tell whether there is a future among the arguments of these inputs."""
    return any_future(list(chain.from_iterable(inputs)) if star else inputs)


def _items(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container


def _any_future(kinds: set[type]) -> bool:
    return any(issubclass(kind, concurrent.futures.Future) for kind in kinds)
