"""Which way through an exchange is taken, by sizes, rates and prices, and the line that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import wrens
from wrens.errors import BadOption
from wrens.models.exchange import choosing
from wrens.models.exchange.choosing import Figures, Way, least, taken

FIGURES = Figures()
STORE: tuple[Way, ...] = ("packed", "two-level")


def chosen(n: int, m: int, nbytes: int, figures: Figures = FIGURES, ways: tuple[Way, ...] = STORE) -> str:
    return least(taken(way, n, m, nbytes, 1000, figures) for way in ways).way


@pytest.mark.parametrize(
    ("n", "nbytes", "way"),
    [
        (1, 10**6, "packed"),
        (250, 10**11, "packed"),
        (2500, 10**12, "two-level"),
        (250_000, 10**14, "two-level"),
    ],
)
def test_a_middle_stage_is_for_many_parts(n: int, nbytes: int, way: str) -> None:
    assert chosen(n, n, nbytes) == way


def test_rates_decide() -> None:
    assert (
        chosen(2500, 2500, 10**12, replace(FIGURES, reads_per_s=1e9, request_s=0.0, get_usd=0.0)) == "packed"
    )


def test_prices_decide() -> None:
    free = replace(FIGURES, gb_second_usd=0.0)
    assert chosen(250, 250, 10**11, free) == "two-level"  # fewer requests, and nobody pays for the time
    assert chosen(250, 250, 10**11, replace(free, get_usd=0.0)) == "packed"


def test_n_by_m_objects_never_win() -> None:
    for n in (1, 7, 300, 20_000):
        assert chosen(n, n, 10**10, ways=("packed", "objects")) == "packed"


def test_redis_is_as_dear_as_its_memory() -> None:
    one = taken("redis", 2500, 2500, 10**12, 1000, FIGURES)
    assert one.memory == choosing.memory(2500, 2500, 10**12) > 10**12
    assert one.shards == -(-one.memory // int(FIGURES.shard_gb * 1e9))
    assert taken("redis", 2500, 2500, 10**12, 1000, FIGURES, shards=30).seconds < one.seconds


def test_fewer_tasks_than_workers_are_not_billed_as_many() -> None:
    few, many = (taken("packed", 10, 10, 10**9, workers, FIGURES) for workers in (10, 1000))
    assert few == many


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"urls": []}, "names no server"),
        ({"urls": ["redis://a:1", "redis://a:1"]}, "one twice"),
        ({"urls": "http://a:1"}, "is no address"),
        ({"urls": "redis://"}, "is no address"),
        ({"urls": "redis://a:1", "expires_s": 0}, "must be positive"),
    ],
)
def test_servers_that_cannot_be_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadOption, match=problem):
        wrens.Redis(**options)
