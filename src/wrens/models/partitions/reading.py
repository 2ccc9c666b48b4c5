"""How the bytes between two borders are read: in pieces that hold whole records, in as few requests as that takes.

A planned range is read from a little before its beginning, where the first border is found, to a little beyond its end,
where the last one mostly is. So a range that fits into one piece is one request, and one that is streamed is read from
its beginning to its end, once. From a store behind a network the next piece is on its way while one is worked on.

Decides how much is asked for at a time, and what is kept between two pieces. What a border is, is decided in
:mod:`wrens.models.partitions.borders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from wrens.errors import BadData
from wrens.models.partitions import borders
from wrens.models.partitions.borders import Border, Delimiter, Fixed

Fetch = Callable[[int, int], memoryview]
"""``fetch(start, stop)`` returns exactly these bytes of the object."""
BITE = 128 * 1024
"""Bytes that become Python objects at a time: few enough to stay in a processor's cache."""
BEYOND = 16
"""The end of a partition is looked for in a part of this many beyond it, up to ``borders.NEAR``: most of the bytes there
are read for its neighbour too."""
LEAST_BEYOND = 1024
SHORT = 128
"""Of the beginning of a record at the end of a piece, up to a part of this many of the piece is read again with the
next one, which is cheaper than to copy all of that one behind it."""


