"""Price an option on the average of a share by simulation, and print the price with its standard error. Needs NumPy.

python examples/monte_carlo.py --paths 4_000_000
python examples/monte_carlo.py --volatility 0.35 --strike 110 --fixings 52

The same seed, number of tasks and number of paths give the same digits, with any number of workers of any backend.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import repeat

import numpy as np

import wrens

AT_ONCE = 1 << 20
"""Random numbers that a task draws at a time, so that its memory does not grow with the number of paths."""


@dataclass(frozen=True)
class AsianCall:
    """The right to buy at the strike what is worth the mean of the share's prices at equidistant fixings."""

    spot: float
    strike: float
    rate: float
    volatility: float
    years: float
    fixings: int

    def payoffs(self, normal: np.random.Generator, paths: int) -> np.ndarray:
        """Return today's values of the option on random paths, the share being a geometric Brownian motion."""
        step = self.years / self.fixings
        drift = (self.rate - self.volatility**2 / 2) * step
        moves = drift + self.volatility * math.sqrt(step) * normal.standard_normal((paths, self.fixings))
        prices = self.spot * np.exp(np.cumsum(moves, axis=1))
        return math.exp(-self.rate * self.years) * np.maximum(prices.mean(axis=1) - self.strike, 0)


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared differences from the mean; they stay exact where sums of squares would not."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * other.count / count,
            self.squares + other.squares + apart**2 * self.count * other.count / count,
        )

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.squares / (self.count - 1) / self.count) if self.count > 1 else math.inf


def simulate(option: AsianCall, paths: int, seed: int) -> Moments:
    """Value the option on so many paths of this task's own."""
    chance = np.random.default_rng(wrens.seed_sequence(seed))
    found, most = Moments(), max(1, AT_ONCE // option.fixings)
    for first in range(0, paths, most):
        values = option.payoffs(chance, min(most, paths - first))
        mean = float(values.mean())
        found += Moments(len(values), mean, float(((values - mean) ** 2).sum()))
    return found


def price(ex: wrens.Executor, option: AsianCall, paths: int, tasks: int, seed: int) -> Moments:
    """Return the moments of the option's value on all paths, which are shared out among the tasks."""
    shares = [paths // tasks + (task < paths % tasks) for task in range(tasks)]
    return sum(ex.map(simulate, repeat(option), shares, repeat(seed)), Moments())


def main() -> None:
    """Price the option that the command line describes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("spot", 100.0),
        ("strike", 100.0),
        ("rate", 0.05),
        ("volatility", 0.2),
        ("years", 1.0),
    ):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--fixings", type=int, default=12, help="how many prices the mean is taken of")
    parser.add_argument("--paths", type=int, default=1_000_000)
    parser.add_argument(
        "--tasks", type=int, default=16, help="which share the paths; part of what is repeated"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    option = AsianCall(args.spot, args.strike, args.rate, args.volatility, args.years, args.fixings)
    with wrens.Executor(args.backend, store=args.store, max_workers=args.workers) as ex:
        found = price(ex, option, args.paths, args.tasks, args.seed)
    print(f"{found.mean!r} +- {found.error:.2g}  ({found.count:,} paths)")


if __name__ == "__main__":
    main()
