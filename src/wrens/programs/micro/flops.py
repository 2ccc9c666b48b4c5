"""Products of matrices of 64-bit numbers: the rate at which each worker computes.

A task is single-threaded, as functions on a platform are: NumPy is loaded inside the task, and the library behind its ``@``
learns then from the environment that it may have one thread. Where something else has loaded it before, that shows: each
reading has the processor time beside the time. Each product is checked with a random vector. Decides what is computed and
how it is held to one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wrens.core.executor import Executor
from wrens.environments.wanted import Environment
from wrens.programs.micro.measuring import Reading, Run, Stopwatch, timed

PAPER_SIZE = 4096
"""Rows and columns of a matrix in the paper."""
SIZES = (PAPER_SIZE, 2048, 1024, 512)
ANY_NUMPY = Environment(requirements=("numpy",))
"""Of workers that have no packages: whichever version there is for them, as no array travels."""
LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables by which the libraries behind NumPy are told how many threads to start, read when they are loaded."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a task is to compute: ``loops`` products of two matrices with ``size`` rows and columns."""

    size: int
    loops: int
    seed: int


def fitting(memory_mb: int | None) -> int:
    """Return the size of the largest matrices of which a worker holds three in a quarter of its memory.

    Args:
        memory_mb: What a worker may use; where nobody knows, 2048 is taken, which needs 101 MB.

    >>> fitting(1769), fitting(512), fitting(None)
    (4096, 2048, 2048)
    """
    if memory_mb is None:
        return 2048
    return next((size for size in SIZES if 3 * 8 * size**2 <= memory_mb * 10**6 / 4), SIZES[-1])


def run(ex: Executor, workers: int, size: int, loops: int) -> Run:
    """Let each of so many workers compute, and return what they measured.

    Args:
        ex: Where.
        workers: How many tasks; the executor should have as many workers.
        size: Rows and columns of a matrix.
        loops: Products of each task.
    """
    readings, job_s = timed(
        ex.options(environment=ANY_NUMPY), multiply, [Order(size, loops, seed) for seed in range(workers)]
    )
    return Run(workers, job_s, tuple(readings))


def multiply(order: Order) -> Reading:
    """Compute the products, one after the other, and check them.

    >>> multiply(Order(size=64, loops=3, seed=1)).amount == 3 * 2 * 64**3
    True
    """
    with one_thread():
        import numpy as np

        rng = np.random.default_rng(order.seed)
        shape = (order.size, order.size)
        a, b, c = rng.standard_normal(shape), rng.standard_normal(shape), np.empty(shape)
        x = rng.standard_normal(order.size)
        # What the first product costs more, such as the library's own buffers, is not measured.
        np.matmul(a[:32], b, out=c[:32])
        with Stopwatch() as watch:
            for _ in range(order.loops):
                np.matmul(a, b, out=c)
        right = np.allclose(c @ x, a @ (b @ x), rtol=1e-6, atol=1e-6 * order.size)
        return watch.reading(2.0 * order.size**3 * order.loops, right=bool(right))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let what is loaded meanwhile start one thread only; the library behind NumPy reads this when it is loaded.

    >>> with one_thread():
    ...     os.environ["OMP_NUM_THREADS"]
    '1'
    """
    before = {name: os.environ.get(name) for name in LIMITS}
    os.environ.update(dict.fromkeys(LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
