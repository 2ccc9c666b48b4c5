"""Figures of measurements; the only module that speaks to matplotlib.

Decides how a figure looks and that it is written twice, as PNG and as SVG. A figure is made as an object of its own, so no
display is needed and nothing of a user's own figures is touched. Does not decide what is measured.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wrens.errors import BadOption, MissingPackage
from wrens.report.breakdown import NAMES, Breakdown
from wrens.report.spread import bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (10.0, 4.2)
"""Width of a figure, and height of each of its rows."""
DOTS = 150
"""Of a PNG, for each inch."""
COLORS = ("#d0d0d0", "#4269d0", "#ff725c", "#efb118", "#3ca951", "#a463f2", "#6cc5b0")
"""Of the parts of a job's time, in their order; waiting is grey."""
MOST_BARS = 400
"""Attempts that a timeline shows one by one; of more, every second, third, … is shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured with each number of workers.

    Args:
        name: What it is, such as ``"write"``; empty where there is only one.
        workers: The numbers of workers, in order.
        aggregate: What they did together while they worked, for each number.
        effective: What the whole job did, for each number.
        each: What each of the most workers did.
    """

    name: str
    workers: Sequence[int]
    aggregate: Sequence[float]
    effective: Sequence[float]
    each: Sequence[float]


@dataclass(frozen=True, slots=True)
class Latencies:
    """What was measured of operations with each number of clients.

    Args:
        name: What it is, such as ``"put, 2 servers"``.
        clients: The numbers of clients, in order.
        aggregate: Operations per second of all together, for each number.
        p50: The median time of one, in milliseconds.
        p99: The time that one in a hundred takes longer than, in milliseconds.
    """

    name: str
    clients: Sequence[int]
    aggregate: Sequence[float]
    p50: Sequence[float]
    p99: Sequence[float]


@dataclass(frozen=True, slots=True)
class Curve:
    """How something has become less with time.

    Args:
        name: What did it.
        seconds: When it was looked at, in order.
        values: What it was then, above 0.
        dashed: Whether it stands there for comparison only.
    """

    name: str
    seconds: Sequence[float]
    values: Sequence[float]
    dashed: bool = False


def paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return where a figure is written, whether the name ends in one of the two forms or in none.

    Raises:
        MissingPackage: if matplotlib is not installed.
        BadOption: if the folder is not there.

    >>> [path.name for path in paths("rates.svg")], [path.name for path in paths("v1.2")]
    (['rates.png', 'rates.svg'], ['v1.2.png', 'v1.2.svg'])
    """
    _figure()
    asked = Path(path)
    base = asked.with_suffix("") if asked.suffix.lower() in {".png", ".svg"} else asked
    if not base.parent.is_dir():
        raise BadOption(
            f"figure={str(path)!r}", "is in a folder that does not exist", "Make the folder first."
        )
    return base.with_name(f"{base.name}.png"), base.with_name(f"{base.name}.svg")


def scaling(title: str, unit: str, lines: Sequence[Line]) -> Figure:
    """Draw rates by number of workers, and beside them how the rates of single workers differ; a row for each line.

    Args:
        title: What was measured.
        unit: Of the rates, such as ``"GFLOPS"``.
        lines: What to draw.
    """
    figure = _figure(rows=len(lines))
    axes = figure.subplots(len(lines), 2, squeeze=False)
    for line, color, (left, right) in zip(lines, itertools.cycle(COLORS[1:]), axes):
        left.plot(line.workers, line.aggregate, "o-", color=color, label="while they work")
        left.plot(line.workers, line.effective, "s--", color=color, label="over the whole job")
        for low, high, count in bins(line.each):
            right.bar(
                low, count, width=high - low or 0.02 * high, align="edge", color=color, edgecolor="white"
            )
        name = f"{line.name}, " if line.name else ""
        _named(left, f"{name}{title} of all", "workers", unit)
        one = f"each of {len(line.each)}" if len(line.each) > 1 else "the only one"
        _named(right, f"{name}{one}", f"{unit} of one worker", "workers")
        left.set_xticks(line.workers)
        left.set_ylim(bottom=0)
        left.legend()
        right.set_xlim(left=0)
        right.yaxis.get_major_locator().set_params(integer=True)
    return figure


def latencies(title: str, lines: Sequence[Latencies]) -> Figure:
    """Draw operations per second by number of clients, and beside them how long one takes.

    Args:
        title: What the operations are.
        lines: What to draw.
    """
    figure = _figure()
    from matplotlib.ticker import LogLocator, NullFormatter

    left, right = figure.subplots(1, 2)
    for line, color in zip(lines, itertools.cycle(COLORS[1:])):
        left.plot(line.clients, line.aggregate, "o-", color=color, label=line.name)
        right.plot(line.clients, line.p50, "o-", color=color, label=line.name)
        right.plot(line.clients, line.p99, "s--", color=color)
    _named(left, title, "clients", "operations/s of all")
    _named(right, "one operation: median, and dashed 99 %", "clients", "ms")
    left.set_ylim(bottom=0)
    left.legend()
    right.set_yscale("log")
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter(NullFormatter())
    for axes in (left, right):
        axes.set_xticks(lines[0].clients)
    return figure


def descents(title: str, unit: str, curves: Sequence[Curve], *, borders: Sequence[float] = ()) -> Figure:
    """Draw what becomes less with time, on a logarithmic scale.

    Args:
        title: What it is.
        unit: Of the values, such as ``"% above the least loss"``.
        curves: What to draw.
        borders: Values to be reached, drawn across.
    """
    figure = _figure()
    axes = figure.subplots()
    for curve, color in zip(curves, itertools.cycle(COLORS[1:])):
        axes.plot(curve.seconds, curve.values, "--" if curve.dashed else "-", color=color, label=curve.name)
    for border in borders:
        axes.axhline(border, color="black", linewidth=0.8, linestyle=":")
    _named(axes, title, "seconds", unit)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlim(left=0)
    axes.legend()
    return figure


def timeline(title: str, found: Breakdown) -> Figure:
    """Draw each attempt of a job as a bar, from left to right in the colors of its parts.

    Args:
        title: What job it was.
        found: Where its time has gone.
    """
    figure = _figure()
    axes = figure.subplots()
    step = -(-len(found.attempts) // MOST_BARS) or 1
    shown = sorted(found.attempts, key=lambda one: one.parts.total)[::step]
    begun = [0.0] * len(shown)
    for name, color in zip(NAMES, COLORS, strict=True):
        lengths = [getattr(one.parts, name) for one in shown]
        axes.barh(range(len(shown)), lengths, left=begun, height=0.9, color=color, label=label(name))
        begun = [before + length for before, length in zip(begun, lengths, strict=True)]
    axes.axvline(found.job_s, color="black", linewidth=1, linestyle=":", label="results are there")
    axes.set_yticks([])
    axes.set_xlim(left=0)
    _named(
        axes, title, "seconds since the call", f"{len(shown):,} attempts" if len(shown) > 1 else "1 attempt"
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a figure as PNG and as SVG; return where.

    Args:
        figure: The figure.
        path: Its name; the two endings are added.

    Raises:
        BadOption: if the folder is not there.
        OSError: if a file cannot be written.
    """
    png, svg = paths(path)
    figure.savefig(png, dpi=DOTS)
    figure.savefig(svg)
    return png, svg


def label(part: str) -> str:
    """Return the name of a part of a job's time as people write it.

    >>> label("setup"), label("launch")
    ('set-up', 'launch')
    """
    return "set-up" if part == "setup" else part


def _figure(rows: int = 1) -> Figure:
    """Return an empty figure.

    Raises:
        MissingPackage: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage("matplotlib", "figures", "pip install 'wrens[figures]'") from error
    return Figure(figsize=(INCHES[0], INCHES[1] * rows), layout="constrained")


def _named(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
