"""From nothing to the first result: what a short script waits for.

Every repeat is a new interpreter that has imported nothing. Measured inside of it: importing the package;
from then to the first result, so with whatever is imported late and with the start of the workers. Measured
from outside: the whole program, with the interpreter's own start and the end of the workers.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from harness import Bar, Bench, Entrant, Metric, Reading, main
from systems import SYSTEMS

import wrens

PROGRAM = """
import sys
from time import perf_counter
sys.path.insert(0, {here!r})
began = perf_counter()
import {package}
imported = perf_counter()
from systems import open_system
from tasks import noop
asked = perf_counter()
with open_system({system!r}) as opened:
    assert opened.round_trip(noop, 7) == 7, "wrong result"
    answered = perf_counter()
print("\\n[", (imported - began) * 1000, ",", answered - asked, "]")
"""


def measure(system: str, repeats: int) -> list[Reading]:
    # The import that a user writes; concurrent.futures loads its pool only when asked.
    if system == "wrens":
        # As pip does when it installs a package: a checkout would be compiled anew wherever Python is told to
        # write no bytecode.
        compileall.compile_dir(Path(wrens.__file__).parent, quiet=1)
    package = {"ProcessPoolExecutor": "concurrent.futures"}.get(system, SYSTEMS[system].package)
    program = PROGRAM.format(here=str(Path(__file__).parent), package=package, system=system)
    readings = []
    for _ in range(repeats):
        began = perf_counter()
        # By the environment, so that workers of every system find the modules of this folder, too.
        path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
        run = subprocess.run(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        took = perf_counter() - began
        import_ms, first_s = json.loads(run.stdout.splitlines()[-1])
        readings.append({"first": first_s, "import": import_ms, "program": took})
    return readings


def entrants(quick: bool) -> list[Entrant]:
    repeats = 1 if quick else 3
    return [
        *(Entrant(name, name, {"repeats": repeats}) for name in ("wrens", "ProcessPoolExecutor", "loky")),
        Entrant("joblib", "joblib", {"repeats": repeats}),
        *(Entrant(name, name, {"repeats": 1}) for name in ("Dask", "Ray", "Lithops")),
    ]


BENCH = Bench(
    what="import wrens / first result of a cold executor",
    metrics=[
        Metric("first", "first result, s", "{:.3f}", "lower"),
        Metric("import", "import, ms", "{:.0f}", "lower"),
        Metric("program", "whole program, s", "{:.3f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("import wrens < 100 ms", lambda m: m["wrens"]["import"], 100, "at most", "{:.0f} ms"),
        Bar("first result < 0.4 s", lambda m: m["wrens"]["first"], 0.4, "at most", "{:.3f} s"),
    ],
)

if __name__ == "__main__":
    main(BENCH)
