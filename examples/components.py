"""Find the connected components of a graph, and print how many vertices the ten largest have.

python examples/components.py --scale 16
python examples/components.py edges.txt --partitions 4        one edge on a line, two numbers
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import wrens
from wrens.programs import graphs

NOBODY = np.iinfo(np.int64).max


def step(at: wrens.Superstep, labels: np.ndarray[Any, Any], inbox: wrens.Inbox) -> np.ndarray[Any, Any]:
    """Take the smallest label that came, and pass on to the neighbours what has become smaller."""
    links: graphs.Links = at.data
    changed = np.ones(len(labels), bool)
    if at.number:
        smallest = labels.copy()
        smallest[inbox.index] = np.minimum(labels[inbox.index], inbox.array())  # each index is there once
        changed, labels = smallest < labels, smallest
    brought = links.reduced(np.minimum, np.where(changed, labels, NOBODY))
    for partition, some in links.blocks():
        news = brought[some] < NOBODY
        if news.any():
            where = links.targets[some][news] - links.borders[partition]
            at.send_array(partition, brought[some][news], index=where)
    at.halt()  # until somebody sends a label
    return labels


def components(ex: wrens.Executor, parts: list[graphs.Links], **options: Any) -> wrens.Run:
    """Label each vertex with the smallest number in its component; edges have to lead both ways."""
    first = [np.arange(part.first, part.stop) for part in parts]
    return wrens.bsp(ex, step, first, data=parts, combine="min", **options)


def main() -> None:
    """Find the components of the graph that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("edges", nargs="?", help="a file; without it a graph is made")
    parser.add_argument("--scale", type=int, default=14, help="the graph has 2**SCALE vertices")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    if args.edges:
        sources, targets = np.loadtxt(args.edges, np.int64, ndmin=2).T
        vertices = int(max(sources.max(), targets.max())) + 1
    else:
        sources, targets = graphs.rmat(args.scale, 2 << args.scale, seed=1)
        vertices = 1 << args.scale
    both = np.concatenate((sources, targets)), np.concatenate((targets, sources))
    with wrens.Executor(args.backend, store=args.store) as ex:
        run = components(ex, graphs.cut(*both, vertices, args.partitions))
        labels = np.concatenate(list(run.states()))
    found, sizes = np.unique(labels, return_counts=True)
    for at in np.argsort(-sizes, kind="stable")[:10]:
        print(f"{sizes[at]:10,}  {found[at]}")


if __name__ == "__main__":
    main()
