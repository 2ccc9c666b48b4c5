"""Has tests that were written for this computer run on an emulated Lambda and S3.

    pytest tests/scenario --on lambda

The tests do not change: what they call ``local`` is the backend ``lambda``, and the folder that they give as a store is
a prefix of a bucket. Programs that tests start do the same, by ``hook/sitecustomize.py``. Decides what stands
for what; the emulator, its bucket and its function are made by ``conftest.py``.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

BUCKET = "scenario"
FUNCTION = "scenario"
VARIABLE = "WRENS_TESTS_ON"
"""Set to ``lambda`` for the programs that tests start."""


def apply() -> None:
    """Change what the names mean, in this process."""
    from wrens.backends import registry
    from wrens.store import opening

    registry._OWN["local"] = "on_lambda:make"

    def in_bucket(path: str, *, create: bool) -> object:
        return opening._open_bucket("s3", f"s3://{BUCKET}/{_prefix(path)}", create=create, check=False)

    opening._open_path = in_bucket


def make(max_workers: int | None = None) -> object:
    """Return the backend that stands for ``local``."""
    from wrens.backends.aws_lambda.backend import LambdaBackend

    return LambdaBackend(max_workers or 2, function=FUNCTION)


def _prefix(path: str) -> str:
    return quote(str(Path(path).absolute()).lstrip("/"), safe="/")
