"""The worker's code for Lambda: reproducible, complete, and no more than that."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from functions import worker_zip

import wrens
from wrens.backends.aws_lambda import packaging
from wrens.backends.aws_lambda.stamp import read_stamp
from wrens.errors import BadOption, CannotDeploy
from wrens.wire.records import VERSION

HOUSE = Path(wrens.__file__).parent
MACHINE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@pytest.fixture(scope="module")
def package() -> packaging.Package:
    return packaging.build(wrens.__version__, MACHINE)


@pytest.fixture(scope="module")
def unpacked(package: packaging.Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of this version that has no packages."""
    import uv

    folder = tmp_path_factory.mktemp("bare") / "venv"
    made = [uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder)]
    subprocess.run(made, check=True)
    return folder / "bin" / "python"


def test_two_builds_are_equal_byte_for_byte():
    # The other is what functions of tests are made from: built by this process, another one, or an earlier run.
    assert packaging.build(wrens.__version__).data == worker_zip()


def test_another_process_builds_the_same(package: packaging.Package):
    program = (
        "from wrens.backends.aws_lambda import packaging; import asyncio, json, hashlib;"
        f"print(packaging.build({wrens.__version__!r}, {MACHINE!r}).sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(HOUSE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == package.sha256


def test_python_takes_the_bytecode_that_is_there(unpacked: Path, bare: Path):
    """And so compiles nothing, which would be most of a cold start."""
    program = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import wrens.worker.attempt, wrens.store.cloud"
    )
    done = subprocess.run([bare, "-I", "-v", "-B", "-c", program], capture_output=True, text=True, check=True)
    matched = re.findall(rf"matches {re.escape(str(unpacked))}/(\S+)", done.stderr)
    assert "wrens/worker/attempt.py" in matched
    loaded = re.findall(rf"code object from '{re.escape(str(unpacked))}/([^']+)'", done.stderr)
    assert [name for name in loaded if name.endswith(".py")] == []


def test_an_archive_tells_nothing_of_where_and_when_it_was_made(package: packaging.Package):
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {oct(entry.external_attr >> 16) for entry in entries} == {"0o100644", "0o100755"}
    assert {entry.create_system for entry in entries} == {3}
    assert not [name for name in names if "RECORD" in name or "direct_url" in name]


def test_it_holds_what_a_worker_needs_and_nothing_of_the_command(package: packaging.Package):
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        inside = {name for name in archive.namelist() if name.startswith("wrens/")}
    assert {"wrens", "msgspec", "cloudpickle", "obstore", "wrens-worker.json"} <= tops
    assert not tops & {"rich", "typer", "click", "boto3", "numpy"}
    assert "wrens/worker/main.py" in inside
    assert not [name for name in inside if name.startswith(("wrens/cli/", "wrens/report/"))]
    assert package.fits
    assert package.unpacked < packaging.UNPACKED_LIMIT


def test_the_stamp_says_what_is_in_it(package: packaging.Package, unpacked: Path):
    stamp = read_stamp(unpacked)
    assert stamp == package.stamp
    assert (stamp.wrens, stamp.records) == (wrens.__version__, VERSION)
    assert stamp.python == f"3.{sys.version_info[1]}"
    assert stamp.packages["obstore"] == packaging.requirements()[2].partition("==")[2]
    assert read_stamp(unpacked / "nowhere") is None
    assert read_stamp() is None


def test_a_python_without_packages_can_be_a_worker(unpacked: Path, bare: Path):
    program = (
        "import wrens, wrens.worker.main, wrens.worker.attempt, wrens.store.cloud, cloudpickle, msgspec, obstore;"
        "from wrens.backends.aws_lambda.stamp import read_stamp;"
        "print(wrens.__file__); print(read_stamp().wrens)"
    )
    done = subprocess.run(
        [bare, "-I", "-c", f"import sys; sys.path.insert(0, {str(unpacked)!r}); {program}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, version = done.stdout.split()
    assert Path(where).is_relative_to(unpacked)
    assert version == wrens.__version__


def test_the_other_processor_gets_its_own_libraries(package: packaging.Package):
    other = "arm64" if MACHINE == "x86_64" else "x86_64"
    files = packaging.gather(wrens.__version__, other)
    assert [
        name
        for name in files
        if name.endswith(".so") and "msgspec" in name and packaging.ARCHS[other] in name
    ]
    assert packaging.read(files).arch == other
    assert packaging.read(files).content != package.stamp.content


def test_what_no_wheel_is_there_for_is_an_error(tmp_path: Path):
    with pytest.raises(CannotDeploy, match=r"(?s)fetch the worker's packages.*uv says") as caught:
        packaging.fetch(tmp_path, ["wrens-no-such-package==1"], "x86_64")
    assert "Nothing was changed" in str(caught.value)


def test_a_wheel_for_a_newer_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def install(folder: Path, _wanted: object, _platform: str) -> str:
        (folder / "new-1.dist-info").mkdir()
        (folder / "new-1.dist-info" / "WHEEL").write_text("Tag: cp311-abi3-manylinux_2_39_x86_64\n")
        return ""

    monkeypatch.setattr(packaging, "_install", install)
    with pytest.raises(CannotDeploy, match=r"use new-1 on Lambda's Python"):
        packaging.fetch(tmp_path, [], "x86_64")


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packaging, "UNPACKED_LIMIT", 1000)
    with pytest.raises(CannotDeploy, match="--image-context"):
        packaging.build(wrens.__version__, MACHINE)


def test_a_processor_that_lambda_has_not_is_refused():
    with pytest.raises(BadOption, match="x86_64 or arm64"):
        packaging.build(wrens.__version__, "sparc")


# --- for a container image ---


@pytest.fixture(scope="module")
def context() -> packaging.Files:
    return packaging.image_context(wrens.__version__, "arm64")


def test_an_image_is_built_from_pinned_versions(context: packaging.Files):
    docker = context["Dockerfile"].decode()
    assert f"FROM public.ecr.aws/lambda/python:3.{sys.version_info[1]}-arm64\n" in docker
    assert 'CMD ["wrens.backends.aws_lambda.handler.handle"]' in docker
    pins = context["requirements.txt"].decode().splitlines()
    assert set(packaging.requirements()) <= set(pins)
    assert all("==" in pin for pin in pins)
    assert context["worker/wrens/worker/main.py"] == (HOUSE / "worker" / "main.py").read_bytes()
    copied = [line for line in docker.splitlines() if line.startswith("COPY")]
    named = {word.rstrip("/") for line in copied for word in line.split()[1:-1]}
    assert named <= {name.partition("/")[0] for name in context}
    assert packaging.image_context(wrens.__version__, "arm64") == context


def test_a_context_is_written_once_and_the_users_file_is_kept(tmp_path: Path, context: packaging.Files):
    folder = tmp_path / "image"
    assert set(packaging.write_context(folder, context)) == set(context)
    assert packaging.write_context(folder, context) == []
    (folder / "packages.txt").write_text("numpy==2.2.1\n")
    (folder / "worker" / "wrens" / "gone.py").write_text("")
    (folder / "Dockerfile").write_text("FROM elsewhere")
    assert packaging.write_context(folder, context) == ["Dockerfile"]
    assert (folder / "packages.txt").read_text() == "numpy==2.2.1\n"
    assert not (folder / "worker" / "wrens" / "gone.py").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, context: packaging.Files):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(CannotDeploy, match="it is not empty"):
        packaging.write_context(tmp_path, context)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
