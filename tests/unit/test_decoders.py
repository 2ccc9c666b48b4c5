"""Records are decoded by several threads of a process that has decoded none yet."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import threading
import msgspec
from wrens.wire import decoders

inside, tried = threading.Event(), threading.Event()

def hold():
    # msgspec calls this when it looks at Inner for the first time; Outer is half known then.
    inside.set()
    tried.wait(0.3)
    return int

class Inner(msgspec.Struct):
    n: "hold()"

class Outer(msgspec.Struct):
    inner: Inner

found = []

def decode():
    found.append(decoders.{function}(Outer, msgspec.{form}.encode({{"inner": {{"n": 1}}}})))

first = threading.Thread(target=decode)
first.start()
inside.wait()
decode()
tried.set()
first.join()
print(*(each.inner.n for each in found))
"""


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_a_second_thread_may_decode_while_the_first_looks_at_the_type(form: str) -> None:
    program = PROGRAM.format(function=f"from_{form}", form=form)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 1\n", "")
