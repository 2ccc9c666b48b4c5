"""Functions on their way to a worker: the driver's side.

A function becomes an object that is named by its content and its owner: an envelope with a :class:`FunctionRecord` and the
pickle. When it needs modules of the user, the record names a bundle (:mod:`wrens.serialize.bundles`).
Decides what has to be uploaded, and when files are looked at again; uploads nothing itself.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from wrens.clock import Clock, SystemClock
from wrens.serialize.quick import HARMFUL
from wrens.wire import envelope, keys
from wrens.wire.envelope import Buffer
from wrens.wire.records import VERSION

if TYPE_CHECKING:
    from wrens.serialize.unchanged import Snapshot

LOOKING = 20.0
"""Files are looked at again only after this many times as long as the last look took: a twentieth of the time
may go into looking, however many files there are and however often functions are sent."""

REMEMBERED, REMEMBERED_BYTES = 128, 1_000_000
"""How many pickles of functions are remembered, and up to which length."""

_own_bundles: dict[str, int] = {}
"""Bundles made by this process, and its id: their modules are importable here as they are."""


class FunctionRecord(Struct, frozen=True):
    """The head of a function's object; the pickle follows it."""

    v: int
    python: str
    name: str
    bundle: str


@dataclass(frozen=True, slots=True)
class Shipment:
    """A function that can be sent.

    Attributes:
        digest: Names the object, with its owner: its key is ``wire.keys.function(digest)``.
        name: What people call it, such as ``"mymod.resize"``.
        modules: Names of modules, the user's or not, that it cannot do without.
        certain: Of what its own code imports, that without which it fails.
    """

    digest: str
    name: str
    modules: frozenset[str] = frozenset()
    certain: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Pickled:
    """A function's pickle, and what a pickler noted of it; see :class:`wrens.serialize.pickling.Recorder`."""

    text: bytes
    modules: frozenset[str]
    reached: frozenset[str]
    certain: frozenset[str]


def made_here(bundle: str) -> bool:
    """Tell whether this very process made the bundle, so that its modules need not be unpacked."""
    return _own_bundles.get(bundle) == os.getpid()


def name_of(fn: Any) -> str:
    """Return what people call a function.

    >>> import functools
    >>> name_of(len), name_of(functools.partial(print, 1))
    ('len', 'print')
    """
    fn = getattr(fn, "func", fn) if type(fn).__name__ == "partial" else fn
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None) or ""
    plain = module in ("", "builtins", "__main__", "__mp_main__")
    return str(name) if plain else f"{module}.{name}"


