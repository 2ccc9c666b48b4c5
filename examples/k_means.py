"""Find clusters of points by k-means, and print how many points each has and how far these are from its centre.

python examples/k_means.py --clusters 10                  the digits that scikit-learn ships
python examples/k_means.py points.npy --clusters 8        an array of one point in each row

Needs NumPy, and scikit-learn without a file. Each partition has some of the points. In the first supersteps they choose the centres to
start from, one in each (k-means++); then each superstep is an iteration of Lloyd's, until no point changes its cluster.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

import wrens

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """The points of a partition, and the number of the first."""

    first: int
    points: Array


@dataclass(frozen=True)
class State:
    """What a partition knows: the centres, for each point the nearest one, and the square of the distance to it."""

    centres: Array
    nearest: Array
    squares: Array


@dataclass(frozen=True)
class Clusters:
    """What was found: the centres, the number of each point's, the squared distance to it, and whether nothing moved any more."""

    centres: Array
    labels: Array
    squares: Array
    iterations: int
    converged: bool

    @property
    def inertia(self) -> float:
        """The sum of squared distances of the points to their centres."""
        return float(self.squares.sum())


def step(at: wrens.Superstep, state: State, _: wrens.Inbox, *, clusters: int, seed: int) -> State:
    """Choose one more centre, or move all of them."""
    points = at.data.points
    if "chosen" in at.aggregated:
        state = added(state, points, *at.aggregated["chosen"])
    if len(state.centres) < clusters:
        at.aggregate("chosen", candidate(state, at.data, np.random.PCG64([seed, at.number])))
        return state
    if at.aggregated.get("changed") == 0:
        at.halt()
        return state
    if "sums" in at.aggregated:
        state = replace(state, centres=means(state.centres, at.aggregated["sums"], at.aggregated["counts"]))
    new = assigned(state, points)
    sums = np.zeros_like(new.centres)
    np.add.at(sums, new.nearest, points)
    at.aggregate("sums", sums)
    at.aggregate("counts", np.bincount(new.nearest, minlength=clusters))
    at.aggregate("changed", int((new.nearest != state.nearest).sum()))
    return new


def candidate(state: State, part: Part, chance: np.random.PCG64) -> tuple[float, Array]:
    """Draw a point by its squared distance to the nearest centre, with a time by which one of all partitions is chosen.

    Each point waits for a random time, the shorter the farther off it is, and who comes first is chosen. Point n takes the
    n-th number of the superstep's stream, so that the choice does not depend on how points are parted.
    """
    chance.advance(part.first)
    waits = -np.log1p(-np.random.Generator(chance).random(len(part.points)))
    if len(state.centres):
        waits = np.divide(waits, state.squares, out=np.full_like(waits, np.inf), where=state.squares > 0)
    first = int(waits.argmin())
    return float(waits[first]), part.points[first]


def added(state: State, points: Array, wait: float, centre: Array) -> State:
    """Add a centre, which some points may be nearer to."""
    if wait == np.inf:
        raise ValueError(
            f"there are no more than {len(state.centres)} different points: ask for fewer clusters"
        )
    squares = np.minimum(state.squares, ((points - centre) ** 2).sum(axis=1))
    return State(np.vstack((state.centres, centre)), state.nearest, squares)


def means(centres: Array, sums: Array, counts: Array) -> Array:
    """Return the mean of each cluster's points; the centre of a cluster without any stays where it was."""
    return np.divide(sums, counts[:, None], out=centres.copy(), where=counts[:, None] > 0)


def assigned(state: State, points: Array) -> State:
    """Give each point to the nearest centre."""
    nearest = ((state.centres**2).sum(axis=1) - 2 * points @ state.centres.T).argmin(axis=1)
    return State(state.centres, nearest, ((points - state.centres[nearest]) ** 2).sum(axis=1))


def k_means(
    ex: wrens.Executor,
    points: Array,
    clusters: int,
    *,
    partitions: int = 4,
    iterations: int = 300,
    seed: int = 1,
    start: Array | None = None,
    **options: Any,
) -> Clusters:
    """Find clusters, from centres that are drawn with a seed or from those of ``start``, in at most so many iterations."""
    if start is not None and len(start) != clusters:
        raise ValueError(f"start has {len(start)} centres, for {clusters} clusters")
    middle = points.mean(axis=0)  # distances are exact to more digits where numbers are small
    parts, states = [], []
    for rows in np.array_split(np.arange(len(points)), min(partitions, len(points))):
        parts.append(Part(int(rows[0]), points[rows] - middle))
        centres = np.empty((0, points.shape[1])) if start is None else start - middle
        states.append(State(centres, np.full(len(rows), -1), np.full(len(rows), np.inf)))
    drawn = clusters if start is None else 0
    run = wrens.bsp(
        ex,
        partial(step, clusters=clusters, seed=seed),
        states,
        data=parts,
        aggregate={
            "chosen": partial(min, key=itemgetter(0)),
            "sums": "sum",
            "counts": "sum",
            "changed": "sum",
        },
        supersteps=drawn + iterations + 1,
        **options,
    )
    found = list(run.states())
    labels, squares = (
        np.concatenate(column) for column in zip(*((s.nearest, s.squares) for s in found), strict=True)
    )
    return Clusters(
        found[0].centres + middle, labels, squares, run.supersteps - drawn - run.halted, run.halted
    )


def main() -> None:
    """Find clusters of the points that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("points", nargs="?", help="a .npy file; without it scikit-learn's digits")
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=300, help="after which it ends in any case")
    parser.add_argument("--seed", type=int, default=1, help="draws the centres to start from")
    parser.add_argument("--name", help="so that it goes on where it was when it is started again")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    if args.points:
        points = np.load(args.points).astype(float)
    else:
        from sklearn.datasets import load_digits

        points = load_digits().data
    options = {"partitions": args.partitions, "iterations": args.iterations, "seed": args.seed}
    with wrens.Executor(args.backend, store=args.store) as ex:
        named = {"name": args.name, "resume": args.name is not None}
        found = k_means(ex, points, args.clusters, **options, **named)
    end = "nothing moved any more" if found.converged else "stopped"
    print(f"inertia {found.inertia:.9g} after {found.iterations} iterations: {end}")
    sizes = np.bincount(found.labels, minlength=args.clusters)
    inertias = np.bincount(found.labels, found.squares, args.clusters)
    for at in np.argsort(-sizes, kind="stable"):
        print(f"{sizes[at]:10,} points  {np.sqrt(inertias[at] / max(1, sizes[at])):.6g} from the centre")


if __name__ == "__main__":
    main()
