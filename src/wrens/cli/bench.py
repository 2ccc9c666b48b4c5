"""``wrens bench``: whole programs on large data, stage by stage, on any backend and store.

Decides the options and the table. What is run is in :mod:`wrens.programs`.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from wrens import Executor
from wrens.cli.screen import data, note, table
from wrens.clock import SystemClock
from wrens.errors import BadOption
from wrens.programs import NAMES
from wrens.report import texts
from wrens.wire import keys

if TYPE_CHECKING:
    from wrens.models.stages import Stage

DEFAULT_MB = 64


def bench(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(NAMES)}.")],
    megabytes: Annotated[
        int, typer.Option("--megabytes", help="Size of the input, in 10**6 bytes.")
    ] = DEFAULT_MB,
    backend: Annotated[str, typer.Option(help="Where workers run.")] = "local",
    store: Annotated[
        str | None, typer.Option(help="The job store; by default a temporary directory.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--data", help="Where input and output go; it stays there. By default a temporary directory."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many workers; by default the backend's choice.")
    ] = None,
    partition_mb: Annotated[int, typer.Option("--partition-mb", help="Size of a partition.")] = 32,
) -> None:
    """Run a program on data made for it, print time, bytes and requests by stage, and check the result."""
    from wrens.programs import catalogue, making  # with NumPy, which the other commands do not need

    program = catalogue.program(name)
    if megabytes < 1 or partition_mb < 1:
        raise BadOption("--megabytes and --partition-mb", "count from 1")
    if backend not in {"local", "inline"} and place is None:
        raise BadOption("--data", f"is missing, and workers of {backend!r} see no directory of this computer")
    clock = SystemClock()
    with ExitStack() as stack:
        if store is None and backend in {"local", "inline"}:
            store = stack.enter_context(tempfile.TemporaryDirectory(prefix="wrens-bench-store-"))
        if place is None:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="wrens-bench-data-"))
        ex = stack.enter_context(Executor(backend, store=store, max_workers=workers))
        began = clock.now()
        source, nbytes = making.make(ex, program, f"{place.rstrip('/')}/{name}", megabytes * 10**6)
        made = clock.now()
        note(f"made or found {texts.size(nbytes)} of input at {source} in {texts.duration(made - began)}")
        target = f"{place.rstrip('/')}/{name}/output-{keys.new_id()}"
        began = clock.now()
        done = program.run(ex, source, target, partition_mb * 10**6)
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
