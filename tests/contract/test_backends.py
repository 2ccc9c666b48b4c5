"""Every backend of wrens passes the published exam."""

from __future__ import annotations

from typing import ClassVar

from wrens.backends.base import Backend
from wrens.backends.inline import InlineBackend
from wrens.backends.local import LocalBackend
from wrens.testing.backend_contract import BackendContract


class TestLocal(BackendContract):
    def make_backend(self) -> Backend:
        return LocalBackend(2)


class TestInline(BackendContract):
    survives: ClassVar[frozenset[str]] = frozenset()

    def make_backend(self) -> Backend:
        return InlineBackend()
