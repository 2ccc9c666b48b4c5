"""The process that a worker lives in, as far as an attempt needs to know it.

Decides what is kept from one attempt to the next in a warm worker: open stores, loaded functions, which
initializers have run. Everything here can be lost at any time without harm.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from wrens.clock import Clock, SystemClock
from wrens.errors import BadSignature, StoreUnavailable, WrensError
from wrens.serialize import Loader
from wrens.store import open_store
from wrens.store.meters import made_here, unbilled
from wrens.store.port import raw_range
from wrens.wire.records import Failure, Requests
from wrens.worker import page as status
from wrens.worker.talk import Notice

if TYPE_CHECKING:
    from wrens.store.port import Buffer, Mode, Store

EXIT_TIMEOUT = 81
"""The process ended itself after it had settled a task that ran longer than its timeout."""
EXIT_DEADLINE = 82
"""The process ended itself after it had handed on its batch, because the platform was about to."""
EXIT_ORPHAN = 83
"""The process ended itself after it had handed on its batch, because its client was gone."""


class Capture(Protocol):
    """Where the output of tasks is caught; see :class:`wrens.worker.output.Output`."""

    def begin(self) -> None:
        """Note where the output of the next attempt begins."""
        ...

    def tail(self) -> str:
        """Return the last of what was written since :meth:`begin`."""
        ...


class Watch(Protocol):
    """What looks after an attempt while it runs; see :class:`wrens.worker.watchdog.Watchdog`."""

    def begin(self, run: Any) -> None:
        """Look after this attempt, a :class:`wrens.worker.running.Running`, from now on."""
        ...

    def end(self) -> None:
        """Look after it no longer."""
        ...


@dataclass(slots=True)
class Traffic:
    """Bytes that went to and came from the store since the last look."""

    read: int = 0
    written: int = 0


@dataclass(slots=True, eq=False)
class Host:
    """What surrounds the attempts of one worker.

    Args:
        backend: Name of the backend, for :func:`wrens.worker.context.current_task`.
        where: The worker in words, as it stands in verdicts and notes.
        clock: The time.
        page: The status page, see :mod:`wrens.worker.page`.
        notify: Called when an attempt goes on under another name, or ends together with its process.
        capture: What catches stdout and stderr; ``None`` leaves them alone.
        watch: What looks after attempts while they run; ``None`` for nobody.
        leave: Ends the process at once with an exit code; ``None`` when the attempt runs in the driver's
            process. Without it nothing can be stopped while it runs, and Ctrl-C is the user's.
        orphaned: Tells whether the client is gone.
    """

    backend: str
    where: str
    clock: Clock = field(default_factory=SystemClock)
    page: memoryview = field(default_factory=status.private)
    notify: Callable[[Notice], None] = lambda _: None
    capture: Capture | None = None
    watch: Watch | None = None
    leave: Callable[[int], None] | None = None
    orphaned: Callable[[], bool] = lambda: False
    pid: int = field(default_factory=os.getpid)
    traffic: Traffic = field(default_factory=Traffic)
    initialized: dict[str, Failure | None] = field(default_factory=dict)
    broken: WrensError | None = None
    """The last time that something in a store could not be read; tells such an error from a task's own."""
    main_thread: int = field(default_factory=threading.get_ident)
    _stores: dict[str, Store] = field(default_factory=dict)
    _loaders: dict[str, Loader] = field(default_factory=dict)

    def store(self, url: str) -> Store:
        """Return the store of this URL, opened once."""
        found = self._stores.get(url)
        if found is None:
            found = self._stores[url] = open_store(url, decided=True)
        return found

    def get(self, url: str, key: str, start: int = 0, length: int | None = None) -> memoryview:
        """Read from a store, counting the bytes."""
        try:
            data = self.store(url).get(key, start=start, length=length)
        except (StoreUnavailable, BadSignature) as error:
            self.broken = error
            raise
        self.traffic.read += data.nbytes
        return data

    def raw_range(self, url: str, key: str, start: int, length: int) -> memoryview:
        """Read a range whose signature nobody has checked, counting the bytes; see :func:`~wrens.store.port.raw_range`."""
        data = raw_range(self.store(url), key, start, length)
        self.traffic.read += data.nbytes
        return data

    def put(self, url: str, key: str, buffers: list[Buffer], *, mode: Mode = "if_absent") -> None:
        """Write to a store, counting the bytes."""
        self.store(url).put(key, buffers, mode=mode)
        self.traffic.written += sum(map(len, buffers))

    def requests(self) -> tuple[Requests, Requests] | None:
        """Return what this process has asked of buckets, and of directories; ``None`` where the client counts that."""
        return (made_here(), unbilled.total()) if self.leave is not None else None

    def loader(self, url: str) -> Loader:
        """Return the loader that reads functions from this store and keeps them."""
        found = self._loaders.get(url)
        if found is None:
            found = self._loaders[url] = Loader(lambda key: self.get(url, key))
        return found
