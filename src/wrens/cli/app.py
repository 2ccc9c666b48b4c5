"""The commands together, and what an error looks like.

Decides exit codes and that an error of wrens is printed as its text, without a traceback: it says what
happened and what to do. Any other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from wrens.cli.bench import bench
from wrens.cli.clean import clean
from wrens.cli.demo import demo
from wrens.cli.deploy import deploy, undeploy
from wrens.cli.doctor import doctor
from wrens.cli.jobs import jobs, logs, resume, show
from wrens.cli.key import key
from wrens.errors import WrensError
from wrens.version import __version__


class _Commands(TyperGroup):
    """The group of all commands; the one place where an error of wrens ends."""

    def invoke(self, ctx: Any) -> Any:
        """Carry out the command that was asked for."""
        try:
            return super().invoke(ctx)
        except WrensError as error:
            print(f"wrens: {error}", file=sys.stderr)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="wrens",
    help="Run a Python function over data, on machines that nobody has to keep.",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, jobs, show, resume, logs, clean, key, doctor):
    app.command()(command)
app.add_typer(bench, name="bench")
app.add_typer(deploy, name="deploy")
app.add_typer(undeploy, name="undeploy")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wrens {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run a Python function over data, on machines that nobody has to keep."""
    del version


def run(args: Sequence[str] | None = None) -> int:
    """Carry out a command line.

    Args:
        args: The words after ``wrens``; by default those of this process.

    Returns:
        The exit code.

    >>> run(["--version"])
    wrens 0.1.0
    0
    """
    try:
        app(args=None if args is None else list(args), prog_name="wrens")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0
