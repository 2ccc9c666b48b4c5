"""Run every script and write ``results/summary.md``: what is promised, what was measured, whether it holds.

``--summary`` only writes the summary anew from the results that are there. ``--quick`` tries everything with
small sizes; such figures are marked in the summary and prove nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCRIPTS = (
    "noop_map",
    "submit_many",
    "round_trip",
    "million",
    "arrays",
    "unequal",
    "cold_start",
    "store_requests",
    "environments",
    "signing",
    "s3_requests",
    "lambda_launch",
    "lambda_chaos",
    "word_count",
    "sort_records",
    "pagerank",
    "barrier",
    "superstep_messages",
    "components",
    "sort_limited",
    "exchange_growth",
    "write_sizes",
    "key_value",
    "parameter_server",
    "loss_against_time",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--summary", action="store_true", help="measure nothing, only write the summary")
    args = parser.parse_args()
    failed = []
    if not args.summary:
        for script in SCRIPTS:
            command = [sys.executable, str(HERE / f"{script}.py"), *(["--quick"] if args.quick else [])]
            if subprocess.run(command, check=False).returncode:
                failed.append(script)
    path = HERE / "results" / "summary.md"
    path.write_text(summary())
    print(f"written: bench/results/{path.name}")
    for script in failed:
        print(f"failed: bench/{script}.py")
    return 1 if failed else 0


def summary() -> str:
    """Return the summary of all results that are there."""
    results = {name: _load(name) for name in SCRIPTS}
    there = {name: found for name, found in results.items() if found is not None}
    parts = [
        "# What was measured\n",
        "Written by `bench/run_all.py`; the readings stand in the JSON files beside it.\n",
    ]
    parts += ["| what | bar | measured | reached? | script |", "| --- | --- | --- | --- | --- |"]
    for name, found in results.items():
        if found is None:
            parts.append(f"| | | | not run | `{name}.py` |")
            continue
        quick = " (quick run, proves nothing)" if found["quick"] else ""
        for bar in found["bars"]:
            reached = {True: "yes", False: "**no**", None: "not measured"}[bar["reached"]]
            parts.append(
                f"| {found['what']} | {bar['bar']} | {bar['shown']} | {reached}{quick} | `{name}.py` |"
            )
    for name, found in there.items():
        parts += ["", f"## {found['what']}", "", *_table(found), "", f"`{name}.py`, {_conditions(found)}"]
    return "\n".join(parts) + "\n"


def _load(name: str) -> dict[str, Any] | None:
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _table(found: dict[str, Any]) -> list[str]:
    metrics = found["metrics"]
    lines = [
        "| system | " + " | ".join(metric["title"] for metric in metrics) + " | note |",
        "| --- |" + " ---: |" * len(metrics) + " --- |",
    ]
    for row in found["rows"]:
        medians = row["medians"]
        cells = [
            metric["show"].format(medians[metric["name"]]) if metric["name"] in medians else ""
            for metric in metrics
        ]
        remark = row["remark"].replace("|", "\\|")
        lines.append(f"| {row['system']} | {' | '.join(cells)} | {remark} |")
    return lines


def _conditions(found: dict[str, Any]) -> str:
    machine = found["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items() if version[0].isdigit()
    )
    return (
        f"{found['at'][:10]}, medians; {machine['processors']} processors ({machine['processor']}), "
        f"{machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}; {versions}; "
        f"load before the run {machine['load_before']}."
    )


if __name__ == "__main__":
    sys.exit(main())
