"""The bytes of a pack: a header, an index, blocks.

    bytes 0-3    b"pack"
    byte  4      version of this layout
    byte  5      kind: 1 plain, 2 each, 3 framed
    byte  6      width of an index entry: 4 or 8 bytes
    byte  7      length of the name of the module bundle, or 0
    bytes 8-11   items in a block (the last may hold fewer)
    bytes 12-15  length of the part that the items share: the pickle of a list of classes
    bytes 16-23  items in the pack
    bytes 24-31  length of the pack
    then         the bundle's name, the index, the shared part, the blocks

All numbers are little-endian. The index holds the position of each block, from the start of the pack, and
at last the end of the pack. So whoever wants items ``first`` to ``stop`` reads the header, a piece of the
index and one range of bytes.

    plain   a block is the pickle of a list of values
    each    a block is the pickle of one value
    framed  a block is one value with large buffers beside its pickle: their number (4 bytes), the length of
            the pickle and of each buffer (8 bytes each), the pickle, and the buffers, each on a multiple
            of 64 from the start of the pack

Decides positions and checks them; does not look into pickles.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from wrens.errors import DamagedObject, VersionMismatch
from wrens.wire import keys
from wrens.wire.envelope import Buffer, padding

VERSION = 1
PLAIN, EACH, FRAMED = 1, 2, 3
HEADER = 32
_HEAD = struct.Struct("<4sBBBBIIQQ")
_MAGIC = b"pack"


@dataclass(frozen=True, slots=True)
class Head:
    """What the first bytes of a pack say."""

    kind: int
    width: int
    per: int
    count: int
    length: int
    bundle_length: int
    common: int

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.count // self.per)

    @property
    def index_at(self) -> int:
        """Where the index begins."""
        return HEADER + self.bundle_length

    @property
    def body_at(self) -> int:
        """Where the index ends and the shared part begins."""
        return self.index_at + self.width * (self.blocks + 1)

    @property
    def blocks_at(self) -> int:
        """Where the first block begins."""
        return self.body_at + self.common


@dataclass(frozen=True, slots=True)
class Shape:
    """What a new pack's header will say, and the part that its items share."""

    kind: int
    per: int
    count: int
    bundle: str = ""
    common: bytes = b""


def read_head(data: memoryview, key: str) -> Head:
    """Decode and check the header.

    Raises:
        DamagedObject: if these bytes do not begin a pack, or contradict themselves.
        VersionMismatch: if they begin a pack of another version.
    """
    if len(data) < HEADER:
        raise DamagedObject(key, f"a pack begins with {HEADER} bytes, there are {len(data)}")
    magic, version, kind, width, bundle_length, per, common, count, length = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise DamagedObject(key, "it does not begin as a pack")
    if version != VERSION:
        raise VersionMismatch("wrens", f"(packs of version {version})", f"(packs of version {VERSION})", key)
    head = Head(kind, width, per, count, length, bundle_length, common)
    sound = (
        kind in (PLAIN, EACH, FRAMED)
        and width in (4, 8)
        and per > 0
        and bundle_length in (0, keys.CONTENT_BYTES)
    )
    if not sound or (kind != PLAIN and per != 1) or head.blocks_at > length:
        raise DamagedObject(key, "the header of the pack contradicts itself")
    return head


def bundle_of(head: Head, data: memoryview) -> str:
    """Return the name of the module bundle that the pack needs; empty when it needs none."""
    return bytes(data[HEADER : head.index_at]).decode("ascii", "replace")


def read_index(head: Head, part: memoryview, first_block: int, key: str) -> tuple[int, ...]:
    """Decode a piece of the index that begins with ``first_block``, and check it.

    Raises:
        DamagedObject: if positions are out of order or outside the pack.
    """
    many = len(part) // head.width
    places = struct.unpack(f"<{many}{'I' if head.width == 4 else 'Q'}", part)
    low = head.blocks_at
    if places[0] < low or places[-1] > head.length or (not first_block and places[0] != low):
        raise DamagedObject(key, "the index of the pack points outside of it")
    if any(map(int.__gt__, places, places[1:])):
        raise DamagedObject(key, "the index of the pack is out of order")
    return places


def join_blocks(shape: Shape, blocks: Sequence[bytes]) -> bytes:
    """Return a whole pack of blocks that have no buffers beside them."""
    lengths = list(map(len, blocks))
    before = HEADER + len(shape.bundle) + len(shape.common)
    width = 4 if before + sum(lengths) + 8 * (len(blocks) + 1) < 1 << 32 else 8
    places = list(accumulate(lengths, initial=before + width * (len(blocks) + 1)))
    return b"".join((_start(shape, width, places), *blocks))


def join_framed(shape: Shape, values: Sequence[tuple[bytes, Sequence[memoryview]]]) -> list[Buffer]:
    """Return a whole pack of the kind ``framed`` as a list of buffers; the large ones are not copied."""
    at = HEADER + len(shape.bundle) + len(shape.common) + 8 * (len(values) + 1)
    places, parts, small = [at], list[Buffer](), list[bytes]()
    for text, frames in values:
        table = struct.pack(f"<I{len(frames) + 1}Q", len(frames), len(text), *(f.nbytes for f in frames))
        small += (table, text)
        at += len(table) + len(text)
        for frame in frames:
            gap = padding(at)
            parts += (b"".join((*small, bytes(gap))), frame)
            small.clear()
            at += gap + frame.nbytes
        places.append(at)
    return [_start(replace(shape, kind=FRAMED), 8, places), *parts, b"".join(small)]


def split_framed(block: memoryview, at: int, key: str) -> tuple[memoryview, list[memoryview]]:
    """Split a framed block, which begins at ``at`` in its pack, into the pickle and its buffers.

    Raises:
        DamagedObject: if the block is shorter than its own table says.
    """
    try:
        (many,) = struct.unpack_from("<I", block)
        lengths = struct.unpack_from(f"<{many + 1}Q", block, 4)
    except (struct.error, MemoryError, OverflowError) as error:
        raise DamagedObject(key, "an item of the pack is cut off in its table") from error
    here = 4 + 8 * (many + 1)
    text, here = block[here : here + lengths[0]], here + lengths[0]
    frames = []
    for length in lengths[1:]:
        here += padding(at + here)
        frames.append(block[here : here + length])
        here += length
    if here != len(block):
        raise DamagedObject(key, f"an item of the pack has {len(block)} bytes, its table says {here}")
    return text, frames


def _start(shape: Shape, width: int, places: list[int]) -> bytes:
    """Return header, bundle name, index and shared part."""
    head = _HEAD.pack(
        _MAGIC,
        VERSION,
        shape.kind,
        width,
        len(shape.bundle),
        shape.per,
        len(shape.common),
        shape.count,
        places[-1],
    )
    index = struct.pack(f"<{len(places)}{'I' if width == 4 else 'Q'}", *places)
    return b"".join((head, shape.bundle.encode(), index, shape.common))
