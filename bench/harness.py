"""Measure wrens and its peers side by side, in one run, and say what was seen.

Decides how every script here measures: each reading is made in a process of its own, so that no system runs
beside another's threads and daemons, and the systems take turns (A B C A B C), so that a machine that
becomes slower half-way is unfair to nobody. What is reported is the median with the lowest and the highest
reading. A peer that is not installed, fails, or answers wrongly is a row that says so.

Does not decide what is measured: a script gives its :class:`Bench` to :func:`main`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

from machine import describe
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from systems import installed

HERE = Path(__file__).parent
RESULTS = HERE / "results"

Reading = dict[str, float]
"""Metric name to value, as one repeat measured it."""

Medians = Mapping[str, Reading]
"""Entrant's label to its median of each metric."""


@dataclass(frozen=True)
class Metric:
    """What is measured and how it is shown.

    Args:
        name: The key in a :data:`Reading`.
        title: The column's heading, with the unit.
        show: A format for the number, such as ``"{:,.0f}"``.
        better: Whether more or less of it is better.
    """

    name: str
    title: str
    show: str = "{:,.0f}"
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class Entrant:
    """One row: a system and how it is used.

    Args:
        label: The row's name, also the key in :data:`Medians`.
        system: The key in :data:`systems.SYSTEMS`.
        params: Keyword arguments of the script's ``measure``, beside ``system``.
        note: What a reader has to know to compare this row with the others.
    """

    label: str
    system: str
    params: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """One thing that the design promises.

    Args:
        text: The promise, such as ``"≥ 5× joblib"``.
        measured: Computes the number from the medians; a ``KeyError`` means that a system is missing.
        wanted: The number that is promised.
        sense: Whether the measured number has to reach it or stay below it.
        show: A format for both numbers.
    """

    text: str
    measured: Callable[[Medians], float]
    wanted: float
    sense: Literal["at least", "at most"] = "at least"
    show: str = "{:.1f}×"


@dataclass(frozen=True)
class Bench:
    """One script.

    Args:
        what: The row of the design's table that it measures.
        metrics: The first one is compared with wrens's.
        measure: Runs in a process of its own with ``system`` and the entrant's params; one reading a repeat.
        entrants: Makes the rows, smaller ones when quick.
        bars: What is promised.
        rounds: How often every entrant takes its turn.
        limit_s: Seconds after which a turn is given up.
    """

    what: str
    metrics: Sequence[Metric]
    measure: Callable[..., list[Reading]]
    entrants: Callable[[bool], Sequence[Entrant]]
    bars: Sequence[Bar] = ()
    rounds: int = 5
    limit_s: float = 600.0


@dataclass
class Row:
    """What one entrant was seen to do."""

    entrant: Entrant
    readings: list[Reading] = field(default_factory=list)
    status: str = ""
    failed_turns: list[str] = field(default_factory=list)

    def failed(self, reason: str) -> None:
        """Note a turn that left no reading; the second one is the entrant's last."""
        self.failed_turns.append(reason)
        if len(self.failed_turns) > 1 or reason.startswith("not finished"):
            self.status = reason

    @property
    def remark(self) -> str:
        """What the reader has to know about this row."""
        turns = f"{len(self.failed_turns)} turn failed" if self.failed_turns and not self.status else ""
        return ": ".join(filter(None, (self.entrant.note, self.status or turns)))

    def spread(self, metric: str) -> tuple[float, float, float]:
        """Return the lowest, the median and the highest reading."""
        values = [reading[metric] for reading in self.readings]
        return min(values), median(values), max(values)


def times_better(metric: str, peer: str) -> Callable[[Medians], float]:
    """Return what computes how many times wrens's rate is the peer's."""
    return lambda medians: medians["wrens"][metric] / medians[peer][metric]


def main(bench: Bench) -> None:
    """Run a script: the whole comparison or, when started by itself, one turn of one entrant."""
    parser = argparse.ArgumentParser(description=f"Measures: {bench.what}")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and smaller sizes, to try the script"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"turns of every entrant (default {bench.rounds}; quick: {min(2, bench.rounds)})",
    )
    parser.add_argument("--only", help="comma-separated systems, such as wrens,joblib")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        args.out.write_text(json.dumps(bench.measure(**json.loads(args.turn))))
        return
    script = Path(sys.argv[0]).resolve()
    entrants = bench.entrants(args.quick)
    if args.only:
        entrants = [one for one in entrants if one.system in args.only.split(",")]
    rounds = args.rounds or (min(2, bench.rounds) if args.quick else bench.rounds)
    machine = describe(sorted({one.system for one in entrants}))
    rows = compare(bench, entrants, script=script, rounds=rounds)
    bars = [
        judge(bar, {row.entrant.label: _medians(row) for row in rows if row.readings}) for bar in bench.bars
    ]
    show(bench, rows, bars)
    path = RESULTS / f"{script.stem}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(_record(bench, rows, bars, machine=machine, quick=args.quick) + "\n")
    print(f"written: bench/results/{path.name}")


