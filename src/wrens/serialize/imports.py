"""Which modules a piece of code imports, without running it.

Reads source text and code objects. Finds ``import`` and ``from … import`` anywhere, also inside functions,
and ``import_module("a.literal")``. Does not decide whose modules these are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import CodeType

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
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tree = ast.parse(source)
            except SystemError:
                # Python 3.11 counts its depth wrongly when a destructor runs during the parse.
                tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(_absolute(node.module or "", node.level, package))
        elif (
            isinstance(node, ast.Call) and node.args and _called(node.func) in ("import_module", "__import__")
        ):
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                names.add(_absolute(first.value.lstrip("."), _dots(first.value), package))
    return frozenset(filter(None, names))


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


def _walk(code: CodeType, package: str) -> Iterator[str]:
    import dis

    before: list[object] = []
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            level = before[-2] if len(before) > 1 and isinstance(before[-2], int) else 0
            yield _absolute(str(step.argval), level, package)
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            before = [*before[-1:], step.argval]
    literal = "import_module" in code.co_names or "__import__" in code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _walk(const, package)
        elif literal and isinstance(const, str) and _DOTTED.fullmatch(const.lstrip(".")):
            yield _absolute(const.lstrip("."), _dots(const), package)


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
