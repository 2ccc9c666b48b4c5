"""``wrens bench kv``: how long operations on a key-value tier take, by the number of clients and of servers.

Decides the options and the table. What is measured is in :mod:`wrens.programs.micro.roundtrips`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wrens.cli import micro
from wrens.cli.screen import as_json, data, note, table
from wrens.errors import BadOption
from wrens.report import texts
from wrens.report.spread import Spread, percentile

if TYPE_CHECKING:
    from wrens.kv import KeyValue
    from wrens.programs.micro.roundtrips import Trips

CLIENTS = "1,2,4,8,16"
PERCENTS = (50, 90, 99, 99.9, 100)


def kv(
    workers: Annotated[str, typer.Option("--workers", help="Numbers of clients, each a worker.")] = CLIENTS,
    shards: Annotated[
        str, typer.Option("--shards", help="Numbers of servers; by default all there are.")
    ] = "",
    url: Annotated[
        list[str] | None,
        typer.Option(
            "--url",
            help="A server, redis://host:port; may be given several times. By default some of its own.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", help="How long each client writes, and then reads.")
    ] = 1.0,
    backend: micro.BackendOption = "local",
    store: micro.StoreOption = None,
    figure: micro.FigureOption = None,
    json: micro.JsonOption = False,
) -> None:
    """Put and get values of 128 bytes, one after the other, with each worker, and print rates and latencies."""
    from wrens.programs.micro import roundtrips as program

    urls = url or []
    numbers = _numbers(shards, urls, backend)
    if seconds <= 0:
        raise BadOption("--seconds", f"must be positive, not {seconds}")
    clients = micro.counts(workers, backend)
    micro.check_figure(figure)
    found: list[Trips] = []
    for number in numbers:
        with _tier(urls, number) as tier:
            for count in clients:
                note(f"{texts.count(count, 'client')}, {texts.count(number, 'server')}")
                with micro.opened(backend, store, count) as ex:
                    found.extend(program.run(ex, tier, count, seconds))
    if json:
        as_json([_facts(trips) for trips in found])
    else:
        _show(found, program.NBYTES)
    if figure is not None:
        from wrens.report import figures

        lines = [_line(what, number, found) for number in numbers for what in ("put", "get")]
        micro.draw(figures.latencies(f"{program.NBYTES} bytes, put and get", lines), figure)
    micro.finish([trips.run for trips in found])


def _numbers(shards: str, urls: Sequence[str], backend: str) -> list[int]:
    """Return with how many servers to measure, if there are so many that workers can reach."""
    if not urls and backend not in micro.NEAR:
        raise BadOption(
            "--url", f"is missing, and workers of {backend!r} do not reach a server of this computer"
        )
    numbers = micro.numbers("--shards", shards) if shards else [len(urls) or 1]
    if urls and max(numbers) > len(urls):
        raise BadOption("--shards", f"asks for {max(numbers)} servers, and {len(urls)} are named with --url")
    return numbers


@contextmanager
def _tier(urls: Sequence[str], shards: int) -> Iterator[KeyValue]:
    """Connect to the first of some servers, or to as many of its own."""
    from wrens.kv import connect, serve

    with ExitStack() as stack:
        chosen = list(urls[:shards]) or [stack.enter_context(serve()) for _ in range(shards)]
        yield stack.enter_context(connect(chosen))


def _show(found: Sequence[Trips], nbytes: int) -> None:
    rows = []
    for what in ("put", "get"):
        for trips in found:
            if trips.what == what:
                run = trips.run
                told = Spread.of(run.rates)
                rates = (told.least, told.p50, told.most, run.aggregate, run.effective)
                times = [f"{1000 * percentile(trips.latencies, percent):.3f}" for percent in PERCENTS]
                counts = (trips.shards, run.workers, run.processes)
                rows.append((what, *map(str, counts), *(f"{rate:,.0f}" for rate in rates), *times))
    data(f"operations/s on values of {nbytes} bytes, one after the other, and how long one took in ms")
    columns = ["", ">servers", ">clients", ">processes", ">min", ">median", ">max", ">together", ">whole job"]
    table([*columns, ">p50", ">p90", ">p99", ">p99.9", ">max"], rows)


def _facts(trips: Trips) -> dict[str, Any]:
    """Return what was measured as what JSON can hold."""
    latencies = {f"p{percent:g}": percentile(trips.latencies, percent) for percent in PERCENTS}
    return {
        "what": trips.what,
        "shards": trips.shards,
        "operations": len(trips.latencies),
        "latency_s": latencies,
        **micro.run_facts(trips.run),
    }


def _line(what: str, shards: int, found: Sequence[Trips]) -> Any:
    from wrens.report.figures import Latencies

    mine = [trips for trips in found if (trips.what, trips.shards) == (what, shards)]
    return Latencies(
        f"{what}, {texts.count(shards, 'server')}",
        [trips.run.workers for trips in mine],
        [trips.run.aggregate for trips in mine],
        [1000 * percentile(trips.latencies, 50) for trips in mine],
        [1000 * percentile(trips.latencies, 99) for trips in mine],
    )
