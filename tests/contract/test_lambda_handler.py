"""The function's entry point under AWS's own runtime client and emulator of the runtime interface."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from emulators import Server, runtime
from functions import HANDLER, make_function, worker_zip

from wrens.backends.aws_lambda import orders
from wrens.clock import SystemClock
from wrens.store import Store, open_store
from wrens.testing.small_jobs import SmallJob
from wrens.testing.tasks import Scripted
from wrens.wire import envelope, keys
from wrens.wire.records import Invocation, Loss

TIMEOUT_S = 6
MEMORY_MB = 512
_names = itertools.count()
Invoke = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's code, unpacked as Lambda does."""
    folder = tmp_path_factory.mktemp("code")
    with zipfile.ZipFile(io.BytesIO(worker_zip())) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def platform(aws: Server, code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    aws.make_bucket("handler")
    settings = {
        **aws.environment,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_S),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
        "AWS_LAMBDA_FUNCTION_NAME": "function",
    }
    with runtime(tmp_path_factory.mktemp("rie"), code, HANDLER, **settings) as server:
        yield server


@pytest.fixture
def invoke(platform: Server) -> Invoke:
    """Invokes the function and waits for its answer."""
    config = Config(read_timeout=60, retries={"total_max_attempts": 1})
    client = boto3.client(
        "lambda",
        endpoint_url=platform.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )

    def call(*invocations: Invocation, function: str = "function", **changes: object) -> dict[str, Any]:
        order = orders.order_of(invocations, function, SystemClock().wall())
        event = {**json.loads(orders.encode(order)), **changes}
        answer = client.invoke(FunctionName="function", Payload=json.dumps(event))
        found: dict[str, Any] = json.loads(answer["Payload"].read())
        return found

    return call


@pytest.fixture
def store(aws: Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return open_store(f"s3://handler/{next(_names)}")


def loss_of(job: SmallJob, attempt: str) -> Loss:
    key = keys.evidence(job.id, attempt, "loss")
    return envelope.from_json(Loss, job.store.get(key), key)


def test_an_invocation_is_carried_out(invoke: Invoke, store: Store) -> None:
    job = SmallJob(store, abs, [-1, -2, 3])
    assert invoke(*job.invocations()) == {"attempt": "00000000.a", "lost": ""}
    assert job.results() == {0: 1, 1: 2, 2: 3}
    assert job.verdict()[0].where.startswith("lambda ")


@pytest.mark.parametrize(
    ("fate", "evidence"), [("exit", (7, None)), ("kill", (None, 9)), ("segv", (None, 11))]
)
def test_what_ends_the_worker_is_written_down_and_the_function_stays_warm(
    invoke: Invoke, store: Store, tmp_path: Path, fate: str, evidence: tuple[int | None, int | None]
) -> None:
    job = SmallJob(store, Scripted(tmp_path, {1: [fate, "ok"]}), [0, 1, 2])
    assert invoke(*job.invocations())["lost"]
    loss = loss_of(job, "00000000.a")
    assert (loss.exit_code, loss.signal) == evidence
    assert (loss.task, loss.memory_limit_mb) == (1, MEMORY_MB)
    assert loss.memory_mb > 1
    assert job.settled() == []
    assert invoke(*job.invocations("b")) == {"attempt": "00000000.b", "lost": ""}
    assert job.results() == {0: 0, 1: 1, 2: 2}


def test_the_tail_is_handed_on_before_the_platform_ends_the_worker(
    invoke: Invoke, store: Store, tmp_path: Path
) -> None:
    job = SmallJob(store, Scripted(tmp_path, {1: ["hang"]}), list(range(4)))
    assert invoke(*job.invocations()) == {"attempt": "00000000.a", "lost": ""}
    assert job.results() == {0: 0}
    assert [(c.start, c.count, c.losses) for c in job.handed_on().values()] == [(1, 1, 0), (2, 2, 0)]


def test_a_task_that_takes_all_the_time_there_is_fails_by_that_name_the_second_time(
    invoke: Invoke, store: Store, tmp_path: Path
) -> None:
    job = SmallJob(store, Scripted(tmp_path, {0: ["hang", "hang"]}), [0])
    invoke(*job.invocations())
    ((_, child),) = job.handed_on().items()
    assert child.losses == 1
    again = SmallJob(store, Scripted(tmp_path, {0: ["hang", "hang"]}), [0])
    (first,) = again.invocations("b")
    invoke(Invocation(**{f: getattr(first, f) for f in first.__struct_fields__} | {"losses": 1}))
    assert "worker's time on this platform" in str(again.results()[0])


def test_a_second_delivery_runs_nothing(invoke: Invoke, store: Store, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, {})
    job = SmallJob(store, scripted, [0])
    for _ in range(3):
        invoke(*job.invocations(look_first=True))
    assert scripted.calls(0) == 1


def test_an_order_that_was_long_on_its_way_looks_first(invoke: Invoke, store: Store, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, {})
    job = SmallJob(store, scripted, [0])
    invoke(*job.invocations())
    invoke(*job.invocations(), sent_at=SystemClock().wall() - 60)
    assert scripted.calls(0) == 1


def test_the_others_of_an_order_are_sent_on(invoke: Invoke, store: Store, aws: Server) -> None:
    make_function(aws, "branches")
    job = SmallJob(store, str, list(range(12)), batches=12)
    invoke(*job.invocations(), function="branches")
    clock = SystemClock()
    end = clock.now() + 90
    while len(job.settled()) < 12 and clock.now() < end:
        clock.sleep(0.1)
    assert job.results() == {i: str(i) for i in range(12)}


def test_what_cannot_be_sent_on_is_told(invoke: Invoke, store: Store) -> None:
    job = SmallJob(store, str, [0, 1], batches=2)
    invoke(*job.invocations(), function="there-is-none")
    loss = loss_of(job, "00000001.a")
    assert not loss.started
    assert "there-is-none" in loss.reason


def test_an_order_of_another_version_is_refused_by_name(invoke: Invoke, store: Store) -> None:
    job = SmallJob(store, abs, [-1])
    answer = invoke(*job.invocations(), v=99)
    assert answer["errorType"] == "VersionMismatch"
    assert "99" in answer["errorMessage"]
    assert job.settled() == []


def test_a_store_that_cannot_be_opened_is_an_answer(invoke: Invoke, store: Store) -> None:
    (first,) = SmallJob(store, abs, [-1]).invocations()
    broken = Invocation(**{f: getattr(first, f) for f in first.__struct_fields__} | {"store": "s4://x"})
    assert "s4" in invoke(broken)["lost"]
