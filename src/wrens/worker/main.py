"""The main program of a worker process on this computer.

    pipe in    one Setup, then one Invocation after another; its end means go      see worker.talk
    pipe out   a Notice whenever there is something to say
    status     shared memory                                                       see worker.page
    1 and 2    two files                                                           see worker.output

The pipes have high private numbers and are closed on exec, so what the user's code does to the standard
streams or starts as child processes cannot disturb them. Decides the process's habits: it ignores Ctrl-C (the
driver decides), never imports the client's ``__main__``, and leaves without waiting for threads that tasks
left running.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from wrens.serialize import set_resolver, tidy
from wrens.wire import decoders, keys
from wrens.wire.records import Invocation
from wrens.worker import page
from wrens.worker.attempt import run
from wrens.worker.host import Host
from wrens.worker.output import Output, raised, text_stream
from wrens.worker.refs import Refs
from wrens.worker.surroundings import Surroundings
from wrens.worker.talk import REASON, Frames, Notice, Setup, frame
from wrens.worker.watchdog import Watchdog


def main(fds: tuple[int, int, int]) -> NoReturn:
    """Serve until the client closes the pipe.

    Args:
        fds: Descriptors of the pipe to read, the pipe to write and the status page.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Inherited from the driver's thread, which leaves Ctrl-C to others; what tasks start should have it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    source, sink = raised(fds[0]), raised(fds[1])
    shared = mmap.mmap(fds[2], page.BYTES)
    os.close(fds[2])
    kept = (raised(os.dup(1)), raised(os.dup(2)))
    sys.stdout, sys.stderr = text_stream(1), text_stream(2)
    faulthandler.enable(file=kept[1])
    frames = _frames(source)
    setup = decoders.from_msgpack(Setup, next(frames))
    host = _host(setup, sink, memoryview(shared).cast("q"), Output(kept))
    surroundings = Surroundings()
    for data in frames:
        invocation = decoders.from_msgpack(Invocation, data)
        if surroundings.are_of(keys.driver_of(invocation.attempt)):
            host.initialized.clear()
        _serve(invocation, host)
    _leave()


def _host(setup: Setup, sink: int, status: memoryview, output: Output) -> Host:
    """Describe this process to the attempts that it will run."""

    def notify(notice: Notice) -> None:
        try:
            os.write(sink, frame(notice))
        except BrokenPipeError:
            # The client is gone, and what there was to settle is settled.
            os._exit(0)

    host = Host(
        backend=setup.backend,
        where=setup.where,
        page=status,
        notify=notify,
        capture=output,
        leave=os._exit,
        orphaned=lambda: os.getppid() != setup.client_pid,
    )
    host.watch = watchdog = Watchdog(host)
    set_resolver(Refs(host))
    watchdog.start()
    return host


def _serve(invocation: Invocation, host: Host) -> None:
    """Run one attempt and say how it ended."""
    host.page[page.SERIAL] += 1
    report = run(invocation, host)
    host.notify(Notice(report.attempt, lost=report.lost[:REASON], refused=report.refused))


def _frames(fd: int) -> Iterator[bytes]:
    """Yield what comes through the pipe, until the client closes it."""
    frames = Frames()
    while data := os.read(fd, 1 << 20):
        yield from frames.feed(data)
    _leave()


def _leave() -> NoReturn:
    """End the process without waiting for threads that tasks left running."""
    tidy()
    os._exit(0)


def start(argv: list[str]) -> NoReturn:
    """Begin with the command line of a worker: the descriptors, separated by commas."""
    a, b, c = map(int, argv[1].split(","))
    sys.argv = argv[:1]
    main((a, b, c))
