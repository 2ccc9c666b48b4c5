"""The ``wrens`` command.

Decides commands, options, exit codes and what is printed where: data to stdout, progress and errors to
stderr. What is printed is computed in :mod:`wrens.report`. Exit codes: 0 done, 1 tasks failed, 2 the command
could not be carried out.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; this is the entry point ``wrens``."""
    # Imported late, so that `import wrens.cli` costs nothing to whoever only looks for the entry point.
    from wrens.cli.app import run

    raise SystemExit(run())


__all__ = ["main"]