class Shipper:
    """Prepares functions and modules for their way; one for each driver, safe for threads.

    Args:
        clock: Measures how long a look at the files takes. With a clock that stands still they are looked
            at every time.
        owner: Whose the objects are: a part of their names, of 8 hexadecimal digits.

    >>> shipper = Shipper()
    >>> shipment = shipper.function(lambda x: x + 1)
    >>> [key.partition("/")[0] for key, _ in shipper.take_uploads()]
    ['functions']
    >>> shipper.take_uploads()
    []
    """

    def __init__(self, clock: Clock | None = None, *, owner: str = "00000000") -> None:
        self._clock: Clock = clock or SystemClock()
        self.owner = owner
        self._lock = threading.RLock()
        self.uploading = threading.Lock()
        """Held while what :meth:`take_uploads` gave is being stored: somebody else's task may need it, too."""
        self.made: set[str] = set()
        """The keys of all objects that were made here."""
        self._uploads: list[tuple[str, list[Buffer]]] = []
        self._shipments: dict[tuple[bytes, str], Shipment] = {}
        self._recent: dict[int, tuple[FunctionType, Snapshot, _Pickled]] = {}
        self._bundles: dict[frozenset[str], _Kept] = {}
        self._files: Any = None

    def function(self, fn: Any, *, what: str | None = None) -> Shipment:
        """Pickle a function, and find the modules that it needs.

        A function that goes by value goes as it is now: it is pickled anew unless it is certain that
        nothing that it refers to has changed since the last time.

        Args:
            fn: Any callable.
            what: What to call it in the error: ``"the function resize"``.

        Returns:
            Its digest and name. What has to be uploaded for it is in :meth:`take_uploads`.

        Raises:
            CannotShip: if it, or something that it refers to, cannot be pickled, or its modules cannot be
                shipped.

        >>> Shipper().function(len).name
        'len'
        """
        with self._lock:
            pickled = self._pickled(fn, what)
            text, bundle = pickled.text, self.bundle(pickled.modules)
            shipment = self._shipments.get((text, bundle))
            if shipment is None:
                shipment = self._seal(fn, pickled, bundle)
                if len(text) <= REMEMBERED_BYTES:
                    if len(self._shipments) >= REMEMBERED:
                        self._shipments.pop(next(iter(self._shipments)))
                    self._shipments[text, bundle] = shipment
            return shipment

    def bundle(self, modules: frozenset[str]) -> str:
        """Return the digest of the bundle with these modules and all user modules that they import.

        Args:
            modules: Dotted names of modules.

        Returns:
            The digest, or ``""`` when none of them has to be shipped.

        Raises:
            CannotShip: if they are too large or cannot be read.

        >>> Shipper().bundle(frozenset({"json", "msgspec"}))
        ''
        """
        if not modules:
            return ""
        with self._lock:
            kept = self._bundles.get(modules)
            began = self._clock.now()
            if kept is not None and began < kept.good_until:
                return kept.digest
            if kept is None or not kept.still_right():
                kept = self._bundles[modules] = self._make(modules)
            now = self._clock.now()
            kept.good_until = now + LOOKING * (now - began)
            return kept.digest

    def take_uploads(self) -> list[tuple[str, list[Buffer]]]:
        """Return the objects that were made and not handed out yet: store key, and content in order.

        >>> Shipper().take_uploads()
        []
        """
        with self._lock:
            uploads, self._uploads = self._uploads, []
            return uploads

    def give_back(self, uploads: list[tuple[str, list[Buffer]]]) -> None:
        """Take back what could not be uploaded, for the next :meth:`take_uploads`."""
        with self._lock:
            self._uploads[:0] = uploads

    def _pickled(self, fn: Any, what: str | None) -> _Pickled:
        """Return a function's pickle, and what it refers to."""
        known = self._recent.get(id(fn))
        if known is not None and known[0] is fn and known[1].holds():
            return known[2]
        from wrens.serialize.pickling import Recorder

        file = io.BytesIO()
        pickler = Recorder(file)
        try:
            pickler.dump(fn)
        except HARMFUL as error:
            from wrens.serialize.explain import cannot_ship

            raise cannot_ship(fn, error, what or f"the function {name_of(fn)}", shipping=True) from None
        certain = frozenset(pickler.certain) | _certain_by_name(fn)
        pickled = _Pickled(file.getvalue(), frozenset(pickler.modules), frozenset(pickler.reached), certain)
        if type(fn) is FunctionType and len(pickled.text) <= REMEMBERED_BYTES:
            self._remember(fn, pickled)
        return pickled

    def _remember(self, fn: FunctionType, pickled: _Pickled) -> None:
        """Keep a function's pickle, if it can be told later that it is still right."""
        from wrens.serialize.pickling import globals_of
        from wrens.serialize.unchanged import Changeable, Snapshot

        try:
            snapshot = Snapshot(fn, globals_of)
        except Changeable:
            self._recent.pop(id(fn), None)
            return
        if len(self._recent) >= REMEMBERED:
            self._recent.pop(next(iter(self._recent)))
        self._recent[id(fn)] = (fn, snapshot, pickled)

    def _seal(self, fn: Any, pickled: _Pickled, bundle: str) -> Shipment:
        """Make the function's object and queue it."""
        from wrens.serialize.bundles import python_version

        name = name_of(fn)
        buffers = envelope.seal(FunctionRecord(VERSION, python_version(), name, bundle), [pickled.text])
        digest = keys.content(self.owner, *(memoryview(part) for part in buffers))
        self._queue(digest, buffers)
        return Shipment(digest, name, pickled.reached, pickled.certain)

    def _make(self, modules: frozenset[str]) -> _Kept:
        """Make a bundle anew and queue it."""
        from wrens.serialize import bundles
        from wrens.serialize.origins import ORIGINS

        self._files = self._files or bundles.Files()
        ORIGINS.forget()
        made = bundles.make_bundle(modules, self._files)
        name = f"{made.digest}-{self.owner}" if made.digest else ""
        if name:
            _own_bundles[name] = os.getpid()
            self._queue(name, made.buffers)
        return _Kept(name, made.stamps)

    def _queue(self, digest: str, buffers: list[Buffer]) -> None:
        key = keys.function(digest)
        if key not in self.made:
            self.made.add(key)
            self._uploads.append((key, buffers))


def _certain_by_name(fn: Any) -> frozenset[str]:
    """Return what is certain to be imported by a function of the user's that goes by name."""
    from wrens.serialize.imports import certain_imports
    from wrens.serialize.origins import ORIGINS, Origin

    if type(fn) is not FunctionType or ORIGINS.of(fn.__module__ or "__main__") is not Origin.USER:
        return frozenset()
    return certain_imports(fn.__code__, fn.__globals__.get("__package__") or "")


class _Kept:
    """A bundle that was made: its digest, the files behind it, and until when not to look at them."""

    def __init__(self, digest: str, stamps: Any) -> None:
        self.digest, self._stamps, self._path = digest, stamps, list(sys.path)
        self.good_until = 0.0

    def still_right(self) -> bool:
        """Tell whether path and files are as they were."""
        from wrens.errors import CannotShip
        from wrens.serialize.bundles import stamps_of

        try:
            return sys.path == self._path and all(
                stamps_of(place) == stamps for place, stamps in self._stamps.items()
            )
        except (CannotShip, OSError):
            return False
