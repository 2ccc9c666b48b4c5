"""What a user of the backend ``lambda`` meets beside results: packages, set-ups that are wrong, limits, attaching."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import boto3
import install
import pytest
from clients import Clients
from emulators import Server
from functions import make_function
from lambda_tasks import exits, killed_unless_large, sleeps
from ledger import Ledger, Stopwatch

import wrens
from wrens.backends.aws_lambda.backend import LambdaBackend
from wrens.errors import (
    BackendError,
    BadOption,
    BadStoreURL,
    JobFailed,
    StoreDenied,
    TaskTimeout,
    VersionMismatch,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.this_computer("makes its own functions")]
FUNCTION = "of-scenarios"
_names = itertools.count()
Make = Callable[..., wrens.Executor]


@pytest.fixture(scope="module")
def account(aws: Server) -> Iterator[Server]:
    """An account with a function and a bucket, and this process as its client."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**aws.environment, "WRENS_LAMBDA_FUNCTION": FUNCTION}.items():
            patch.setenv(name, value)
        aws.make_bucket("lab")
        make_function(aws, FUNCTION)
        yield aws


@pytest.fixture
def store(account: Server) -> str:
    return f"s3://lab/{next(_names)}"


# --- packages --------------------------------------------------------------------------------------------


def test_a_function_that_needs_numpy_and_an_own_package_runs_where_neither_is(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "prices.py").write_text(
        "import numpy as np\n\n"
        "def total(n):\n"
        "    return float(np.arange(n, dtype=float).sum()), np.__file__, __file__\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("numpy", "shop"):
        bare = subprocess.run([install.PYTHON, "-c", f"import {module}"], capture_output=True, cwd="/")
        assert b"ModuleNotFoundError" in bare.stderr
    from shop.prices import total  # type: ignore[import-not-found]

    with wrens.Executor("lambda", store=store, max_workers=4) as ex:
        results = list(ex.map(total, [10, 1000, 100_000]))
    assert [found[0] for found in results] == [45.0, 499_500.0, 4_999_950_000.0]
    assert {"wrens-environments" in found[1] for found in results} == {True}
    assert not any(str(tmp_path / "shop") in found[2] for found in results)


def test_what_the_platform_happens_to_have_does_not_hide_the_version_that_is_installed_here(
    account: Server, store: str, tmp_path: Path
) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "numpy.py").write_text("__version__ = '0.1'\n")
    make_function(account, "with-others", PYTHONPATH=str(tmp_path / "runtime"))

    def seen() -> str:
        import numpy as np

        return np.__version__

    with wrens.Executor("lambda:with-others", store=store, max_workers=1) as ex:
        assert ex.options(environment=wrens.Environment(provided=True)).submit(seen).result(60) == "0.1"
    with wrens.Executor("lambda:with-others", store=store, max_workers=1) as ex:
        assert ex.submit(seen).result(60) == version("numpy")


