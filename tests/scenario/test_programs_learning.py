"""The programs that learn with a parameter server come as close to a single process as they say."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import wrens
from wrens import kv

pytestmark = [pytest.mark.this_computer("starts a server of its own"), pytest.mark.timeout(120)]
EXAMPLES = str(Path(__file__).parents[2] / "examples")


@pytest.fixture(scope="module")
def executor() -> Iterator[wrens.Executor]:
    with wrens.Executor(max_workers=2) as ex:
        yield ex


@pytest.fixture(scope="module")
def tier() -> Iterator[kv.KeyValue]:
    with kv.connect() as found:
        yield found


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLES)
    sys.modules.pop(request.param, None)
    return importlib.import_module(request.param)


PENALTY = 0.01
STEPS = {"epochs": 60, "batch": 128, "rate": 0.2, "seed": 1}


@pytest.mark.parametrize("example", ["hogwild"], indirect=True)
def test_hogwild_reaches_the_loss_of_scikit_learn(
    example: ModuleType, executor: wrens.Executor, tier: kv.KeyValue
) -> None:
    features, classes = example.cancers()
    rows = example.table(features, classes, PENALTY)
    best = rows.loss(example.reference(rows, PENALTY), PENALTY)
    weights = example.fit(executor, tier, rows, workers=2, **STEPS)
    assert best <= rows.loss(weights, PENALTY) < 1.01 * best
    found = [example.fit(executor, tier, rows, workers=2, synchronous=True, **STEPS) for _ in range(2)]
    assert np.array_equal(*found)
    assert best <= rows.loss(found[0], PENALTY) < 1.01 * best


@pytest.mark.parametrize("example", ["hogwild"], indirect=True)
def test_hogwild_of_a_sparse_table_reaches_it_too(
    example: ModuleType, executor: wrens.Executor, tier: kv.KeyValue
) -> None:
    rows = example.table(*example.made(3000, 2000, seed=3), PENALTY)
    best = rows.loss(example.reference(rows, PENALTY), PENALTY)
    weights = example.fit(executor, tier, rows, workers=2, **STEPS | {"epochs": 20})
    assert best <= rows.loss(weights, PENALTY) < 1.01 * best


@pytest.mark.parametrize("example", ["factorize"], indirect=True)
def test_factors_explain_as_much_as_the_best_there_are(
    example: ModuleType, executor: wrens.Executor, tier: kv.KeyValue
) -> None:
    """Where all ratings are there, a singular value decomposition has the least squared error of a rank."""
    from sklearn.decomposition import TruncatedSVD

    ratings, _ = example.made(150, 120, 4, share=1000.0, seed=3)
    whole = np.zeros((150, 120))
    whole[ratings.users, ratings.items] = ratings.values
    assert len(ratings) == whole.size
    svd = TruncatedSVD(4, algorithm="arpack").fit(whole)
    best = ((whole - svd.inverse_transform(svd.transform(whole))) ** 2).mean()
    steps = {"epochs": 30, "batch": 2000, "rate": 0.5, "penalty": 0.0, "seed": 1}
    users, items = example.factorize(executor, tier, ratings, 4, workers=2, **steps)
    assert best * (1 - 1e-9) <= ratings.error(users, items) < 1.01 * best


@pytest.mark.parametrize("example", ["factorize"], indirect=True)
def test_factors_of_some_ratings_tell_the_others(
    example: ModuleType, executor: wrens.Executor, tier: kv.KeyValue
) -> None:
    ratings, _ = example.made(400, 200, 3, share=0.3, seed=2)
    order = np.random.default_rng(1).permutation(len(ratings))
    out, learned = ratings[order[:1000]], ratings[order[1000:]]
    steps = {"epochs": 20, "batch": 2000, "rate": 0.5, "penalty": 0.1, "seed": 1}
    users, items = example.factorize(executor, tier, learned, 3, workers=2, **steps)
    told = out.error(users, items)
    assert told < 0.35 < 0.9 * float((out.values**2).mean())  # of noise alone it would be 0.25
