"""How many attempts one client has carried out on Lambda at a time, and how fast it sends them.

The service is scripted: it takes every invocation and answers after 20 ms, so that the client is what is measured;
one row sends to the tests' emulator instead, which runs on the same two processors. Without a tree launch each
attempt is one request; with it, attempts travel together when many wait, and the first worker of an order sends the
others on.

The row "in flight" is a whole job: 2,500 tasks of one batch each, every attempt in flight for 20 s before it is
carried out, the driver watching all of them through an emulated S3.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from harness import Bar, Bench, Entrant, Metric, Reading, main
from tasks import noop

HERE = Path(__file__).parent
SERVERS = HERE.parent / "tests" / "servers"
sys.path.append(str(SERVERS))
ANSWER_S, HOLD_S = 0.02, 20.0


def measure(
    system: str, n: int, *, tree: bool = True, emulated: bool = False, job: bool = False
) -> list[Reading]:
    assert system == "wrens"
    from wrens.backends.aws_lambda import orders

    if not tree:
        orders.TOGETHER = 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["XDG_CONFIG_HOME"] = str(folder)
        if job:
            return [_job(stack, folder, n)]
        url = _emulated(stack, folder) if emulated else _scripted(stack, folder, hold_s=-1.0)
        os.environ["AWS_ENDPOINT_URL"] = url
        return [_sent(n)]


def _scripted(stack: ExitStack, folder: Path, *, hold_s: float) -> str:
    """Start the scripted service, and return its URL."""
    from emulators import CREDENTIALS, free_port, running

    os.environ.update({**CREDENTIALS, "AWS_DEFAULT_REGION": CREDENTIALS["AWS_REGION"]})
    port = free_port()
    command = [sys.executable, str(HERE / "scripted_lambda.py"), str(port), str(ANSWER_S), str(hold_s)]
    # What it inherits of AWS is left out, but its workers need the endpoint of the store.
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return stack.enter_context(running(command, port, folder / "scripted.log", environment)).url


def _emulated(stack: ExitStack, folder: Path) -> str:
    """Start ministack with a function that takes everything and does nothing, and return its URL."""
    import io
    import zipfile

    import boto3
    from emulators import ministack

    # What goes beyond two at a time is thrown away there: only that it was taken is measured.
    server = stack.enter_context(ministack(folder / "server", LAMBDA_ACCOUNT_CONCURRENCY="2"))
    os.environ.update(server.environment)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("nothing.py", "def handle(event, context): pass")
    functions = boto3.client("lambda")
    functions.create_function(
        FunctionName="bench",
        Runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        Role="arn:aws:iam::000000000000:role/worker",
        Handler="nothing.handle",
        Code={"ZipFile": code.getvalue()},
    )
    functions.put_function_event_invoke_config(FunctionName="bench", MaximumRetryAttempts=0)
    functions.get_waiter("function_active_v2").wait(FunctionName="bench")
    return server.url


def _sent(n: int) -> Reading:
    """Have attempts sent, and see how long that takes."""
    from wrens.backends.aws_lambda.invoking import Invoker
    from wrens.backends.aws_lambda.service import Service
    from wrens.clock import SystemClock
    from wrens.store import open_store
    from wrens.testing.small_jobs import SmallJob

    invocations = SmallJob(open_store("memory://bench"), noop, range(n), batches=n).invocations()
    service = Service(connections=64)
    left, all_sent = [n], threading.Event()
    lock = threading.Lock()

    def sent(taken: object) -> None:
        with lock:
            left[0] -= len(taken)  # type: ignore[arg-type]
            if not left[0]:
                all_sent.set()

    def failed(_: object, error: Exception) -> None:
        raise error

    invoker = Invoker(service.invoke, SystemClock(), sent, failed)
    service.describe("bench")  # the connection and the descriptions of the service are there
    began = perf_counter()
    invoker.put(invocations, lambda _: "bench")
    assert all_sent.wait(120), f"{left[0]} of {n} attempts were not sent"
    took = perf_counter() - began
    invoker.close()
    return {"rate": n / took, "requests": invoker.requests, "request_rate": invoker.requests / took}


def _job(stack: ExitStack, folder: Path, n: int) -> Reading:
    """Run a whole job, and see how many attempts are in flight at the peak."""
    from emulators import ministack

    server = stack.enter_context(ministack(folder / "server"))
    server.make_bucket("bench")
    os.environ.update({**server.environment, "AWS_ENDPOINT_URL_S3": server.url})
    url = _scripted(stack, folder, hold_s=HOLD_S)
    os.environ["AWS_ENDPOINT_URL"] = url
    import wrens
    from wrens import events

    launched: list[float] = []

    def seen(event: events.Event) -> None:
        if isinstance(event, events.AttemptLaunched):
            launched.append(perf_counter())

    with wrens.Executor("lambda:bench", store="s3://bench/store", max_workers=n, observers=[seen]) as ex:
        job = ex.options(packing=wrens.Packing(size=1)).map_async(noop, range(n))
        assert job.results(300) == list(range(n)), "wrong results"
        with urllib.request.urlopen(f"{url}/figures", timeout=10) as reply:
            found = json.load(reply)
    return {"peak": found["peak"], "requests": found["requests"], "seconds": perf_counter() - launched[0]}


def entrants(quick: bool) -> list[Entrant]:
    n, some = (200, 100) if quick else (2_500, 500)
    return [
        Entrant("wrens, one by one", "wrens", {"n": n, "tree": False}, "each attempt is a request"),
        Entrant("wrens", "wrens", {"n": n}, "tree launch, as by default"),
        Entrant("wrens, one by one, ministack", "wrens", {"n": some, "tree": False, "emulated": True}),
        Entrant("wrens, ministack", "wrens", {"n": some, "emulated": True}),
        Entrant(
            "wrens, in flight",
            "wrens",
            {"n": n, "job": True},
            f"a whole job; each attempt takes {HOLD_S:g} s",
        ),
    ]


BENCH = Bench(
    what="thousands of attempts on Lambda from one client",
    metrics=[
        Metric("rate", "attempts/s sent"),
        Metric("requests", "requests", better="lower"),
        Metric("request_rate", "requests/s"),
        Metric("peak", "in flight at the peak"),
        Metric("seconds", "seconds, launch to last result", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("≥ 2,000 in flight", lambda m: m["wrens, in flight"]["peak"], 2_000, show="{:,.0f} in flight"),
        Bar(
            "a tree launch is faster than one by one",
            lambda m: m["wrens"]["rate"] / m["wrens, one by one"]["rate"],
            1.0,
        ),
    ],
    rounds=3,
    limit_s=300.0,
)

if __name__ == "__main__":
    main(BENCH)
