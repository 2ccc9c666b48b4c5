"""``wrens demo`` does what it says, also on hardly any input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clients import path_of_imports

from wrens.report import wordcount

pytestmark = [pytest.mark.timeout(90), pytest.mark.this_computer("shows what this computer can do")]


def demo(*args: object, temporary: Path) -> subprocess.CompletedProcess[str]:
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "wrens", "demo", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
        env={**os.environ, "PYTHONPATH": path_of_imports(), "TMPDIR": str(temporary)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "texts"
    (where / "deep").mkdir(parents=True)
    for n in range(30):
        (where / f"a{n}.py").write_text("def wren(): return nest\n" * 2000)
    (where / "deep" / "b.txt").write_text("Nest nest NEST egg\n")
    (where / "c.bin").write_bytes(b"nest" * 1000)
    return where


def test_it_counts_loses_a_worker_and_counts_the_same(folder: Path, tmp_path: Path):
    done = demo("--path", folder, "--workers", 2, temporary=tmp_path / "tmp")
    assert done.returncode == 0, done.stderr
    assert "31 files" in done.stdout
    assert [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["nest"]] == [
        ["nest", "60,003"]
    ]
    assert "MB/s" in done.stdout
    assert "times as fast as" in done.stdout
    assert "(SIGKILL) in the middle of a task" in done.stdout
    assert "The table is the same." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Done: every run gave the same table")


def test_it_leaves_nothing_behind(folder: Path, tmp_path: Path):
    assert demo("--path", folder / "deep", temporary=tmp_path / "tmp").returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_plain_loop_that_is_faster_is_said_to_be(folder: Path, tmp_path: Path):
    done = demo("--path", folder / "deep", temporary=tmp_path / "tmp")
    assert "The plain loop was" in done.stdout


def test_a_directory_without_texts_is_refused(tmp_path: Path):
    done = demo("--path", tmp_path, temporary=tmp_path / "tmp")
    assert done.returncode == 2
    assert "no text or source files" in done.stderr


def test_the_standard_library_has_no_packages_of_others_in_it():
    files = wordcount.text_files(wordcount.standard_library())
    assert len(files) > 100
    assert not any("site-packages" in path for path, _ in files)
