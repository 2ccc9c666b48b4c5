"""Search for the best parameters of a model by cross-validation, and print the candidates, the best one first. Needs scikit-learn.

python examples/search.py                                   all of a grid
python examples/search.py --random 20 --seed 3              20 from the ranges that it spans
python examples/search.py table.csv --folds 10              the last column is the class, or what it is called

The model is a support vector machine; without a file the data are the digits that scikit-learn ships. Each task fits one candidate to the
data without one fold, and scores it on that fold. A candidate that fails costs the others nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product, repeat
from typing import Any

import numpy as np
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.svm import SVC

import wrens

GRID = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [1e-4, 3e-4, 1e-3, 3e-3]}
RANGES = {"C": loguniform(0.1, 100), "gamma": loguniform(1e-4, 3e-3)}

Parameters = Mapping[str, Any]
"""Of a candidate, by name."""


@dataclass(frozen=True)
class Data:
    """Samples, what to tell of each, and for each fold which samples to learn from and which to try."""

    samples: np.ndarray
    targets: np.ndarray
    folds: Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Scored:
    """A candidate: its parameters, its score on each fold, and why there is none for some."""

    parameters: Parameters
    scores: np.ndarray
    failures: Mapping[int, Exception]

    @property
    def mean(self) -> float:
        """The mean score; not a number, when a fold has none."""
        return float(self.scores.mean())


def score(data: Data, model: BaseEstimator, candidate: tuple[Parameters, int]) -> float:
    """Fit a model with a candidate's parameters to the data without a fold, and score it on that."""
    parameters, fold = candidate
    learned, tried = data.folds[fold]
    fitted = clone(model).set_params(**parameters).fit(data.samples[learned], data.targets[learned])
    return float(fitted.score(data.samples[tried], data.targets[tried]))


def search(
    ex: wrens.Executor,
    model: BaseEstimator,
    candidates: Iterable[Parameters],
    samples: np.ndarray,
    targets: np.ndarray,
    folds: Any = 5,
) -> list[Scored]:
    """Score all candidates, and return them in their order; ``folds`` is what scikit-learn calls ``cv``."""
    candidates = list(candidates)
    cut = list(check_cv(folds, targets, classifier=is_classifier(model)).split(samples, targets))
    data = ex.put(Data(samples, targets, cut))  # stored once, and read once by each worker
    work = list(product(candidates, range(len(cut))))
    job = ex.map_async(score, repeat(data), repeat(model), work)
    failures: dict[int, Exception] = {}
    try:
        scores = dict(enumerate(job.results()))
    except wrens.errors.JobFailed as error:
        scores, failures = error.results, error.failures
    found = []
    for first, parameters in zip(range(0, len(work), len(cut)), candidates, strict=True):
        tasks = range(first, first + len(cut))
        failed = {task - first: failures[task] for task in tasks if task in failures}
        found.append(Scored(parameters, np.array([scores.get(task, np.nan) for task in tasks]), failed))
    return found


def main() -> None:
    """Search the parameters of a support vector machine for the data that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", nargs="?", help="a file of comma-separated numbers")
    parser.add_argument("--random", type=int, metavar="N", help="draw so many candidates")
    parser.add_argument("--seed", type=int, default=1, help="draws them")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    if args.table:
        table = np.loadtxt(args.table, str, delimiter=",", ndmin=2)
        samples, targets = table[:, :-1].astype(float), table[:, -1]
    else:
        samples, targets = load_digits(return_X_y=True)
    candidates = (
        ParameterSampler(RANGES, args.random, random_state=args.seed) if args.random else ParameterGrid(GRID)
    )
    with wrens.Executor(args.backend, store=args.store) as ex:
        found = search(ex, SVC(), candidates, samples, targets, args.folds)
    for one in sorted(found, key=lambda one: -np.inf if one.failures else one.mean, reverse=True):
        told = "  ".join(f"{name}={value:.4g}" for name, value in sorted(one.parameters.items()))
        print(f"{one.mean:.4f} +- {one.scores.std():.4f}  {told}")
        for fold, error in one.failures.items():
            print(f"        fold {fold}: {error!r}")


if __name__ == "__main__":
    main()
