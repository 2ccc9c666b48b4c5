"""How numbers are spread: percentiles, mean and standard deviation.

Decides how these are computed. Knows nothing of what the numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BARS = 10
"""Bins of a histogram, at most."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many percent of the others lie, between two of them by their distance.

    Args:
        values: At least one, in any order.
        percent: 0 to 100.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 50), percentile([1.0, 2.0], 100), percentile([7.0], 99.9)
    (2.5, 2.0, 7.0)
    """
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True, slots=True)
class Spread:
    """What is told of many numbers.

    >>> Spread.of([1.0, 3.0])
    Spread(count=2, least=1.0, mean=2.0, std=1.0, p5=1.1, p50=2.0, p95=2.9, most=3.0)
    """

    count: int
    least: float
    mean: float
    std: float
    """The root of the mean squared distance from the mean."""
    p5: float
    p50: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return what there is to be told; all zeros of no numbers."""
        if not values:
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        mean = math.fsum(values) / len(values)
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        p5, p50, p95 = (percentile(values, percent) for percent in (5, 50, 95))
        return cls(len(values), min(values), mean, std, p5, p50, p95, max(values))


def bins(values: Sequence[float], most: int = BARS) -> list[tuple[float, float, int]]:
    """Return a histogram: the borders of each bin, and how many numbers are in it.

    Args:
        values: The numbers.
        most: How many bins there may be; few numbers get fewer, and equal ones a single bin.

    >>> bins([1.0, 2.0, 2.5, 5.0], most=2)
    [(1.0, 3.0, 3), (3.0, 5.0, 1)]
    >>> bins([2.0, 2.0])
    [(2.0, 2.0, 2)]
    """
    if not values:
        return []
    least, largest = min(values), max(values)
    if least == largest:
        return [(least, largest, len(values))]
    count = min(most, max(2, len(values)))
    width = (largest - least) / count
    found = [0] * count
    for value in values:
        found[min(count - 1, int((value - least) / width))] += 1
    return [(least + i * width, least + (i + 1) * width, number) for i, number in enumerate(found)]
