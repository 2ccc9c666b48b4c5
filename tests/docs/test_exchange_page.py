"""The tables of docs/explain/exchange.md are what the functions of the project reckon."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from wrens.models.exchange.choosing import Figures, requests
from wrens.plan import exchanges
from wrens.plan.prices import AWS

PAGE = (Path(__file__).parents[2] / "docs/explain/exchange.md").read_text(encoding="utf-8")


def test_the_tables_are_what_is_reckoned() -> None:
    assert exchanges.markdown() in PAGE
    assert exchanges.markdown([10**12, 10**14], part=2 * 10**9) in PAGE


def test_the_figures_to_choose_by_are_those_of_the_table_of_prices() -> None:
    assert asdict(exchanges.figures(AWS)) == asdict(Figures())
    assert exchanges.CACHE.usd == pytest.approx(733 * AWS.stored.usd / 730, rel=0.01)


def test_what_the_page_says_of_the_paper_and_of_the_rows() -> None:
    assert requests("objects", 2500, 2500) == (6_250_000, 6_250_000)
    assert 6_250_000 * AWS.put.usd == pytest.approx(31.25)
    assert 1700 < 6_250_000 / Figures().writes_per_s < 1800  # "half an hour"
    rows = {(size, one.way): one for size in exchanges.SIZES for one in exchanges.compared(size)}
    assert rows[10**11, "packed"].usd == min(one.usd for (size, _), one in rows.items() if size == 10**11)
    assert rows[10**12, "two-level"].usd < rows[10**12, "packed"].usd / 9
    large = {one.way: one.usd for one in exchanges.compared(10**12, part=2 * 10**9)}
    assert min(large, key=large.__getitem__) == "packed"
