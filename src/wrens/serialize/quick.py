"""The fast pickler: C, with a hand on classes and functions only.

Numbers, strings, containers and arrays never reach Python code here. A class or a function does, once for
each pack: to note the user's module that it comes from, or, for a class that no worker could import, to put
its definition into the part that all items of the pack share. What this pickler cannot do, such as a lambda,
it refuses, and :mod:`wrens.serialize.pickling` does it.

Decides what is simple. Does not import cloudpickle.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - this package is the home of pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from wrens.serialize.origins import ORIGINS, Origin

BESIDE = 16_384
"""Bytes from which a buffer stays beside the pickle."""
PROTOCOL = 5
PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
"""Types whose values always pickle and hold nothing else."""
HARMFUL = (Exception, SystemExit, GeneratorExit)
"""What a user's ``__reduce__`` may raise. A ``KeyboardInterrupt`` is meant for the process and passes."""


class Refused(Exception):
    """A value needs the other pickler."""


class QuickPickler(pickle.Pickler):
    """Pickles simple values one after the other.

    Args:
        shipping: Whether code goes by value where no worker could import it. Otherwise only what this
            process itself could not import does.
        sharing: Whether definitions of classes may be shared between items; without, they are refused.

    Attributes:
        modules: The user's modules that were referred to.
        reached: These, and the installed ones.
        shared: Classes whose definitions the items share, with their numbers.
    """

    def __init__(self, *, shipping: bool, sharing: bool = True) -> None:
        self._parts: list[bytes] = []
        self._frames: list[memoryview] = []
        super().__init__(_Sink(self._parts), protocol=PROTOCOL, buffer_callback=self._beside)
        self._shipping, self._sharing = shipping, sharing
        self._verdicts: dict[Any, Any] = {}
        self.modules: set[str] = set()
        self.reached: set[str] = set()
        self.shared: dict[type, int] = {}

    def dumps(self, value: Any) -> tuple[bytes, Sequence[memoryview]]:
        """Return the pickle of a value and the large buffers beside it.

        Raises:
            Refused: if the other pickler has to do it.
            Exception: whatever the value's own methods raise.
        """
        self.clear_memo()
        self._parts.clear()
        self.dump(value)
        parts = self._parts
        text = parts[0] if len(parts) == 1 else b"".join(parts)
        if not self._frames:
            return text, ()
        frames, self._frames = self._frames, []
        return text, frames

    def reset(self) -> None:
        """Forget buffers of a value that failed half way."""
        self._frames = []

    def reducer_override(self, obj: Any) -> Any:
        """Decide how a class or a function travels; leave all else to the pickler."""
        if isinstance(obj, type) or type(obj) is FunctionType:
            verdict = self._verdicts.get(obj)
            if verdict is None:
                verdict = self._verdicts[obj] = self._judge(obj)
            return verdict
        return NotImplemented

    def _judge(self, obj: Any) -> Any:
        """Return ``NotImplemented`` for what goes by name, or how to find a shared class."""
        module = obj.__module__
        if type(module) is not str:
            raise Refused
        origin = ORIGINS.of(module) if self._shipping or module == "__main__" else Origin.INSTALLED
        if origin is not Origin.VALUE and is_found(obj, module):
            self.reached.add(reached_as(obj, module))
            if origin is Origin.USER:
                self.modules.add(module)
            return NotImplemented
        if module == "builtins" or not self._sharing or not isinstance(obj, type):
            raise Refused
        return load_shared, (self.shared.setdefault(obj, len(self.shared)),)

    def _beside(self, buffer: pickle.PickleBuffer) -> bool:
        return keep_beside(buffer, self._frames)


class _Sink:
    """What the pickler writes to."""

    def __init__(self, parts: list[bytes]) -> None:
        self.write = parts.append


def keep_beside(buffer: pickle.PickleBuffer, frames: list[memoryview]) -> bool:
    """Put a large buffer into ``frames``; return whether it stays in the pickle instead."""
    raw = buffer.raw()
    if raw.nbytes < BESIDE:
        return True
    frames.append(raw)
    return False


def reached_as(obj: Any, module: str) -> str:
    """Return what is noted of a class or function that goes by name: its module, and of ours which one it is.

    >>> from wrens.errors import BadOption
    >>> reached_as(dict, "builtins"), reached_as(BadOption, "wrens.errors.call")
    ('builtins', 'wrens.errors.call.BadOption')
    """
    return f"{module}.{obj.__qualname__}" if module.startswith("wrens.") else module


def is_found(obj: Any, module: str) -> bool:
    """Tell whether looking for the name of a class or function in its module leads to it."""
    found: Any = sys.modules.get(module)
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


class _Now(threading.local):
    classes: Callable[[], Sequence[type]] | None = None


_now = _Now()


def load_shared(number: int) -> type:
    """Return a class that the items of the pack which is being read share."""
    if _now.classes is None:
        raise pickle.UnpicklingError("a shared class outside of its pack")
    return _now.classes()[number]


@contextmanager
def sharing(classes: Callable[[], Sequence[type]]) -> Iterator[None]:
    """Let items find the classes that they share, for the length of a ``with`` block."""
    before, _now.classes = _now.classes, classes
    try:
        yield
    finally:
        _now.classes = before
