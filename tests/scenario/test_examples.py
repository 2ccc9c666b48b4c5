"""The programs in ``examples/`` do what their first lines say."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import wrens
from wrens.testing.tasks import Scripted, ScriptedError

pytestmark = pytest.mark.this_computer("starts programs that name their own stores")
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *words: object) -> list[list[str]]:
    """Run an example, and return the words of each line that it prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example that the test names, as a module of the user's."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(request.param)


def test_word_count(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The cat, the hat.\nA cat!\n")
    (tmp_path / "b.txt").write_text("the end")
    found = run("word_count", tmp_path / "*.txt", "--store", tmp_path / "store")
    assert found == [["3", "the"], ["2", "cat"], ["1", "a"], ["1", "end"], ["1", "hat"]]


def test_sort(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"b2a1a2")
    target = tmp_path / "sorted"
    run("sort", tmp_path / "in", target, "--width", 2, "--key", "0:1", "--store", tmp_path / "store")
    assert b"".join(part.read_bytes() for part in sorted(target.glob("part-*"))) == b"a1a2b2"


def test_group_by(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"who": ["a", "b", "a"], "cents": [1, 2, 3]}), tmp_path / "t.parquet")
    found = run(
        "group_by", tmp_path / "*.parquet", "--by", "who", "--sum", "cents", "--store", tmp_path / "store"
    )
    assert found == [["4", "2", "a"], ["2", "1", "b"]]


def test_join(tmp_path: Path) -> None:
    (tmp_path / "customers").write_text("1,fr\n2,it\n3,fr\n")
    (tmp_path / "orders").write_text("1,10\n3,5\n2,7\n1,1\n9,2\n")
    found = run("join", tmp_path / "customers", tmp_path / "orders", "--store", tmp_path / "store")
    assert found == [["16", "fr"], ["7", "it"], ["2", "unknown"]]


