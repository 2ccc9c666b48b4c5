"""The programs on the parameter server find what one process finds: ``examples/hogwild.py`` and ``examples/factorize.py``."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import wrens
from wrens import kv
from wrens.models import parameter_server as ps
from wrens.programs import learning

sparse = pytest.importorskip("scipy.sparse")
pytestmark = pytest.mark.this_computer("the key-value tier is the embedded one")
EXAMPLES = Path(__file__).parents[2] / "examples"
MODES = [ps.Asynchronous(), ps.Synchronous()]
NAMES = ["asynchronous", "synchronous"]


@pytest.fixture
def hogwild(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("hogwild")


@pytest.fixture
def factorize(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("factorize")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[wrens.Executor, kv.KeyValue]]:
    """Two workers, and a key-value tier."""
    store = tmp_path_factory.mktemp("store")
    with wrens.Executor(max_workers=2, store=store) as ex, kv.connect() as tier:
        yield ex, tier


def started(example: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """Start an example with words of the command line."""
    monkeypatch.setattr(sys, "argv", [str(example.__file__), *map(str, words)])
    example.main()


# --- logistic regression -------------------------------------------------------------------------------


def least(example: ModuleType, rows: Any, signs: Any, penalty: float) -> float:
    """Return the objective that scikit-learn reaches."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (penalty * len(signs)), tol=1e-6, max_iter=10_000).fit(rows, signs)
    weights = np.append(model.coef_[0], model.intercept_[0])
    return float(example.objective(rows, signs, weights, penalty))


