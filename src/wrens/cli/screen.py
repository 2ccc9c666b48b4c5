"""How the commands print.

Decides that data goes to stdout and everything else to stderr, and how a table looks. A console is made for
each use, because whoever runs the command (a test, a notebook) may have exchanged the streams.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200
"""Columns when stdout is not a terminal: enough that no cell is cut off before grep sees it."""


def data(text: str) -> None:
    """Print a line to stdout, as it is."""
    print(text)


def note(text: str) -> None:
    """Print a line to stderr, as it is."""
    print(text, file=sys.stderr)


def as_json(value: Any) -> None:
    """Print a value to stdout as JSON."""
    print(json.dumps(value, indent=1))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to stdout.

    Args:
        columns: The headings; one that begins with ``>`` has its cells at the right.
        rows: The cells, as text.
    """
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    shown = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        shown.add_column(Text(column.lstrip(">")), justify="right" if right else "left", overflow="fold")
    for row in rows:
        # As text, or a word in brackets would be taken for markup.
        shown.add_row(*(Text(cell) for cell in row))
    console.print(shown)


def checks(rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Print what was looked at to stdout: a mark, its name, what was seen, and what to run if it failed.

    Args:
        rows: ``passed``, ``failed`` or ``skipped``; name, evidence, and the command.
    """
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    marks = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("–", "dim")}
    for outcome, name, evidence, command in rows:
        mark, style = marks[outcome]
        console.print(Text.assemble((mark, style), f" {name:<37} ", evidence), soft_wrap=True)
        if outcome == "failed" and command:
            console.print(Text.assemble("    ", ("→", style), f" {command}"), soft_wrap=True)
