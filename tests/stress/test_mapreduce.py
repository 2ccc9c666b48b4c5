"""A word count during which workers are killed 50 times. Run by ``make stress``; the short form is in tests/scenario."""

from __future__ import annotations

import random  # noqa: TID251 - words of a test, from a seed
from collections.abc import Callable
from operator import add
from pathlib import Path

import pytest
from chaos import counted_among_kills

import wrens


@pytest.mark.timeout(400)
@pytest.mark.parametrize("combine", [None, add])
def test_50_kills_during_a_word_count_change_no_byte(
    tmp_path: Path, combine: Callable[[int, int], int] | None
) -> None:
    chance = random.Random(8)
    texts = [" ".join(f"w{int(500 * chance.random() ** 3)}" for _ in range(6000)) for _ in range(240)]
    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        calm, wild, kills = counted_among_kills(ex, texts, combine, kills=50, pause_s=0.25, seed=5)
        left = [key for key in ex.store.list("jobs/") if "/exchange/" in key]
    print(f"{kills} kills")
    assert kills == 50, "the count was over too soon: give it more to do"
    assert wild == calm
    assert left == []
