"""The loss of a logistic regression against the time that has gone by: one, two and four workers that wait for nobody, and two that do.

The program is ``examples/hogwild.py`` on documents that are made as those of RCV1 are. All rows make the same number of steps, of the
same size and by the same batches; only who makes them differs. Workers are warm, and time begins when the run is asked for. While it
lasts the weights are read from the server five times a second, which costs all of them a few hundredths of its time; their loss is
computed afterwards. The least loss is what SciPy's L-BFGS finds.

Beside them stand the same steps made by one process without a server, and L-BFGS: what there is to gain by not sharing weights where
all rows are in one place. The server has a process of its own. So on two processors two workers already share them with it, and four
show what it costs to have more workers than processors, not what four processors would do.

    python bench/loss_against_time.py [--quick]           draws results/loss_against_time.png and .svg
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # of each process, or they would wait for each other's threads

import engines
import numpy as np
from harness import RESULTS, Bar, Bench, Entrant, Medians, Metric, Reading, main

BATCH, EPOCHS, RATE, SEED = 500, 10, 0.05, 1
EVERY_S = 0.2
"""How often weights are looked at."""
MOMENTS = np.arange(0, 20, 0.25).tolist()
"""Seconds after which the readings of several rounds are compared."""
LEAST = 0.01
"""Percent above the least loss; what is less is not told from nothing."""
Seen = list[tuple[float, Any]]
"""Weights, and after how many seconds they were so."""


def measure(system: str, how: str, workers: int, rows: int, words: int) -> list[Reading]:
    from scipy import sparse

    from wrens.programs import learning

    made, hogwild = learning.documents(rows, words, seed=SEED), engines.example("hogwild")
    data = sparse.csr_array(made.arrays, (rows, words))

    def objective(weights: Any) -> float:
        return float(hogwild.objective(data, made.signs, weights, 1 / rows))

    every = _descended(data, made.signs)
    if how == "L-BFGS":
        seen = every
    else:
        batches = hogwild.cut(
            sparse.hstack((data, np.ones((rows, 1))), format="csr"), made.signs, 1 / rows, BATCH, SEED
        )
        program = partial(hogwild.learn, rate=RATE, seed=SEED)
        seen = (
            _alone(program, batches, words) if how == "alone" else _run(program, batches, words, how, workers)
        )
    least = objective(every[-1][1])
    gaps = [(at, 100 * (objective(weights) / least - 1)) for at, weights in seen]
    return [_reading(gaps)]


def _descended(rows: Any, signs: Any) -> Seen:
    """Let L-BFGS find the least loss, as scikit-learn does, to more digits."""
    from scipy.optimize import minimize

    count, width = rows.shape
    penalties = np.append(np.full(width, 1 / count), 0)

    def objective(weights: Any) -> tuple[float, Any]:
        margins = signs * (rows @ weights[:-1] + weights[-1])
        wrong = signs / (1 + np.exp(margins)) / count
        slope = penalties * weights - np.append(rows.T @ wrong, wrong.sum())
        return np.logaddexp(0, -margins).mean() + penalties @ weights**2 / 2, slope

    start, began = np.zeros(width + 1), perf_counter()
    seen: Seen = [(0.0, start)]
    minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda weights: seen.append((perf_counter() - began, weights.copy())),
        options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-9},
    )
    return seen


class Alone:
    """What a worker is to the program, without a server: the arrays are its own."""

    number, workers = 0, 1

    def __init__(self, words: int) -> None:
        self.arrays = {"weights": np.zeros(words + 1), "steps": np.zeros(1)}
        self.began, self.seen = perf_counter(), list[tuple[float, Any]]()
        self.look()

    def look(self) -> None:
        """Note the weights."""
        self.seen.append((perf_counter() - self.began, self.arrays["weights"].copy()))

    def clocks(self, count: int) -> range:
        """Return so many, without waiting for anybody."""
        return range(count)

    def pull_many(self, some: Any) -> list[Any]:
        """Return rows of arrays."""
        if perf_counter() - self.began > self.seen[-1][0] + EVERY_S / 10:
            self.look()
        return [self.arrays[name][... if index is None else index] for name, index in some]

    def push_many(self, some: Any) -> None:
        """Add to rows of arrays."""
        for name, values, index in some:
            self.arrays[name][... if index is None else index] += values


def _alone(program: Any, batches: list[Any], words: int) -> Seen:
    worker = Alone(words)
    program(worker, batches, epochs=EPOCHS)
    worker.look()
    return worker.seen


def _run(program: Any, batches: list[Any], words: int, how: str, workers: int) -> Seen:
    """Learn by workers, and look at the weights from time to time."""
    import wrens
    from wrens import kv
    from wrens.models import parameter_server as ps

    waits = ps.Synchronous() if how == "synchronous" else ps.Asynchronous()
    arrays = {"weights": ps.Dense(words + 1), "steps": ps.Dense(1)}
    with (
        tempfile.TemporaryDirectory() as scratch,
        kv.connect() as tier,
        wrens.Executor(store=Path(scratch), max_workers=workers) as ex,
    ):
        with ps.create(tier, arrays) as warm:  # all workers have the program's modules, and a connection
            everything = [ex.put(batches)] * workers
            warm.run(ex, partial(program, epochs=1), everything)
        with ps.create(tier, arrays, consistency=waits) as params:
            over, seen = threading.Event(), [(0.0, params.pull("weights"))]
            began = perf_counter()

            def look() -> None:
                while not over.wait(EVERY_S):
                    seen.append((perf_counter() - began, params.pull("weights")))

            watcher = threading.Thread(target=look)
            watcher.start()
            params.run(ex, partial(program, epochs=EPOCHS), everything)
            taken = perf_counter() - began
            over.set()
            watcher.join()
            seen = [one for one in seen if one[0] < taken]
            return [*seen, (taken, params.pull("weights"))]


def _reading(gaps: list[tuple[float, float]]) -> Reading:
    """Return when the loss was below both borders, and how far above the least it was at each moment of the grid."""
    at, gap = np.array(gaps).T
    logs = np.log(np.maximum(gap, LEAST))
    found = {f"to {border}": _below(at, logs, float(np.log(border))) for border in (5, 1)}
    found |= {"seconds": float(at[-1]), "gap": float(gap[-1])}
    for moment in MOMENTS:
        found[f"at {moment:g}"] = float(np.exp(np.interp(moment, at, logs)))
    return found


def _below(at: Any, logs: Any, border: float) -> float:
    for (t, before), (u, after) in pairwise(zip(at, logs, strict=True)):
        if after <= border:
            return float(t + (u - t) * (before - border) / max(before - after, 1e-12))
    raise AssertionError(f"the loss has ended {np.exp(logs[-1]):.2f} % above the least")


def entrants(quick: bool) -> list[Entrant]:
    size = {"rows": 5_000, "words": 5_000} if quick else {"rows": 40_000, "words": 30_000}
    rows = [
        Entrant(
            f"{n} asynchronous", "wrens", {"how": "asynchronous", "workers": n, **size}, note if n > 2 else ""
        )
        for n, note in ((1, ""), (2, ""), (4, "on as many processors as there are"))
    ]
    return [
        *rows,
        Entrant("2 synchronous", "wrens", {"how": "synchronous", "workers": 2, **size}),
        Entrant(
            "no server", "SciPy", {"how": "alone", "workers": 1, **size}, "the same steps in one process"
        ),
        Entrant("L-BFGS", "SciPy", {"how": "L-BFGS", "workers": 1, **size}, "all rows in one process"),
    ]


def worst(medians: Medians) -> float:
    return max(medians[name]["gap"] for name in LABELS)


LABELS = [one.label for one in entrants(quick=True) if one.system == "wrens"]
BENCH = Bench(
    what="logistic regression of documents: seconds until its loss is 5 % and 1 % above the least one",
    metrics=[
        Metric("to 5", "s to 5 %", "{:.2f}", "lower"),
        Metric("to 1", "s to 1 %", "{:.2f}", "lower"),
        Metric("seconds", "s in all", "{:.2f}", "lower"),
        Metric("gap", "% above at the end", "{:.3f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[Bar("all modes end within 1 % of the least loss", worst, 1, "at most", "{:.2f} %")],
    rounds=3,
    limit_s=120.0,
)


def draw() -> None:
    """Draw the medians of the last run."""
    from wrens.report import figures

    found = json.loads((RESULTS / "loss_against_time.json").read_text())
    curves = []
    for row in found["rows"]:
        if medians := row["medians"]:
            last = medians["seconds"], max(LEAST, medians["gap"])
            points = [(t, medians[f"at {t:g}"]) for t in MOMENTS if t < medians["seconds"]]
            seconds, values = zip(*points, last, strict=True)
            curves.append(figures.Curve(row["system"], seconds, values, dashed=row["system"] not in LABELS))
    figure = figures.descents(
        "logistic regression of documents", "% above the least loss", curves, borders=(5, 1)
    )
    for path in figures.save(figure, RESULTS / "loss_against_time"):
        print(f"written: bench/results/{path.name}")


if __name__ == "__main__":
    main(BENCH)
    if "--turn" not in sys.argv:
        draw()
