"""Workers on Lambda read partitions of data that lie beside the store, as far as their role may, and no further."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from account import Account, account
from typer.testing import CliRunner

import wrens
from wrens.backends.aws_lambda import permissions
from wrens.backends.aws_lambda.naming import Place, default_function
from wrens.cli.app import app
from wrens.errors import StoreDenied
from wrens.store import data

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
        run(["deploy", "aws", "--store", STORE, "--read", "s3://library/corpus"], deployer)
        assert run(["deploy", "aws", "--store", STORE], deployer).startswith("Nothing to change")
        yield found


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


def test_a_role_reads_what_it_was_given_and_nothing_beside_it(
    made: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(part: wrens.Partition) -> int:
        return sum(1 for _ in part.lines())

    allowed = (*permissions.user(PLACE), *permissions.data(PLACE, ["s3://library/corpus"]))
    become(made.person("reader", permissions.document(allowed)), monkeypatch)
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
