"""What a store in S3 asks of the server, seen there: how often, in how many connections, what when it is refused."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulators import Server, only_credentials
from s3_proxy import Fault, Proxy, Request, proxied

import wrens
from wrens.clock import SystemClock, VirtualClock
from wrens.errors import (
    AlreadyExists,
    BadStoreURL,
    NoPutIfAbsent,
    ObjectTooLarge,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from wrens.report import cleaning
from wrens.store import RetryingStore, Store, StoreRetry, cloud, open_store
from wrens.store.cloud import LARGE, CloudStore, Patience, connect
from wrens.testing.store_contract import together
from wrens.wire import keys

MB = 2**20
STEPS = ["CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "DeleteObjects"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_credentials(monkeypatch, tmp_path)


@pytest.fixture
def proxy(aws: Server, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    aws.make_bucket("requests")
    with proxied(aws.url) as found:
        yield found


@pytest.fixture
def url(proxy: Proxy, tmp_path: Path) -> str:
    """A store that is new to everybody."""
    return f"s3://requests/{tmp_path.name}?endpoint={proxy.url}"


def quick(url: str, **policy: float) -> RetryingStore:
    """Return a store that does not wait between its tries."""
    return RetryingStore(bucket(url), StoreRetry(**policy), VirtualClock())  # type: ignore[arg-type]


def bucket(url: str) -> CloudStore:
    """Return a store that does not try again, and sends everything from 1 MB on in parts."""
    address, _, endpoint = url.partition("?endpoint=")
    store = connect(address, {"endpoint": endpoint})
    store._large, store._part = MB, 5 * MB
    return store


# --- before work begins -----------------------------------------------------------------------------------


def test_opening_for_work_is_one_write_and_one_read(proxy: Proxy, url: str) -> None:
    open_store(url, check=True)
    assert proxy.counts() == {"PutObject": 2, "GetObject": 1}, "the first time, the object is made"
    for _ in range(2):
        proxy.clear()
        open_store(url, check=True)
        assert proxy.counts() == {"PutObject": 1, "GetObject": 1}
        assert all(request.size <= 32 for request in proxy.log())


def test_opening_for_reading_writes_nothing(proxy: Proxy, url: str) -> None:
    open_store(url, create=False, check=True)
    assert proxy.counts() == {"ListObjectsV2": 1}
    proxy.clear()
    open_store(url)
    assert proxy.counts() == {}


def test_a_lost_reply_does_not_spoil_the_probe(proxy: Proxy, url: str) -> None:
    for operation in ("PutObject", "GetObject"):
        proxy.script = [Fault("lost_reply", operation)]
        open_store(url, check=True)


def with_finished_job(url: str) -> list[int]:
    with wrens.Executor("inline", store=url, keep=True) as ex:
        return ex.options(name="done").map_async(abs, [-1, -2]).results()


def reads(url: str) -> None:
    """What has to work with a store that only reads."""
    assert wrens.attach("done", store=url).results() == [1, 2]
    shown = subprocess.run(
        [sys.executable, "-m", "wrens", "show", "done", "--store", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "done" in shown.stdout


@pytest.mark.parametrize("mended", [False, True])
def test_a_service_that_ignores_the_condition_is_refused(proxy: Proxy, url: str, mended: bool) -> None:
    with_finished_job(url)
    proxy.script = [Fault("drop_headers", times=None, drop=("If-None-Match",))]
    with pytest.raises(NoPutIfAbsent) as caught:
        wrens.Executor("inline", store=url)
    for said in ("If-None-Match", "no job is run there", "wrens show", "results of finished jobs"):
        assert said in str(caught.value)
    reads(url)
    if mended:
        proxy.script = []
        wrens.Executor("inline", store=url).shutdown()


def test_a_policy_that_only_reads_says_what_works(proxy: Proxy, url: str) -> None:
    with_finished_job(url)
    proxy.script = lambda request: (
        Fault("answer", status=403, code="AccessDenied", message="not authorized to perform: s3:PutObject")
        if request.method in ("PUT", "POST", "DELETE")
        else None
    )
    with pytest.raises(StoreDenied) as caught:
        wrens.Executor("inline", store=url)
    for said in ("writing was refused, reading was not", "s3:PutObject", "wrens show"):
        assert said in str(caught.value)
    reads(url)


def test_a_policy_that_only_writes_is_refused(proxy: Proxy, url: str) -> None:
    wrens.Executor("inline", store=url).shutdown()
    proxy.script = [Fault("answer", "GetObject", times=None, status=403, code="AccessDenied")]
    with pytest.raises(StoreDenied, match="what is written there may not be read"):
        wrens.Executor("inline", store=url)


def test_a_bucket_of_somebody_else(proxy: Proxy, url: str) -> None:
    proxy.script = [Fault("answer", times=None, status=403, code="AccessDenied", message="Access Denied")]
    for opened in (lambda: wrens.Executor("inline", store=url), lambda: wrens.attach("job", store=url)):
        with pytest.raises(StoreDenied, match="AccessDenied: Access Denied") as caught:
            opened()
    assert "cannot open" in str(caught.value)
    with pytest.raises(StoreDenied, match=r"the bucket is somebody else's.*requester_pays=true"):
        wrens.Executor("inline", store=url)


def test_a_bucket_that_is_not_there(proxy: Proxy) -> None:
    for opened in (wrens.Executor, lambda store: wrens.attach("job", store=store)):
        with pytest.raises(BadStoreURL, match=r"there is no such bucket .*NoSuchBucket"):
            opened(store=f"s3://no-such-bucket?endpoint={proxy.url}")


# --- a job ------------------------------------------------------------------------------------------------


def test_a_batch_costs_one_write_and_one_read(proxy: Proxy, url: str) -> None:
    batches = 40
    with wrens.Executor(store=url, max_workers=2) as ex:
        proxy.clear()
        job = ex.options(packing=wrens.Packing(size=5)).map_async(abs, range(-5 * batches, 0))
        assert job.results() == [*range(5 * batches, 0, -1)]
        counts = proxy.counts()
    # Beside the batches: manifest, function, page, end and a sign of life; the function, by each worker; a listing
    # when the driver has not heard of anything for a while.
    assert counts["PutObject"] <= batches + 6
    assert counts["GetObject"] <= batches + 4
    assert counts["ListObjectsV2"] <= 2
    assert set(counts) <= {"PutObject", "GetObject", "ListObjectsV2"}


def large(n: int) -> bytes:
    return bytes([n]) * LARGE


def test_a_worker_with_a_large_result_and_lost_replies(proxy: Proxy, url: str) -> None:
    proxy.script = [Fault("lost_reply", operation) for operation in STEPS]
    with wrens.Executor(store=url, max_workers=1) as ex:
        assert [(len(found), found[-1]) for found in ex.map(large, [1])] == [(LARGE, 1)]
    assert {request.operation for request in proxy.log() if request.fault} == {*STEPS}


def test_a_map_over_a_service_with_faults_is_complete_and_exact(proxy: Proxy, url: str) -> None:
    kinds = itertools.cycle(["slow_down", "lost_reply", "lost_request", "cut_reply"])
    turns = itertools.count()
    proxy.script = lambda request: Fault(next(kinds)) if next(turns) % 11 == 0 else None
    with wrens.Executor(store=url, max_workers=2, keep=True) as ex:
        job = ex.options(name="faults", packing=wrens.Packing(size=5)).map_async(abs, range(-200, 0))
        assert job.results() == [*range(200, 0, -1)]
    assert len({request.fault.kind for request in proxy.log() if request.fault}) == 4
    proxy.script = []
    found = [*open_store(url).list("jobs/faults/verdicts/")]
    assert len(found) == 40, "one verdict for each batch"


# --- put-if-absent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_refusal_that_means_later_is_tried_again(proxy: Proxy, url: str, status: int) -> None:
    code = {409: "ConditionalRequestConflict", 503: "SlowDown"}.get(status, "Other")
    proxy.script = [Fault("answer", "PutObject", status=status, code=code, times=3)]
    store = quick(url)
    store.put("k", b"mine")
    assert bytes(store.get("k")) == b"mine"
    assert proxy.counts()["PutObject"] == 4


@pytest.mark.parametrize("kind", ["lost_reply", "slow_down", "cut_reply"])
def test_doubt_is_resolved_although_reading_back_fails_at_first(proxy: Proxy, url: str, kind: str) -> None:
    open_store(url).put("taken", b"theirs")
    proxy.script = [Fault("lost_reply", "PutObject", nth=2), Fault(kind, "GetObject", times=3)]  # type: ignore[arg-type]
    store = quick(url)
    with pytest.raises(AlreadyExists):
        store.put("taken", b"mine")
    store.put("free", b"mine")
    assert bytes(store.get("free")) == b"mine"


def test_a_conflict_with_an_object_that_is_there_is_lost(proxy: Proxy, url: str) -> None:
    open_store(url).put("k", b"theirs")
    proxy.script = [Fault("answer", "PutObject", status=409, code="ConditionalRequestConflict")]
    with pytest.raises(AlreadyExists):
        quick(url).put("k", b"mine")


def test_overload_of_long_duration_is_not_made_worse(proxy: Proxy, url: str) -> None:
    proxy.script = [Fault("slow_down", times=None)]
    store = quick(url, reserve=30)
    for n in range(100):
        with pytest.raises(StoreUnavailable):
            store.put(f"k{n}", b"x", mode="replace")
    assert proxy.counts() == {"PutObject": 130}


# --- large objects ----------------------------------------------------------------------------------------


def test_a_large_object_travels_in_parts(proxy: Proxy, url: str) -> None:
    store, data = open_store(url, check=True), os.urandom(LARGE + 5)
    proxy.clear()
    store.put("another", data)
    assert proxy.counts()["UploadPartCopy"] == 2, "before the first one, the condition is tried"
    store.delete(["another"])
    proxy.clear()
    store.put("verdict", [data[:1000], memoryview(data)[1000:]])
    assert proxy.counts() == {
        "CreateMultipartUpload": 2,
        "UploadPart": 5,
        "UploadPartCopy": 1,
        "CompleteMultipartUpload": 2,
        "DeleteObjects": 1,
    }
    assert [*store.list("")] == ["probe", "verdict"], "nothing else is left"
    assert store.get("verdict") == data
    with pytest.raises(AlreadyExists):
        store.put("verdict", data[:-1] + b"\0")
    proxy.clear()
    store.put("verdict", data[::-1], mode="replace")
    assert proxy.counts() == {"CreateMultipartUpload": 1, "UploadPart": 5, "CompleteMultipartUpload": 1}
    assert store.get("verdict") == data[::-1]


def test_of_many_large_objects_one_wins(proxy: Proxy, url: str) -> None:
    open_store(url, check=True)
    store = quick(url)

    def work(number: int) -> int:
        try:
            store.put("k", bytes([number]) * (MB + number))
        except AlreadyExists:
            return 0
        return 1

    for _ in range(3):
        assert sum(together(8, work)) == 1
        found = store.get("k")
        assert found == bytes([found[0]]) * (MB + found[0])
        assert [*store.list("")] == ["k", "probe"]
        store.delete(["k"])


def test_a_service_that_ignores_the_condition_of_a_copy_takes_no_large_object(proxy: Proxy, url: str) -> None:
    proxy.script = [Fault("drop_headers", "CompleteMultipartUpload", times=None, drop=("If-None-Match",))]
    store = open_store(url, check=True)
    with pytest.raises(NoPutIfAbsent, match="a copy to where an object is"):
        store.put("k", bytes(LARGE))
    assert [*store.list("")] == ["probe"]
    store.put("k", bytes(LARGE), mode="replace")


@pytest.mark.parametrize("kind", ["lost_reply", "lost_request", "slow_down"])
@pytest.mark.parametrize("operation", STEPS)
@pytest.mark.parametrize("nth", [1, 2])
def test_a_step_that_fails_is_repeated_and_not_the_whole(
    proxy: Proxy, url: str, operation: str, kind: str, nth: int
) -> None:
    proxy.script = [Fault(kind, operation, nth=nth)]  # type: ignore[arg-type]
    open_store(url, check=True)
    data = os.urandom(6 * MB)  # two parts
    store = bucket(url)
    store.put("k", data)
    assert store.get("k") == data
    assert proxy.counts()["UploadPart"] <= 3
    with pytest.raises(AlreadyExists):
        store.put("k", data[::-1])


@pytest.mark.parametrize("operation", STEPS[:-1])
def test_a_large_object_whose_steps_all_fail_is_not_there(proxy: Proxy, url: str, operation: str) -> None:
    proxy.script = [Fault("answer", operation, status=403, code="AccessDenied", times=None)]
    with pytest.raises(StoreDenied):
        bucket(url).put("k", bytes(2 * MB))
    assert "k" not in bucket(url).list("")


def test_whoever_is_killed_in_between_leaves_something_to_sweep(proxy: Proxy, url: str) -> None:
    reached = threading.Event()
    code = (
        "import sys\nsys.path[:] = sys.argv[2:]\nfrom test_s3_requests import bucket\n"
        "bucket(sys.argv[1]).put('k', bytes(2 << 20))\n"
    )

    def script(request: Request) -> Fault | None:
        if request.operation != "UploadPartCopy" or request.key.endswith(keys.PROBE):
            return None
        reached.set()
        return Fault("stall")

    proxy.script = script
    path = [str(Path(__file__).parent), *sys.path]
    writer = subprocess.Popen([sys.executable, "-c", code, url, *path])
    try:
        assert reached.wait(60)
    finally:
        writer.kill()
        writer.wait()
    store = open_store(url)
    (left,) = store.list(keys.UPLOADS)
    assert [*store.list("")] == [keys.PROBE, left]
    now = SystemClock().wall()
    assert cleaning.sweep(store, now=now).uploads == ()
    assert cleaning.sweep(store, now=now + 2 * cleaning.UPLOADED_S).uploads == (left,)


def test_an_object_that_no_service_takes_is_refused_before_it_is_sent(
    proxy: Proxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "LARGEST", 3 * MB)
    for mode in ("if_absent", "replace"):
        with pytest.raises(ObjectTooLarge, match=r"4,194,304 bytes.*up to 3,145,728") as caught:
            bucket(url).put("k", bytes(4 * MB), mode=mode)  # type: ignore[arg-type]
    assert "Packing(size=1)" in str(caught.value)
    assert proxy.counts() == {}


# --- connections and time ---------------------------------------------------------------------------------


def test_connections_are_used_again(proxy: Proxy, url: str) -> None:
    store = open_store(url)
    for n in range(50):
        store.put(f"{n}", b"x")
        store.get(f"{n}")
    [*store.list("")]
    store.delete([f"{n}" for n in range(50)])
    assert proxy.connections <= 10, "of 102 requests"
    together(8, lambda number: [store.put(f"{number}/{n}", b"x") for n in range(20)])
    assert proxy.connections <= 30, "of 160 more"


@pytest.mark.parametrize("verb", ["put", "large", "get", "list", "delete"])
def test_a_server_that_says_nothing_is_given_up_in_time(proxy: Proxy, url: str, verb: str) -> None:
    address, _, endpoint = url.partition("?endpoint=")
    inner = connect(address, {"endpoint": endpoint}, Patience(silence_s=0.2))
    inner._large = MB
    store: Store = RetryingStore(inner, StoreRetry(attempts=2, base_s=0.01))
    proxy.script = [Fault("stall", times=None)]
    calls = {
        "put": lambda: store.put("k", b"x"),
        "large": lambda: store.put("k", bytes(MB), mode="replace"),
        "get": lambda: store.get("k"),
        "list": lambda: [*store.list("")],
        "delete": lambda: store.delete(["k"]),
    }
    clock = SystemClock()
    began = clock.now()
    with pytest.raises(StoreError) as caught:
        calls[verb]()
    took_s = clock.now() - began
    tries = 1 if verb != "large" else 1 + cloud._STEP_RETRIES
    assert took_s < 2 * tries * (0.2 + 2.0), (
        "two tries, each no longer than the silence and the waits in a step"
    )
    if verb != "put":
        assert isinstance(caught.value, StoreUnavailable), (
            "only of a put-if-absent it matters what became of it"
        )
