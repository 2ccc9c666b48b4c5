"""What a job records of its cost, compared with what servers have counted."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from emulators import Server
from functions import make_function
from s3_proxy import Proxy, proxied
from typer.testing import CliRunner

import wrens
from wrens.backends.aws_lambda.backend import LambdaBackend
from wrens.cli.app import app
from wrens.clock import SystemClock
from wrens.report.cost import Spending, cost_of, spending
from wrens.report.summary import summarize
from wrens.store import Store, open_store
from wrens.testing.tasks import Scripted
from wrens.wire import envelope, keys
from wrens.wire.records import Account

MEMORY_MB = 512
WAY_BACK_S = 1.0
"""How long it may take from a sealed verdict to the platform's REPORT, on a computer that does other things too."""
_names = itertools.count()
CLASSES = {
    "PutObject": "puts",
    "CopyObject": "puts",
    "CreateMultipartUpload": "puts",
    "UploadPart": "puts",
    "UploadPartCopy": "puts",
    "CompleteMultipartUpload": "puts",
    "GetObject": "gets",
    "HeadObject": "gets",
    "ListObjectsV2": "lists",
    "DeleteObject": "deletes",
    "DeleteObjects": "deletes",
}


@dataclass
class Setting:
    """An emulated AWS, seen through a proxy that counts."""

    server: Server
    proxy: Proxy
    function: str

    def url(self) -> str:
        return f"s3://accounting/{next(_names)}?endpoint={self.proxy.url}"

    def backend(self, workers: int = 2) -> LambdaBackend:
        return LambdaBackend(workers, function=self.function)

    def counted(self) -> dict[str, int]:
        """Return the requests that the proxy has seen, by class, without the trial of the bucket at the start."""
        found = dict.fromkeys(("puts", "gets", "lists", "deletes"), 0)
        for request in self.proxy.log():
            if not request.key.endswith(keys.PROBE):
                found[CLASSES[request.operation]] += 1
        return found

    def reported_s(self, since_ms: int) -> list[float]:
        """Return the time that the platform says that it bills, for each invocation since then."""
        logs = boto3.client("logs", endpoint_url=self.server.url, region_name="us-east-1")
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{self.function}", startTime=since_ms)
        found = re.findall(r"Billed Duration: (\d+) ms", "\n".join(e["message"] for e in events["events"]))
        return [int(ms) / 1000 for ms in found]


@pytest.fixture(scope="module")
def setting(aws: Server) -> Iterator[Setting]:
    with pytest.MonkeyPatch.context() as patch, proxied(aws.url) as proxy:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        aws.make_bucket("accounting")
        yield Setting(aws, proxy, make_function(aws, "accounting", memory_mb=MEMORY_MB))


def spent(url: str, name: str) -> tuple[Store, Spending]:
    store = open_store(url)
    return store, spending(store, summarize(store, name))


def account_of(store: Store, name: str) -> Account:
    (key,) = (key for key in store.list(keys.attempts(name)) if keys.basename(key) == "account")
    return envelope.from_json(Account, store.get(key), key)


def test_the_recorded_requests_are_those_that_the_server_has_seen(setting: Setting) -> None:
    url = setting.url()
    setting.proxy.clear()
    with wrens.Executor(setting.backend(), store=url) as ex:
        ex.options(name="counted", packing=wrens.Packing(size=5)).map_async(abs, range(40)).results()
    counted = setting.counted()
    _, found = spent(url, "counted")
    both = found.workers + found.clients
    looks = sum(request.key.endswith("/cancel") for request in setting.proxy.log())
    # Not recorded: the function's trial at first contact, a PUT and a GET; a sign of life after the last account.
    assert both.puts <= counted["puts"] <= both.puts + 2
    # How often the function has looked whether it shall stop is reckoned from the time: one each 2 s.
    assert counted["gets"] - looks - 1 <= both.gets <= counted["gets"] + 2
    # A look around may be under way when the last account is written, and the session's sign of life is taken away.
    assert both.lists <= counted["lists"] <= both.lists + 4
    assert both.deletes <= counted["deletes"] <= both.deletes + 1
    assert found.workers.puts == 8
    assert found.invocations == 8
    assert not found.unknown_invocations
    assert found.wasted == 0


