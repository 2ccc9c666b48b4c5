"""Exceptions taken apart and put together.

Plain pickle rebuilds an exception by calling its class with ``args``, which fails when ``__init__`` wants
something else, and drops cause, context and traceback. Here an exception is its class, ``args``, attributes,
cause and context; it is rebuilt without calling an ``__init__`` that was written in Python. One that brings
its own ``__reduce__`` is rebuilt by that. Decides the parts; :mod:`wrens.serialize.failures` decides what to do
when they do not pickle.
"""

from __future__ import annotations

from typing import Any

_C_INIT = type(BaseException.__init__)

Parts = tuple[Any, ...]


def take_apart(error: BaseException, *, careful: bool = False) -> Parts:
    """Return how to rebuild an exception, as ``__reduce__`` would.

    Args:
        error: The exception.
        careful: Leave out what does not pickle: attributes, links to other exceptions; and replace
            arguments by their ``repr``.

    >>> rebuild, facts, state, *_, restore = take_apart(ValueError("no"))
    >>> rebuild(*facts)
    ValueError('no')
    """
    kind = type(error)
    reduced = error.__reduce_ex__(5)
    if type(reduced) is not tuple or len(reduced) < 2:
        raise TypeError(f"{kind.__qualname__}.__reduce__ returned {type(reduced).__name__}")
    func, args = reduced[:2]
    state = reduced[2] if len(reduced) > 2 else None
    if careful:
        args = tuple(arg if _pickles(arg) else _shown(arg) for arg in args)
        state = {k: v for k, v in state.items() if _pickles(v)} if type(state) is dict else None
    own = None if func is kind and not _reduces_itself(kind) else func
    links = [error.__cause__, error.__context__]
    if careful:
        links = [link if link is not None and _pickles(link) else None for link in links]
    extra = (state, *links, error.__suppress_context__)
    return put_together, (kind, own, tuple(args)), extra, None, None, restore


def put_together(kind: type[BaseException], own: Any, args: tuple[Any, ...]) -> BaseException:
    """Return an exception of this type with these arguments; ``own`` is its own way to be rebuilt."""
    if own is not None:
        rebuilt = own(*args)
        if not isinstance(rebuilt, BaseException):
            raise TypeError(f"__reduce__ of {kind.__qualname__} made a {type(rebuilt).__name__}")
        return rebuilt
    base = next(one for one in kind.__mro__ if type(one.__dict__.get("__init__")) is _C_INIT)
    try:
        error = kind.__new__(kind, *args)
    except Exception:  # noqa: BLE001 - a __new__ of the user's with other parameters
        maker: Any = next(one for one in kind.__mro__ if _is_c_new(one))
        error = maker.__new__(kind, *args)
    base.__init__(error, *args)
    if error.args != args and not isinstance(error, OSError | BaseExceptionGroup):
        error.args = args
    return error


def restore(error: BaseException, extra: tuple[Any, ...]) -> None:
    """Give a rebuilt exception its attributes, cause and context."""
    state, cause, context, suppress = extra
    if state is not None:
        # BaseException has a __setstate__, which sets attributes; a class may bring its own.
        error.__setstate__(state)  # type: ignore[attr-defined]
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = bool(suppress)


def _is_c_new(kind: type) -> bool:
    """Tell whether a class makes its instances in C."""
    return "__new__" in kind.__dict__ and not isinstance(kind.__dict__["__new__"], staticmethod)


def _reduces_itself(kind: type) -> bool:
    """Tell whether the user has written how the class is pickled."""
    for one in kind.__mro__:
        for name in ("__reduce__", "__reduce_ex__"):
            if name in one.__dict__:
                return type(one.__dict__[name]).__name__ not in ("method_descriptor", "wrapper_descriptor")
    return False


def _pickles(value: Any) -> bool:
    """Tell whether a part can be pickled and unpickled."""
    from wrens.serialize.failures import dumps_error, try_loads

    return try_loads(dumps_error(value, careful=False)) is None if _dumps(value) else False


def _dumps(value: Any) -> bool:
    from wrens.serialize.failures import dumps_error
    from wrens.serialize.values import HARMFUL

    try:
        dumps_error(value, careful=False)
    except HARMFUL:
        return False
    return True


def _shown(value: Any) -> str:
    """Return the ``repr`` of what cannot travel."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a __repr__ of the user's
        return f"<{type(value).__name__}>"
