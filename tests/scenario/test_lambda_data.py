"""Workers on Lambda read data beside the store, and write results there, as far as their role may; and what they can do is measured."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import emulators
import numpy as np
import pyarrow as pa
import pytest
from account import Account, account
from typer.testing import CliRunner

import wrens
from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.naming import Place, default_function
from wrens.cli.app import app
from wrens.cli.app import run as started
from wrens.errors import StoreDenied
from wrens.models.partitions.words import counted as words_counted
from wrens.models.sort.target import target_of
from wrens.models.sort.validating import summed
from wrens.store import data
from wrens.store.cloud import LARGE
from wrens.wire import keys

STORE, KEY = "s3://lab/jobs", 64 * "c"
PLACE = Place("us-east-1", "000000000000", default_function(), "lab", "jobs")
pytestmark = [pytest.mark.timeout(240), pytest.mark.this_computer("has an AWS of its own")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in which wrens is deployed so that tasks may read one prefix of another bucket."""
    with account(tmp_path_factory.mktemp("account"), AUTH="true") as found:
        s3 = found.client("s3")
        s3.create_bucket(Bucket="library")
        lines = "".join(f"line {n}\n" for n in range(3000))
        for key in ("corpus/a.txt", "corpus/deep/b.txt", "corpus-of-others/c.txt", "d.txt"):
            s3.put_object(Bucket="library", Key=key, Body=lines.encode())
        deployer = found.person("deployer", permissions.document(permissions.deployer(PLACE)), "deployer")
        beside = ["--read", "s3://library/corpus", "--write", "s3://library/sorted"]
        run(["deploy", "aws", "--store", STORE, *beside], deployer)
        _provide(found, tmp_path_factory.mktemp("packages"))
        yield found


def _provide(found: Account, folder: Path) -> None:
    """Let workers have NumPy and Arrow, as those have whose image holds them."""
    for module in (np, pa):
        package = Path(module.__path__[0])
        for name in (package.name, f"{package.name}.libs"):
            if (there := package.with_name(name)).exists():
                (folder / name).symlink_to(there)
    functions, named = found.client("lambda"), {"FunctionName": PLACE.function}
    variables = functions.get_function_configuration(**named)["Environment"]["Variables"]
    functions.update_function_configuration(
        **named, Environment={"Variables": {**variables, "PYTHONPATH": str(folder)}}
    )
    functions.get_waiter("function_updated_v2").wait(**named, WaiterConfig={"Delay": 0.2})


def run(words: list[str], environment: dict[str, str]) -> str:
    clean = {name: None for name in os.environ if name.startswith(("AWS_", "WRENS_"))}
    done = CliRunner().invoke(app, words, env={**clean, "WRENS_SIGNING_KEY": KEY, **environment})
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    return done.stdout


def become(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**environment, "WRENS_SIGNING_KEY": KEY, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    data.open_data.cache_clear()
    data._reached.cache_clear()


@pytest.fixture
def reader(made: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the test may run jobs, read what workers may read, and write what they may write."""
    beside = (
        *permissions.data(PLACE, ["s3://library/corpus"]),
        *permissions.results(PLACE, ["s3://library/sorted"]),
    )
    allowed = permissions.document((*permissions.user(PLACE), *beside))
    become(made.person(f"reader-{keys.new_id()}", allowed), monkeypatch)


@pytest.mark.usefixtures("reader")
def test_a_role_reads_what_it_was_given_and_nothing_beside_it(
    made: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(part: wrens.Partition) -> int:
        return sum(1 for _ in part.lines())

    with wrens.Executor("lambda", store=STORE, max_workers=2) as ex:
        parts = wrens.partition(["s3://library/corpus/a.txt", "s3://library/corpus"], size=10_000)
        assert len(parts) == 9
        assert sum(ex.map(count, parts)) == 9000
        for address in ("s3://library/corpus-of-others/", "s3://library/*.txt", "s3://library/d.txt"):
            with pytest.raises(StoreDenied):
                wrens.partition(address)
        # Who may read more than the workers plans what they cannot read; then the task says so.
        become(made.environment, monkeypatch)
        (part,) = wrens.partition("s3://library/d.txt")
        with pytest.raises(StoreDenied, match=r"get d\.txt in s3://library"):
            ex.submit(count, part).result(60)


@pytest.mark.usefixtures("reader")
def test_two_stages_run_there_and_leave_results_where_they_may(made: Account) -> None:
    def numbers(part: wrens.Partition) -> Iterator[tuple[int, int]]:
        for line in part.lines():
            yield int(line.split()[1]) % 10, 1

    provided = wrens.Environment(provided=True)
    with wrens.Executor("lambda", store=STORE, max_workers=2, environment=provided) as ex:
        parts = wrens.partition("s3://library/corpus", size=20_000)
        job = ex.map_async(lambda part: sum(1 for _ in part.lines()), parts)
        counted = wrens.map_reduce(ex, parts, numbers, combine=operator.add)
        assert counted.collect() == dict.fromkeys(range(10), 600)
        words = wrens.group_by(ex, parts, "word", {"count": ("count", "sum")}, prepare=words_counted)
        assert dict(zip(*words.table().to_pydict().values(), strict=True))[b"line"] == 6000
        assert wrens.gather(ex, sum, job).result(60) == 6000
        done = wrens.sort(ex, "s3://library/corpus", "s3://library/sorted/lines", size=20_000)
        assert done.records == 6000
        assert summed(ex, done.urls) == summed(ex, "s3://library/corpus")
        with pytest.raises(StoreDenied):
            wrens.sort(ex, "s3://library/corpus", "s3://library/elsewhere")
    # An object that travels in parts is put together below the place where it belongs.
    target_of("s3://library/sorted/large").put("part-00000", [bytes(LARGE)])
    found = made.client("s3").list_objects_v2(Bucket="library")["Contents"]
    assert {"sorted/large/part-00000": LARGE}.items() <= {one["Key"]: one["Size"] for one in found}.items()
    assert not [one["Key"] for one in found if "uploads/" in one["Key"] or "elsewhere" in one["Key"]]


@pytest.mark.usefixtures("reader", "made")
def test_what_workers_there_can_do_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    there = "--backend", "lambda", "--store", STORE, "--json"

    def measured(*words: str) -> Any:
        assert started(["bench", *words, *there]) == 0
        return json.loads(capsys.readouterr().out)

    (rates,) = measured("store", "--workers", "2", "--megabytes", "1")["runs"]
    assert [len(rates[direction]["each"]) for direction in ("write", "read")] == [2, 2]
    parts = measured("breakdown", "--workers", "2", "--seconds", "0.1")
    assert [one["compute"] >= 0.1 for one in parts["attempts"]] == [True, True]
    assert parts["lost"] == 0
    with emulators.redis(tmp_path) as server:
        url = f"redis://127.0.0.1:{server.port}"
        kinds = measured("kv", "--workers", "2", "--seconds", "0.2", "--url", url)
    assert [(one["what"], one["workers"], one["right"]) for one in kinds] == [
        ("put", 2, True),
        ("get", 2, True),
    ]
    (products,) = measured("flops", "--workers", "2", "--size", "64")["runs"]
    assert [one["right"] for one in products["each"]] == [True, True]
