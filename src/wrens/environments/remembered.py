"""Which environment came of the same wishes the last time, so that nothing is resolved or built again.

One small file each, in the user's cache. It says only what was built here once: the store is asked whether it has
that, and if not it is built again. May be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec

from wrens.store.opening import cache_home
from wrens.wire import decoders
from wrens.wire.records import EnvironmentRecord

FOLDER = "wrens-environments"


class Memory(msgspec.Struct, frozen=True):
    """What was built: its digest, its head, and the bytes of the whole object."""

    digest: str
    record: EnvironmentRecord
    nbytes: int


def recall(wish: str) -> Memory | None:
    """Return what came of a wish, named by its digest; ``None`` when nobody remembers."""
    try:
        return decoders.from_json(Memory, _file(wish).read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def remember(wish: str, memory: Memory) -> None:
    """Note what came of a wish; where nothing can be written nothing is remembered."""
    file = _file(wish)
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode(memory))
        Path(draft).replace(file)


def _file(wish: str) -> Path:
    return cache_home() / FOLDER / f"{wish}.json"