def test_billed_time_is_what_the_platform_reports_less_the_way_back(setting: Setting, tmp_path: Path) -> None:
    url = setting.url()
    slow = Scripted(tmp_path, {task: ["slow:0.3"] for task in range(8)})
    with wrens.Executor(setting.backend(), store=url) as ex:
        one_by_one = ex.options(packing=wrens.Packing(size=1))
        one_by_one.map_async(
            slow, range(4)
        ).results()  # so that the sandboxes are there, which are billed here
        since_ms = int(SystemClock().wall() * 1000)
        one_by_one.options(name="timed").map_async(slow, range(8)).results()
    deadline = SystemClock().now() + 30
    while len(reported := setting.reported_s(since_ms)) < 8 and SystemClock().now() < deadline:
        pass  # the last lines are on their way
    _, found = spent(url, "timed")
    gb = MEMORY_MB / 1024
    assert found.invocations == 8
    assert found.useful >= 8 * 0.3 * gb
    assert found.useful <= gb * sum(reported) <= found.useful + gb * 8 * WAY_BACK_S


def test_a_job_that_loses_a_worker_shows_waste(setting: Setting, tmp_path: Path) -> None:
    url = setting.url()
    task = Scripted(tmp_path, {2: ["exit", "ok"]})
    with wrens.Executor(setting.backend(), store=url) as ex:
        assert ex.options(name="lossy", packing=wrens.Packing(size=1)).map_async(task, range(4)).results() == [
            0, 1, 2, 3
        ]  # fmt: skip
    store, found = spent(url, "lossy")
    assert (found.lost, found.wasted_invocations, found.unknown_losses) == (1, 1, 0)
    assert 0 < found.wasted < found.useful + found.wasted
    assert found.invocations + found.unknown_invocations == account_of(store, "lossy").launched
    bill = cost_of("lossy", store)
    assert any("wasted" in item.name and item.usd > 0 for item in bill.items)
    assert "the requests of 1 lost attempts" in bill.unknown


def test_show_prices_a_job(setting: Setting, tmp_path: Path) -> None:
    url = setting.url()
    with wrens.Executor(setting.backend(), store=url) as ex:
        ex.options(name="shown").map_async(abs, range(4)).results()
    shown = CliRunner().invoke(app, ["show", "shown", "--store", url])
    assert shown.exit_code == 0
    for word in ("GB-seconds", "by clients", "us-east-1", "2025-10-28", "not in it:"):
        assert word in shown.stdout
    prices = tmp_path / "prices.toml"
    prices.write_text('region = "elsewhere"\ndate = "2026-11-01"\nput = 1\n')
    told = CliRunner().invoke(
        app, ["show", "shown", "--store", url, "--json"], env={"WRENS_PRICES": str(prices)}
    )
    cost = json.loads(told.stdout)["cost"]
    asked = cost["requests"]["workers"]["puts"] + sum(
        cost["requests"]["clients"][name] for name in ("puts", "lists")
    )
    assert asked < cost["usd"] < asked + 0.1
    assert cost["region"] == "elsewhere"


def test_processes_of_this_computer_on_a_bucket_cost_requests_only(setting: Setting) -> None:
    url = setting.url()
    setting.proxy.clear()
    with wrens.Executor("local", store=url, max_workers=2) as ex:
        ex.options(name="here", packing=wrens.Packing(size=5)).map_async(abs, range(20)).results()
    counted = setting.counted()
    store, found = spent(url, "here")
    both = found.workers + found.clients
    assert both.gets == counted["gets"]
    assert both.puts <= counted["puts"] <= both.puts + 1
    assert not found.compute
    assert not found.invocations
    assert {item.name for item in cost_of("here", store).items} == {
        "PUT, COPY, POST, LIST requests",
        "GET and other requests",
        "bytes to clients outside the region",
    }


def test_a_directory_costs_nothing_and_keeps_no_accounts(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with wrens.Executor("local", store=store, max_workers=1) as ex:
        before = ex.requests
        ex.options(name="free").map_async(abs, [1]).results()
        asked = ex.requests - before
    # Function, manifest, page and end by the client, and the verdict by the worker.
    assert asked.puts >= 5
    assert not [key for key in store.list(keys.attempts("free")) if key.endswith("account")]
    assert cost_of("free", store).items == ()
    shown = CliRunner().invoke(app, ["show", "free", "--store", str(tmp_path)])
    assert "cost" not in shown.stdout
