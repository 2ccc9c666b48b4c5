"""Thirty kills in one run: every partition's worker, in every superstep."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from ledger import Ledger
from mixing import PARTITIONS, SUPERSTEPS, killed

import wrens
from wrens.models.exchange import Exchange

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("way", [None, wrens.TwoLevel()])
def test_a_worker_is_killed_for_every_partition_in_every_superstep(
    tmp_path: Path, ledger: Ledger, way: Exchange | None
) -> None:
    killed(tmp_path, ledger, set(product(range(SUPERSTEPS), range(PARTITIONS))), exchange=way)
