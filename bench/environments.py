"""What it costs to give NumPy to workers that have no packages: once for the client, and for each cold worker.

Phase by phase, with the parts that do the work in a job: the client resolves versions, installs wheels for the
workers' platform, makes one object of them and uploads it; the same wish is remembered and found again. A cold
worker fetches, checks and unpacks the object, and imports NumPy in an interpreter that has nothing else. Wheels
come from uv's cache after the first round, as on a computer where they have been used before.

The row with S3 needs the emulator of the tests (``python tests/servers/install.py``) and is local, too: it tells
what the protocol costs, not what a network does.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from harness import Bench, Entrant, Metric, Reading, main

SERVERS = Path(__file__).parents[1] / "tests" / "servers"
IMPORT = """
import sys
from time import perf_counter
sys.path.append(sys.argv[1])
began = perf_counter()
import numpy
print(perf_counter() - began)
"""


def measure(system: str, where: str) -> list[Reading]:
    assert system == "wrens"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        url = str(folder / "store")
        if where == "s3":
            sys.path.append(str(SERVERS))
            from emulators import ministack

            server = stack.enter_context(ministack(folder / "server"))
            os.environ.update(server.environment)
            url = server.make_bucket("bench")
        return [{**_client(folder, url), **_worker(folder, url)}]


def _client(folder: Path, url: str) -> Reading:
    """Build and store the packages, and have them found by a second client."""
    from wrens.clock import SystemClock
    from wrens.environments import building
    from wrens.environments.installer import Installer
    from wrens.environments.platform import Platform
    from wrens.environments.supply import Supply
    from wrens.environments.wanted import Environment
    from wrens.serialize import Shipper
    from wrens.store import open_store
    from wrens.wire import keys

    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    target = Platform(python, platform.machine(), "manylinux_2_28")
    store = open_store(url)
    reading: Reading = {}

    def timed(phase: str, work: Callable[[], object]) -> object:
        began = perf_counter()
        found = work()
        reading[phase] = perf_counter() - began
        return found

    installer = Installer(target)
    packages = folder / "site-packages"
    packages.mkdir()
    pins = timed("resolve", lambda: installer.resolve([f"numpy=={version('numpy')}"], []))
    timed("install", lambda: installer.install(pins, packages))  # type: ignore[arg-type]
    built = timed("build", lambda: building.build(packages, target))
    assert isinstance(built, building.Built)
    timed("upload", lambda: store.put(keys.environment(built.digest), built.buffers))
    (folder / "digest").write_text(built.digest)
    reading["mb"] = sum(memoryview(part).nbytes for part in built.buffers) / 1e6
    shipment = Shipper().function(_uses_numpy)

    def ask() -> str:
        supply = Supply(store, target, clock=SystemClock(), tell=lambda _: None)
        return supply.environment(Environment(), shipment)

    assert ask() == built.digest, "another environment was built of the same wish"
    timed("again", ask)
    return reading


def _worker(folder: Path, url: str) -> Reading:
    from wrens.store import open_store
    from wrens.worker.environment import ready

    found = ready(open_store(url), (folder / "digest").read_text(), root=folder / "root")
    command = [sys.executable, "-I", "-S", "-c", IMPORT, found.folder]
    took = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    cold = found.fetch_s + found.unpack_s + took
    return {"cold": cold, "fetch": found.fetch_s, "unpack": found.unpack_s, "import": took}


def _uses_numpy(n: int) -> float:
    import numpy as np

    return float(np.arange(n).sum())


def entrants(quick: bool) -> list[Entrant]:
    rows = [Entrant("directory", "wrens", {"where": "directory"})]
    if (SERVERS.parents[1] / ".cache").is_dir():
        rows.append(Entrant("S3, emulated", "wrens", {"where": "s3"}))
    return rows[:1] if quick else rows


BENCH = Bench(
    what="packages for workers that have none: NumPy, from a wish to an import",
    metrics=[
        Metric("cold", "cold worker in all, s", "{:.2f}", "lower"),
        Metric("fetch", "fetch, s", "{:.2f}", "lower"),
        Metric("unpack", "unpack, s", "{:.2f}", "lower"),
        Metric("import", "import, s", "{:.2f}", "lower"),
        Metric("resolve", "client: resolve, s", "{:.2f}", "lower"),
        Metric("install", "install, s", "{:.2f}", "lower"),
        Metric("build", "build, s", "{:.2f}", "lower"),
        Metric("upload", "upload, s", "{:.2f}", "lower"),
        Metric("again", "found again, s", "{:.2f}", "lower"),
        Metric("mb", "object, MB", "{:.1f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    rounds=3,
)

if __name__ == "__main__":
    main(BENCH)
