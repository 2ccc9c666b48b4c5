"""Values into packs: many in one object, to be read one by one, arrays in place.

A pack is of one of three kinds (the bytes are in :mod:`wrens.serialize.layout`). When all values are numbers,
strings, bytes, booleans or ``None``, whole blocks of them are one pickle each: some nanoseconds for a value.
Otherwise every value is pickled on its own, so that one that cannot be pickled harms only itself; buffers of
16 KB and more (arrays) stay beside the pickle and are not copied.

Decides how a value becomes bytes. :mod:`wrens.serialize.reading` reads them, and what cannot be pickled is
explained in :mod:`wrens.serialize.explain`.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - this package is the home of pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wrens.serialize import layout
from wrens.serialize.quick import HARMFUL, PLAIN, QuickPickler
from wrens.wire.envelope import Buffer

if TYPE_CHECKING:
    from wrens.serialize.functions import Shipper

Pickled = tuple[bytes, Sequence[memoryview]]
"""The pickle of a value and the buffers beside it."""
PER_BLOCK = 1024
"""Plain values in one pickle."""
BLOCK_BYTES = 262_144
"""A block of plain values that turns out longer than this is made of fewer."""


@dataclass
class Packed:
    """A pack that was just made.

    Attributes:
        buffers: Its bytes, in order. Large arrays are not copied: write them before they change.
        nbytes: Their length in all.
        count: How many values are in it.
        failures: Index among the given values to error, for those that are not in it.
        modules: Names of the modules that it refers to, when it is shipped.
    """

    buffers: list[Buffer]
    nbytes: int
    count: int
    failures: dict[int, Exception] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()


def pack(values: Sequence[Any], *, what: Callable[[int], str], shipper: Shipper | None = None) -> Packed:
    """Pickle values into one pack; those that cannot be pickled are left out and named.

    Args:
        values: What to pack.
        what: Says what the value with an index is, for the error: ``"input 17"``.
        shipper: Finds the user's modules that the values need, so that a worker can import them. Without
            it nothing is shipped, as for results.

    Returns:
        The pack, and an error for each value that is not in it.

    Raises:
        CannotShip: if modules that the values need cannot be sent.

    >>> packed = pack([1, "two", lambda: 3], what=lambda i: f"input {i}")
    >>> packed.count, packed.failures
    (3, {})
    >>> from wrens.serialize import Pack
    >>> Pack(memoryview(b"".join(packed.buffers))).item(1)
    'two'
    """
    if PLAIN.issuperset(map(type, values)):
        return _pack_plain(values)
    each = _Each(shipper is not None)
    if not _pickle_each(values, what, each, sharing=True):
        each = _Each(shipper is not None)
        _pickle_each(values, what, each, sharing=False)  # so that each item has its own error
    bundle = shipper.bundle(frozenset(each.modules)) if shipper is not None else ""
    reached = frozenset(each.reached) if shipper is not None else frozenset[str]()
    shape = layout.Shape(layout.EACH, 1, len(each.pickled), bundle, each.common)
    if any(frames for _, frames in each.pickled):
        buffers = layout.join_framed(shape, each.pickled)
        return Packed(buffers, sum(map(_length, buffers)), len(each.pickled), each.failures, reached)
    whole = layout.join_blocks(shape, [text for text, _ in each.pickled])
    return Packed([whole], len(whole), len(each.pickled), each.failures, reached)


def _length(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)


def _pack_plain(values: Sequence[Any]) -> Packed:
    """Pack values of which none can fail."""
    values = values if type(values) is list else list(values)
    count, per = len(values), PER_BLOCK
    first = pickle.dumps(values[:per], 5)
    if len(first) > BLOCK_BYTES:
        per = max(1, per * BLOCK_BYTES // len(first))
        first = pickle.dumps(values[:per], 5)
    blocks = [first] if count else []
    blocks += [pickle.dumps(values[at : at + per], 5) for at in range(per, count, per)]
    whole = layout.join_blocks(layout.Shape(layout.PLAIN, per, count), blocks)
    return Packed([whole], len(whole), count)


@dataclass
class _Each:
    """Values that were pickled one by one."""

    shipping: bool
    pickled: list[Pickled] = field(default_factory=list)
    failures: dict[int, Exception] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    common: bytes = b""


def _pickle_each(values: Sequence[Any], what: Callable[[int], str], each: _Each, *, sharing: bool) -> bool:
    """Pickle every value on its own; return whether the classes that they share could be pickled."""
    quick = QuickPickler(shipping=each.shipping, sharing=sharing)
    dumps, keep = quick.dumps, each.pickled.append
    for index, value in enumerate(values):
        try:
            keep(dumps(value))
        except HARMFUL:
            quick.reset()
            try:
                keep(_dumps_slowly(value, each))
            except HARMFUL as error:
                from wrens.serialize.explain import cannot_ship

                each.failures[index] = cannot_ship(value, error, what(index), shipping=each.shipping)
    each.modules |= quick.modules
    each.reached |= quick.reached
    try:
        each.common = _dumps_slowly(list(quick.shared), each)[0] if quick.shared else b""
    except HARMFUL:
        return False
    return True


def _dumps_slowly(value: Any, each: _Each) -> Pickled:
    """Pickle a value with cloudpickle."""
    from wrens.serialize.pickling import dumps

    dumped = dumps(value, shipping=each.shipping)
    each.modules.update(dumped.modules)
    each.reached.update(dumped.reached)
    return dumped.text, dumped.frames
