"""Factors of users and items from ratings, by many workers that change them at the same time, and stay together.

python examples/factorize.py                                   ratings that are made, a fifth of all there could be
python examples/factorize.py ratings.npy --rank 8              an array of user, item and rating in each row

Needs NumPy. A rating is about the product of its user's and its item's factors. Each worker has the ratings of some users; the factors of
both are in the parameter server, those of users too, so that nothing is lost with a worker. For each few ratings a worker pulls
the rows of their users and items, and pushes a step of stochastic gradient descent; steps become shorter towards the end. No worker is far ahead of the
others, or its users would be fitted to items that are not the last ones.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import wrens
from wrens import kv
from wrens.models import parameter_server as ps

Array = np.ndarray[Any, Any]
STALENESS = 2
"""Steps that a worker may be ahead of the slowest; users would be fitted to items that others still change, without."""


@dataclass(frozen=True)
class Ratings:
    """For each rating its user, its item, and what it is."""

    users: Array
    items: Array
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, some: Array) -> Ratings:
        return Ratings(self.users[some], self.items[some], self.values[some])

    def error(self, users: Array, items: Array) -> float:
        """Return the mean square of what the factors do not tell."""
        return float(((self.values - (users[self.users] * items[self.items]).sum(axis=1)) ** 2).mean())


def learn(
    worker: ps.Worker, ratings: Ratings, *, epochs: int, steps: int, rate: float, penalty: float, seed: int
) -> None:
    """Pull, step and push for each few ratings, in so many steps for each epoch."""
    for step in worker.clocks(epochs * steps):
        epoch, place = divmod(step, steps)
        order = np.random.default_rng([seed, worker.number, epoch]).permutation(len(ratings))
        some = ratings[np.array_split(order, steps)[place]]
        if not len(some):
            continue
        users, user = np.unique(some.users, return_inverse=True)
        items, item = np.unique(some.items, return_inverse=True)
        p, q = worker.pull_many([("users", users), ("items", items)])
        off = some.values - (p[user] * q[item]).sum(axis=1)
        pace = rate * (1 - step / (epochs * steps))
        change_p = pace * mean(off[:, None] * q[item] - penalty * p[user], user, len(users))
        change_q = pace * mean(off[:, None] * p[user] - penalty * q[item], item, len(items))
        worker.push_many([("users", change_p, users), ("items", change_q, items)])


def mean(rows: Array, at: Array, count: int) -> Array:
    """Return the means of rows that belong to the same of so many."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, at, rows)
    return sums / np.bincount(at, minlength=count)[:, None]


def factorize(
    ex: wrens.Executor,
    tier: kv.KeyValue,
    ratings: Ratings,
    rank: int,
    *,
    workers: int,
    batch: int,
    seed: int,
    **options: Any,
) -> tuple[Array, Array]:
    """Return the factors of users and of items; ``batch`` ratings are a step, and ``options`` those of :func:`learn`."""
    chance = np.random.default_rng(seed)
    arrays = {
        name: chance.normal(scale=0.3, size=(int(numbers.max()) + 1, rank))
        for name, numbers in (("users", ratings.users), ("items", ratings.items))
    }
    mine = np.argsort(ratings.users % workers, kind="stable")
    parts = np.split(mine, np.searchsorted((ratings.users % workers)[mine], np.arange(1, workers)))
    work = partial(learn, steps=-(-len(ratings) // (batch * workers)), seed=seed, **options)
    with ps.create(tier, arrays, consistency=ps.Bounded(STALENESS)) as params:
        params.run(ex, work, [ratings[part] for part in parts])
        users, items = params.pull_many([("users", None), ("items", None)])
        return users, items


def made(users: int, items: int, rank: int, share: float, seed: int) -> tuple[Ratings, float]:
    """Return random ratings that a rank explains, but for some noise, and the mean square of that; few items have most of them."""
    chance = np.random.default_rng(seed)
    wanted = chance.permutation(items) + 1.0
    there = chance.random((users, items)) < share * items * (wanted**-0.5 / (wanted**-0.5).sum())
    noise = chance.normal(scale=0.5, size=(users, items))
    whole = chance.normal(size=(users, rank)) @ chance.normal(size=(items, rank)).T / np.sqrt(rank)
    user, item = np.nonzero(there)
    return Ratings(user, item, (whole + noise)[there]), float((noise[there] ** 2).mean())


def main() -> None:
    """Factorise the ratings that the command line names, and try some that were left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ratings", nargs="?", help="a .npy file; without it ratings are made")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4000, help="ratings of a step")
    parser.add_argument("--rate", type=float, default=0.5, help="length of steps")
    parser.add_argument("--penalty", type=float, default=0.1, help="of large factors, at each rating")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--url", action="append", help="a server, redis://host:port; by default one of its own"
    )
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    if args.ratings:
        table = np.load(args.ratings)
        ratings = Ratings(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2].astype(float))
    else:
        ratings, _ = made(1000, 500, 4, 0.2, args.seed)
    order = np.random.default_rng(args.seed).permutation(len(ratings))
    out, learned = np.split(order, [len(order) // 10])
    steps = {name: getattr(args, name) for name in ("epochs", "batch", "rate", "penalty", "seed")}
    with (
        kv.connect(args.url) as tier,
        wrens.Executor(args.backend, store=args.store, max_workers=args.workers) as ex,
    ):
        users, items = factorize(ex, tier, ratings[learned], args.rank, workers=args.workers, **steps)
    seen = (ratings.users[out] < len(users)) & (ratings.items[out] < len(items))
    errors = [ratings[some].error(users, items) ** 0.5 for some in (learned, out[seen])]
    print(
        f"{len(learned):,} ratings: off by {errors[0]:.4f}; {int(seen.sum()):,} that were left out: by {errors[1]:.4f}"
    )


if __name__ == "__main__":
    main()
