"""Has tests that were written for this computer run on an emulated Lambda and S3.

    pytest tests/scenario --on lambda

The tests do not change: what they call ``local`` is the backend ``lambda``, and the folder that they give as a store is
a prefix of a bucket. Programs that tests start do the same, by ``hook/sitecustomize.py``. Decides what stands
for what; the emulator, its bucket and its function are made by ``conftest.py``.

The function is like one whose image holds the packages that the tests import, because every test has a store of its
own, and so would build and store them anew. How packages get to workers has tests of its own.
"""

from __future__ import annotations

import sysconfig
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

BUCKET = "scenario"
FUNCTION = "scenario"
PACKAGES = sysconfig.get_paths()["purelib"]
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

    backend = LambdaBackend(max_workers or 2, function=FUNCTION)
    backend.limits = replace(backend.limits, platform=None)
    return backend


def written_at(file: Path) -> float:
    """Return a moment at which the object that stands for this file was there, at most a second after it was written."""
    import boto3

    found = boto3.client("s3").head_object(Bucket=BUCKET, Key=_prefix(str(file)))
    return float(found["LastModified"].timestamp()) + 1.0


def _prefix(path: str) -> str:
    return quote(str(Path(path).absolute()).lstrip("/"), safe="/")
