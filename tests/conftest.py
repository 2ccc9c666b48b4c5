"""What tests of every kind share: a fresh store, a place to count, and processes that are looked after."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

collect_ignore = ["stress"]
"""The long runs are for ``make stress``, which names that folder."""
for _folder in ("scenario", "servers"):
    # The modules there that are no tests are imported by tests and, because workers get the same path, by tasks.
    if (_path := str(Path(__file__).parent / _folder)) not in sys.path:
        sys.path.append(_path)

if TYPE_CHECKING:
    from clients import Clients
    from emulators import Server
    from ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A file in which tasks note what they do."""
    from ledger import Ledger

    return Ledger(tmp_path / "ledger.txt")


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    """Starts programs that use wrens, and fails the test when one of them leaves a process behind."""
    from clients import Clients

    if not sys.platform.startswith("linux"):
        pytest.skip("processes that a program leaves behind are found through /proc")
    found = Clients(tmp_path)
    try:
        yield found
        found.all_gone()
    finally:
        found.kill_all()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An emulated AWS, the same for all tests; each test makes buckets and functions of its own."""
    from emulators import ministack

    with ministack(tmp_path_factory.mktemp("aws")) as server:
        yield server
