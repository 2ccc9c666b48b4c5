"""Graphs for bulk-synchronous programs: made from a seed, and cut into partitions as vectorised steps need them.

Decides the layout of a partition: its vertices lie side by side, and its edges are grouped by where they lead to, so that what
all of them bring to a vertex elsewhere is one number made by one call of NumPy. Knows no program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wrens.errors import BadOption

CORNERS = (0.57, 0.19, 0.19)
"""Chances of three of the four corners at each step of R-MAT, those of Graph500."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
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

    def reduced(self, ufunc: np.ufunc, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return for each of ``targets`` what the values of the vertices that lead to it come to."""
        if not len(self.starts):
            return values[:0]
        found: npt.NDArray[np.generic] = ufunc.reduceat(values[self.sources], self.starts)
        return found

    def blocks(self) -> Iterator[tuple[int, slice, Numbers]]:
        """Yield for each partition that edges lead to its number, which of ``targets`` these are, and their numbers there."""
        for p in range(len(self.borders) - 1):
            some = slice(int(self.cuts[p]), int(self.cuts[p + 1]))
            if some.start < some.stop:
                yield p, some, self.targets[some] - self.borders[p]

    def size(self, partition: int) -> int:
        """Return how many vertices a partition has."""
        return int(self.borders[partition + 1] - self.borders[partition])


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
    return [_links(sources, targets, borders, p) for p in range(partitions)]


def _links(sources: Numbers, targets: Numbers, borders: Numbers, p: int) -> Links:
    first, stop = int(borders[p]), int(borders[p + 1])
    mine = (sources >= first) & (sources < stop)
    begin, end = sources[mine] - first, targets[mine]
    order = np.argsort(end, kind="stable")
    end = end[order]
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(end)), bool), end[1:] != end[:-1])))
    found = end[starts]
    return Links(
        int(borders[-1]),
        first,
        stop,
        np.bincount(begin, minlength=stop - first),
        begin[order].astype(np.int32),
        starts,
        found,
        borders,
        np.searchsorted(found, borders),
    )
