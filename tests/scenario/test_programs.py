"""``wrens bench`` runs whole programs on input that it makes, and says whether the result is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulators import Server

from wrens.cli.app import run
from wrens.programs import NAMES, catalogue

pytestmark = pytest.mark.this_computer("names its own stores")


def bench(*words: str) -> int:
    return run(["bench", *words])


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_right_on_this_computer(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path)
    assert (
        bench(name, "--megabytes", "2", "--partition-mb", "1", "--data", place, "--store", f"{place}/store")
        == 0
    )
    out = capsys.readouterr().out
    assert "which is right" in out
    assert "of input" in out


def test_input_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("sort", "--megabytes", "1", "--data", str(tmp_path))
    assert bench(*words) == 0
    (part,) = (tmp_path / "sort").glob("1000000/records/*")
    made = part.stat().st_mtime_ns
    assert bench(*words) == 0
    assert part.stat().st_mtime_ns == made
    assert capsys.readouterr().out.count("which is right") == 2


def test_input_output_and_jobs_may_all_be_in_a_bucket(
    aws: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.make_bucket("programs")
    at = ("--data", "s3://programs/data", "--store", "s3://programs/jobs")
    assert bench("sort", "--megabytes", "1", "--partition-mb", "1", *at) == 0
    assert bench("words", "--megabytes", "1", "--partition-mb", "1", *at) == 0
    assert capsys.readouterr().out.count("which is right") == 2


def test_the_names_are_those_of_the_catalogue() -> None:
    assert tuple(catalogue.PROGRAMS) == NAMES


def test_what_there_is_not_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("sorting") == 2
    assert "There are words, sort, group, join" in capsys.readouterr().err
    assert bench("sort", "--backend", "lambda") == 2
    assert "--data" in capsys.readouterr().err
