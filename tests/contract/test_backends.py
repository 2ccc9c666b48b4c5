"""Every backend of wrens passes the published exam."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import pytest
from emulators import Server
from functions import make_function

from wrens.backends.aws_lambda.backend import LambdaBackend
from wrens.backends.base import Backend
from wrens.backends.inline import InlineBackend
from wrens.backends.local import LocalBackend
from wrens.store import Store, open_store
from wrens.testing.backend_contract import BackendContract

_names = itertools.count()
_accounts: set[str] = set()


class TestLocal(BackendContract):
    def make_backend(self) -> Backend:
        return LocalBackend(2)


class TestInline(BackendContract):
    survives: ClassVar[frozenset[str]] = frozenset()

    def make_backend(self) -> Backend:
        return InlineBackend()


class TestLambda(BackendContract):
    """On an emulated AWS: each worker is a process that shares nothing with this one but a bucket."""

    many: ClassVar[int] = 100
    keeps_idle_workers: ClassVar[bool] = True
    cancels_within_s: ClassVar[float] = 3.0

    @pytest.fixture(autouse=True)
    def _account(self, aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        if aws.url not in _accounts:
            aws.make_bucket("exam-of-lambda")
            make_function(aws, "contract")
            _accounts.add(aws.url)

    def make_backend(self) -> Backend:
        return LambdaBackend(4, function="contract")

    def make_store(self, folder: Path) -> Store:
        return open_store(f"s3://exam-of-lambda/{next(_names)}")
