"""What tests of every kind share: a fresh store, a place to count, and processes that are looked after."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("wrens", deadline=None)
settings.load_profile("wrens")

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


ROOM_BYTES = 4 << 30
"""So much memory has to be free for files; without ``make stress`` the tests use a tenth of it."""


def pytest_configure(config: pytest.Config) -> None:
    """Have temporary files in memory, where there is room: a store in a directory is many small files."""
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or any("stress" in word for word in config.args) or not memory.is_dir():
        return
    if os.statvfs(memory).f_flag & os.ST_NOEXEC or shutil.disk_usage(memory).free < ROOM_BYTES:
        return
    place = memory / f"wrens-tests-{os.getuid()}"
    place.mkdir(exist_ok=True)
    place.chmod(0o711)  # a test looks from outside, as another user
    os.environ["TMPDIR"] = tempfile.tempdir = str(place)


@pytest.fixture(scope="session", autouse=True)
def _own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys that tests make are not those of whoever runs them; but what uv has fetched need not be fetched again.

    Many tests and pages have a home of their own, where uv would begin with nothing each time.
    """
    with pytest.MonkeyPatch.context() as patch:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        patch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(Path(caches, "uv")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.delenv("WRENS_SIGNING_KEY", raising=False)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--on", choices=["local", "lambda"], default="local", help="where tests/scenario runs")


def pytest_collection_finish() -> None:
    """Have the garbage collector look at what tests make, and not at the thousands of tests each time."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Elsewhere, leave out what is about this computer."""
    if config.getoption("--on") != "local":
        left_out = [item for item in items if item.get_closest_marker("this_computer")]
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session", autouse=True)
def _on(request: pytest.FixtureRequest, _own_configuration: None) -> Iterator[None]:
    """With ``--on lambda``, what tests call this computer is an emulated Lambda."""
    if request.config.getoption("--on") == "local":
        yield
        return
    import on_lambda
    from functions import make_function

    server: Server = request.getfixturevalue("aws")
    hook = str(Path(on_lambda.__file__).parent / "hook")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**server.environment, on_lambda.VARIABLE: "lambda"}.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", hook, prepend=os.pathsep)
        server.make_bucket(on_lambda.BUCKET)
        make_function(server, on_lambda.FUNCTION, PYTHONPATH=on_lambda.PACKAGES)
        on_lambda.apply()
        yield


@pytest.fixture
def impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an attempt's time to begin, and to end when it is asked to, be a little more than it takes."""
    begins_s, ends_s = (1.0, 0.5) if request.config.getoption("--on") == "local" else (6.0, 5.0)
    monkeypatch.setattr("wrens.core.deadlines.START_S", begins_s)
    monkeypatch.setattr("wrens.core.deadlines.GRACE_S", ends_s)


@pytest.fixture
def stops_s(request: pytest.FixtureRequest) -> float:
    """How many seconds a worker may take to end when it was asked to."""
    return 0.0 if request.config.getoption("--on") == "local" else 4.0


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


@pytest.fixture(scope="session")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis server, the same for all tests: they leave nothing there."""
    from emulators import redis

    with redis(tmp_path_factory.mktemp("redis")) as server:
        yield f"redis://127.0.0.1:{server.port}"
