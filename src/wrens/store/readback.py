"""Whose object is it? Comparing what is stored with what was to be written.

Decides how much has to be read for that. The records of wrens hold the id of the attempt that wrote them,
near their beginning, so two writers never agree in what is compared here; contents that are equal by
design (named by their digest) may count as written by either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wrens.errors import ObjectMissing, StoreError, UncertainWrite
from wrens.store.naming import total
from wrens.store.port import Store

WHOLE = 256 * 1024
"""Up to this size the whole object is compared, beyond it this much of the beginning and the end."""


def same_object(store: Store, key: str, buffers: Sequence[bytes | memoryview]) -> bool | None:
    """Tell whether ``key`` holds what ``buffers`` would have written.

    Args:
        store: Where to look.
        key: The object's key.
        buffers: The flat buffers of the put that is in doubt.

    Returns:
        Whether it is the same; ``None`` when there is no such object.

    Raises:
        UncertainWrite: if it cannot be read.
    """
    size = total(buffers)
    try:
        if size <= WHOLE:
            return _equal(store.get(key, length=size + 1), buffers, 0, size)
        tail = size - WHOLE // 2
        # One byte more than there should be, so that a longer object is told from this one.
        return _equal(store.get(key, length=WHOLE // 2), buffers, 0, WHOLE // 2) and _equal(
            store.get(key, start=tail, length=WHOLE // 2 + 1), buffers, tail, size
        )
    except ObjectMissing:
        return None
    except StoreError as error:
        raise UncertainWrite("put", key, store.url, f"reading back failed: {error.reason}") from error


def _equal(found: memoryview, buffers: Sequence[bytes | memoryview], start: int, stop: int) -> bool:
    """Compare ``found`` with the bytes from ``start`` to ``stop`` of the buffers, without joining them."""
    if len(found) != stop - start:
        return False
    at = 0
    for piece in _pieces(buffers, start, stop):
        if found[at : at + len(piece)] != piece:
            return False
        at += len(piece)
    return True


def _pieces(buffers: Sequence[bytes | memoryview], start: int, stop: int) -> Iterator[memoryview]:
    offset = 0
    for buffer in buffers:
        end = offset + len(buffer)
        if end > start and offset < stop:
            yield memoryview(buffer)[max(0, start - offset) : stop - offset]
        offset = end