def test_workers_of_a_task_have_the_packages_that_its_own_worker_was_given(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nest.py").write_text(
        "import numpy as np\nimport wrens\n\n"
        "def inner(n):\n"
        "    return float(np.arange(n, dtype=float).sum())\n\n"
        "def outer(n):\n"
        "    with wrens.Executor(max_workers=2) as ex:\n"
        "        return sum(ex.map(inner, [n, n])) + ex.submit(lambda: inner(n)).result(40)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from nest import outer  # type: ignore[import-not-found]

    with wrens.Executor("lambda", store=store, max_workers=2) as ex:
        assert list(ex.map(outer, [10, 100])) == [135.0, 14_850.0]


# --- what is wrong is told before work starts ----------------------------------------------------------------


def test_a_function_that_is_not_there(store: str) -> None:
    with pytest.raises(BackendError, match="there is no function nobody in us-east-1") as caught:
        wrens.Executor("lambda:nobody", store=store)
    assert "wrens deploy aws" in str(caught.value)


def test_a_service_that_does_not_answer(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    with pytest.raises(BackendError, match="did not tell what the function of-scenarios is"):
        wrens.Executor("lambda", store=store)


def test_a_function_that_signs_with_another_key_stops_the_job_at_once(account: Server, store: str) -> None:
    make_function(account, "stranger", WRENS_SIGNING_KEY="0f" * 32)
    watch = Stopwatch()
    with wrens.Executor("lambda:stranger", store=store) as ex, pytest.raises(wrens.errors.BadSignature):
        ex.submit(abs, -1).result(60)
    assert watch.seconds < 30


def test_a_function_of_another_version(account: Server, store: str) -> None:
    make_function(account, "older", WRENS_VERSION="0.0.1")
    with pytest.raises(VersionMismatch, match=r"wrens 0\.0\.1"):
        wrens.Executor("lambda:older", store=store)
    make_function(account, "other-python", python="3.9")
    with pytest.raises(VersionMismatch, match=r"Python 3\.9"):
        wrens.Executor("lambda:other-python", store=store)


def test_no_credentials(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises((BackendError, StoreDenied), match="credentials") as caught:
        wrens.Executor("lambda", store=store)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)


def test_no_region(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(BackendError, match="no region is set") as caught:
        wrens.Executor("lambda", store=store)
    assert "AWS_REGION" in str(caught.value)


def test_another_region(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(BackendError, match=f"there is no function {FUNCTION} in eu-west-1"):
        wrens.Executor("lambda", store=store)


def test_a_bucket_that_is_not_there(account: Server) -> None:
    with pytest.raises(BadStoreURL, match="no such bucket"):
        wrens.Executor("lambda", store="s3://nobody-has-this/p")


def test_a_folder_is_no_store_for_workers_elsewhere(account: Server, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="is a folder of this computer") as caught:
        wrens.Executor("lambda", store=tmp_path)
    assert "s3://" in str(caught.value)


def test_limits_beyond_those_of_the_platform(store: str) -> None:
    with wrens.Executor("lambda", store=store) as ex:
        with pytest.raises(BadOption, match="longer than the 60 s"):
            ex.options(timeout=3600).submit(abs, -1)
        with pytest.raises(BadOption, match="more than the 512 MB"):
            ex.options(resources=wrens.Resources(memory_mb=4096)).map_async(abs, [-1])


def test_a_function_that_cannot_be_loaded_stops_the_job_at_once(account: Server, store: str) -> None:
    functions = boto3.client("lambda", region_name="us-east-1")
    make_function(account, "broken")
    functions.update_function_configuration(FunctionName="broken", Handler="wrens.no_such_module.handle")
    functions.get_waiter("function_updated_v2").wait(
        FunctionName="broken", WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
    )
    watch = Stopwatch()
    with (
        wrens.Executor("lambda:broken", store=store) as ex,
        pytest.raises(BackendError, match="cannot carry out"),
    ):
        ex.submit(abs, -1).result(60)
    assert watch.seconds < 30


# --- time and memory -----------------------------------------------------------------------------------------


def test_what_does_not_end_in_time_is_run_elsewhere_and_what_never_does_fails_by_name(
    account: Server, store: str
) -> None:
    make_function(account, "short", timeout_s=5)
    with wrens.Executor("lambda:short", store=store, max_workers=2) as ex:
        ex.submit(abs, -1).result(60)
        assert list(ex.options(packing=wrens.Packing(size=4)).map(sleeps, [1.5] * 8)) == [1.5] * 8
        with pytest.raises(TaskTimeout, match="worker's time on this platform"):
            ex.submit(sleeps, 60.0).result(60)


def test_a_task_that_runs_out_of_memory_is_run_on_the_next_larger_function(
    account: Server, store: str
) -> None:
    make_function(account, "small", memory_mb=256)
    make_function(account, "large", memory_mb=1024)
    backend = LambdaBackend(2, function="small", larger=["large"])
    with wrens.Executor(backend, store=store) as ex:
        assert ex.submit(killed_unless_large, 0).result(90) == 1024


def test_a_lost_worker_is_named_with_its_function_and_evidence(store: str) -> None:
    with wrens.Executor("lambda", store=store, max_workers=2) as ex:
        job = ex.options(retry=wrens.Retry(lost=1)).map_async(exits, [3])
        with pytest.raises(JobFailed) as caught:
            job.results(60)
    said = str(caught.value.exceptions[0])
    assert "exit code 3" in said
    assert "lambda" in said
    assert "last words" in said


# --- a client that goes away ---------------------------------------------------------------------------------

CLIENT = """
import sys
import wrens

def square(x):
    import time
    open(sys_ledger, "a").write(f"{x}\\n")
    time.sleep(0.05)
    return x * x

sys_ledger = sys.argv[2]
with wrens.Executor("lambda", store=sys.argv[1], max_workers=4) as ex:
    job = ex.options(name="night").map_async(square, range(200))
    print("made", flush=True)
    job.wait()
"""
ATTACH = """
import sys
import wrens

job = wrens.attach("night", store=sys.argv[1])
print(sum(job.results(90)))
"""


def test_a_client_killed_after_launching_is_taken_over_from_elsewhere(
    account: Server, store: str, clients: Clients, ledger: Ledger, tmp_path: Path
) -> None:
    client = clients.start(CLIENT, store, ledger.path)
    client.says("made", 60)
    client.kill()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = elsewhere / "attach.py"
    script.write_text(ATTACH)
    done = subprocess.run(
        [sys.executable, str(script), store], cwd=elsewhere, capture_output=True, text=True, timeout=110
    )
    assert done.stdout.strip() == str(sum(x * x for x in range(200))), done.stderr
