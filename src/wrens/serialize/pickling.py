"""The pickler: cloudpickle, which also notes whose modules it refers to.

Functions and classes of ``__main__`` and of notebooks travel by value, which is cloudpickle's own rule.
Code of a module that no worker could import under its name does too. Code of the user's importable modules
travels by name, and the name is noted, so that the module can be shipped. Exceptions are taken apart and put
together in :mod:`wrens.serialize.exceptions`.

Decides by value or by name, for each function, class and module. Importing this module imports cloudpickle.
"""

from __future__ import annotations

import io
import sys
import typing
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped,unused-ignore]  # noqa: TID251 - the home of pickling
from cloudpickle import cloudpickle as inside  # noqa: TID251

from wrens.serialize.imports import certain_imports, imports_of_code
from wrens.serialize.origins import ORIGINS, Origin
from wrens.serialize.quick import PROTOCOL, is_found, keep_beside, reached_as


class Recorder(cloudpickle.Pickler):  # type: ignore[misc,unused-ignore]
    """A cloudpickle pickler that collects the names of the user's modules.

    Attributes:
        modules: Names of the user's modules that were referred to, and all that code sent by value imports.
        reached: Modules, the user's or not, that unpickling imports or code sent by value does.
        certain: Of what code sent by value imports, that without which it fails.
    """

    def __init__(self, file: io.BytesIO, frames: list[memoryview] | None = None) -> None:
        super().__init__(file, protocol=PROTOCOL, buffer_callback=_callback(frames))
        self.modules: set[str] = set()
        self.reached: set[str] = set()
        self.certain: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Decide how a function, class or module travels; leave all else to cloudpickle."""
        if isinstance(obj, FunctionType | type):
            module = getattr(obj, "__module__", None)
            if self._goes_by_name(module):
                if type(module) is str and is_found(obj, module):  # else it goes by value for another reason
                    self.reached.add(reached_as(obj, module))
                return super().reducer_override(obj)
            if isinstance(obj, FunctionType):
                return self._dynamic_function_reduce(obj)
            return _class_by_value(obj)
        if isinstance(obj, ModuleType):
            if not self._goes_by_name(obj.__name__):
                return _module_by_value(obj)
            self.reached.add(obj.__name__)
        if isinstance(obj, typing.TypeVar) and not self._goes_by_name(obj.__module__):
            return inside._make_typevar, inside._decompose_typevar(obj)  # noqa: SLF001
        return super().reducer_override(obj)

    def _goes_by_name(self, module: Any) -> bool:
        """Note a module of the user; tell whether it can be referred to by name."""
        if type(module) is not str or module == "__main__":
            return True  # by cloudpickle's rules, which know __main__
        origin = ORIGINS.of(module)
        if origin is Origin.USER:
            self.modules.add(module)
        return origin is not Origin.VALUE

    def _dynamic_function_reduce(self, func: FunctionType) -> Any:
        # cloudpickle calls this for each function that it sends by value.
        package = func.__globals__.get("__package__") or ""
        imported = imports_of_code(func.__code__, package)
        self.modules |= imported
        self.reached |= imported
        self.certain |= certain_imports(func.__code__, package)
        return super()._dynamic_function_reduce(func)


class LocalPickler(cloudpickle.Pickler):  # type: ignore[misc,unused-ignore]
    """cloudpickle as it is, for what goes back to where its modules came from."""

    modules: frozenset[str] = frozenset()
    reached: frozenset[str] = frozenset()

    def __init__(self, file: io.BytesIO, frames: list[memoryview] | None = None) -> None:
        super().__init__(file, protocol=PROTOCOL, buffer_callback=_callback(frames))


@dataclass(frozen=True, slots=True)
class Dumped:
    """A value's pickle.

    Attributes:
        text: The pickle.
        frames: The large buffers beside it.
        modules: The user's modules that it refers to.
        reached: Modules, the user's or not, that it cannot do without.
    """

    text: bytes
    frames: list[memoryview]
    modules: Collection[str]
    reached: Collection[str]


def dumps(value: Any, *, shipping: bool) -> Dumped:
    r"""Pickle one value.

    Args:
        value: What to pickle.
        shipping: Whether it is on its way to a worker, where it goes by other rules than on its way back.

    >>> dumps(3, shipping=True)
    Dumped(text=b'\x80\x05K\x03.', frames=[], modules=set(), reached=set())
    """
    file, frames = io.BytesIO(), list[memoryview]()
    pickler = (Recorder if shipping else LocalPickler)(file, frames)
    pickler.dump(value)
    return Dumped(file.getvalue(), frames, pickler.modules, pickler.reached)


def globals_of(code: CodeType) -> Iterable[str]:
    """Return the names of the globals that go with a function when it goes by value."""
    names: Iterable[str] = inside._extract_code_globals(code)  # noqa: SLF001
    return names


def _callback(frames: list[memoryview] | None) -> Callable[[Any], bool] | None:
    return None if frames is None else lambda buffer: keep_beside(buffer, frames)


def _class_by_value(kind: type) -> Any:
    """Reduce a class whose module no worker can import."""
    if kind.__module__ not in sys.modules or kind in inside._BUILTIN_TYPE_NAMES:  # noqa: SLF001
        return inside._class_reduce(kind)  # noqa: SLF001
    return inside._dynamic_class_reduce(kind)  # noqa: SLF001


def _module_by_value(module: ModuleType) -> Any:
    """Reduce a module that no worker can import, with all that is in it."""
    contents = {name: value for name, value in vars(module).items() if name != "__builtins__"}
    for name in ("__loader__", "__spec__", "__cached__"):
        contents.pop(name, None)
    return inside.dynamic_subimport, (module.__name__, contents)
