"""What a worker keeps from one superstep to the next: copies of what the store has, found by where they lie there.

The place of an object is new for each attempt that wrote one, so what is found is what a verdict names, never something
older. All of it may be lost at any time. Decides what is worth keeping: the data of partitions, unpacked; states only where
reading is a request, and as bytes, so that a step gets an object of its own whether it was kept or not.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from wrens.models import exchange
from wrens.models.exchange import Slice
from wrens.serialize import Pack
from wrens.store.port import Buffer

HELD = 512 * 2**20
"""Bytes that are kept at most."""

_Place = tuple[str, str, int]
_kept: OrderedDict[_Place, tuple[int, Any]] = OrderedDict()


def data_at(place: Slice) -> Any:
    """Return the data of a partition; arrays in it cannot be written to, for the next superstep will have them too."""
    found = _find(_place(place))
    if found is None:
        found = Pack(next(exchange.read([place])), frozen=True).item(0), None
        _keep(_place(place), place.nbytes, found)
    return found[0]


def state_at(place: Slice) -> Any:
    """Return a state, an object of the caller's own."""
    found = _find(_place(place))
    return Pack(next(exchange.read([place])) if found is None else bytearray(found)).item(0)


def wrote(place: Slice, buffers: list[Buffer]) -> None:
    """Keep a state that was written there."""
    if not exchange.is_near(place.store):
        _keep(_place(place), place.nbytes, b"".join(buffers))


def _place(place: Slice) -> _Place:
    return place.store, place.key, place.start


def _find(place: _Place) -> Any:
    if place not in _kept:
        return None
    _kept.move_to_end(place)
    return _kept[place][1]


def _keep(place: _Place, nbytes: int, value: Any) -> None:
    _kept[place] = nbytes, value
    while _kept and sum(size for size, _ in _kept.values()) > HELD:
        _kept.popitem(last=False)
