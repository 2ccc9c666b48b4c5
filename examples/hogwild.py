"""Logistic regression by many workers that change the same weights without waiting for each other: HOGWILD! (Niu et al., 2011).

python examples/hogwild.py                                     the cancers that scikit-learn ships, told by 300 yes-or-no features
python examples/hogwild.py --rows 20000 --features 20000       a made table, sparse as words in texts are
python examples/hogwild.py --synchronous                       the same weights each time, to the last bit

Needs SciPy and scikit-learn, with whose loss it compares its own. All workers have all rows, and share them out anew in each
epoch, or whoever is last would move the weights to its own rows. For each few of them a worker pulls the weights
of the features that these have, and pushes what is to be added to them. Steps are AdaGrad's (Duchi et al., 2011), each
weight's the shorter the more it was changed before, and all of them shorter towards the end.
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
CALM = 1e-3
"""Keeps the first steps short."""


@dataclass(frozen=True)
class Rows:
    """Rows of features, the class of each, which is -1 or 1, and for each feature the weight's penalty at a row that has it."""

    features: sparse.csr_array
    classes: Array
    penalties: Array

    def __len__(self) -> int:
        return len(self.classes)

    def loss(self, weights: Array, penalty: float) -> float:
        """Return the mean logistic loss, and the penalty of the weights."""
        margins = self.classes * (self.features @ weights)
        return float(np.logaddexp(0, -margins).mean() + penalty / 2 * weights @ weights)

    def gradient(self, some: Array, known: Array, weights: Array) -> Array:
        """Return an estimate of the loss's gradient from some rows, for the features that they have."""
        rows = self.features[some]
        margins = self.classes[some] * (rows[:, known] @ weights)
        pulls = -self.classes[some] / (1 + np.exp(margins))
        times = np.bincount(rows.indices, minlength=rows.shape[1])[known]
        return (rows[:, known].T @ pulls + times * self.penalties[known] * weights) / len(some)

    def known(self, some: Array) -> Array:
        """Return the features that some rows have."""
        return np.unique(self.features[some].indices)


def learn(
    worker: ps.Worker, rows: Rows, *, epochs: int, batch: int, rate: float, together: int, seed: int
) -> int:
    """Pull, step and push for each few rows; a clock is as many of these as ``together`` says. Return how many there were."""
    count = -(-len(rows) // (batch * worker.workers))
    clocks = -(-epochs * count // together)
    for clock in worker.clocks(clocks):
        for step in range(clock * together, min(epochs * count, (clock + 1) * together)):
            epoch, place = divmod(step, count)
            order = np.random.default_rng([seed, epoch]).permutation(len(rows))
            first = (place * worker.workers + worker.number) * batch
            some = np.sort(order[first : first + batch])
            if not len(some):
                continue
            known = rows.known(some)
            weights, squares = worker.pull_many([("weights", known), ("squares", known)])
            gradient = rows.gradient(some, known, weights)
            pace = rate * (1 - step / (epochs * count))
            change = -pace * gradient / np.sqrt(squares + gradient**2 + CALM**2)
            worker.push_many([("weights", change, known), ("squares", gradient**2, known)])
    return epochs * count


def fit(
    ex: wrens.Executor,
    tier: kv.KeyValue,
    rows: Rows,
    *,
    workers: int,
    synchronous: bool = False,
    **options: Any,
) -> Array:
    """Return the weights; ``options`` are those of :func:`learn`."""
    size = rows.features.shape[1]
    consistency = ps.Synchronous() if synchronous else ps.Asynchronous()
    arrays = {"weights": ps.Dense(size), "squares": ps.Dense(size)}
    everything = ex.put(rows)  # stored once, and read once by each worker
    with ps.create(tier, arrays, consistency=consistency) as params:
        params.run(ex, partial(learn, together=1 if synchronous else 10, **options), [everything] * workers)
        print(params.statistics().told())
        return params.pull("weights")


def table(features: sparse.csr_array, classes: Array, penalty: float) -> Rows:
    """Return rows whose steps add up to the penalty: a feature that few rows have is penalised more at each of them."""
    having = np.bincount(features.indices, minlength=features.shape[1])
    return Rows(features, classes, penalty * len(classes) / np.maximum(having, 1))


def cancers() -> tuple[sparse.csr_array, Array]:
    """Return features of cells, one of ten for each measure, and -1 for malignant or 1 for benign."""
    from sklearn.datasets import load_breast_cancer

    measures, benign = load_breast_cancer(return_X_y=True)
    borders = np.quantile(measures, np.arange(1, 10) / 10, axis=0)
    tenths = (measures[None] > borders[:, None]).sum(axis=0) + 10 * np.arange(measures.shape[1])
    return one_for_each(tenths, 10 * measures.shape[1]), 2.0 * benign - 1


def made(rows: int, features: int, seed: int) -> tuple[sparse.csr_array, Array]:
    """Return rows with 40 features, some of which many have and most of which few do, and classes that these tell, mostly."""
    chance = np.random.default_rng(seed)
    found = (features ** chance.random((rows, 40))).astype(np.int64) % features
    made_of = one_for_each(found, features)
    margins = made_of @ chance.normal(size=features + 1)
    return made_of, np.where(margins + chance.normal(size=rows) > 0, 1.0, -1.0)


def one_for_each(columns: Array, features: int) -> sparse.csr_array:
    """Return rows that have 1 in some columns and, which stands for the intercept, in a last one."""
    last = np.full((len(columns), 1), features)
    columns = np.hstack((columns, last))
    starts = np.arange(0, columns.size + 1, columns.shape[1])
    found = sparse.csr_array((np.ones(columns.size), columns.ravel(), starts), (len(columns), features + 1))
    found.sum_duplicates()
    found.data[:] = 1
    return found


def reference(rows: Rows, penalty: float) -> Array:
    """Return scikit-learn's weights for the same loss."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (penalty * len(rows)), fit_intercept=False, tol=1e-8, max_iter=10_000)
    found: Array = model.fit(rows.features, rows.classes).coef_[0]
    return found


def main() -> None:
    """Fit the table that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, help="make a table with so many; without it, scikit-learn's cancers"
    )
    parser.add_argument("--features", type=int, default=20_000, help="of a made table")
    parser.add_argument("--penalty", type=float, default=0.01, help="of large weights")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=128, help="rows of a step")
    parser.add_argument("--rate", type=float, default=0.2, help="length of steps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--synchronous", action="store_true")
    parser.add_argument(
        "--url", action="append", help="a server, redis://host:port; by default one of its own"
    )
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    features, classes = made(args.rows, args.features, args.seed) if args.rows else cancers()
    rows = table(features, classes, args.penalty)
    steps = {"epochs": args.epochs, "batch": args.batch, "rate": args.rate, "seed": args.seed}
    with (
        kv.connect(args.url) as tier,
        wrens.Executor(args.backend, store=args.store, max_workers=args.workers) as ex,
    ):
        weights = fit(ex, tier, rows, workers=args.workers, synchronous=args.synchronous, **steps)
    right = float((np.sign(features @ weights) == classes).mean())
    best = rows.loss(reference(rows, args.penalty), args.penalty)
    loss = rows.loss(weights, args.penalty)
    print(
        f"loss {loss:.6f}, {loss / best - 1:.2%} above scikit-learn's {best:.6f}; {right:.2%} of the rows right"
    )


if __name__ == "__main__":
    main()
