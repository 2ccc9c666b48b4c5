"""A job on Lambda and S3 while everything goes wrong at once, beside the same job undisturbed.

2,000 tasks of a second, 200 attempts in flight, each task a batch of its own. Of the invocations 30 % are throttled
and 10 % carried out twice, 5 % of the calls kill their worker, and S3 answers 5 % of its requests with SlowDown. AWS is
the tests' emulator, and a proxy in front of it does the harm and counts; `tests/scenario/lambda_job.py` also checks
that every result is right and every task settled once. Both jobs run in the same sandboxes, which are started before.

    python bench/lambda_chaos.py [--quick] [--tasks 500 --in-flight 50]    # only the full size is kept

The processors that run the client are the ones that run 200 emulated functions, so the times say how much more
there was to do, not how long AWS would take.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from harness import RESULTS, Bar, Bench, Entrant, Metric, Reading, Row, _medians, _record, judge, show
from machine import describe

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "scenario"), str(TESTS / "servers")]
LIMIT_S = 1500.0

BENCH = Bench(
    what="2,000 tasks on Lambda, 200 in flight, undisturbed and disturbed",
    metrics=[
        Metric("seconds", "seconds", "{:.0f}", "lower"),
        Metric("attempts", "attempts", better="lower"),
        Metric("lost", "lost"),
        Metric("killed", "killed"),
        Metric("peak", "in flight at the peak"),
        Metric("invocations", "requests to invoke", better="lower"),
        Metric("throttled", "throttled"),
        Metric("duplicated", "carried out twice"),
        Metric("calls", "calls of the function", better="lower"),
        Metric("late", "begun after its verdict", better="lower"),
        Metric("PutObject", "PUT", better="lower"),
        Metric("GetObject", "GET", better="lower"),
        Metric("ListObjectsV2", "LIST", better="lower"),
        Metric("slowed", "SlowDown"),
    ],
    measure=list,
    entrants=lambda quick: [],
    bars=[
        Bar(
            "nothing is begun after its verdict",
            lambda m: m["disturbed"]["late"],
            0,
            "at most",
            "{:.0f} begun late",
        ),
        Bar("200 in flight", lambda m: m["disturbed"]["peak"], 200, show="{:.0f} in flight"),
    ],
)


def measure(tasks: int, in_flight: int, seconds: float) -> list[Row]:
    import lambda_job as chaos

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = name
        with chaos.cloud(folder / "aws") as cloud:
            os.environ.update(cloud.environment)
            chaos.warm(cloud, in_flight)
            print("warm", flush=True)
            for label, shares in (("undisturbed", chaos.CALM), ("disturbed", chaos.Shares())):
                found = chaos.run(
                    cloud,
                    label,
                    folder,
                    tasks=tasks,
                    in_flight=in_flight,
                    seconds=seconds,
                    shares=shares,
                    limit_s=LIMIT_S,
                )
                print(label, found, flush=True)
                reading: Reading = {"PutObject": 0, "GetObject": 0, "ListObjectsV2": 0, **found.requests}
                reading |= {
                    name: value for name, value in vars(found).items() if isinstance(value, int | float)
                }
                reading["late"] = len(found.late)
                rows.append(Row(Entrant(label, "wrens", {"tasks": tasks, "in_flight": in_flight}), [reading]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Measures: {BENCH.what}")
    parser.add_argument("--quick", action="store_true", help="200 tasks and 16 in flight, to try the script")
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=200)
    args = parser.parse_args()
    quick = args.quick or (args.tasks, args.in_flight) != (2_000, 200)
    machine = describe(["wrens"])
    rows = measure(*((200, 16, 0.3) if args.quick else (args.tasks, args.in_flight, 1.0)))
    bars = [judge(bar, {row.entrant.label: _medians(row) for row in rows}) for bar in BENCH.bars]
    show(BENCH, rows, bars)
    if quick:
        return
    path = RESULTS / "lambda_chaos.json"
    path.write_text(_record(BENCH, rows, bars, machine=machine, quick=quick) + "\n")
    print(f"written: bench/results/{path.name}")


if __name__ == "__main__":
    main()
