"""Why something cannot be pickled, in the words of the user's program.

The pickler says "cannot pickle '_thread.lock' object"; the user wants to know that it is in the closure
variable ``db``, at ``.config['lock']``. So after a failure the thing is searched: its parts are pickled one by
one, and the search goes on in a part that fails. Decides where to look and when to give up.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from wrens.errors import CannotShip
from wrens.serialize.quick import HARMFUL

DEPTH = 12
TRIES = 400
"""How many parts are tried in all, so that a huge thing costs some milliseconds and not minutes."""


def cannot_ship(value: Any, error: BaseException, what: str, *, shipping: bool = True) -> CannotShip:
    """Return the error for a thing that did not pickle.

    Args:
        value: The thing.
        error: What the pickler raised.
        what: What to call it: ``"input 17"``.
        shipping: Whether it was on its way to a worker, where other rules hold for code.

    >>> import threading
    >>> cannot_ship({"a": [threading.Lock()]}, TypeError("no"), "input 0").path
    "['a'][0]"
    """
    if isinstance(error, CannotShip):
        return error
    path, culprit, last = _Search(shipping=shipping).run(value, error)
    result = CannotShip(what, path, kind_of(culprit), reason_of(last))
    result.__cause__ = error
    return result


def kind_of(value: Any) -> str:
    """Return the full name of a thing's type.

    >>> import threading
    >>> kind_of(threading.Lock()), kind_of(3)
    ('_thread.lock', 'int')
    """
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def reason_of(error: BaseException) -> str:
    """Return an error in one line, whatever its ``__str__`` does.

    >>> reason_of(ValueError("no")), reason_of(RecursionError())
    ('ValueError: no', 'RecursionError')
    """
    if isinstance(error.__cause__, RecursionError):
        return "RecursionError: it is nested too deeply, or without an end"
    try:
        said = " ".join(str(error).split())[:500]
    except HARMFUL as problem:
        said = f"(str() of it raised {type(problem).__name__})"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class _Search:
    """Follows the parts that fail, from the whole to the culprit."""

    def __init__(self, *, shipping: bool) -> None:
        self._shipping = shipping
        self._left = TRIES

    def run(self, value: Any, error: BaseException) -> tuple[str, Any, BaseException]:
        """Return the path to the culprit, the culprit, and what the pickler says of it."""
        path, seen = "", {id(value)}
        for _ in range(DEPTH):
            step = self._step(value, seen)
            if step is None:
                break
            where, value, error = step
            path += where if not path or where[0] in ".[" else f", {where}"
            seen.add(id(value))
        return path, value, error

    def _step(self, value: Any, seen: set[int]) -> tuple[str, Any, BaseException] | None:
        """Return the first part of ``value`` that fails by itself."""
        try:
            for where, part in parts_of(value):
                if self._left <= 0:
                    return None
                if id(part) in seen or type(part) in (int, float, str, bytes, bool, type(None)):
                    continue
                self._left -= 1
                error = self._failure(part)
                if error is not None:
                    return where, part, error
        except HARMFUL:  # the user's object does not like to be looked at
            return None
        return None

    def _failure(self, part: Any) -> BaseException | None:
        """Return what the pickler raises for a part, if anything."""
        from wrens.serialize.pickling import LocalPickler, Recorder

        pickler = (Recorder if self._shipping else LocalPickler)(io.BytesIO(), [])
        try:
            pickler.dump(part)
        except HARMFUL as error:
            return error
        return None


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a thing, each with how one would write the way to it.

    >>> list(parts_of([1]))[0]
    ('[0]', 1)
    """
    if isinstance(value, FunctionType):
        yield from _parts_of_function(value)
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif isinstance(value, functools.partial):
        yield ".func", value.func
        yield from ((f".args[{i}]", part) for i, part in enumerate(value.args))
        yield from ((f".keywords[{name!r}]", part) for name, part in value.keywords.items())
    elif isinstance(value, dict):
        for key, part in value.items():
            yield f"[{_short(key)}]", part
        yield from ((f"key {_short(key)}", key) for key in value)
    elif isinstance(value, list | tuple):
        names = getattr(type(value), "_fields", None)
        for i, part in enumerate(value):
            yield (f".{names[i]}" if names and i < len(names) else f"[{i}]"), part
    elif isinstance(value, set | frozenset):
        yield from ((f"element {_short(part)}", part) for part in value)
    if isinstance(value, BaseException):
        yield from ((f".args[{i}]", part) for i, part in enumerate(value.args))
    if not isinstance(value, FunctionType | MethodType | functools.partial):
        yield from _attributes(value)


def _parts_of_function(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function takes with it when it travels by value."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
        try:
            yield f"closure variable {name!r}", cell.cell_contents
        except ValueError:  # the cell is still empty
            continue
    count = fn.__code__.co_argcount
    defaults = fn.__defaults__ or ()
    for name, part in zip(fn.__code__.co_varnames[count - len(defaults) : count], defaults, strict=False):
        yield f"default of {name!r}", part
    for name, part in (fn.__kwdefaults__ or {}).items():
        yield f"default of {name!r}", part
    from wrens.serialize.pickling import globals_of

    for name in globals_of(fn.__code__):
        if name in fn.__globals__:
            yield f"global {name!r}", fn.__globals__[name]
    yield from ((f".{name}", part) for name, part in vars(fn).items())


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield attributes, and for a class what is defined in it; at last the class, as it may go by value."""
    for name, part in list(getattr(value, "__dict__", {}).items()):
        if isinstance(value, type) and name in ("__dict__", "__weakref__", "__module__", "__doc__"):
            continue
        part = getattr(part, "__func__", part) if isinstance(part, staticmethod | classmethod) else part
        yield f".{name}", part
    if isinstance(value, type):
        yield from ((f"base class {base.__qualname__!r}", base) for base in value.__bases__)
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield f".{name}", getattr(value, name)
    yield f"class {type(value).__qualname__!r}", type(value)


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 60 else text[:57] + "..."
