"""Follows one page literally: ``python follow.py PAGE``, in an empty directory.

Run as a script, so that the page's functions are functions of ``__main__``, as they are for a reader who puts
them into a file. Prints where the page and what happens do not agree, and ends with 1 then.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pages import Block, blocks

COMMAND_S = 100


def matches(expected: str, printed: str) -> bool:
    """Tell whether what was printed is what was expected.

    ``...`` stands for anything, and any number of spaces for any other.
    """

    def tidy(text: str) -> str:
        return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())

    pattern = ".*?".join(re.escape(part) for part in tidy(expected).split("..."))
    return re.fullmatch(pattern, tidy(printed), re.DOTALL) is not None


def execute(block: Block, page: str, namespace: dict[str, object]) -> str:
    """Run a block of Python and return what it has printed to stdout."""
    name = f"<{page}, line {block.line}>"
    linecache.cache[name] = (len(block.text), None, block.text.splitlines(keepends=True), name)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, name, "exec"), namespace)
    return printed.getvalue()


def shell(block: Block) -> list[str]:
    """Run a block of commands and return where one did not print what it should."""
    wrong = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            command,
            shell=True,
            executable="/bin/bash",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if not matches(expected, done.stdout):
            wrong.append(f"line {block.line}: $ {command}\nexpected:\n{expected}\nprinted:\n{done.stdout}")
    return wrong


def follow(page: Path) -> list[str]:
    """Carry out a page, and return what is wrong with it."""
    import __main__

    wrong: list[str] = []
    printed = ""
    for block in blocks(page):
        if block.kind == "python":
            printed = execute(block, page.name, vars(__main__))
        elif block.kind == "file":
            Path(block.name).parent.mkdir(parents=True, exist_ok=True)
            Path(block.name).write_text(block.text)
        elif block.kind == "run":
            wrong += shell(block)
        elif block.kind == "output" and not matches(block.text, printed):
            wrong.append(f"line {block.line}\nexpected:\n{block.text}\nprinted:\n{printed}")
    return wrong


if __name__ == "__main__":
    found = follow(Path(sys.argv[1]))
    print("\n".join(found), file=sys.stderr)
    sys.exit(1 if found else 0)
