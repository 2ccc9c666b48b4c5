"""What a container image is built from, laid out as its Dockerfile says and run by AWS's own runtime client and
emulator: the handler is found, and has everything that it imports."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path

import install
import pytest
from emulators import free_port, running

import wrens
from wrens.backends.aws_lambda import packaging

MACHINE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulator runs on Linux")


def test_the_handler_runs_in_an_image(tmp_path: Path):
    context, task = tmp_path / "context", tmp_path / "task"
    packaging.write_context(context, packaging.image_context(wrens.__version__, MACHINE))
    docker = (context / "Dockerfile").read_text().splitlines()
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in docker if line.startswith("CMD ")]
    assert [line for line in docker if line.startswith("RUN pip install") and "requirements.txt" in line]
    packaging.fetch(task, (context / "requirements.txt").read_text().split(), MACHINE)
    assert "COPY worker/ ${LAMBDA_TASK_ROOT}/" in docker
    (context / "worker").rename(tmp_path / "worker")
    for path in sorted((tmp_path / "worker").iterdir()):
        path.rename(task / path.name)

    port, api = free_port(), free_port()
    words = [str(install.RIE), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    words += [
        "--runtime-api-address",
        f"127.0.0.1:{api}",
        str(install.PYTHON),
        "-m",
        "awslambdaric",
        *command,
    ]
    settings = {"PYTHONPATH": str(task), "AWS_LAMBDA_FUNCTION_TIMEOUT": "60"}
    with running(words, port, tmp_path / "rie.log", settings) as server:
        url = f"{server.url}/2015-03-31/functions/function/invocations"
        with urllib.request.urlopen(urllib.request.Request(url, b'{"v": 99}'), timeout=60) as reply:
            said = json.load(reply)
    # An order of another version: to be refused like this, it has to be read by the handler of this one.
    assert said["errorType"] == "VersionMismatch", said
    assert str(task) in "".join(said["stackTrace"])
