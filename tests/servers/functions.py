"""Functions of an emulated Lambda that run this checkout's worker.

They are made without a role and without what ``wrens deploy aws`` checks, because tests make many. Decides their
settings.
"""

from __future__ import annotations

import platform
from functools import cache

from account import Account
from emulators import Server

import wrens
from wrens.backends.aws_lambda import naming, packaging
from wrens.store.signing_keys import VARIABLE, signing_key

HANDLER = naming.HANDLER


@cache
def worker_zip() -> bytes:
    """Return the code of a function, as ``wrens deploy aws`` packs it."""
    return packaging.build(wrens.__version__).data


def make_function(
    server: Server,
    name: str,
    *,
    memory_mb: int = 512,
    timeout_s: int = 60,
    python: str = naming.python_version(),
    retries: int = 0,
    **variables: str,
) -> str:
    """Make a function that carries out attempts, and return its name."""
    functions = Account(server).client("lambda")
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
                naming.GLIBC_VARIABLE: platform.libc_ver()[1],
                "WRENS_SIGNING_KEY": signing_key().export(),
                VARIABLE: signing_key().export(),
                **variables,
            }
        },
    )
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=retries)
    functions.get_waiter("function_active_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
    )
    return name
