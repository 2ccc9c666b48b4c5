"""Rank the vertices of a graph by PageRank, and print the first ten.

python examples/pagerank.py --scale 16
python examples/pagerank.py edges.txt --partitions 4        one edge on a line, two numbers
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import wrens
from wrens.programs import graphs

DAMPING = 0.85


def step(at: wrens.Superstep, rank: np.ndarray[Any, Any], inbox: wrens.Inbox) -> np.ndarray[Any, Any]:
    """Take up what the vertices before have given, and give to those behind."""
    links: graphs.Links = at.data
    if at.number:
        given = np.full(len(rank), at.aggregated["dangling"] / links.vertices)
        for part, where in zip(inbox.arrays(), links.arriving, strict=True):
            given[where] += part  # each vertex is there once
        rank = (1 - DAMPING) / links.vertices + DAMPING * given
    at.aggregate("dangling", float(rank[links.ends].sum()))
    brought = links.sums(rank / np.maximum(links.degree, 1))
    for partition, some in links.blocks():
        at.send_array(partition, brought[some])
    return rank


def pagerank(ex: wrens.Executor, parts: list[graphs.Links], iterations: int, **options: Any) -> wrens.Run:
    """Run so many iterations; the states of the run are the ranks of the partitions' vertices."""
    first = [np.full(part.stop - part.first, 1 / part.vertices) for part in parts]
    dangling = {"dangling": "sum"}
    return wrens.bsp(ex, step, first, data=parts, aggregate=dangling, supersteps=iterations + 1, **options)


def main() -> None:
    """Rank the vertices of the graph that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("edges", nargs="?", help="a file; without it a graph is made")
    parser.add_argument("--scale", type=int, default=14, help="the graph has 2**SCALE vertices")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--name", help="so that it goes on where it was when it is started again")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    if args.edges:
        sources, targets = np.loadtxt(args.edges, np.int64, ndmin=2).T
        vertices = int(max(sources.max(), targets.max())) + 1
    else:
        sources, targets = graphs.rmat(args.scale, 16 << args.scale, seed=1)
        vertices = 1 << args.scale
    parts = graphs.cut(sources, targets, vertices, args.partitions)
    with wrens.Executor(args.backend, store=args.store) as ex:
        run = pagerank(ex, parts, args.iterations, name=args.name, resume=args.name is not None)
        ranks = np.concatenate(list(run.states()))
    for vertex in np.argsort(-ranks, kind="stable")[:10]:
        print(f"{ranks[vertex]:.9f}  {vertex}")


if __name__ == "__main__":
    main()
