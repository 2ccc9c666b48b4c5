"""Files and functions stay small enough to be read at one go, and have a name that says what they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "wrens"
MODULES = sorted(SRC.rglob("*.py"))
LINES = 450
FUNCTION_LINES = 50
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


@cache
def texts() -> dict[str, str]:
    return {name_of(path): path.read_text(encoding="utf-8") for path in MODULES}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in texts().items()}


def body_lines(function: Function) -> int:
    """Return the lines from the ``def`` to the end, less the docstring: documentation is never too long."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def test_a_file_is_not_too_long() -> None:
    lines = {name: text.count("\n") for name, text in texts().items()}
    assert {name: count for name, count in lines.items() if count > LINES} == {}


def test_no_function_is_too_long() -> None:
    found = {(name, f.name): body_lines(f) for name, tree in trees().items() for f in functions(tree)}
    assert {where: count for where, count in found.items() if count > FUNCTION_LINES} == {}


def test_a_module_says_what_it_decides() -> None:
    assert [name for name, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_no_module_is_a_drawer() -> None:
    assert [name_of(path) for path in MODULES if path.stem in NO_NAMES or path.stem.startswith("base_")] == []


def test_only_the_command_line_prints() -> None:
    calls = [(name, n) for name, tree in trees().items() for n in ast.walk(tree) if isinstance(n, ast.Call)]
    printing = {name for name, n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"}
    # The scripted tasks print because that is what is being tested with them.
    assert [n for n in printing if not n.startswith("cli/") and n != "testing/tasks.py"] == []
