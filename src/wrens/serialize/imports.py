"""Which modules a piece of code imports, without running it.

Reads source text and code objects. Finds ``import`` and ``from … import`` anywhere, also inside functions,
and ``import_module("a.literal")``. Tells what is certain to be imported from what may be. Does not decide whose
modules these are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast
    import dis

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def imports_of_source(source: bytes, package: str) -> frozenset[str]:
    r"""Return the names of the modules that a source file imports.

    Args:
        source: The file's bytes. One that does not parse imports nothing.
        package: The package that relative imports start from; for ``__init__.py`` the package itself.

    >>> sorted(imports_of_source(b"import a.b\ndef f():\n  from .c import d", "p"))
    ['a.b', 'p.c']
    """
    import ast

    tree = _parsed(source)
    return frozenset() if tree is None else frozenset(filter(None, _imported(ast.walk(tree), package)))


def imports_at_run(source: bytes, package: str) -> frozenset[str]:
    r"""Return what a source file may import when it runs, as exactly as can be told.

    Nothing under ``if TYPE_CHECKING:``. And ``from a import b`` may import ``a.b``, which is told as well.

    Args:
        source: The file's bytes. One that does not parse imports nothing.
        package: The package that relative imports start from.

    >>> sorted(imports_at_run(b"if TYPE_CHECKING:\n  import x\nfrom . import c", "p"))
    ['p', 'p.c']
    """
    import ast

    tree = _parsed(source)
    if tree is None:
        return frozenset()
    nodes: list[ast.AST] = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        nodes.append(node)
        typing = isinstance(node, ast.If) and _called(node.test) == "TYPE_CHECKING"
        todo += node.orelse if isinstance(node, ast.If) and typing else ast.iter_child_nodes(node)
    names = set(_imported(nodes, package))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (start := _absolute(node.module or "", node.level, package)):
            names.update(f"{start}.{alias.name}" for alias in node.names if alias.name != "*")
    return frozenset(filter(None, names))


def _parsed(source: bytes) -> ast.Module | None:
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return ast.parse(source)
            except SystemError:
                # Python 3.11 counts its depth wrongly when a destructor runs during the parse.
                return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imported(nodes: Iterable[ast.AST], package: str) -> Iterator[str]:
    import ast

    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _absolute(node.module or "", node.level, package)
        elif (
            isinstance(node, ast.Call) and node.args and _called(node.func) in ("import_module", "__import__")
        ):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield _absolute(first.value.lstrip("."), _dots(first.value), package)


def imports_of_code(code: CodeType, package: str) -> frozenset[str]:
    """Return the names of the modules that a function's code imports when it runs.

    Args:
        code: The function's code; code inside of it is read too.
        package: The package that relative imports start from.

    >>> def f():
    ...     import json.decoder
    >>> imports_of_code(f.__code__, "")
    frozenset({'json.decoder'})
    """
    return frozenset(filter(None, _walk(code, package)))


def certain_imports(code: CodeType, package: str) -> frozenset[str]:
    """Return the names of the modules without which a function's code fails whenever it is called.

    Left out is what is imported inside of ``try``, where the function catches the failure of an import, or on a
    condition, or by functions inside of this one.

    >>> def f():
    ...     import json
    ...     try:
    ...         import tomllib
    ...     except ImportError:
    ...         pass
    >>> certain_imports(f.__code__, "")
    frozenset({'json'})
    """
    import dis

    steps = list(dis.get_instructions(code))
    jumps = {*dis.hasjrel, *dis.hasjabs}
    skipped = [(step.offset, step.argval) for step in steps if step.opcode in jumps]
    if {"ImportError", "ModuleNotFoundError", "Exception"} & set(code.co_names):
        entries = dis.Bytecode(code).exception_entries  # type: ignore[attr-defined,unused-ignore]
        skipped += [(entry.start - 1, entry.end) for entry in entries]
    found = _statements(steps, package)
    return frozenset(name for at, name in found if name and not any(a < at < b for a, b in skipped))


def _walk(code: CodeType, package: str) -> Iterator[str]:
    import dis

    yield from (name for _, name in _statements(dis.get_instructions(code), package))
    literal = "import_module" in code.co_names or "__import__" in code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _walk(const, package)
        elif literal and isinstance(const, str) and _DOTTED.fullmatch(const.lstrip(".")):
            yield _absolute(const.lstrip("."), _dots(const), package)


def _statements(steps: Iterable[dis.Instruction], package: str) -> Iterator[tuple[int, str]]:
    """Yield where each statement imports what, of this code and not of code inside it."""
    before: list[object] = []
    for step in steps:
        if step.opname == "IMPORT_NAME":
            level = before[-2] if len(before) > 1 and isinstance(before[-2], int) else 0
            yield step.offset, _absolute(str(step.argval), level, package)
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            before = [*before[-1:], step.argval]


def _absolute(name: str, level: int, package: str) -> str:
    """Return the full name of an import with ``level`` leading dots; empty when it leads nowhere."""
    if not level:
        return name
    parts = package.split(".") if package else []
    base = ".".join(parts[: len(parts) - level + 1]) if level <= len(parts) else ""
    return f"{base}.{name}" if base and name else base


def _dots(name: str) -> int:
    return len(name) - len(name.lstrip("."))


def _called(func: object) -> str:
    """Return the last part of the name that is called."""
    return str(getattr(func, "attr", None) or getattr(func, "id", ""))
