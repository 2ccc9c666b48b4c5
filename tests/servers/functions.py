"""Functions of an emulated Lambda that run this checkout's worker.

They are made without a role and without what ``wrens deploy aws`` checks, because tests make many. Decides their
settings, and that their code is packed once for all processes that run tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
from functools import cache
from importlib.metadata import distributions

import install
from account import Account
from emulators import Server

import wrens
from wrens.backends.aws_lambda import naming, packaging
from wrens.store.signing_keys import VARIABLE, signing_key

HANDLER = naming.HANDLER


@cache
def worker_zip() -> bytes:
    """Return the code of a function, as ``wrens deploy aws`` packs it.

    It is kept beside the servers until anything of wrens or a package is another one: packing takes seconds.
    """
    kept = install.PLACE / f"worker-{_content()}.zip"
    with (install.PLACE / "worker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for old in install.PLACE.glob("worker-*.zip"):
                old.unlink()
            made = kept.with_suffix(".new")
            made.write_bytes(packaging.build(wrens.__version__).data)
            made.rename(kept)
        return kept.read_bytes()


def _content() -> str:
    """Return a digest of all that the code of a function is made from: other bytes have another one."""
    state = hashlib.sha256()
    for name, data in packaging.own_files().items():
        state.update(f"{name}\0{len(data)}\0".encode() + data)
    for package in sorted({f"{one.name}=={one.version}" for one in distributions()}):
        state.update(f"{package}\n".encode())
    state.update(f"{wrens.__version__} {naming.python_version()} {platform.machine()}".encode())
    return state.hexdigest()[:16]


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
