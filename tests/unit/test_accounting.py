"""The arithmetic of a job's cost, with figures worked out by hand, and what attempts leave for it."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from wrens.backends.aws_lambda.evidence import ending
from wrens.backends.aws_lambda.orders import billed_as, order_of
from wrens.clock import SystemClock, VirtualClock
from wrens.core.accounts import Accounts
from wrens.errors import BadOption, StoreDenied
from wrens.plan.prices import AWS, current, load
from wrens.report.cost import add_up, bill
from wrens.store import open_store
from wrens.store.meters import meter_at
from wrens.testing.small_jobs import SmallJob
from wrens.wire import decoders, envelope, keys
from wrens.wire.records import Account, Loss, Metered, Requests, Usage
from wrens.worker import attempt
from wrens.worker.host import Host


def test_ten_thousand_tasks_by_hand():
    # 10,000 tasks of 0.5 s in batches of 10: 1000 invocations of 5.06 s with 2048 MB.
    one = Usage(
        billed_s=5.06, billed_mb=2048, machine="x86_64", invocations=1, requests=Requests(puts=1, gets=3)
    )
    late = Usage(billed_s=5.0, billed_mb=2048, machine="x86_64", invocations=1, requests=Requests(puts=2))
    lost = Loss("gone", billed_s=2.5, billed_mb=2048, machine="x86_64", invocations=1)
    client = Account(
        "d", 0.0, 1002, Requests(puts=10, gets=1000, lists=200, bytes_read=2 * 10**9), Requests(puts=2)
    )
    spent = add_up([one] * 1000, [late], [lost], [client], bucket=True)
    assert spent.useful == pytest.approx(10_120)  # 1000 × 5.06 s × 2 GB
    assert spent.wasted == pytest.approx(15)  # 5 s and 2.5 s, × 2 GB
    assert (spent.invocations, spent.wasted_invocations, spent.unknown_invocations) == (1002, 2, 0)
    found = {item.name: item.usd for item in bill(spent, AWS).items}
    assert found == {
        "compute, useful (x86_64)": pytest.approx(0.168667, abs=1e-6),  # 10,120 × 0.0000166667
        "compute, wasted (x86_64)": pytest.approx(0.00025, abs=1e-6),  # 15 × 0.0000166667
        "invocations": pytest.approx(0.0002004),  # 1002 × 0.0000002
        "PUT, COPY, POST, LIST requests": pytest.approx(0.00607),  # (1002 + 212) × 0.000005
        "GET and other requests": pytest.approx(0.0016),  # (3000 + 1000) × 0.0000004
        "bytes to clients outside the region": pytest.approx(0.18),  # 2 GB × 0.09
    }
    assert bill(spent, AWS).usd == pytest.approx(
        0.168667 + 0.00025 + 0.0002004 + 0.00607 + 0.0016 + 0.18, abs=1e-6
    )


def test_an_arm_processor_has_its_own_price():
    spent = add_up([Usage(billed_s=1000.0, billed_mb=1024, machine="aarch64", invocations=1)], [], [], [])
    (compute, _) = bill(spent, AWS).items
    assert (compute.quantity, compute.usd) == (1000, pytest.approx(0.0133334))


def test_what_is_not_known_is_named():
    losses = [Loss("overdue: it was ended"), Loss("could not be sent", started=False)]
    used = Usage(billed_s=1.0, billed_mb=1024, invocations=1)
    spent = add_up([used], [], losses, [Account("d", 0.0, launched=5)], bucket=True)
    assert (spent.unknown_losses, spent.unknown_invocations) == (1, 3)
    told = " ".join(bill(spent, AWS).unknown)
    assert "the time of 3 invocations" in told
    assert "the time of 1 lost attempts" in told
    assert "none has left an account" in " ".join(bill(replace(spent, accounts=0), AWS).unknown)


def test_processes_of_this_computer_are_billed_by_nobody():
    spent = add_up([Usage(wall_s=9.0)], [], [Loss("gone", ran_s=3.0, memory_limit_mb=512)], [])
    assert bill(spent, AWS).items == ()
    assert bill(spent, AWS).unknown == ()


@pytest.mark.parametrize(
    ("nbytes", "requests"), [(10, 1), (190_000, 1), (210_000, 2), (290_000, 3), (700_000, 12)]
)
def test_a_large_payload_counts_as_several_invocations(nbytes, requests):
    # In JSON 3 bytes are 4: 210,000 are 280,000, which is 256 KB and a part of the first 64 KB beyond.
    (one,) = SmallJob(open_store("memory://payload"), abs, [1]).invocations()
    order = order_of([msgspec.structs.replace(one, inputs=bytes(nbytes))], "f", 0.0)
    assert billed_as(order) == requests


def test_the_log_tells_what_is_billed():
    line = "REPORT RequestId: 1\tDuration: 99.2 ms\tBilled Duration: 1100 ms\tMemory Size: 512 MB\t"
    assert ending(["wrens attempt 0.a", line]).billed_s == 1.1


# --- what attempts leave ---


@pytest.fixture
def store(request):
    return open_store(f"memory://{request.node.name}")


def metered_run(job, k="a", since=5.0):
    (one,) = job.invocations(k)
    metered = Metered(512, SystemClock().wall() - since, "x86_64", look_s=2.0, requests=Requests(gets=1))
    return attempt.run(msgspec.structs.replace(one, metered=metered), Host("test", "here"))


def test_a_verdict_tells_what_the_platform_bills(store):
    job = SmallJob(store, abs, [-1])
    metered_run(job)
    used = job.verdict()[0].usage
    assert 5.0 <= used.billed_s < 6.0
    assert (used.billed_mb, used.machine, used.invocations) == (512, "x86_64", 1)
    assert used.requests is None  # of memory, which nobody bills


def test_an_attempt_that_comes_too_late_says_what_it_has_used(store):
    job = SmallJob(store, abs, [-1])
    metered_run(job)
    assert metered_run(job, "b").lost == ""
    key = keys.evidence(job.id, "00000000.b", "wasted")
    late = envelope.from_json(Usage, store.get(key), key)
    assert late.billed_mb == 512
    assert late.billed_s >= 5.0
    assert not [key for key in store.list(keys.attempts(job.id)) if "00000000.a" in key]


def test_an_attempt_that_nobody_bills_leaves_nothing(store):
    job = SmallJob(store, abs, [-1])
    for k in "ab":
        for one in job.invocations(k):
            attempt.run(one, Host("test", "here"))
    assert list(store.list(keys.attempts(job.id))) == []


# --- accounts of drivers ---


class Bucket:
    """Keeps what is put, below a URL whose requests are counted."""

    def __init__(self, url, *, refuses=False):
        self.url, self.kept, self._refuses = url, {}, refuses

    def put(self, key, data, *, mode="if_absent"):
        if self._refuses:
            raise StoreDenied("put", key, self.url, "read only")
        meter_at(self.url).count("put", key, len(data))
        self.kept[key] = decoders.from_json(Account, data)


def accounts_of(bucket):
    found = Accounts(bucket, "5ac0", VirtualClock())
    found.kept = lambda job: job == "kept"
    return found


def test_an_account_is_left_for_jobs_that_are_kept():
    bucket = Bucket("s3://accounts/kept")
    accounts, meter = accounts_of(bucket), meter_at(bucket.url)
    meter.count("put", "functions/a", 7)
    meter.count("get", "jobs/kept/verdicts/0", 5)
    for job in ("kept", "other"):
        accounts.launched(job)
        accounts.ended(job)
    (key,) = bucket.kept
    assert key == keys.account("kept", "5ac0")
    # With the request that writes it.
    assert bucket.kept[key].requests == Requests(puts=1, gets=1, bytes_read=5)
    assert bucket.kept[key].shared == Requests(puts=1, bytes_written=7)


def test_an_account_is_written_again_only_when_there_is_news():
    bucket = Bucket("s3://accounts/again")
    accounts, meter = accounts_of(bucket), meter_at(bucket.url)
    accounts.launched("kept")
    accounts.ended("kept")
    meter.count("list", "drivers/")
    accounts.close(["kept"])
    assert meter.of_job("kept").puts == 1
    meter.count("get", "jobs/kept/verdicts/1")
    accounts.close(["kept"])
    assert meter.of_job("kept").puts == 2
    (account,) = bucket.kept.values()
    assert (account.requests.puts, account.requests.gets, account.shared.lists) == (2, 1, 1)


def test_a_store_that_refuses_the_account_is_no_matter():
    accounts = accounts_of(Bucket("s3://accounts/refuses", refuses=True))
    accounts.launched("kept")
    accounts.ended("kept")


# --- prices ---


def test_prices_of_ones_own(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"get": {"usd": 1, "date": "2026-11-22", "source": "our contract"}}))
    mine = current({"WRENS_PRICES": str(path)})
    assert (mine.get.usd, mine.get.date, mine.get.source, mine.get.unit) == (
        1.0, "2026-11-22", "our contract", "request",
    )  # fmt: skip
    assert mine.put == AWS.put
    assert current({}) is AWS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("put = ", "cannot be read"),
        ("puts = 1", "no price; there are x86_64"),
        ("put = -1", "no amount of dollars"),
        ("put = true", "no amount of dollars"),
        ("put = nan", "no amount of dollars"),
        ("[put]\ndate = '2026'", "no amount of dollars"),
    ],
)
def test_a_bad_table_of_prices_is_an_error(tmp_path, text, told):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(BadOption, match=told):
        load(path)


def test_every_price_has_a_date_and_a_source():
    first, last = AWS.dates
    assert "2025-01" < first <= last
    for name in ("x86_64", "arm64", "invocation", "disk", "put", "get", "stored", "out", "logged"):
        assert getattr(AWS, name).source
