"""Bytes made smaller on their way between stages, by Zstandard as pyarrow brings it.

Decides the kind of compression and how hard it tries: level 1 takes about a second for 400 MB, less than a network
needs for what it saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from wrens.store.port import Buffer

LEVEL = 1


@cache
def available() -> bool:
    """Tell whether there is something to compress with."""
    try:
        import pyarrow as pa
    except ImportError:
        return False
    return bool(pa.Codec.is_available("zstd"))


@cache
def _codec() -> Any:
    import pyarrow as pa

    return pa.Codec("zstd", compression_level=LEVEL)


def compress(buffers: Sequence[Buffer]) -> bytes:
    """Return buffers, joined and compressed."""
    return bytes(_codec().compress(b"".join(buffers), asbytes=True))


def decompress(data: Buffer, size: int) -> memoryview:
    """Return what was compressed.

    Args:
        data: As :func:`compress` returned it.
        size: How many bytes it was.

    >>> bytes(decompress(compress([b"ab", b"ab"]), 4))
    b'abab'
    """
    return memoryview(_codec().decompress(data, size))
