"""Values out of packs: one, some, or all, without reading the rest.

Arrays come back writable, as from plain pickle. When the pack lies in writable memory, such as a private
copy-on-write map of a file, they are used where they are; otherwise each is copied once, when its item is
read. What was read-only when pickled stays read-only.

Decides which bytes are needed, and tells damage from an error of the user's class.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - this package is the home of pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wrens.errors import DamagedObject
from wrens.serialize import layout
from wrens.serialize.quick import sharing
from wrens.wire.envelope import Buffer

if TYPE_CHECKING:
    from wrens.serialize.loading import Loader

AT_ONCE = 262_144
"""A pack of at most this many bytes is fetched whole, because another request costs more."""
_FIRST = b"\x80\x05"


@dataclass(frozen=True, slots=True)
class _Part:
    """Blocks of a pack: the bytes from ``base`` on, positions from block ``first_block``, which items."""

    head: layout.Head
    bundle: str
    common: memoryview
    view: memoryview
    base: int
    places: tuple[int, ...]
    first_block: int
    first: int
    stop: int


class Pack:
    """A pack to be read.

    Args:
        data: The bytes. When they are writable, arrays are used in place.
        loader: Makes the modules that the pack names importable before anything is unpickled.
        key: What to call the pack when it is damaged.
        frozen: Hand out arrays read-only and in place, for a value that many will share.

    Raises:
        DamagedObject: if this is not a pack or is cut short.

    >>> from wrens.serialize import pack
    >>> packed = pack([(1, 2), [3]], what=str)
    >>> one = Pack(memoryview(b"".join(packed.buffers)))
    >>> len(one), one.item(1), one.items(0, 2)
    (2, [3], [(1, 2), [3]])
    """

    _frozen = False

    def __init__(
        self, data: Buffer, loader: Loader | None = None, *, key: str = "a pack", frozen: bool = False
    ) -> None:
        view = memoryview(data)
        self._frozen = frozen
        head = layout.read_head(view, key)
        if len(view) < head.length:
            raise DamagedObject(key, f"the pack is cut off: {len(view)} of {head.length} bytes")
        places = layout.read_index(head, view[head.index_at : head.body_at], 0, key)
        bundle = layout.bundle_of(head, view)
        self._hold(
            _Part(head, bundle, view[head.body_at : head.blocks_at], view, 0, places, 0, 0, head.count),
            loader,
            key,
        )

    @classmethod
    def _of(cls, part: _Part, loader: Loader | None, key: str) -> Pack:
        """Make a pack of some of the blocks."""
        made = cls.__new__(cls)
        made._hold(part, loader, key)  # noqa: SLF001 - its own class
        return made

    def _hold(self, part: _Part, loader: Loader | None, key: str) -> None:
        self._head, self._bundle, self._view, self._base = part.head, part.bundle, part.view, part.base
        self._places, self._first_block = part.places, part.first_block
        self._first, self._count = part.first, part.stop - part.first
        self._common = part.common
        self._shared: Sequence[type] = ()
        self._loader, self._key = loader, key
        self._block: tuple[int, list[Any]] = (-1, [])  # the block of plain values that was read last

    def __len__(self) -> int:
        return self._count

    def item(self, index: int) -> Any:
        """Return one value.

        An array is handed out where it lies in a writable pack, so that a second call with the same index
        sees what was written into the first; open the pack anew for a fresh start.

        Args:
            index: Its number, from 0.

        Raises:
            IndexError: if there is no such item.
            DamagedObject: if its bytes are no pickle.
            Exception: whatever the user's class raises while it is unpickled.
        """
        if not 0 <= index < self._count:
            raise IndexError(f"item {index} of a pack of {self._count}")
        return self.items(index, index + 1)[0]

    def items(self, start: int, stop: int) -> list[Any]:
        """Return the values ``start`` to ``stop``, as a slice of a list would.

        Raises:
            DamagedObject: if their bytes are no pickle.
            Exception: whatever the user's class raises while it is unpickled.
        """
        start, stop, _ = slice(start, stop).indices(self._count)
        if start >= stop:
            return []
        if self._bundle and self._loader is not None:
            self._loader.activate(self._bundle)
        start, stop = start + self._first, stop + self._first
        if self._head.kind == layout.PLAIN:
            return self._plain(start, stop)
        if not self._head.common:
            return self._each(start, stop)
        with sharing(self._classes):
            return self._each(start, stop)

    def _each(self, start: int, stop: int) -> list[Any]:
        """Return values that were pickled one by one."""
        low = start - self._first_block
        places = self._places[low : low + stop - start + 1]
        if self._head.kind == layout.FRAMED:
            return [self._framed(a, b) for a, b in pairwise(places)]
        view, base, loads = self._view, self._base, pickle.loads  # noqa: S301
        try:
            return [loads(view[a - base : b - base]) for a, b in pairwise(places)]
        except Exception as error:
            for a, b in pairwise(places):
                self._check(view[a - base : b - base], error)
            raise

    def _classes(self) -> Sequence[type]:
        """Return the classes that the items share; unpickled when the first item asks for one."""
        if not self._shared:
            with sharing(self._no_classes):
                try:
                    self._shared = pickle.loads(self._common)  # noqa: S301
                except Exception as error:
                    self._check(self._common, error)
                    raise
        return self._shared

    def _no_classes(self) -> Sequence[type]:
        raise DamagedObject(self._key, "the shared classes refer to themselves")

    def _framed(self, begin: int, end: int) -> Any:
        """Unpickle the value of one framed block."""
        block = self._view[begin - self._base : end - self._base]
        text, frames = layout.split_framed(block, begin, self._key)
        # Arrays are writable wherever they come from: in place if the memory is, otherwise in a copy.
        buffers: Sequence[Buffer] = frames
        if self._frozen:
            buffers = [memoryview(frame).toreadonly() for frame in frames]
        elif block.readonly:
            buffers = [bytearray(frame) for frame in frames]
        try:
            return pickle.loads(text, buffers=buffers)  # noqa: S301 - a worker runs the user's code anyway
        except Exception as error:
            self._check(text, error)
            raise

    def _plain(self, start: int, stop: int) -> list[Any]:
        """Return the values of plain blocks."""
        per, found = self._head.per, []
        for block in range(start // per, -(-stop // per)):
            if self._block[0] != block:
                self._block = (block, self._plain_block(block))
            low = block * per
            found += self._block[1][max(0, start - low) : stop - low]
        return found

    def _plain_block(self, block: int) -> list[Any]:
        """Unpickle one block of plain values and check that it holds as many as it should."""
        a, b = (place - self._base for place in self._places[block - self._first_block :][:2])
        try:
            values = pickle.loads(self._view[a:b])  # noqa: S301
        except Exception as error:  # plain values run no user code: it is the bytes
            raise DamagedObject(self._key, f"a block of plain values: {error}") from error
        per = self._head.per
        if type(values) is not list or len(values) != min(per, self._head.count - block * per):
            raise DamagedObject(self._key, "a block of plain values holds another number of them")
        return values

    def _check(self, text: memoryview, error: Exception) -> None:
        """Raise ``DamagedObject`` for a broken pickle; an error over a sound one is the user's own."""
        import pickletools

        try:
            if bytes(text[:2]) != _FIRST or _is_the_unpicklers(error):
                raise ValueError(str(error))
            for _ in pickletools.genops(bytes(text)):
                pass
        except Exception as problem:  # noqa: BLE001 - genops names no errors of its own
            raise DamagedObject(self._key, f"an item: {problem}") from error


