"""Tell two kinds of rows apart by logistic regression, learned by several workers at once, and print its loss and how many it tells right.

python examples/hogwild.py                        odd and even digits, of the images that scikit-learn ships
python examples/hogwild.py FILE --batch 512       a file of svmlight's form, as RCV1 is distributed

Needs NumPy, SciPy and scikit-learn. The weights are on a parameter server. A worker takes some hundred rows, pulls the weights of the
columns that these have, and pushes a step for each, while others do the same to the same weights: HOGWILD! (Niu, Recht, Ré and
Wright, 2011). It works because rows are sparse, so that steps seldom change the same weights, and because servers add. All workers
have all rows, and take turns: had each some of its own, the last one at work would move the weights to those.
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
RATE = 0.1
"""The first step, as a part of what Newton's method would take if columns did not depend on each other."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows.

    Args:
        columns: Those that some of the rows have a value in.
        rows: The values, of these columns only.
        signs: 1 or -1 for each row.
        penalties: This batch's part of the penalty of each column.
        curvature: How fast the slope along each column changes with its weight, at most.
    """

    columns: Array
    rows: sparse.csr_array
    signs: Array
    penalties: Array
    curvature: Array

    def slope(self, weights: Array) -> Array:
        """Return the slope of the loss of these rows along each of their columns."""
        wrong = self.signs / (1 + np.exp(self.signs * (self.rows @ weights)))
        return self.penalties * weights - self.rows.T @ wrong / len(self.signs)


@dataclass(frozen=True, eq=False)
class Model:
    """What was learned; the last weight is the intercept."""

    weights: Array
    statistics: ps.Statistics

    def scores(self, rows: sparse.csr_array) -> Array:
        """Return for each row a number that is above 0 if it is of the first kind."""
        return rows @ self.weights[:-1] + self.weights[-1]


def learn(worker: ps.Worker, batches: list[Batch], *, epochs: int, rate: float, seed: int) -> None:
    """Take every so manieth of the batches, in another order in each epoch.

    Steps get smaller the more of them all workers have made, until they are nothing, whoever has made them.
    """
    steps = epochs * len(batches)
    for clock in worker.clocks(-(-steps // worker.workers)):
        epoch, turn = divmod(clock * worker.workers + worker.number, len(batches))
        batch = batches[np.random.default_rng([seed, epoch]).permutation(len(batches))[turn]]
        weights, done = worker.pull_many([("weights", batch.columns), ("steps", None)])
        length = rate * max(0, 1 - done[0] / steps)
        change = -length * batch.slope(weights) / batch.curvature
        worker.push_many([("weights", change, batch.columns), ("steps", 1.0, None)])


def cut(rows: sparse.csr_array, signs: Array, penalty: float, size: int, seed: int) -> list[Batch]:
    """Return rows in batches, each of which knows all that a step needs but the weights."""
    count, width = rows.shape
    penalties = np.append(np.full(width - 1, penalty), 0)  # none on the intercept
    curvature = rows.power(2).mean(axis=0) / 4 + penalties
    # A column is penalised by the batches that have it, the more the more of their rows do: over all batches as much as any other.
    each = count * penalties / np.maximum(1, np.bincount(rows.indices, minlength=width))
    order = np.random.default_rng(seed).permutation(count)
    batches = []
    for some in np.array_split(order, max(1, round(count / size))):
        part = rows[some]
        columns, places = np.unique(part.indices, return_inverse=True)
        own = sparse.csr_array((part.data, places, part.indptr), (len(some), len(columns)))
        share = each[columns] * np.bincount(places) / len(some)
        batches.append(Batch(columns, own, signs[some], share, curvature[columns]))
    return batches


def objective(rows: sparse.csr_array, signs: Array, weights: Array, penalty: float) -> float:
    """Return the mean loss of rows, and the penalty; the last weight is the intercept."""
    margins = signs * (rows @ weights[:-1] + weights[-1])
    return float(np.logaddexp(0, -margins).mean() + penalty / 2 * weights[:-1] @ weights[:-1])


def regress(
    ex: wrens.Executor,
    tier: kv.KeyValue,
    rows: sparse.csr_array,
    signs: Array,
    *,
    penalty: float | None = None,
    workers: int = 2,
    batch: int = 512,
    epochs: int = 10,
    rate: float = RATE,
    seed: int = 1,
    consistency: Any = ps.Asynchronous(),  # noqa: B008 - frozen
) -> Model:
    """Learn weights that tell rows of sign 1 from those of sign -1.

    Args:
        ex: Runs the workers.
        tier: Holds the weights.
        rows: A row for each example.
        signs: 1 or -1 for each.
        penalty: Half of it is what a weight of 1 adds to the mean loss: 1 / (C * rows) for scikit-learn's C, by default with C = 1.
        workers: How many learn at the same time.
        batch: How many rows make a step, about.
        epochs: How often each row is used, in the mean.
        rate: How long the first steps are; with too long ones the loss grows.
        seed: Shuffles the rows.
        consistency: What workers wait for.
    """
    ones = np.ones((rows.shape[0], 1))
    penalty = 1 / len(signs) if penalty is None else penalty
    batches = cut(sparse.hstack((rows, ones), format="csr"), signs, penalty, batch, seed)
    everything = ex.put(batches)  # stored once, and read once by each worker
    program = partial(learn, epochs=epochs, rate=rate, seed=seed)
    arrays = {"weights": ps.Dense(rows.shape[1] + 1), "steps": ps.Dense(1)}
    with ps.create(tier, arrays, consistency=consistency) as params:
        params.run(ex, program, [everything] * workers)
        return Model(params.pull("weights"), params.statistics())


def main() -> None:
    """Learn from the rows that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", help="of svmlight's form; without it scikit-learn's digits")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--synchronous", action="store_true", help="the same weights each time")
    parser.add_argument(
        "--batch", type=int, default=64, help="rows of a step; take hundreds if there are many"
    )
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=1, help="shuffles the rows")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    parser.add_argument("--kv", help="URL of a Redis server, for workers that are not on this computer")
    args = parser.parse_args()
    if args.file:
        from sklearn.datasets import load_svmlight_file

        rows, labels = load_svmlight_file(args.file)
        rows, first = sparse.csr_array(rows), labels > labels.min()
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        rows, first = sparse.csr_array(digits.data / 16), digits.target % 2 == 1
    signs = np.where(first, 1.0, -1.0)
    options = {"workers": args.workers, "batch": args.batch, "epochs": args.epochs, "rate": args.rate}
    waits = ps.Synchronous() if args.synchronous else ps.Asynchronous()
    with (
        kv.connect(args.kv) as tier,
        wrens.Executor(args.backend, store=args.store, max_workers=args.workers) as ex,
    ):
        model = regress(ex, tier, rows, signs, seed=args.seed, consistency=waits, **options)
    right = int(((model.scores(rows) > 0) == first).sum())
    loss = objective(rows, signs, model.weights, 1 / len(signs))
    print(f"loss {loss:.6g}, {right:,} of {len(signs):,} rows right, {right / len(signs):.2%}")
    print(model.statistics.told())


if __name__ == "__main__":
    main()