def compare(bench: Bench, entrants: Sequence[Entrant], *, script: Path, rounds: int) -> list[Row]:
    """Let every entrant take its turn, ``rounds`` times over."""
    rows = [Row(one, status="" if installed(one.system) else "not installed") for one in entrants]
    console = Console(stderr=True)
    with console.status("") as status:
        for number in range(1, rounds + 1):
            for row in rows:
                if row.status:
                    continue
                status.update(f"round {number} of {rounds}: {row.entrant.label}")
                turn = {"system": row.entrant.system, **row.entrant.params}
                try:
                    row.readings += take_turn(script, turn, limit_s=bench.limit_s)
                except TurnFailed as failure:
                    row.failed(str(failure))
                    console.print(
                        f"{row.entrant.label}: {failure}\n{failure.output}", markup=False, highlight=False
                    )
    return rows


class TurnFailed(Exception):
    """A turn left no reading; the text is short enough for the table, ``output`` is what was printed."""

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


def take_turn(script: Path, turn: Mapping[str, Any], *, limit_s: float) -> list[Reading]:
    """Measure one entrant once, in a new process, and end everything that it leaves behind."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "readings.json", Path(folder) / "log"
        command = [sys.executable, str(script), "--turn", json.dumps(turn), "--out", str(out)]
        with log.open("w") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
            try:
                code = process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                raise TurnFailed(f"not finished in {limit_s:g} s", _tail(log)) from None
            finally:
                _end_group(process)
        if code or not out.exists():
            last = (_tail(log).strip().splitlines() or ["without a word"])[-1]
            # Whose paths these are is nobody's business who reads the results.
            raise TurnFailed(f"failed: {re.sub(r'(/+[^/ ]+)+/', '…/', last)[:100]}", _tail(log))
        return list(json.loads(out.read_text()))


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])


def judge(bar: Bar, medians: Medians) -> dict[str, Any]:
    """Compare what was measured with what is promised."""
    record: dict[str, Any] = {"bar": bar.text, "measured": None, "reached": None, "shown": "not measured"}
    try:
        value = bar.measured(medians)
    except KeyError:
        return record
    reached = value >= bar.wanted if bar.sense == "at least" else value <= bar.wanted
    return {**record, "measured": value, "reached": reached, "shown": bar.show.format(value)}


def show(bench: Bench, rows: Sequence[Row], bars: Sequence[Mapping[str, Any]]) -> None:
    """Print the comparison as a table, and the bars below it."""
    table = Table(title=bench.what, title_justify="left")
    table.add_column("system")
    for metric in bench.metrics:
        table.add_column(f"{metric.title} (lowest – highest)", justify="right")
    table.add_column("wrens is")
    table.add_column("note")
    for row in rows:
        cells = [row.entrant.label]
        cells += [_cell(row, metric) for metric in bench.metrics]
        table.add_row(*cells, _ratio(bench.metrics[0], row, rows), escape(row.remark))
    # A pipe has no width of its own, and 80 columns would break every cell.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for bar in bars:
        mark = {True: "[green]reached[/]", False: "[red]missed[/]", None: "[yellow]open[/]"}[bar["reached"]]
        console.print(f"  {mark}  {bar['bar']}: {bar['shown']}", highlight=False)


def _cell(row: Row, metric: Metric) -> str:
    if not row.readings or metric.name not in row.readings[0]:
        return ""
    low, middle, high = (metric.show.format(value) for value in row.spread(metric.name))
    return f"{middle} ({low} – {high})" if low != high else middle


def _ratio(metric: Metric, row: Row, rows: Sequence[Row]) -> str:
    """Say how many times better wrens did than this row, by the first metric."""
    ours = next((one for one in rows if one.entrant.label == "wrens" and one.readings), None)
    if ours is None or ours is row or not row.readings or metric.name not in row.readings[0]:
        return ""
    mine, theirs = ours.spread(metric.name)[1], row.spread(metric.name)[1]
    better = mine / theirs if metric.better == "higher" else theirs / mine
    return f"{better:.1f}× better" if better >= 1 else f"{1 / better:.1f}× worse"


def _medians(row: Row) -> Reading:
    return {name: row.spread(name)[1] for name in row.readings[0]}


def _record(
    bench: Bench,
    rows: Sequence[Row],
    bars: Sequence[Mapping[str, Any]],
    *,
    machine: Mapping[str, Any],
    quick: bool,
) -> str:
    facts = {
        "what": bench.what,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine,
        "metrics": [asdict(metric) for metric in bench.metrics],
        "rows": [
            {
                "system": row.entrant.label,
                "params": dict(row.entrant.params),
                "remark": row.remark,
                "failed_turns": row.failed_turns,
                "medians": _medians(row) if row.readings else {},
                "readings": row.readings,
            }
            for row in rows
        ],
        "bars": list(bars),
    }
    return json.dumps(facts, indent=1, ensure_ascii=False)
