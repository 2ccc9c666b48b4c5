"""``wrens bench``: whole programs on large data, stage by stage, on any backend and store; and the micro-benchmarks beside them.

Decides the options and the table of the programs. What is run is in :mod:`wrens.programs`; the commands for
micro-benchmarks are in :mod:`wrens.cli.micro` and :mod:`wrens.cli.roundtrips`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from wrens import Executor
from wrens.cli import micro
from wrens.cli.roundtrips import kv
from wrens.cli.screen import data, note, table
from wrens.clock import SystemClock
from wrens.errors import BadOption
from wrens.programs import ABOUT, NAMES
from wrens.report import texts
from wrens.wire import keys

if TYPE_CHECKING:
    from wrens.models.stages import Stage

DEFAULT_MB = 64


class _Benchmarks(TyperGroup):
    """The group of all benchmarks; tells what there is to whoever asks for another one."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command with this name.

        Raises:
            BadOption: if there is none.
        """
        found = super().get_command(ctx, cmd_name)
        if found is None:
            raise BadOption(
                f"benchmark {cmd_name!r}", "does not exist", f"There are {', '.join(self.commands)}."
            )
        return found


bench = typer.Typer(
    help="Measure whole programs, or what a backend and a store give to each worker.",
    cls=_Benchmarks,
    no_args_is_help=True,
)


def _command(name: str) -> Callable[..., None]:
    """Return the command that runs a program."""

    def command(
        megabytes: Annotated[
            int, typer.Option("--megabytes", help="Size of the input, in 10**6 bytes.")
        ] = DEFAULT_MB,
        backend: micro.BackendOption = "local",
        store: micro.StoreOption = None,
        place: Annotated[
            str | None,
            typer.Option(
                "--data",
                help="Where input and output go; it stays there. By default a temporary directory.",
            ),
        ] = None,
        workers: Annotated[
            int | None, typer.Option("--workers", help="How many workers; by default the backend's choice.")
        ] = None,
        partition_mb: Annotated[int, typer.Option("--partition-mb", help="Size of a partition.")] = 32,
    ) -> None:
        if megabytes < 1 or partition_mb < 1:
            raise BadOption("--megabytes and --partition-mb", "count from 1")
        if backend not in micro.NEAR and place is None:
            raise BadOption(
                "--data", f"is missing, and workers of {backend!r} see no directory of this computer"
            )
        with ExitStack() as stack:
            if place is None:
                place = stack.enter_context(tempfile.TemporaryDirectory(prefix="wrens-bench-data-"))
            ex = stack.enter_context(micro.opened(backend, store, workers))
            _run(ex, name, megabytes * 10**6, place.rstrip("/"), partition_mb * 10**6)

    return command


for _name in NAMES:
    _help = f"Run a program on data made for it: it {ABOUT[_name]}. Prints time, bytes and requests by stage, and checks the result."
    bench.command(_name, help=_help)(_command(_name))
for _benchmark in (micro.flops, micro.store, kv, micro.breakdown):
    bench.command()(_benchmark)


def _run(ex: Executor, name: str, nbytes: int, place: str, size: int) -> None:
    """Run a program and print what it did; end with 1 when its result is not right."""
    from wrens.programs import catalogue, making  # with NumPy, which the other commands do not need

    program, clock = catalogue.program(name), SystemClock()
    began = clock.now()
    source, nbytes = making.make(ex, program, f"{place}/{name}", nbytes)
    made = clock.now()
    note(f"made or found {texts.size(nbytes)} of input at {source} in {texts.duration(made - began)}")
    began = clock.now()
    done = program.run(ex, source, f"{place}/{name}/output-{keys.new_id()}", size)
    took = clock.now() - began
    _show(done.stages, nbytes)
    data(done.told)
    data(
        f"{texts.duration(took)} in all, with the check of the result, which is {'right' if done.right else 'WRONG'}"
    )
    if not done.right:
        raise typer.Exit(1)


def _show(stages: tuple[Stage, ...], nbytes: int) -> None:
    rows = []
    for stage in stages:
        rate = texts.size(int(nbytes / stage.seconds)) if stage.seconds else ""
        rows.append(
            (
                stage.name,
                f"{stage.tasks:,}",
                f"{stage.seconds:.2f} s",
                f"{rate}/s of input",
                texts.size(stage.bytes_out) if stage.bytes_out else "",
                f"{stage.objects:,}" if stage.objects else "",
                f"{stage.requests.puts:,}",
                f"{stage.requests.gets:,}",
                f"{stage.requests.lists:,}",
            )
        )
    asked = [">writes", ">reads", ">lists"]
    table(["stage", ">tasks", ">time", ">throughput", ">bytes between stages", ">objects", *asked], rows)
