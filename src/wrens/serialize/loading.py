"""Functions that have arrived: the worker's side.

Reads a function's object by its digest, checks that this Python can run it, makes its modules importable and
unpickles it. Decides what is kept for the next batch. How modules are unpacked is decided in
:mod:`wrens.serialize.worlds`.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - this package is the home of pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from wrens.errors import DamagedObject, VersionMismatch
from wrens.serialize.functions import FunctionRecord, made_here
from wrens.wire import envelope, keys

KEPT = 64
"""How many functions are kept, those used last."""


class Loader:
    """Loads functions and makes modules importable; one for each worker process.

    In the process that sent a bundle its modules are importable as they are, and nothing is unpacked.

    Args:
        fetch: Returns the object with a store key.

    >>> from wrens.serialize.functions import Shipper
    >>> shipper = Shipper()
    >>> shipment = shipper.function(lambda x: x + 1)
    >>> objects = {key: memoryview(b"".join(buffers)) for key, buffers in shipper.take_uploads()}
    >>> Loader(objects.__getitem__).function(shipment.digest)(1)
    2
    """

    def __init__(self, fetch: Callable[[str], memoryview]) -> None:
        self._fetch = fetch
        self._lock = threading.RLock()
        self._functions: OrderedDict[str, tuple[Callable[..., Any], str, object]] = OrderedDict()

    def function(self, digest: str) -> Callable[..., Any]:
        """Return the function with this digest, with its modules importable.

        Args:
            digest: As in the :class:`~wrens.serialize.Shipment`.

        Raises:
            VersionMismatch: if it was made for another Python or another wrens; nothing was unpickled then.
            DamagedObject: if the object does not decode.
            Exception: whatever its unpickling raises, such as ``ModuleNotFoundError``, with a note.
        """
        with self._lock:
            known = self._functions.get(digest)
            if known is not None and self._world_of(known[1]) is known[2]:
                self._functions.move_to_end(digest)
                return known[0]
            record, text = self._read(digest)
            world = self._world_of(record.bundle)
            function = _unpickle(record, text, keys.function(digest))
            self._functions[digest] = (function, record.bundle, world)
            while len(self._functions) > KEPT:
                self._functions.popitem(last=False)
            return function

    def activate(self, bundle: str) -> None:
        """Make the modules of a bundle importable from now on, until another version of them is activated.

        Args:
            bundle: Its digest; of ``""`` nothing is done.

        Raises:
            VersionMismatch: if it was made for another Python.
            DamagedObject: if the object does not decode.
        """
        self._world_of(bundle)

    def _world_of(self, bundle: str) -> object:
        """Activate a bundle and return the world that it is in."""
        if not bundle or made_here(bundle):
            return None
        from wrens.serialize.worlds import WORLDS

        return WORLDS.activate(bundle, lambda: self._fetch(keys.function(bundle)))

    def _read(self, digest: str) -> tuple[FunctionRecord, memoryview]:
        """Fetch a function's object and check its versions."""
        from wrens.serialize.bundles import python_version

        key = keys.function(digest)
        record, text = envelope.unseal(FunctionRecord, memoryview(self._fetch(key)), key)
        if record.python != python_version():
            raise VersionMismatch("Python", record.python, python_version(), f"the function {record.name}")
        return record, text


def _unpickle(record: FunctionRecord, text: memoryview, key: str) -> Callable[..., Any]:
    """Unpickle a function; say which one it was when that fails."""
    try:
        function = pickle.loads(text)  # noqa: S301 - to run the user's code is what a worker is for
    except (pickle.UnpicklingError, EOFError) as error:
        raise DamagedObject(key, f"the function {record.name}: {error}") from error
    except Exception as error:
        error.add_note(f"while the function {record.name} was loaded in a worker")
        raise
    if not callable(function):
        raise DamagedObject(key, f"the function {record.name} is a {type(function).__name__}")
    return function  # type: ignore[no-any-return]
