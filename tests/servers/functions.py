"""Functions of an emulated Lambda that run this checkout's worker.

Decides what is in their zip: this checkout and the three libraries that a worker needs, from this environment.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from functools import cache
from pathlib import Path

import boto3
from emulators import Server

import wrens
from wrens.store.signing_keys import VARIABLE, signing_key

LIBRARIES = ("msgspec", "cloudpickle", "obstore")
HANDLER = "wrens.backends.aws_lambda.handler.handle"


@cache
def worker_zip() -> bytes:
    """Return the code of a function as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("wrens", *LIBRARIES):
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.submodule_search_locations is not None
            folder = Path(spec.submodule_search_locations[0])
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, path.relative_to(folder.parent))
    return out.getvalue()


def make_function(
    server: Server,
    name: str,
    *,
    memory_mb: int = 512,
    timeout_s: int = 60,
    python: str = "3.11",
    retries: int = 0,
    **variables: str,
) -> str:
    """Make a function that carries out attempts, and return its name."""
    functions = boto3.client(
        "lambda",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    functions.create_function(
        FunctionName=name,
        Runtime=f"python{python}",
        Role="arn:aws:iam::000000000000:role/worker",
        Handler=HANDLER,
        Code={"ZipFile": worker_zip()},
        MemorySize=memory_mb,
        Timeout=timeout_s,
        Environment={
            "Variables": {
                "AWS_ENDPOINT_URL": server.url,
                "WRENS_VERSION": wrens.__version__,
                "WRENS_PYTHON": python,
                VARIABLE: signing_key().export(),
                **variables,
            }
        },
    )
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=retries)
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    return name
