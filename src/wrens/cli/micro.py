"""``wrens bench flops``, ``store`` and ``breakdown``: what a backend and a store give to each worker.

Decides the options, the tables and when a figure is drawn. What is measured is in :mod:`wrens.programs.micro`, the parts of a
job's time in :mod:`wrens.report.breakdown`. Each number of workers has an executor of its own, so workers start anew and
the rate of the whole job has their start in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wrens import Executor
from wrens.backends.cpus import usable_cpus
from wrens.cli.screen import as_json, data, note, table
from wrens.clock import SystemClock
from wrens.core.policy import Packing
from wrens.errors import BadOption
from wrens.report import texts
from wrens.report.spread import Spread, bins

if TYPE_CHECKING:
    from wrens.events import Observer
    from wrens.programs.micro.measuring import Run
    from wrens.report.breakdown import Breakdown
    from wrens.report.figures import Line

MOST = 8
"""Workers that are tried without being asked for."""
FEW, BAR = 4, 40
"""From how many workers on a histogram is printed, and how long its longest bar is."""
MANY_THREADS = 1.5
"""Processors that a task with one thread cannot keep busy."""
NEAR = ("local", "inline")
"""Backends whose workers see a temporary directory of this computer."""

BackendOption = Annotated[str, typer.Option("--backend", help="Where workers run.")]
StoreOption = Annotated[
    str | None, typer.Option("--store", help="The job store; by default a temporary directory.")
]
WorkersOption = Annotated[
    str, typer.Option("--workers", help="Numbers of workers, such as 1,2,4; by default 1, 2, 4 and so on.")
]
FigureOption = Annotated[
    str | None, typer.Option("--figure", help="Draw a figure: NAME.png and NAME.svg.", metavar="NAME")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, with what each worker measured.")]


def flops(
    size: Annotated[
        int | None, typer.Option("--size", help="Rows and columns of a matrix; by default what fits.")
    ] = None,
    loops: Annotated[int, typer.Option("--loops", help="Products of each task.")] = 5,
    workers: WorkersOption = "",
    backend: BackendOption = "local",
    store: StoreOption = None,
    figure: FigureOption = None,
    json: JsonOption = False,
) -> None:
    """Multiply matrices on each worker, with one thread, and print the floating-point operations per second."""
    from wrens.programs.micro import flops as program

    at_least("--loops", loops, 1)
    if size is not None:
        at_least("--size", size, 1)
    check_figure(figure)
    runs: list[Run] = []
    for count in counts(workers, backend):
        with opened(backend, store, count) as ex:
            size = size or program.fitting(ex.memory_mb)
            note(f"{texts.count(count, 'worker')}: {loops} × {size:,}² on each")
            runs.append(program.run(ex, count, size, loops))
    if json:
        as_json({"size": size, "loops": loops, "runs": [run_facts(run) for run in runs]})
    else:
        data(f"GFLOPS, {texts.count(loops, 'product')} of matrices of {size:,} × {size:,} on each worker")
        columns = [">workers", ">processes", ">min", ">median", ">mean", ">max"]
        table(
            [*columns, ">together", ">whole job", ">time", ">processors"], [_flops_row(run) for run in runs]
        )
        show_histogram("GFLOPS of each worker, of the most", [rate / 1e9 for rate in runs[-1].rates])
        _warn_of_threads(runs)
    if figure is not None:
        from wrens.report import figures

        draw(figures.scaling("floating-point rate", "GFLOPS", [_line("", runs, 1e9)]), figure)
    finish(runs)


def store(
    megabytes: Annotated[int, typer.Option("--megabytes", help="Size of each object, in 10**6 bytes.")] = 64,
    workers: WorkersOption = "",
    backend: BackendOption = "local",
    store: StoreOption = None,
    figure: FigureOption = None,
    json: JsonOption = False,
) -> None:
    """Write and read an object with each worker, and print the bandwidth that each of them and all had."""
    from wrens.programs.micro import objects as program

    at_least("--megabytes", megabytes, 1)
    check_figure(figure)
    found = []
    for count in counts(workers, backend):
        with opened(backend, store, count) as ex:
            note(f"{texts.count(count, 'worker')}: {megabytes} MB each, in {ex.store.url}")
            found.append(program.run(ex, count, megabytes * 10**6))
    writes, reads = [both.write for both in found], [both.read for both in found]
    if json:
        facts = [{"write": run_facts(both.write), "read": run_facts(both.read)} for both in found]
        as_json({"megabytes": megabytes, "runs": facts})
    else:
        data(f"MB/s, one object of {megabytes} MB for each worker")
        columns = ["", ">workers", ">processes", ">min", ">p5", ">p50", ">p95", ">max"]
        rows = [_store_row("write", run) for run in writes] + [_store_row("read", run) for run in reads]
        table([*columns, ">together", ">whole job", ">time"], rows)
        for what, run in (("write", writes[-1]), ("read", reads[-1])):
            show_histogram(f"{what}, MB/s of each worker, of the most", [rate / 1e6 for rate in run.rates])
    if figure is not None:
        from wrens.report import figures

        lines = [_line("write", writes, 1e6), _line("read", reads, 1e6)]
        draw(figures.scaling(f"bandwidth ({megabytes} MB objects)", "MB/s", lines), figure)
    finish([*writes, *reads])


def breakdown(
    tasks: Annotated[
        int | None, typer.Option("--tasks", help="How many tasks; by default one for each worker.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long each task computes.")] = 0.5,
    kilobytes: Annotated[
        int, typer.Option("--kilobytes", help="Size of each input and of each result, in 10**3 bytes.")
    ] = 100,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="How many workers; by default the backend's choice, up to 8."),
    ] = None,
    backend: BackendOption = "local",
    store: StoreOption = None,
    figure: FigureOption = None,
    json: JsonOption = False,
) -> None:
    """Run a job of tasks of known length, and print where its time has gone, attempt by attempt."""
    from wrens.programs.micro import steps
    from wrens.report.breakdown import Watch, as_facts

    for option, value, least in (
        ("--tasks", tasks, 1),
        ("--kilobytes", kilobytes, 0),
        ("--workers", workers, 1),
    ):
        if value is not None:
            at_least(option, value, least)
    if seconds < 0:
        raise BadOption("--seconds", f"must not be negative, not {seconds}")
    check_figure(figure)
    clock, watch = SystemClock(), Watch()
    with opened(backend, store, workers or counts("", backend)[-1], watch) as ex:
        orders = steps.orders(tasks or workers or min(ex.workers, MOST), seconds, kilobytes * 1000)
        called_at = clock.now()
        job = ex.options(packing=Packing(size=1)).map_async(steps.busy, orders)
        results = job.results()
        found = watch.breakdown(ex.store, job.id, called_at=called_at, done_at=clock.now())
    if json:
        as_json(as_facts(found))
    else:
        show_breakdown(found)
    if figure is not None:
        from wrens.report import figures

        draw(figures.timeline(f"{texts.count(len(orders), 'task')} of {seconds:g} s", found), figure)
    if results != [order.data[::-1] for order in orders]:
        data("the results are WRONG")
        raise typer.Exit(1)


def show_histogram(what: str, values: Sequence[float]) -> None:
    """Print how many workers had which rate, when there are enough of them to be sorted into bins."""
    if len(values) < FEW:
        return
    data(what)
    found = bins(values)
    most = max(count for _, _, count in found)
    for low, high, count in found:
        data(f"  {f'{low:,.1f} – {high:,.1f}':>21}  {'█' * round(BAR * count / most)} {count}")


def show_breakdown(found: Breakdown) -> None:
    """Print where the time of a job has gone."""
    from wrens.report.breakdown import NAMES
    from wrens.report.figures import label

    rows = []
    for name in (*NAMES, "total"):
        told = found.spread(name)
        values = (told.mean, told.std, told.p50, told.p95, told.most)
        rows.append((label(name), *(f"{value:.3f}" for value in values)))
    data(f"seconds of {texts.count(len(found.attempts), 'attempt')}")
    table(["", ">mean", ">std", ">p50", ">p95", ">max"], rows)
    data(
        f"{texts.duration(found.job_s)} from the call to the results; {texts.duration(found.after_s)} of it after the last verdict was read"
    )
    if found.lost:
        data(f"{texts.count(found.lost, 'attempt')} lost, after {texts.duration(found.lost_s)} together")
    if found.moved_s > 0.001:
        data(
            f"workers' clocks differ from this one's by {texts.duration(found.moved_s)} or more: launch and commit are as exact as that"
        )


def counts(asked: str, backend: str) -> list[int]:
    """Return the numbers of workers to try.

    Args:
        asked: Numbers with commas between them; nothing for 1, 2, 4 and so on, up to the processors of this computer where
            workers are its processes, and up to eight.
        backend: Where workers run.

    Raises:
        BadOption: if it is something else.

    >>> counts("4, 1,4", "local"), counts("", "inline")
    ([1, 4], [1])
    """
    if not asked:
        most = {"local": usable_cpus(), "inline": 1}.get(backend, MOST)
        return [2**power for power in range(MOST.bit_length()) if 2**power <= min(MOST, most)]
    return numbers("--workers", asked)


def numbers(option: str, asked: str) -> list[int]:
    """Return the numbers in a text such as ``1,2,4``, in order and each once.

    Raises:
        BadOption: naming the option, if it is something else.

    >>> numbers("--shards", "2, 1,2")
    [1, 2]
    """
    words = [word.strip() for word in asked.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise BadOption(f"{option} {asked!r}", "is no list of numbers from 1", f"Write {option} 1,2,4.")
    return sorted({int(word) for word in words})


@contextmanager
def opened(backend: str, url: str | None, workers: int | None, *observers: Observer) -> Iterator[Executor]:
    """Open an executor with so many workers, on a temporary directory where no store is named and one will do."""
    if url is None and backend in NEAR:
        with (
            tempfile.TemporaryDirectory(prefix="wrens-bench-store-") as folder,
            opened(backend, folder, workers, *observers) as ex,
        ):
            yield ex
        return
    with Executor(backend, store=url, max_workers=workers, observers=observers) as ex:
        yield ex


def at_least(option: str, value: int, least: int) -> None:
    """Refuse a number that is too small.

    Raises:
        BadOption: naming the option.
    """
    if value < least:
        raise BadOption(option, f"must be at least {least}, not {value}")


def check_figure(path: str | None) -> None:
    """Refuse, before anything is measured, a figure that could not be drawn or written.

    Raises:
        MissingPackage: if matplotlib is not installed.
        BadOption: if its folder does not exist.
    """
    if path is not None:
        from wrens.report import figures

        figures.paths(path)


def draw(figure: Any, path: str) -> None:
    """Write a figure, and say where."""
    from wrens.report import figures

    note(f"figure: {' and '.join(map(str, figures.save(figure, path)))}")


def run_facts(run: Run) -> dict[str, Any]:
    """Return a run as what JSON can hold, with what each worker measured."""
    return {
        "workers": run.workers,
        "processes": run.processes,
        "job_s": run.job_s,
        "aggregate": run.aggregate,
        "effective": run.effective,
        "right": run.right,
        "each": [asdict(reading) | {"rate": reading.rate} for reading in run.readings],
    }


def finish(runs: Sequence[Run]) -> None:
    """End with 1 when a task has found that its work was not right."""
    wrong = sum(not reading.right for run in runs for reading in run.readings)
    if wrong:
        data(f"{texts.count(wrong, 'task')} found what was computed or read WRONG")
        raise typer.Exit(1)


def _flops_row(run: Run) -> tuple[str, ...]:
    told = Spread.of([rate / 1e9 for rate in run.rates])
    rates = (told.least, told.p50, told.mean, told.most, run.aggregate / 1e9, run.effective / 1e9)
    return (
        f"{run.workers:,}",
        f"{run.processes:,}",
        *map(_rate, rates),
        texts.duration(run.job_s),
        f"{run.busy:.1f}",
    )


def _store_row(what: str, run: Run) -> tuple[str, ...]:
    told = Spread.of([rate / 1e6 for rate in run.rates])
    rates = (told.least, told.p5, told.p50, told.p95, told.most, run.aggregate / 1e6, run.effective / 1e6)
    return (what, f"{run.workers:,}", f"{run.processes:,}", *map(_rate, rates), texts.duration(run.job_s))


_rate: Callable[[float], str] = "{:,.1f}".format


def _line(name: str, runs: Sequence[Run], unit: float) -> Line:
    from wrens.report.figures import Line

    return Line(
        name,
        [run.workers for run in runs],
        [run.aggregate / unit for run in runs],
        [run.effective / unit for run in runs],
        [rate / unit for rate in runs[-1].rates],
    )


def _warn_of_threads(runs: Sequence[Run]) -> None:
    """Say when a task has had more than its one thread, so that nobody takes its rate for a processor's."""
    if max(run.busy for run in runs) > MANY_THREADS:
        data(
            "A task kept more than one processor busy: NumPy had been loaded in its process before it could be held to one "
            "thread. Set OMP_NUM_THREADS=1 where workers are."
        )