@dataclass(frozen=True, slots=True)
class Range:
    """A planned range of an object.

    Args:
        start, stop: Where it was planned to begin and end.
        size: The object's size in bytes.
        border: Where it may be cut.
    """

    start: int
    stop: int
    size: int
    border: Border

    def bounds(self, fetch: Fetch) -> tuple[int, int]:
        """Return where the first record begins and the last one ends; equal where no record begins in the range."""

        def read(start: int, length: int) -> bytes:
            return bytes(fetch(start, min(self.size, start + length)))

        # Beyond the range nothing is looked for: a record that is longer than many ranges is read by its owner only.
        begin = self.border.cut(read, self.start, self.stop)
        return (begin, self.border.cut(read, self.stop, self.size)) if begin < self.stop else (begin, begin)

    def pieces(self, fetch: Fetch, nbytes: int, *, ahead: bool) -> Iterator[tuple[int, memoryview]]:
        """Yield the bytes between the borders in pieces, each with where it begins in the object.

        Args:
            fetch: Reads the object.
            nbytes: How much is read at once.
            ahead: Read the next piece while one is worked on; then two are in memory.
        """
        reader = _Reader(fetch, ahead=ahead)
        try:
            if isinstance(self.border, Delimiter):
                yield from self._delimited(reader, self.border, nbytes)
            else:
                yield from self._exact(reader, nbytes)
        finally:
            reader.close()

    def _exact(self, reader: _Reader, nbytes: int) -> Iterator[tuple[int, memoryview]]:
        """Yield pieces of a range whose borders are known without reading."""
        if isinstance(self.border, Fixed):
            nbytes = max(1, nbytes // self.border.width) * self.border.width
        at, end = self.bounds(_nothing)
        while at < end:
            found = reader.take(at, min(end, at + nbytes))
            begun, at = at, at + len(found)
            if at < end:
                reader.ask(at, min(end, at + nbytes))
            yield begun, found

    def _delimited(self, reader: _Reader, border: Delimiter, nbytes: int) -> Iterator[tuple[int, memoryview]]:
        """Yield pieces of a range that ends where a mark is found.

        ``held`` is what is in memory of the object, from ``low`` to ``high``: always so much before the place that is
        looked at that it can be told whether a border is there.
        """
        if self.start >= self.stop:
            return
        # A record begins at ``begun``, once it is found; until then one is looked for from ``start`` on.
        begun, start = (0, 0) if self.start <= 0 else (-1, self.start)
        held, low, grown = memoryview(b""), max(0, start - border.behind), nbytes
        while True:
            fetched = reader.take(low + len(held), self._until(low + len(held), grown))
            held = memoryview(b"".join([held, fetched])) if held else fetched
            high, view = low + len(held), _View(held, low)
            if begun < 0:
                found = border.cut(view.read, start, min(high, self.stop))
                if found >= self.stop:
                    return  # no record begins here
                if found >= high:  # if one begins just here, that is seen from what lies before
                    start = max(start, high)
                    held, low = view.kept(max(0, start - border.behind))
                    continue
                begun = found
            end = self._end(border, view, high)
            over = end is not None
            cut = begun + border.last(held[begun - low : self.stop - low]) if end is None else end
            ready, at = held[begun - low : cut - low], begun
            if cut == begun:
                grown = len(held)  # a long record; reading it in small steps would copy it again and again
            elif not over:
                again = high < self.stop and (high - cut) * SHORT <= nbytes
                begun, grown, low = cut, nbytes, max(0, cut - border.behind)
                held = memoryview(b"") if again else view.kept(low)[0]
            if not over:
                reader.ask(low + len(held), self._until(low + len(held), grown))
            del fetched, view
            if len(ready):
                yield at, ready
            if over:
                return
            del ready

    def _until(self, high: int, nbytes: int) -> int:
        """Return up to where to read, when everything before ``high`` is there."""
        near = min(borders.NEAR, max(LEAST_BEYOND, (self.stop - self.start) // BEYOND))
        if high < self.stop:
            planned = self.stop + near
            return min(self.size, planned if planned - high <= nbytes + near else high + nbytes)
        return min(self.size, high + max(near, 2 * (high - self.stop)))

    def _end(self, border: Delimiter, view: _View, high: int) -> int | None:
        """Return where the last record ends, when that is known from what was read up to ``high``."""
        if high < self.stop:
            return None
        found = border.cut(view.read, self.stop, high)
        if found < high or high >= self.size:
            return found
        begin = max(0, high - border.behind)
        return high if border.ends(view.read(begin, border.behind), begin) else None


@dataclass(frozen=True, slots=True)
class _View:
    """Bytes of an object that are in memory, by their places in it."""

    held: memoryview
    low: int

    def read(self, start: int, length: int) -> bytes:
        return bytes(self.held[start - self.low : start - self.low + length])

    def kept(self, low: int) -> tuple[memoryview, int]:
        """Return a copy of what lies from a place on, so that the rest can be freed, and the place."""
        return memoryview(bytes(self.held[low - self.low :])), low


class _Reader:
    """Reads one range after the other; the next one is on its way when it was asked for."""

    def __init__(self, fetch: Fetch, *, ahead: bool) -> None:
        self._fetch, self._ahead = fetch, ahead
        self._pool: ThreadPoolExecutor | None = None
        self._due: Future[memoryview] | None = None

    def ask(self, start: int, stop: int) -> None:
        """Begin to read what :meth:`take` is asked for next."""
        if self._ahead:
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="wrens-partition")
            self._due = self._pool.submit(self._fetch, start, stop)

    def take(self, start: int, stop: int) -> memoryview:
        """Return these bytes."""
        due, self._due = self._due, None
        return self._fetch(start, stop) if due is None else due.result()

    def close(self) -> None:
        """Forget what was asked for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _nothing(_start: int, _stop: int) -> memoryview:
    """Read nothing, for borders that are known without."""
    return memoryview(b"")


def joined(pieces: Iterator[tuple[int, memoryview]]) -> memoryview:
    """Return pieces as one; a single one is not copied.

    >>> bytes(joined(iter([(0, memoryview(b"one ")), (4, memoryview(b"two"))])))
    b'one two'
    """
    found = [piece for _, piece in pieces]
    return found[0] if len(found) == 1 else memoryview(b"".join(found))


def bites(border: Delimiter, piece: memoryview, nbytes: int = BITE) -> Iterator[tuple[int, memoryview]]:
    r"""Yield smaller pieces of a piece, each with where it begins there; a record stays whole.

    >>> [bytes(bite) for _, bite in bites(Delimiter(b"\n"), memoryview(b"one\ntwo\nthree and more\nfour"), 9)]
    [b'one\ntwo\n', b'three and more\n', b'four']
    """
    at = 0
    while at < len(piece):
        reach, cut = nbytes, 0
        while not cut:
            part = piece[at : at + reach]
            cut = len(part) if at + reach >= len(piece) else border.last(part)
            reach *= 2
        yield at, part[:cut]
        at += cut


def decoded(piece: memoryview, encoding: str, url: str, begun: int) -> str:
    r"""Return text without the byte order mark with which an object may begin.

    Args:
        piece: Whole records.
        encoding: How they are encoded.
        url: The object that they are from, for errors.
        begun: Where they begin in it.

    Raises:
        BadData: if they are encoded otherwise; it says where.

    >>> decoded(memoryview(b"caf\xe9"), "utf-8", "menu.txt", 100)
    Traceback (most recent call last):
        ...
    wrens.errors.BadData: menu.txt, byte 103: b'\xe9' is not utf-8: unexpected end of data
      Partition with the right encoding=, such as 'latin-1', or take the bytes by part.records().
    """
    try:
        text = str(piece, encoding)
    except UnicodeDecodeError as error:
        wrong = bytes(piece[error.start : error.start + 8])
        told = f"{wrong!r} is not {encoding}: {error.reason}"
        advice = "Partition with the right encoding=, such as 'latin-1', or take the bytes by part.records()."
        raise BadData(url, begun + error.start, told, advice) from None
    return text if begun else text.removeprefix("\ufeff")