def _is_the_unpicklers(error: Exception) -> bool:
    """Tell an error of the unpickler itself from the same kind raised in the user's code."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    ours = frame is not None and frame.tb_frame.f_globals.get("__name__") == __name__
    return ours and isinstance(error, pickle.UnpicklingError | EOFError | OverflowError)


def open_pack(
    fetch: Callable[[int, int], memoryview], length: int, first: int, stop: int, loader: Loader | None = None
) -> Pack:
    """Open a part of a pack and fetch no more than it needs.

    A small pack is fetched whole. Of a large one the header, the needed piece of the index and the range of
    bytes with these items are fetched: two or three calls. Who wants all items reads the pack at once and
    makes a :class:`Pack` of it.

    Args:
        fetch: Called with an offset in the pack and a length, returns these bytes.
        length: Length of the whole pack.
        first: The first item that is wanted.
        stop: The item after the last that is wanted.
        loader: As in :class:`Pack`.

    Returns:
        A pack of ``stop - first`` items: its item 0 is the item ``first`` of the whole pack.

    Raises:
        DamagedObject: if this is not a pack, is cut short, or has no such items.

    >>> from wrens.serialize import pack
    >>> data = memoryview(b"".join(pack(list(range(100)), what=str).buffers))
    >>> open_pack(lambda at, n: data[at : at + n], len(data), 40, 43).items(0, 3)
    [40, 41, 42]
    """
    key = "a pack"
    start = fetch(0, min(length, AT_ONCE))
    head = layout.read_head(start, key)
    if head.length > length or not 0 <= first <= stop <= head.count:
        raise DamagedObject(key, f"items {first} to {stop} of {head.count}, {head.length} of {length} bytes")
    low, high = first // head.per, -(-stop // head.per)
    a, b = head.index_at + head.width * low, head.index_at + head.width * (high + 1)
    places = layout.read_index(head, _part(fetch, start, a, b, key), low, key)
    begin = places[0] - places[0] % 64  # so that arrays keep their place on multiples of 64
    view = _part(fetch, start, begin, places[-1], key)
    common = _part(fetch, start, head.body_at, head.blocks_at, key)
    part = _Part(head, layout.bundle_of(head, start), common, view, begin, places, low, first, stop)
    return Pack._of(part, loader, key)  # noqa: SLF001 - the same module


def _part(
    fetch: Callable[[int, int], memoryview], start: memoryview, begin: int, end: int, key: str
) -> memoryview:
    """Return a range of the pack, from its start when that was fetched already."""
    part = start[begin:end] if end <= len(start) else memoryview(fetch(begin, end - begin))
    if len(part) != end - begin:
        raise DamagedObject(key, f"the pack is cut off: {len(part)} of {end - begin} bytes from {begin} on")
    return part