def digits() -> tuple[Any, Any]:
    """Return scikit-learn's images of digits, of which half of the pixels are 0, and 1 for the odd ones."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return sparse.csr_array(data.data / 16), np.where(data.target % 2, 1.0, -1.0)


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_real_digits_are_told_as_by_scikit_learn(hogwild: ModuleType, places: Any, mode: Any) -> None:
    rows, signs = digits()
    penalty = 10 / len(signs)
    model = hogwild.regress(*places, rows, signs, penalty=penalty, batch=100, epochs=25, consistency=mode)
    best = least(hogwild, rows, signs, penalty)
    assert best < hogwild.objective(rows, signs, model.weights, penalty) < 1.01 * best


def test_documents_are_told_as_by_scikit_learn_and_synchronously_to_the_last_bit(
    hogwild: ModuleType, places: Any
) -> None:
    made = learning.documents(4_000, 3_000, seed=1)
    rows = sparse.csr_array(made.arrays, (4_000, 3_000))
    best = least(hogwild, rows, made.signs, 1 / 4_000)
    found = [
        hogwild.regress(*places, rows, made.signs, batch=200, rate=0.05, consistency=mode)
        for mode in (*MODES, ps.Synchronous())
    ]
    losses = [hogwild.objective(rows, made.signs, one.weights, 1 / 4_000) for one in found]
    assert all(best < loss < 1.01 * best for loss in losses)
    assert (found[1].weights == found[2].weights).all()
    assert found[0].statistics.pushed < 0.9 * found[0].statistics.pushes / 2 * len(found[0].weights)


def test_a_batch_has_its_part_of_the_penalty_and_all_have_the_whole(hogwild: ModuleType) -> None:
    made = learning.documents(300, 200, seed=2)
    rows, weights = sparse.csr_array(made.arrays, (300, 200)), np.random.default_rng(3).normal(size=200)
    batches = hogwild.cut(rows, made.signs, 0.5, 70, seed=4)
    slope = np.zeros(200)
    for batch in batches:
        slope[batch.columns] += batch.slope(weights[batch.columns]) * len(batch.signs) / 300

    def objective(at: Any) -> float:
        margins = made.signs * (rows @ at)
        return float(np.logaddexp(0, -margins).mean() + 0.25 * at[:-1] @ at[:-1])

    seen = np.unique(rows.indices)
    expected = [(objective(weights + s) - objective(weights - s)) / 2e-6 for s in 1e-6 * np.eye(200)[seen]]
    np.testing.assert_allclose(slope[seen], expected, atol=1e-7)


def test_hogwild_reads_files_of_svmlights_form(
    hogwild: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{kind} {n % 5 + 1}:0.5 {10 + kind}:1" for n in range(40) for kind in (0, 1)]
    (tmp_path / "rows").write_text("\n".join(lines))
    words = "--batch", 10, "--epochs", 20, "--workers", 1, "--backend", "inline", "--store", tmp_path
    started(hogwild, monkeypatch, tmp_path / "rows", *words)
    loss, pushes, _ = capsys.readouterr().out.splitlines()
    assert "80 of 80 rows right" in loss
    assert "pushes" in pushes


# --- matrix factorisation ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_factors_of_a_whole_matrix_are_as_good_as_its_singular_vectors(
    factorize: ModuleType, places: Any, mode: Any
) -> None:
    from sklearn.datasets import load_digits
    from sklearn.decomposition import TruncatedSVD

    images = load_digits().data
    all_known = np.tile(np.arange(64), len(images)), np.arange(len(images) + 1) * 64  # 0 is a value as well
    known = sparse.csr_array((images.reshape(-1), *all_known), images.shape)
    found = factorize.factorize(*places, known, 8, penalty=1e-3, epochs=8, consistency=mode)
    svd = TruncatedSVD(8, algorithm="arpack", random_state=1).fit(images)
    least = np.square(images - images @ svd.components_.T @ svd.components_).sum()
    assert least <= np.square(images - found.users @ found.items.T).sum() < 1.01 * least


def alternating(known: Any, weights: Any, rank: int, penalty: float) -> float:
    """Return the loss after least squares for users and items in turn, one process and one row at a time."""
    items = np.random.default_rng(7).normal(size=(known.shape[1], rank)) / np.sqrt(rank)

    def solved(values: Any, mask: Any, other: Any) -> Any:
        one = [
            np.linalg.solve(other[m].T @ other[m] + penalty * np.eye(rank), other[m].T @ v[m])
            for v, m in zip(values, mask, strict=True)
        ]
        return np.array(one)

    for _ in range(15):
        users = solved(known, weights, items)
        items = solved(known.T, weights.T, users)
    squares = np.square(known - users @ items.T)[weights].sum()
    return float(squares + penalty * (np.square(users).sum() + np.square(items).sum()))


def test_factors_of_some_ratings_are_as_good_as_by_alternating_least_squares(
    factorize: ModuleType, places: Any
) -> None:
    users, items, stars = learning.ratings(500, 300, 20_000, seed=1)
    stars = stars - stars.mean()
    known = sparse.coo_array((stars, (users, items)), (500, 300)).tocsr()
    found = [
        factorize.factorize(*places, known, 6, penalty=3.0, batch=60, epochs=15, consistency=mode)
        for mode in (*MODES, ps.Synchronous())
    ]
    mask = np.zeros((500, 300), bool)
    mask[users, items] = True
    least = alternating(known.toarray(), mask, 6, 3.0)
    for one in found:
        assert factorize.objective(known, one.users, one.items, 3.0) < 1.01 * least
    assert (found[1].items == found[2].items).all()
    assert (found[1].users == found[2].users).all()


class Fatal:
    """A worker's program that kills the worker of number 1 at its fourth clock, the first time."""

    def __init__(self, program: Any, mark: Path) -> None:
        self.program, self.mark = program, mark

    def __call__(self, worker: ps.Worker, *args: Any, **options: Any) -> Any:
        going = worker.clocks

        def clocks(count: int) -> Iterator[int]:
            for clock in going(count):
                if worker.number == 1 and clock == 3 and not self.mark.exists():
                    self.mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                yield clock

        worker.clocks = clocks  # type: ignore[method-assign]
        return self.program(worker, *args, **options)


def test_a_worker_that_is_lost_changes_no_bit_of_synchronous_factors(
    factorize: ModuleType, places: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, items, stars = learning.ratings(100, 80, 2_000, seed=1)
    known = sparse.coo_array((stars - 3, (users, items)), (100, 80)).tocsr()
    options = {"batch": 20, "epochs": 4, "consistency": ps.Synchronous()}
    expected = factorize.factorize(*places, known, 3, **options)
    monkeypatch.setattr(factorize, "learn", Fatal(factorize.learn, tmp_path / "killed"))
    found = factorize.factorize(*places, known, 3, **options)
    assert (tmp_path / "killed").exists()
    assert (found.items == expected.items).all()


def test_factorize_reads_tables(
    factorize: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    users, items = np.divmod(np.arange(600), 20)
    stars = 1 + 2 * (users % 3) * (items % 2)
    rows = [f"{u},{i},{s},964982703" for u, i, s in zip(users, items, stars, strict=True)]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))
    words = (
        "--rank",
        2,
        "--penalty",
        0.01,
        "--batch",
        5,
        "--workers",
        1,
        "--backend",
        "inline",
        "--store",
        tmp_path,
    )
    started(factorize, monkeypatch, tmp_path / "ratings.csv", *words)
    assert "600 ratings off by 0.00" in capsys.readouterr().out
