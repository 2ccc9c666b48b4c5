"""Exceptions taken apart and put together.

Plain pickle rebuilds an exception by calling its class with ``args``, which fails when ``__init__`` wants
something else, and drops cause and context. Here an exception is its class, ``args``, attributes, cause and
context; it is rebuilt without calling an ``__init__`` that was written in Python. One that brings its own
``__reduce__`` is rebuilt by that. When this does not work, a second, careful way leaves out the attributes and
links that do not pickle, and listens neither to ``__reduce__`` nor to ``__setstate__``.

Decides the parts; :mod:`wrens.serialize.failures` decides which way to go. Importing this module imports
cloudpickle.
"""

from __future__ import annotations

import io
import pickle  # noqa: TID251 - this package is the home of pickle
from typing import Any

from wrens.serialize.pickling import LocalPickler
from wrens.serialize.quick import HARMFUL

Parts = tuple[Any, ...]


def dumps_error(error: BaseException, *, careful: bool) -> bytes:
    """Pickle an exception, with all exceptions inside taken apart.

    Args:
        error: The exception.
        careful: Leave out what does not pickle, and put the ``repr`` in the place of such arguments.

    Raises:
        Exception: whatever stands in the way.

    >>> pickle.loads(dumps_error(ValueError("no"), careful=False))
    ValueError('no')
    """
    return _dumps(error, _Picky() if careful else None)


def _dumps(value: Any, picky: _Picky | None) -> bytes:
    file = io.BytesIO()
    _ErrorPickler(file, picky).dump(value)
    return file.getvalue()


class _ErrorPickler(LocalPickler):
    """A pickler that takes exceptions apart in its own way."""

    def __init__(self, file: io.BytesIO, picky: _Picky | None) -> None:
        super().__init__(file)
        self._picky = picky

    def reducer_override(self, obj: Any) -> Any:
        """Take exceptions apart; leave all else to cloudpickle."""
        if not isinstance(obj, BaseException):
            return super().reducer_override(obj)
        if self._picky is None:
            return take_apart(obj)
        return self._picky.take_apart(obj)


def take_apart(error: BaseException) -> Parts:
    """Return how to rebuild an exception, as ``__reduce__`` would.

    >>> rebuild, facts, state, *_, restore = take_apart(ValueError("no"))
    >>> rebuild(*facts)
    ValueError('no')
    """
    kind = type(error)
    reduced = error.__reduce_ex__(5)
    if type(reduced) is not tuple or len(reduced) < 2:
        raise TypeError(f"{kind.__qualname__}.__reduce__ returned {type(reduced).__name__}")
    func, args = reduced[:2]
    own = None if func is kind and not _reduces_itself(kind) else func
    extra = (reduced[2] if len(reduced) > 2 else None, error.__cause__, error.__context__)
    return put_together, (kind, own, tuple(args)), (*extra, error.__suppress_context__), None, None, restore


class _Picky:
    """Takes exceptions apart carefully; remembers what was found to pickle, so that a chain is tried once."""

    def __init__(self) -> None:
        self._fine: dict[int, bool] = {}
        self._kept: list[Any] = []  # so that an id means the same thing all the time

    def take_apart(self, error: BaseException) -> Parts:
        """Return how to rebuild an exception from the parts that pickle."""
        kind = type(error)
        _, args, *rest = _first_in_c(kind, "__reduce__")(error)
        args = tuple(arg if self._pickles(arg) else _shown(arg) for arg in args)
        state = dict(rest[0]) if rest and type(rest[0]) is dict else {}
        state = {name: value for name, value in state.items() if self._pickles(value)}
        cause = error.__cause__ if self._pickles(error.__cause__) else None
        context = error.__context__ if self._pickles(error.__context__) else None
        extra = (state, cause, context, error.__suppress_context__)
        return put_together, (kind, None, args), extra, None, None, restore_plainly

    def _pickles(self, part: Any) -> bool:
        """Tell whether a part pickles and unpickles; one that is being tried counts as good."""
        if id(part) not in self._fine:
            self._fine[id(part)] = True
            self._kept.append(part)
            try:
                pickle.loads(_dumps(part, self))  # noqa: S301 - made this moment
            except HARMFUL:
                self._fine[id(part)] = False
        return self._fine[id(part)]


def put_together(kind: type[BaseException], own: Any, args: tuple[Any, ...]) -> BaseException:
    """Return an exception of this type with these arguments; ``own`` is its own way to be rebuilt."""
    if own is not None:
        rebuilt = own(*args)
        if not isinstance(rebuilt, BaseException):
            raise TypeError(f"__reduce__ of {kind.__qualname__} made a {type(rebuilt).__name__}")
        return rebuilt
    try:
        error = kind.__new__(kind, *args)
    except Exception:  # noqa: BLE001 - a __new__ of the user's with other parameters
        error = _first_in_c(kind, "__new__")(kind, *args)
    _first_in_c(kind, "__init__")(error, *args)
    if not isinstance(error, OSError | BaseExceptionGroup):  # these keep more than args, and set them
        error.args = args
    return error


def restore(error: BaseException, extra: tuple[Any, ...]) -> None:
    """Give a rebuilt exception its attributes, cause and context."""
    state, cause, context, suppress = extra
    if state is not None:
        error.__setstate__(state)  # that of BaseException sets attributes; a class may bring its own
    _link(error, cause, context, suppress=suppress)


def restore_plainly(error: BaseException, extra: tuple[Any, ...]) -> None:
    """Do the same without any code of the user's."""
    state, cause, context, suppress = extra
    error.__dict__.update(state)
    _link(error, cause, context, suppress=suppress)


def _link(
    error: BaseException, cause: BaseException | None, context: BaseException | None, *, suppress: bool
) -> None:
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = suppress


def _first_in_c(kind: type, name: str) -> Any:
    """Return the nearest method with this name that was not written in Python."""
    for one in kind.__mro__:
        method = one.__dict__.get(name)
        if method is not None and not hasattr(getattr(method, "__func__", method), "__code__"):
            return method
    raise TypeError(f"{kind.__qualname__} has no {name}")  # pragma: no cover - BaseException has them all


def _reduces_itself(kind: type) -> bool:
    """Tell whether the user has written how the class is pickled."""
    return any(hasattr(getattr(kind, name, None), "__code__") for name in ("__reduce__", "__reduce_ex__"))


def _shown(value: Any) -> str:
    """Return the ``repr`` of what cannot travel."""
    try:
        return repr(value)
    except HARMFUL:
        return f"<{type(value).__name__}>"
