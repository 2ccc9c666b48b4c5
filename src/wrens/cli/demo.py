"""``wrens demo``: a real job on real input, with a worker killed in its middle.

Decides the order of the show and its words. Everything it claims it has measured in this very run, and what
speaks against wrens (a plain loop that is faster) is said as well.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wrens import Executor, events
from wrens.cli.screen import data, table
from wrens.clock import SystemClock
from wrens.core.reading import losses
from wrens.errors import BadOption, WrensError
from wrens.report import texts, wordcount
from wrens.store import open_store

SHOWN = 8
WAIT_S = 30.0


@dataclass(frozen=True)
class _Run:
    counts: Counter[bytes]
    seconds: float


def demo(
    path: Annotated[
        Path | None, typer.Option(help="Count the files below this directory instead of Python's own.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers; by default one per CPU.")] = None,
) -> None:
    """Count the words of Python's own library in parallel, then again while a worker is killed."""
    root = path or wordcount.standard_library()
    files = wordcount.text_files(root)
    if not files:
        raise BadOption(
            f"--path {root}", "has no text or source files below it", "Name a directory that has."
        )
    nbytes = sum(length for _, length in files)
    tasks = wordcount.groups(files)
    data(
        f"Counting the words of {texts.count(len(files), 'file')} ({texts.size(nbytes)}) below {root}, "
        f"in {texts.count(len(tasks), 'task')} of about {texts.size(wordcount.GROUP_BYTES)}."
    )
    # The stores are the demo's own, so that nothing is left in the user's, whatever happens here.
    # Everything is read once before, so that the first to be measured does not pay for the disk.
    for name, _ in files:
        Path(name).read_bytes()
    with (
        tempfile.TemporaryDirectory(prefix="wrens-demo-") as store,
        Executor(store=store, max_workers=workers) as ex,
    ):
        mapped = _timed(lambda: wordcount.merge(ex.map(wordcount.count_words, tasks)))
        again = _timed(lambda: wordcount.merge(ex.map(wordcount.count_words, tasks)))
    plain = _timed(lambda: wordcount.count_words([name for name, _ in files]))
    _show_words(mapped.counts)
    _show_speeds(
        [
            ("wrens, cold: starts its workers", mapped),
            ("wrens, warm", again),
            ("plain loop, one process", plain),
        ],
        len(files),
        nbytes,
    )
    _compare(again, plain)
    same = mapped.counts == again.counts == plain.counts
    same = _show_loss(tasks, plain.counts, workers) and same
    if not same:
        data("The tables differ. That must not be: please report it.")
        raise typer.Exit(1)
    data("Done: every run gave the same table, the one that lost a worker included.")


def _timed(work: Callable[[], Counter[bytes]]) -> _Run:
    clock = SystemClock()
    began = clock.now()
    counts = work()
    return _Run(counts, clock.now() - began)


def _show_words(counts: Counter[bytes]) -> None:
    rows = [(word, f"{count:,}") for word, count in wordcount.top(counts, SHOWN)]
    table(["word", ">count"], rows)
    data(f"{len(counts):,} different words, {counts.total():,} in all.")


def _show_speeds(runs: Sequence[tuple[str, _Run]], files: int, nbytes: int) -> None:
    rows = [
        (
            name,
            texts.duration(run.seconds),
            texts.rate(nbytes / 1e6 / run.seconds),
            texts.rate(files / run.seconds),
        )
        for name, run in runs
    ]
    table(["", ">time", ">MB/s", ">files/s"], rows)


def _compare(warm: _Run, plain: _Run) -> None:
    factor = plain.seconds / warm.seconds
    cpus = texts.count(os.cpu_count() or 1, "CPU")
    if factor >= 1:
        data(f"Warm, wrens was {factor:.1f} times as fast as the plain loop, on {cpus}.")
    else:
        data(
            f"The plain loop was {1 / factor:.1f} times as fast as wrens, on {cpus}: so little work is not "
            "worth sending to workers."
        )


def _show_loss(tasks: Sequence[list[str]], expected: Counter[bytes], workers: int | None) -> bool:
    """Run the job once more, kill the worker that has the task in its middle, and say what happened."""
    seen = threading.Event()

    def observe(event: events.Event) -> None:
        if isinstance(event, events.AttemptLost):
            seen.set()

    with tempfile.TemporaryDirectory(prefix="wrens-demo-") as folder:
        store = Path(folder, "store")
        held = wordcount.Held(folder, tasks[len(tasks) // 2][0])
        with Executor(store=store, max_workers=workers, observers=[observe]) as ex:
            job = ex.map_async(held, tasks)
            pid = _await_worker(held)
            os.kill(pid, signal.SIGKILL)
            data(f"Job {job.id}: killed its worker {pid} (SIGKILL) in the middle of a task.")
            counts = wordcount.merge(job.results(timeout=10 * WAIT_S))
            lost = losses(open_store(store), job.id)
    if not (seen.is_set() and lost):
        data("The loss was not noticed. That must not be: please report it.")
        return False
    same = counts == expected
    data(
        f"Noticed: {lost[0].where}: {lost[0].reason}; its task was run again elsewhere. "
        + ("The table is the same." if same else "The table is NOT the same.")
    )
    return same


def _await_worker(held: wordcount.Held) -> int:
    clock = SystemClock()
    end = clock.now() + WAIT_S
    while (pid := held.worker()) is None:
        if clock.now() > end:
            raise WrensError(f"no worker began the task to be interrupted within {WAIT_S:g} s")
        clock.sleep(0.005)
    return pid
