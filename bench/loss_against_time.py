"""Loss against time: HOGWILD! logistic regression with 1, 2 and 4 asynchronous workers, and with 2 synchronous ones.

The program is `examples/hogwild.py`, on a made table of 20,000 rows and 20,000 features, sparse as words in texts are. All visit each row as
often, with the same batches and steps. While workers learn, the client reads the weights a few times a second; their loss is
computed afterwards. `to 5 %` and `to 1 %` are the seconds until it is for the last time so far above that of scikit-learn for the same
objective, counted from when workers begin to learn. Two processors do the work of workers, server and client, so what four workers show is that
they do no harm.

    python bench/loss_against_time.py [--quick]           needs Debian's redis-server; draws results/loss_against_time.png and .svg
"""

from __future__ import annotations

import json
import math
import sys
import threading
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import engines
import inputs
import numpy as np
from harness import RESULTS, Bar, Bench, Entrant, Metric, Reading, main
from redis_server import redis_server

PENALTY, SEED, LOOK_S = 0.001, 1, 0.15
CURVES = inputs.home() / "loss_against_time"


def measure(
    system: str, label: str, workers: int, synchronous: bool, rows: int, epochs: int, batch: int
) -> list[Reading]:
    import wrens
    from wrens import kv
    from wrens.models import parameter_server as ps

    assert system == "wrens"
    example = engines.example("hogwild")
    table = example.table(*example.made(rows, rows, SEED), PENALTY)
    best = table.loss(_reference(example, table, rows), PENALTY)
    size = table.features.shape[1]
    steps = {"epochs": epochs, "batch": batch, "rate": 0.1, "seed": SEED}
    learn = partial(example.learn, together=1 if synchronous else 10, **steps)
    consistency = ps.Synchronous() if synchronous else ps.Asynchronous()
    arrays = {"weights": ps.Dense(size), "squares": ps.Dense(size)}
    with (
        redis_server() as port,
        kv.connect(f"redis://127.0.0.1:{port}") as tier,
        wrens.Executor(max_workers=workers) as ex,
        ps.create(tier, arrays, consistency=consistency) as params,
    ):
        everything = ex.put(table)
        list(ex.options(packing=wrens.Packing(size=1)).map(_warm, range(workers)))
        seen = _watched(params, lambda: params.run(ex, learn, [everything] * workers))
    losses = [(at, table.loss(weights, PENALTY) / best - 1) for at, weights in seen]
    CURVES.mkdir(exist_ok=True)
    (CURVES / f"{label}.json").write_text(json.dumps(losses))
    return [
        {
            "to 5 %": _until(losses, 0.05),
            "to 1 %": _until(losses, 0.01),
            "end": 100 * losses[-1][1],
            "all": losses[-1][0],
        }
    ]


def _warm(_: int) -> None:
    import sklearn.linear_model  # noqa: F401 - what the example's functions need


def _watched(params: Any, run: Any) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """Run, and return the weights at several times since the first push."""
    found: list[tuple[float, np.ndarray[Any, Any]]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            found.append((perf_counter(), params.pull("weights")))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        run()
    finally:
        over.set()
        watcher.join()
    found.append((perf_counter(), params.pull("weights")))
    began = max([at for at, weights in found if not weights.any()], default=found[0][0])
    return [(at - began, weights) for at, weights in found if at >= began]


def _until(losses: list[tuple[float, float]], share: float) -> float:
    """Return when the loss was for the last time above the best one by more than a share."""
    above = [i for i, (_, loss) in enumerate(losses) if loss > share]
    last = above[-1] + 1 if above else 0
    return losses[last][0] if last < len(losses) else math.inf


def _reference(example: Any, table: Any, rows: int) -> np.ndarray[Any, Any]:
    kept = inputs.home() / f"hogwild-{rows}-{PENALTY}.npy"
    if not kept.exists():
        np.save(kept, example.reference(table, PENALTY))
    found: np.ndarray[Any, Any] = np.load(kept)
    return found


def entrants(quick: bool) -> list[Entrant]:
    size = {"rows": 2000 if quick else 20_000, "epochs": 5 if quick else 20, "batch": 250}
    kinds = (
        ("wrens", 2, False, "2 workers, asynchronous"),
        ("1 worker", 1, False, "asynchronous"),
        ("4 workers", 4, False, "asynchronous, on two processors"),
        ("2 synchronous", 2, True, "the same weights each time"),
    )
    return [
        Entrant(
            label, "wrens", {"label": label, "workers": workers, "synchronous": synchronous, **size}, note
        )
        for label, workers, synchronous, note in kinds
    ]


def draw(path: Path) -> None:
    """Draw the curves that were measured last."""
    from matplotlib.figure import Figure

    from wrens.report import figures

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for entrant in entrants(quick=False):
        curve = CURVES / f"{entrant.label}.json"
        if curve.exists():
            times, losses = zip(*json.loads(curve.read_text()), strict=True)
            shown = "2 workers" if entrant.label == "wrens" else entrant.label
            axes.plot(times, [100 * max(loss, 1e-4) for loss in losses], marker=".", label=shown)
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(
        xlabel="seconds",
        ylabel="loss above scikit-learn's, %",
        yscale="log",
        title="HOGWILD! logistic regression",
    )
    axes.legend()
    figures.save(figure, path)


BENCH = Bench(
    what="loss of HOGWILD! logistic regression against time",
    metrics=[
        Metric("to 1 %", "seconds to 1 %", "{:.1f}", "lower"),
        Metric("to 5 %", "seconds to 5 %", "{:.1f}", "lower"),
        Metric("end", "% above at the end", "{:.2f}", "lower"),
        Metric("all", "seconds in all", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "within 1 % of scikit-learn's loss, all of them",
            lambda m: max(row["end"] for row in m.values()),
            1.0,
            "at most",
            "{:.2f} %",
        )
    ],
    rounds=3,
    limit_s=180.0,
)

if __name__ == "__main__":
    main(BENCH)
    if "--turn" not in sys.argv:
        draw(RESULTS / "loss_against_time")
