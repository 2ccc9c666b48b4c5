"""Takes a Markdown page apart into steps that can be carried out.

The conventions, which CONTRIBUTING.md tells to writers:

    ```python                    is executed; all blocks of a page share one namespace
    <!-- file: NAME -->          the next block is written to this file instead
    <!-- run -->                 of the next block, each line that begins with "$ " is given to the shell, and
                                 the lines below it are what it prints; "..." stands for anything
    <!-- output -->              the next block is what the one before has printed; "..." stands for anything
    <!-- with: aws -->           anywhere on the page: its commands and programs have an emulated AWS
    <!-- not run: REASON -->     the next block is only to be read

A comment stands on a line of its own, directly above its block, with or without an empty line between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
Kind = Literal["python", "file", "run", "output", "skip", "other"]
_FENCE = re.compile(r"(`{3,})([\w-]*)\s*")
_MARK = re.compile(r"<!--\s*(file|run|output|not run)(?::\s*(.*?))?\s*-->")
_KINDS: dict[str, Kind] = {"file": "file", "run": "run", "output": "output", "not run": "skip"}


@dataclass(frozen=True)
class Block:
    """A fenced block: what is to be done with it, its text, and the line on which the text begins."""

    kind: Kind
    text: str
    line: int
    name: str = ""


def pages() -> list[Path]:
    """Return README and every page below docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def documents() -> list[Path]:
    """Return the pages and the documents beside them."""
    return [*pages(), *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"))]


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found: list[Block] = []
    mark: re.Match[str] | None = None
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if marked := _MARK.fullmatch(line.strip()):
            mark = marked
            continue
        opened = _FENCE.fullmatch(line)
        if opened is None:
            if line.strip():
                mark = None
            continue
        inside: list[str] = []
        for _, text in lines:
            if text.strip() == opened.group(1):
                break
            inside.append(text)
        found.append(_block(mark, opened.group(2), inside, number + 1))
        mark = None
    return found


def _block(mark: re.Match[str] | None, language: str, inside: list[str], line: int) -> Block:
    text = "\n".join(inside) + "\n"
    if mark is not None:
        return Block(_KINDS[mark.group(1)], text, line, mark.group(2) or "")
    return Block("python" if language == "python" else "other", text, line)


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    kept, fence = [], ""
    for line in page.read_text(encoding="utf-8").splitlines():
        opened = _FENCE.fullmatch(line.strip())
        if fence:
            fence = "" if line.strip() == fence else fence
        elif opened:
            fence = opened.group(1)
        else:
            kept.append(line)
    return "\n".join(kept)
