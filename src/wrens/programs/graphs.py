"""Graphs for bulk-synchronous programs: made from a seed, and cut into partitions as vectorised steps need them.

Decides the layout of a partition: its vertices lie side by side, and its edges are grouped by where they lead to, so that what
all of them bring to a vertex elsewhere is one number made by one call of NumPy, or of SciPy where it is installed. Knows no
program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from wrens.errors import BadOption

CORNERS = (0.57, 0.19, 0.19)
"""Chances of three of the four corners at each step of R-MAT, those of Graph500."""

Numbers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Links:
    """The vertices of a partition, and the edges that begin there, grouped by their targets.

    Args:
        vertices: How many the whole graph has.
        first, stop: Which are here.
        degree: How many edges begin at each of them.
        sources: For each edge where it begins, counted from ``first``; edges to the same target lie side by side.
        starts: Where the edges to each of ``targets`` begin.
        targets: The vertices that edges lead to, each once, in ascending order.
        borders: At which vertex each partition begins, and the number of all.
        cuts: Where in ``targets`` each partition begins, and their number.
        arriving: For each partition from which edges lead here, in ascending order, to which vertices they do: what it has as
            ``targets`` here, counted from ``first``.
    """

    vertices: int
    first: int
    stop: int
    degree: Numbers
    sources: npt.NDArray[np.int32]
    starts: Numbers
    targets: Numbers
    borders: Numbers
    cuts: Numbers
    arriving: tuple[Numbers, ...]

    def reduced(self, ufunc: np.ufunc, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return for each of ``targets`` what the values of the vertices that lead to it come to."""
        if not len(self.starts):
            return values[:0]
        found: npt.NDArray[Any] = ufunc.reduceat(values[self.sources], self.starts)
        return found

    def sums(self, values: Values) -> Values:
        """Return for each of ``targets`` the sum of the values of the vertices that lead to it.

        Takes a third of the time of :meth:`reduced` where SciPy is installed.
        """
        return self._summed(values)

    @cached_property
    def _summed(self) -> Callable[[Values], Values]:
        """What makes the sums; a matrix is made once by each worker, and is not part of the data."""
        try:
            from scipy import sparse
        except ImportError:
            return lambda values: self.reduced(np.add, values)
        rows = np.append(self.starts, len(self.sources))
        if len(self.sources) <= np.iinfo(np.int32).max:
            rows = rows.astype(np.int32)  # or SciPy would make the sources as long, and read twice as much
        shape = len(self.targets), self.stop - self.first
        matrix: Any = sparse.csr_array((np.ones(len(self.sources)), self.sources, rows), shape)
        return lambda values: matrix @ values

    @cached_property
    def ends(self) -> Numbers:
        """The vertices here at which no edge begins, counted from ``first``."""
        return np.flatnonzero(self.degree == 0)

    def blocks(self) -> Iterator[tuple[int, slice]]:
        """Yield for each partition that edges lead to its number, and which of ``targets`` are there."""
        for p, (start, stop) in enumerate(pairwise(self.cuts.tolist())):
            if start < stop:
                yield p, slice(start, stop)


def rmat(scale: int, edges: int, seed: int) -> tuple[Numbers, Numbers]:
    """Return where the edges of a random graph begin and end: R-MAT (Chakrabarti, Zhan and Faloutsos, 2004).

    Few vertices have most of the edges, as in the web. Numbers are shuffled, so that these are not all in one partition.

    Args:
        scale: The graph has ``2**scale`` vertices.
        edges: How many edges; some may be the same, or begin where they end.
        seed: Makes the graph the same each time.

    >>> sources, targets = rmat(4, 10, seed=1)
    >>> len(sources), len(targets), int(max(sources.max(), targets.max())) < 16
    (10, 10, True)
    """
    chance = np.random.default_rng(seed)
    a, b, c = CORNERS
    sources, targets = np.zeros(edges, np.int64), np.zeros(edges, np.int64)
    for _ in range(scale):
        found = chance.random(edges)
        down = found >= a + b
        right = ((found >= a) & ~down) | (found >= a + b + c)
        sources += sources + down
        targets += targets + right
    names = chance.permutation(1 << scale)
    return names[sources], names[targets]


def cut(sources: Numbers, targets: Numbers, vertices: int, partitions: int) -> list[Links]:
    """Return a graph in partitions of about the same number of vertices.

    Raises:
        BadOption: if an edge leads to no vertex, or there are less vertices than partitions.

    >>> one, other = cut(np.array([0, 1, 1]), np.array([2, 2, 0]), 4, 2)
    >>> one.targets.tolist(), one.degree.tolist(), other.degree.tolist()
    ([0, 2], [1, 2], [0, 0])
    """
    if not 0 < partitions <= vertices:
        raise BadOption(f"partitions={partitions}", f"does not go with {vertices} vertices", "Take fewer.")
    if len(sources) and (
        min(sources.min(), targets.min()) < 0 or max(sources.max(), targets.max()) >= vertices
    ):
        raise BadOption("edges", f"lead outside of the {vertices} vertices", "Number them from 0.")
    borders = np.linspace(0, vertices, partitions + 1).astype(np.int64)
    owners = np.searchsorted(borders, sources, "right") - 1
    # One sort of one number for each edge: whose it is, where it leads to, where it begins.
    bits = int(np.diff(borders).max()).bit_length()
    edges = (owners * vertices + targets << bits) + (sources - borders[owners])
    edges.sort()
    ends = np.searchsorted(edges, np.arange(partitions + 1) * vertices << bits)
    grouped = [_grouped(edges[a:b], bits, p * vertices) for p, (a, b) in enumerate(pairwise(ends.tolist()))]
    cuts = [np.searchsorted(found, borders) for _, _, found in grouped]
    parts = []
    for p, (begin, starts, found) in enumerate(grouped):
        first, stop = int(borders[p]), int(borders[p + 1])
        degree = np.bincount(begin, minlength=stop - first)
        here = [other[at[p] : at[p + 1]] - first for (_, _, other), at in zip(grouped, cuts, strict=True)]
        arriving = tuple(filter(len, here))
        parts.append(Links(vertices, first, stop, degree, begin, starts, found, borders, cuts[p], arriving))
    return parts


def _grouped(edges: Numbers, bits: int, low: int) -> tuple[npt.NDArray[np.int32], Numbers, Numbers]:
    """Return sources, starts and targets of the sorted edges of a partition."""
    begin, end = (edges & (1 << bits) - 1).astype(np.int32), (edges >> bits) - low
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(end)), bool), end[1:] != end[:-1])))
    return begin, starts, end[starts]
