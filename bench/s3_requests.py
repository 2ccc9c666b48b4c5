"""What one map asks of S3, counted at the server: wrens on this computer, wrens on Lambda, and Lithops.

The same 40 tasks of 20 ms on two workers with each system's default settings, from an executor that is made to one
that has removed what the job left. S3 and Lambda are the tests' emulator; a proxy in front of it counts every request
of client and workers, the first start of each worker included. The row "warm" is the second map of an executor on
Lambda, from its call to its results: its attempts begin in sandboxes that are there already, so none begins late.

A request belongs to the batches when it is for a verdict or a page, and to the job when it is for anything else:
manifest, function, end, signs of life, the look whether the bucket can be written to, cleaning. Of Lithops each task
is a batch, and all objects are counted.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from harness import Bar, Bench, Entrant, Metric, Reading, main
from systems import WORKERS
from tasks import last_for

SERVERS = Path(__file__).parents[1] / "tests" / "servers"
sys.path.append(str(SERVERS))
if TYPE_CHECKING:
    from s3_proxy import Request

TASK_S = 0.02
OPERATIONS = {
    "put": ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "get": ("GetObject",),
    "head": ("HeadObject", "HeadBucket"),
    "list": ("ListObjectsV2",),
    "delete": ("DeleteObject", "DeleteObjects"),
}


def measure(system: str, n: int, backend: str = "local", *, warm: bool = False) -> list[Reading]:
    from emulators import ministack
    from functions import make_function
    from s3_proxy import proxied

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["XDG_CONFIG_HOME"] = str(folder)
        server = stack.enter_context(ministack(folder / "server"))
        server.make_bucket("bench")
        proxy = stack.enter_context(proxied(server.url))
        os.environ.update({**server.environment, "AWS_ENDPOINT_URL": proxy.url})
        if backend == "lambda":
            make_function(server, "bench", AWS_ENDPOINT_URL=proxy.url)
        at: list[int] = []  # how many requests there were before and after the second map
        again = (lambda: at.append(len(proxy.log()))) if warm else None
        took = _lithops(n) if system == "Lithops" else _wrens(n, backend, again)
        counted = proxy.log()[slice(*at)] if at else proxy.log()
        log = [request for request in counted if request.bucket == "bench"]
    return [{"seconds": took, **_counted(log, n)}]


def _wrens(n: int, backend: str, again: Callable[[], None] | None) -> float:
    import wrens

    name = "lambda:bench" if backend == "lambda" else backend
    began = perf_counter()
    with wrens.Executor(name, store="s3://bench/store", max_workers=WORKERS) as ex:
        results = list(ex.map(last_for, [TASK_S] * n))
        took = perf_counter() - began
        if again:
            again()
            began = perf_counter()
            results = list(ex.map(last_for, [TASK_S] * n))
            took = perf_counter() - began
            again()
    assert results == [TASK_S] * n, "wrong results"
    return took


def _lithops(n: int) -> float:
    import lithops

    config: dict[str, Any] = {
        "lithops": {"backend": "localhost", "storage": "aws_s3", "data_limit": False},
        "localhost": {"runtime": sys.executable, "worker_processes": WORKERS},
        "aws": {"region": "us-east-1", "access_key_id": "test", "secret_access_key": "test"},
        "aws_s3": {"storage_bucket": "bench"},
    }
    began = perf_counter()
    executor = lithops.FunctionExecutor(config=config, log_level="ERROR")
    results = executor.get_result(executor.map(last_for, [TASK_S] * n))
    took = perf_counter() - began
    assert results == [TASK_S] * n, "wrong results"
    executor.clean(clean_cloudobjects=True)
    lithops.FunctionExecutor.__exit__(executor, None, None, None)
    return took


def _counted(log: Sequence[Request], n: int) -> Reading:
    def of(verb: str, *parts: str) -> int:
        fitting = (one for one in log if one.operation in OPERATIONS[verb])
        return sum(any(part in one.key for part in parts) if parts else True for one in fitting)

    batches = {one.key for one in log if one.operation in OPERATIONS["put"] and "/verdicts/" in one.key}
    reading: Reading = {verb: of(verb) for verb in OPERATIONS}
    reading["requests"] = len(log)
    reading["kb"] = sum(one.size + one.reply_size for one in log) / 1e3
    reading["batches"] = len(batches) or n
    if batches:
        reading["put_each"] = of("put", "/verdicts/") / len(batches)
        reading["get_each"] = of("get", "/verdicts/", "/pages/") / len(batches)
    else:
        reading["put_each"], reading["get_each"] = of("put") / n, of("get") / n
    return reading


def entrants(quick: bool) -> list[Entrant]:
    n = 10 if quick else 40
    return [
        Entrant("wrens", "wrens", {"n": n}, "two processes of this computer"),
        Entrant(
            "wrens, lambda", "wrens", {"n": n, "backend": "lambda"}, "two at a time on an emulated Lambda"
        ),
        Entrant(
            "wrens, lambda, warm", "wrens", {"n": n, "backend": "lambda", "warm": True}, "its second map"
        ),
        Entrant("Lithops", "Lithops", {"n": n}, "backend localhost, storage aws_s3"),
    ]


BENCH = Bench(
    what="one map of 40 tasks of 20 ms on S3, counted at the server",
    metrics=[
        Metric("requests", "requests", "{:.0f}", "lower"),
        Metric("put", "PUT", "{:.0f}", "lower"),
        Metric("get", "GET", "{:.0f}", "lower"),
        Metric("head", "HEAD", "{:.0f}", "lower"),
        Metric("list", "LIST", "{:.0f}", "lower"),
        Metric("delete", "DELETE", "{:.0f}", "lower"),
        Metric("kb", "kB both ways", "{:,.0f}", "lower"),
        Metric("seconds", "seconds, cold", "{:.2f}", "lower"),
        Metric("batches", "batches", "{:.0f}", "lower"),
        Metric("put_each", "PUT per batch", "{:.2f}", "lower"),
        Metric("get_each", "GET per batch", "{:.2f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("1 PUT per batch", lambda m: m["wrens"]["put_each"], 1.0, "at most", "{:.2f} PUT"),
        Bar("≤ 1 GET per batch", lambda m: m["wrens"]["get_each"], 1.0, "at most", "{:.2f} GET"),
        Bar(
            "1 PUT per batch, lambda", lambda m: m["wrens, lambda"]["put_each"], 1.0, "at most", "{:.2f} PUT"
        ),
        Bar(
            "≤ 1 GET per batch, lambda",
            lambda m: m["wrens, lambda"]["get_each"],
            1.0,
            "at most",
            "{:.2f} GET",
        ),
        Bar(
            "≤ 1 GET per batch, lambda, warm",
            lambda m: m["wrens, lambda, warm"]["get_each"],
            1.0,
            "at most",
            "{:.2f} GET",
        ),
        Bar(
            "fewer requests than Lithops",
            lambda m: m["Lithops"]["requests"] / m["wrens"]["requests"],
            1.0,
            show="{:.1f} × fewer requests than Lithops",
        ),
    ],
    rounds=3,
    limit_s=400.0,
)

if __name__ == "__main__":
    main(BENCH)
