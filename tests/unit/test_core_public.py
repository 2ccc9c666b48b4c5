"""The public face: which names there are, what importing costs, and the clocks."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import wrens
from wrens.clock import SystemClock, VirtualClock

HEAVY = [
    "obstore",
    "cloudpickle",
    "msgspec",
    "rich",
    "typer",
    "numpy",
    "concurrent.futures",
    "asyncio",
    "wrens.core",
]


def imported_by(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a program."""
    code = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    path = str(Path(wrens.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {[path, *sys.path]!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_wrens_imports_nothing_heavy() -> None:
    assert not imported_by("import wrens").intersection(HEAVY)


def test_errors_can_be_had_without_the_rest() -> None:
    found = imported_by("import wrens\nwrens.errors.WrensError\ndir(wrens)")
    assert "wrens.errors" in found
    assert not {"wrens.core", "obstore", "msgspec"}.intersection(found)


def test_every_public_name_is_there() -> None:
    for name in wrens.__all__:
        value = getattr(wrens, name)
        assert value.__name__ == name
        assert getattr(wrens, name) is value
    assert set(wrens.__all__) <= set(dir(wrens))


def test_the_names_that_type_checkers_see_are_the_public_ones() -> None:
    tree = ast.parse(Path(wrens.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == wrens._HOMES
    assert list(wrens.__all__) == sorted(wrens.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Exekutor'"):
        wrens.Exekutor  # noqa: B018


def test_there_is_a_version() -> None:
    assert all(part.isdigit() for part in wrens.__version__.split("."))


# --- clocks ---------------------------------------------------------------------------------------------


def test_a_virtual_clock_moves_only_when_told() -> None:
    clock = VirtualClock(5.0)
    assert (clock.now(), clock.wall()) == (5.0, 5.0)
    clock.sleep(2.5)
    clock.advance(-1.0)
    assert clock.now() == 7.5


def test_a_virtual_clock_loses_nothing_among_threads() -> None:
    clock = VirtualClock()
    threads = [threading.Thread(target=lambda: [clock.advance(1.0) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == 2000.0


def test_the_systems_clock_goes_on() -> None:
    clock = SystemClock()
    before, wall = clock.now(), clock.wall()
    clock.sleep(-1.0)
    clock.sleep(0.01)
    assert clock.now() - before >= 0.01
    assert clock.wall() - wall < 60
