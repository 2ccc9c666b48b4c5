"""Factorise ratings of items by users, learned by several workers at once, and print how far the factors are off.

python examples/factorize.py                      ratings that are made, as people rate films
python examples/factorize.py ratings.csv          lines of user, item and rating, by numbers; after the first line

Needs NumPy and SciPy. The factors of items are on a parameter server. Those of users are nowhere: from a user's ratings and the items'
factors follow the user's best ones, by least squares, whenever they are needed. So half as much is pulled and pushed, workers keep
nothing that could be lost with them, and each step is downhill for items alone. All workers have all ratings, and take turns: had
each some of its own, the last one at work would fit the items to those.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

import wrens
from wrens import kv
from wrens.models import parameter_server as ps

Array = np.ndarray[Any, Any]
RATE = 0.5
"""The first step, as a part of what Newton's method would take if the factors of an item did not depend on each other."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some users, with all their ratings.

    Args:
        items: Those that some of them have rated.
        ratings: A row for each user, a column for each of these items.
        share: Which part of all ratings of each item these are.
        often: How many ratings of each item a batch has in the mean.
    """

    items: Array
    ratings: sparse.csr_array
    share: Array
    often: Array


@dataclass(frozen=True, eq=False)
class Factors:
    """What was found: a row for each user, and one for each item."""

    users: Array
    items: Array
    statistics: ps.Statistics


def users_of(ratings: sparse.csr_array, items: Array, penalty: float) -> Array:
    """Return for each row of ratings the factors that make the loss least, given those of the items."""
    rated = np.split(items[ratings.indices], ratings.indptr[1:-1])
    squares = np.array([some.T @ some for some in rated]) + penalty * np.eye(items.shape[1])
    return np.linalg.solve(squares, (ratings @ items)[:, :, None])[:, :, 0]


def errors(ratings: sparse.csr_array, users: Array, items: Array) -> sparse.csr_array:
    """Return what each rating is above the product of its factors."""
    rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    told = np.einsum("ij,ij->i", users[rows], items[ratings.indices])
    return sparse.csr_array((ratings.data - told, ratings.indices, ratings.indptr), ratings.shape)


def learn(
    worker: ps.Worker, batches: list[Batch], *, epochs: int, rate: float, penalty: float, seed: int
) -> None:
    """Take every so manieth of the batches, in another order in each epoch.

    Steps get smaller the more of them all workers have made, until they are nothing, whoever has made them.
    """
    steps = epochs * len(batches)
    for clock in worker.clocks(-(-steps // worker.workers)):
        epoch, turn = divmod(clock * worker.workers + worker.number, len(batches))
        batch = batches[np.random.default_rng([seed, epoch]).permutation(len(batches))[turn]]
        items, done = worker.pull_many([("items", batch.items), ("steps", None)])
        users = users_of(batch.ratings, items, penalty)
        slope = penalty * batch.share[:, None] * items - errors(batch.ratings, users, items).T @ users
        each = np.repeat(users, np.diff(batch.ratings.indptr), axis=0)
        curvature = batch.often * np.square(each).mean() + penalty * batch.share
        length = rate * max(0, 1 - done[0] / steps)
        change = -length * slope / curvature[:, None]
        worker.push_many([("items", change, batch.items), ("steps", 1.0, None)])


def cut(ratings: sparse.csr_array, size: int, seed: int) -> list[Batch]:
    """Return users, in a random order, in batches of about the same number."""
    order = np.random.default_rng(seed).permutation(ratings.shape[0])
    parts = np.array_split(order, max(1, round(len(order) / size)))
    counts = np.bincount(ratings.indices, minlength=ratings.shape[1])
    batches = []
    for users in parts:
        part = ratings[users]
        items, places = np.unique(part.indices, return_inverse=True)
        own = sparse.csr_array((part.data, places, part.indptr), (len(users), len(items)))
        share = np.bincount(places, minlength=len(items)) / counts[items]
        batches.append(Batch(items, own, share, counts[items] / len(parts)))
    return batches


def objective(ratings: sparse.csr_array, users: Array, items: Array, penalty: float) -> float:
    """Return the sum of squared errors, and the penalty."""
    squares = np.square(errors(ratings, users, items).data).sum()
    return float(squares + penalty * (np.square(users).sum() + np.square(items).sum()))


def factorize(
    ex: wrens.Executor,
    tier: kv.KeyValue,
    ratings: sparse.csr_array,
    rank: int,
    *,
    penalty: float = 1.0,
    workers: int = 2,
    batch: int = 100,
    epochs: int = 20,
    rate: float = RATE,
    seed: int = 1,
    consistency: Any = ps.Asynchronous(),  # noqa: B008 - frozen
) -> Factors:
    """Find factors of users and items whose products are the ratings.

    Args:
        ex: Runs the workers.
        tier: Holds the factors of items.
        ratings: A row for each user, a column for each item; what is stored is known, zeros too, and the rest is not.
        rank: How many factors each has.
        penalty: What a factor of 1 adds to the sum of squared errors; above 0.
        workers: How many learn at the same time.
        batch: How many users make a step, about.
        epochs: How often each rating is used, in the mean.
        rate: How long the first steps are; with too long ones the loss grows.
        seed: Shuffles the users, and draws the factors to start from.
        consistency: What workers wait for.
    """
    start = np.random.default_rng(seed).normal(size=(ratings.shape[1], rank)) / np.sqrt(rank)
    batches = cut(ratings, batch, seed)
    everything = ex.put(batches)  # stored once, and read once by each worker
    program = partial(learn, epochs=epochs, rate=rate, penalty=penalty, seed=seed)
    with ps.create(tier, {"items": start, "steps": ps.Dense(1)}, consistency=consistency) as params:
        params.run(ex, program, [everything] * workers)
        items = params.pull("items")
        known = [ratings[rows] for rows in np.array_split(np.arange(ratings.shape[0]), workers)]
        users = np.vstack(list(ex.map(partial(users_of, items=items, penalty=penalty), known)))
        return Factors(users, items, params.statistics())


def main() -> None:
    """Factorise the ratings that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", help="a .csv file; without it ratings that are made")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--penalty", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--synchronous", action="store_true", help="the same factors each time")
    parser.add_argument("--batch", type=int, default=100, help="users of a step")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=1, help="of the factors to start from")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    parser.add_argument("--kv", help="URL of a Redis server, for workers that are not on this computer")
    args = parser.parse_args()
    if args.file:
        table = np.loadtxt(args.file, delimiter=",", skiprows=1, usecols=(0, 1, 2))
        users, items, values = *table[:, :2].astype(int).T, table[:, 2]
    else:
        from wrens.programs.learning import ratings

        users, items, values = ratings(1000, 700, 60_000, seed=1)
    mean = values.mean()
    known = sparse.coo_array((values - mean, (users, items))).tocsr()
    options = {"workers": args.workers, "batch": args.batch, "epochs": args.epochs, "rate": args.rate}
    waits = ps.Synchronous() if args.synchronous else ps.Asynchronous()
    with (
        kv.connect(args.kv) as tier,
        wrens.Executor(args.backend, store=args.store, max_workers=args.workers) as ex,
    ):
        found = factorize(
            ex, tier, known, args.rank, penalty=args.penalty, seed=args.seed, consistency=waits, **options
        )
    loss = objective(known, found.users, found.items, args.penalty)
    off = np.sqrt(np.square(errors(known, found.users, found.items).data).mean())
    print(f"loss {loss:.6g}, {known.nnz:,} ratings off by {off:.4f}, the mean rating by {values.std():.4f}")
    print(found.statistics.told())


if __name__ == "__main__":
    main()
