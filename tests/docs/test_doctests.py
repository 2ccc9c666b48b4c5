"""The examples in docstrings, module by module."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import wrens

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(wrens.__path__, "wrens.")
    if not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["wrens", *MODULES])
def test_examples_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRENS_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
