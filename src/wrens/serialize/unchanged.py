"""Whether a function is still what it was when it was pickled.

A function that goes by value has to be pickled anew at each call, because what it refers to may have changed:
a hundred microseconds. Most functions refer to nothing that can change but by assignment: numbers, strings,
modules, functions that go by name, other such functions. For those it is enough to see that every name and
every closure variable still refers to the very same object, which takes one or two.

Decides when that is certain; in doubt it is not.
"""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

from wrens.serialize.origins import ORIGINS, Origin
from wrens.serialize.quick import PLAIN, is_found

_MISSING = object()
_EMPTY = object()


class Snapshot:
    """What a function refers to, when all of it can change by assignment only.

    Args:
        fn: The function.
        globals_of: Returns the names of globals that a code object uses, those of code inside it too.

    Raises:
        Changeable: if it refers to something that can change in another way.
    """

    def __init__(self, fn: FunctionType, globals_of: Any) -> None:
        self._globals_of = globals_of
        self._modules = len(sys.modules)  # importing a submodule can change what a package has
        self._functions: list[tuple[FunctionType, CodeType, Any]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._globals: list[tuple[dict[str, Any], str, Any]] = []
        self._seen: set[int] = set()
        if not _goes_by_name(fn):
            self._add(fn)
        elif "." in fn.__qualname__:
            raise Changeable
        else:  # a name stays as it is, as long as the function is found under it
            self._globals.append((vars(sys.modules[fn.__module__]), fn.__qualname__, fn))

    def holds(self) -> bool:
        """Tell whether everything is as it was."""
        return (
            len(sys.modules) == self._modules
            and all(
                fn.__code__ is code
                and fn.__defaults__ is defaults
                and not fn.__kwdefaults__
                and not fn.__dict__
                for fn, code, defaults in self._functions
            )
            and all(_contents(cell) is value for cell, value in self._cells)
            and all(names.get(name, _MISSING) is value for names, name, value in self._globals)
        )

    def _add(self, fn: FunctionType) -> None:
        """Note what a function refers to."""
        if id(fn) in self._seen:
            return
        self._seen.add(id(fn))
        if fn.__kwdefaults__ or fn.__dict__:
            raise Changeable
        self._functions.append((fn, fn.__code__, fn.__defaults__))
        for value in fn.__defaults__ or ():
            self._check(value)
        for cell in fn.__closure__ or ():
            self._cells.append((cell, _contents(cell)))
            self._check(_contents(cell))
        for name in self._globals_of(fn.__code__):
            value = fn.__globals__.get(name, _MISSING)
            self._globals.append((fn.__globals__, name, value))
            self._check(value)

    def _check(self, value: Any) -> None:
        """Make sure that a value cannot change by itself."""
        kind = type(value)
        if kind in PLAIN or kind is BuiltinFunctionType or value is _MISSING or value is _EMPTY:
            return
        if kind is tuple:
            for part in value:
                self._check(part)
        elif kind is ModuleType:
            if ORIGINS.of(value.__name__) is Origin.VALUE:
                raise Changeable
        elif (kind is FunctionType or isinstance(value, type)) and _goes_by_name(value):
            return
        elif kind is FunctionType:
            self._add(value)
        else:
            raise Changeable


class Changeable(Exception):
    """Something can change in a way that would not be noticed."""


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _goes_by_name(value: Any) -> bool:
    module = value.__module__
    return type(module) is str and ORIGINS.of(module) is not Origin.VALUE and is_found(value, module)
