"""Who imports whom, what an import costs, and which names are public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wrens

ROOT = Path(__file__).parents[2]
HEAVY = {"obstore", "cloudpickle", "rich", "typer", "click", "numpy", "asyncio"}


def loaded_by(program: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after running ``program``."""
    program += "\nimport sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_import_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_wrens_loads_nothing_heavy() -> None:
    assert loaded_by("import wrens") & HEAVY == set()


def test_a_worker_loads_nothing_that_it_does_not_need() -> None:
    # It loads cloudpickle only for a function that travels by value, and obstore only for a bucket.
    assert loaded_by("import wrens.worker.main") & HEAVY == set()


def test_a_worker_that_reads_an_exchange_loads_neither_the_driver_nor_redis() -> None:
    program = "import wrens.models.exchange, sys; assert 'wrens.core.executor' not in sys.modules"
    assert loaded_by(program) & {*HEAVY, "redis", "pyarrow"} == set()


def test_the_executor_loads_neither_the_command_line_nor_a_cloud() -> None:
    program = "import wrens, tempfile; wrens.Executor(store=tempfile.mkdtemp()).shutdown()"
    assert loaded_by(program) & (HEAVY - {"cloudpickle"}) == set()


def test_the_public_names_are_the_same_everywhere() -> None:
    tree = ast.parse(Path(wrens.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    for_checkers = {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_checkers == set(wrens.__all__)
    assert len(wrens.__all__) == len(set(wrens.__all__))


@pytest.mark.parametrize("name", wrens.__all__)
def test_a_public_name_can_be_had_and_is_documented(name: str) -> None:
    assert getattr(wrens, name).__doc__
    assert name in dir(wrens)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Exekutor'"):
        _ = wrens.Exekutor