def test_pagerank_of_a_real_graph(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.karate_club_graph().to_directed()
    (tmp_path / "edges").write_text("\n".join(f"{a} {b}" for a, b in graph.edges))
    words = tmp_path / "edges", "--iterations", 60, "--store", tmp_path / "store"
    found = run("pagerank", *words, "--partitions", 3)
    expected = networkx.pagerank(graph, tol=1e-12, weight=None)
    best = sorted(expected, key=lambda vertex: -expected[vertex])[:10]
    assert [int(vertex) for _, vertex in found] == best
    assert all(abs(float(rank) - expected[int(vertex)]) < 1e-8 for rank, vertex in found)


def test_components_of_a_real_graph(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    social = networkx.davis_southern_women_graph(), networkx.les_miserables_graph()
    graph = networkx.convert_node_labels_to_integers(networkx.disjoint_union_all(social))
    (tmp_path / "edges").write_text("\n".join(f"{a} {b}" for a, b in graph.edges))
    found = run("components", tmp_path / "edges", "--partitions", 5, "--store", tmp_path / "store")
    parts = sorted(networkx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    assert found == [[str(len(part)), str(min(part))] for part in parts]


# --- Monte Carlo ---------------------------------------------------------------------------------------


def asian_call(option: Any) -> float:
    """Return the price of an option with two fixings: the second one by Black and Scholes, the first one by quadrature."""
    from scipy.integrate import quad
    from scipy.stats import norm

    step = option.years / 2
    wide, discount = option.volatility * math.sqrt(step), math.exp(-option.rate * step)

    def given(z: float) -> float:
        first = option.spot * math.exp((option.rate - option.volatility**2 / 2) * step + wide * z)
        strike = 2 * option.strike - first  # of a call on the second fixing, of which half counts
        if strike <= 0:
            return float((first / discount - strike) / 2 * discount * norm.pdf(z))
        d = (math.log(first / strike) + (option.rate + option.volatility**2 / 2) * step) / wide
        return float((first * norm.cdf(d) - strike * discount * norm.cdf(d - wide)) / 2 * norm.pdf(z))

    return discount * float(quad(given, -9, 9, epsabs=1e-10)[0])


def test_monte_carlo_prints_the_same_digits_for_any_number_of_workers(tmp_path: Path) -> None:
    words = "--paths", 100_001, "--tasks", 7, "--store", tmp_path / "store"
    found = run("monte_carlo", *words, "--workers", 1)
    assert run("monte_carlo", *words, "--workers", 3) == found
    assert found[0][-2:] == ["(100,001", "paths)"]


class Fated:
    """A function that meets the fate of its task after it has done its work, and before anybody hears of it."""

    def __init__(self, function: Any, fates: Scripted) -> None:
        self.function, self.fates = function, fates

    def __call__(self, *args: Any) -> Any:
        found, task = self.function(*args), wrens.current_task()
        assert task is not None
        self.fates(task.task)
        return found


@pytest.mark.parametrize("example", ["monte_carlo"], indirect=True)
def test_monte_carlo_is_right_and_stays_the_same_when_tasks_are_tried_again(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = example.AsianCall(100.0, 105.0, 0.05, 0.3, 1.0, 2)
    with wrens.Executor("inline", store=tmp_path / "store") as ex:
        found = example.price(ex, option, 400_000, 8, seed=3)
        assert example.price(ex, option, 400_000, 8, seed=4) != found
    assert abs(found.mean - asian_call(option)) < 4 * found.error < 0.1
    fates = Scripted(tmp_path, {2: ["raise", "ok"], 3: ["kill", "ok"], 6: ["raise", "raise", "ok"]})
    monkeypatch.setattr(example, "simulate", Fated(example.simulate, fates))
    with wrens.Executor(max_workers=2, store=tmp_path / "store") as ex:
        view = ex.options(retry=wrens.Retry(on=ScriptedError), packing=wrens.Packing(size=4))
        assert example.price(view, option, 400_000, 8, seed=3) == found
    assert [fates.calls(task) for task in (2, 3, 6)] == [2, 2, 3]


# --- k-means -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", ["k_means"], indirect=True)
def test_k_means_of_real_digits_is_what_scikit_learn_finds(example: ModuleType, tmp_path: Path) -> None:
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits

    points = load_digits().data
    start = points[np.random.default_rng(1).choice(len(points), 10, replace=False)]
    expected = KMeans(10, init=start, n_init=1, algorithm="lloyd", tol=0).fit(points)
    with wrens.Executor("inline", store=tmp_path) as ex:
        found = example.k_means(ex, points, 10, start=start, partitions=3)
    assert found.converged
    assert found.inertia == pytest.approx(expected.inertia_, rel=1e-9)
    np.testing.assert_allclose(found.centres, expected.cluster_centers_, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found.labels, expected.labels_)


@pytest.mark.parametrize("example", ["k_means"], indirect=True)
def test_k_means_finds_the_same_blobs_for_any_number_of_partitions(
    example: ModuleType, tmp_path: Path
) -> None:
    chance = np.random.default_rng(5)
    sizes = [100, 60, 30, 9]
    centres = np.repeat([[0, 0], [1e6, 0], [0, 1e6], [1e6, 1e6]], sizes, axis=0) + 1e9
    points = chance.permutation(centres + chance.normal(size=(199, 2)))
    np.save(tmp_path / "points.npy", points)
    words = tmp_path / "points.npy", "--clusters", 4, "--store", tmp_path / "store", "--partitions", 7
    (_, inertia, *_), *found = run("k_means", *words, "--backend", "inline")
    assert [int(size) for size, *_ in found] == sizes
    assert all(0.5 < float(line[2]) < 3 for line in found)
    with wrens.Executor("inline", store=tmp_path / "store") as ex:
        assert f"{example.k_means(ex, points, 4, partitions=1).inertia:.9g}" == inertia


@pytest.mark.parametrize("example", ["k_means"], indirect=True)
def test_k_means_draws_centres_by_squared_distance_and_none_twice(
    example: ModuleType, tmp_path: Path
) -> None:
    points = np.array([[0.0], [1.0], [3.0]])
    state = example.State(points[:1], np.zeros(3, int), (points**2).sum(axis=1))
    drawn = [
        example.candidate(state, example.Part(0, points), np.random.PCG64(n))[1][0] for n in range(3_000)
    ]
    assert drawn.count(0.0) == 0
    assert abs(drawn.count(1.0) - 300) < 4 * math.sqrt(3_000 * 0.1 * 0.9)
    with wrens.Executor("inline", store=tmp_path) as ex:
        assert example.k_means(ex, np.repeat(points, 5, axis=0), 3).inertia == pytest.approx(0, abs=1e-12)
        with pytest.raises(wrens.errors.JobFailed) as caught:
            example.k_means(ex, np.repeat(points, 5, axis=0), 4)
    assert "no more than 3 different points" in str(caught.value.exceptions[0])


# --- images --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", ["image_features"], indirect=True)
def test_a_classifier_of_image_features_is_as_good_as_scikit_learns(
    example: ModuleType, tmp_path: Path
) -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import RidgeClassifier

    images, labels = load_digits().images, load_digits().target
    known, out = slice(0, 1200), slice(1200, None)  # by other writers, and in an order that nobody has chosen
    with wrens.Executor(max_workers=2, store=tmp_path) as ex:
        model = example.learn(ex, images[known], labels[known], 7)
        told = example.evaluate(ex, model, images[out], labels[out], 5)
        weights = model.result().weights
        rows = np.concatenate(list(ex.map(example.features, example.split(images, 7))))
    reference = RidgeClassifier(example.PENALTY).fit(rows[known], labels[known])
    np.testing.assert_allclose(weights[:-1].T, reference.coef_, rtol=1e-6, atol=1e-9)
    pixels = images.reshape(-1, 64)
    assert (
        told / 597
        > 0.97
        > 0.95
        > RidgeClassifier().fit(pixels[known], labels[known]).score(pixels[out], labels[out])
    )
    assert abs(told / 597 - reference.score(rows[out], labels[out])) < 0.01


@pytest.mark.parametrize("example", ["image_features"], indirect=True)
def test_image_features_tell_orientation_and_fineness_whatever_the_size(example: ModuleType) -> None:
    def stripes(size: int, waves: int) -> Any:
        return np.sin(2 * np.pi * waves * (np.arange(size) + 0.5) / size)

    def strongest(image: Any) -> tuple[int, int]:
        (found,) = example.features([image])
        energies = found.reshape(example.FINENESSES, example.ORIENTATIONS, -1).sum(axis=2)
        fineness, orientation = np.unravel_index(energies.argmax(), energies.shape)
        return int(fineness), int(orientation)

    upright = np.tile(stripes(128, 8), (128, 1))
    wide = np.pad(np.tile(stripes(20, 4), (20, 1)), ((0, 0), (15, 15)))  # of which the middle is taken
    in_color = np.stack([upright.T, upright.T / 2, 1 + upright.T], axis=2)
    assert [strongest(image) for image in (upright, wide, in_color)] == [(0, 0), (1, 0), (0, 4)]


def test_images_may_be_in_a_file(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    labels = np.repeat(["plain", "striped"], 30)
    images = chance.normal(size=(60, 24, 30, 3))
    images[30:, ::3] += 2
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    (found,) = run("image_features", tmp_path / "images.npz", "--store", tmp_path / "store", "--tasks", 99)
    assert " ".join(found) == "20 of 20 images right, 100.00%, learned from 40 others"


# --- search --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", ["search"], indirect=True)
def test_a_search_finds_exactly_the_scores_of_scikit_learn(example: ModuleType, tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes, load_iris
    from sklearn.model_selection import GridSearchCV, ParameterGrid
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeRegressor

    classes = SVC(), {"C": [0.1, 1.0, 10.0], "gamma": [0.01, 0.1]}, load_iris(return_X_y=True), 5
    numbers = (
        DecisionTreeRegressor(random_state=1),
        {"max_depth": [2, 3, 5]},
        load_diabetes(return_X_y=True),
        3,
    )
    with wrens.Executor(max_workers=2, store=tmp_path) as ex:
        for model, grid, (samples, targets), folds in (classes, numbers):
            expected = GridSearchCV(model, grid, cv=folds).fit(samples, targets)
            found = example.search(ex, model, ParameterGrid(grid), samples, targets, folds)
            assert [one.mean for one in found] == expected.cv_results_["mean_test_score"].tolist()
            assert max(found, key=lambda one: one.mean).parameters == expected.best_params_


@pytest.mark.parametrize("example", ["search"], indirect=True)
def test_a_candidate_that_fails_costs_the_others_nothing(example: ModuleType, tmp_path: Path) -> None:
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    samples, targets = load_iris(return_X_y=True)
    candidates = [{"C": 1.0}, {"C": -1.0}, {"no_such": 1}, {"C": 10.0}]
    with wrens.Executor("inline", store=tmp_path) as ex:
        first, negative, unknown, last = example.search(ex, SVC(), candidates, samples, targets, 3)
        assert [first.scores.tolist(), last.scores.tolist()] == [
            one.scores.tolist() for one in example.search(ex, SVC(), candidates[::3], samples, targets, 3)
        ]
    assert not first.failures
    assert math.isnan(negative.mean)
    assert [type(error).__name__ for error in negative.failures.values()] == ["InvalidParameterError"] * 3
    assert "no_such" in str(unknown.failures[2])


@pytest.mark.parametrize("example", ["search"], indirect=True)
def test_a_random_search_of_a_table_prints_the_best_first(example: ModuleType, tmp_path: Path) -> None:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import RandomizedSearchCV
    from sklearn.svm import SVC

    iris = load_iris()
    names = iris.target_names[iris.target]
    rows = [",".join([*map(str, row), name]) for row, name in zip(iris.data, names, strict=True)]
    (tmp_path / "iris.csv").write_text("\n".join(rows))
    words = tmp_path / "iris.csv", "--random", 4, "--seed", 3, "--folds", 2, "--backend", "inline"
    found = run("search", *words, "--store", tmp_path / "store")
    expected = RandomizedSearchCV(SVC(), example.RANGES, n_iter=4, random_state=3, cv=2).fit(iris.data, names)
    best = expected.best_params_
    assert len(found) == 4
    assert found[0][0] == f"{expected.best_score_:.4f}"
    assert found[0][3:] == [f"C={best['C']:.4g}", f"gamma={best['gamma']:.4g}"]
