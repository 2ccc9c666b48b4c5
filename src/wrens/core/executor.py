"""The executor: what a user calls.

Decides the names, arguments and promises of the public face, which are those of
``concurrent.futures.Executor`` and a few more. Everything else is done by the session behind it.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from wrens import events
from wrens.backends.base import Backend
from wrens.core.future import Future
from wrens.core.job import Job
from wrens.core.opening import open_session
from wrens.core.planning import put_content, upload
from wrens.core.policy import Options, Packing, whole
from wrens.core.session import Session
from wrens.core.submitted import SubmitQueue
from wrens.core.watching import waited_for
from wrens.environments.wanted import Environment
from wrens.errors import BadOption
from wrens.serialize import load_reference, pack
from wrens.store.port import Store
from wrens.wire import keys
from wrens.wire.records import Requests, ValueRef

T = TypeVar("T")


class Shared(Generic[T]):
    """A value in the store, uploaded once; as an argument or in a closure it stands for the value.

    Made by :meth:`Executor.put`; a worker fetches it once and keeps it for later tasks. They share that one
    copy, so its arrays are read-only.
    """

    def __init__(self, ref: ValueRef, nbytes: int) -> None:
        self._ref = ref
        self.nbytes = nbytes

    def __repr__(self) -> str:
        return f"<Shared {self._ref.digest}, {self.nbytes} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (load_reference, (self._ref,))


class Executor(concurrent.futures.Executor):
    """Runs functions on workers that nobody has to keep; the state of every job is in a store.

    It is a ``concurrent.futures.Executor``, so a program that uses ``ProcessPoolExecutor`` changes one line.
    What is more than the standard library is a policy, set with :meth:`options`: all arguments of ``submit``
    belong to the function.

    Args:
        backend: Where workers run: ``"local"`` (processes of this computer), ``"inline"`` (this very
            process, for a debugger), another installed backend's name, or a backend object. By default
            ``"local"``; inside a task ``"inline"``, so that no second pool is started.
        store: URL or directory of the store; by default a directory in the user's cache.
        max_workers: How many workers may run at a time; by default what the backend finds sensible, on this
            computer the number of CPUs that the process may use.
        initializer: Called once by each worker before its first task.
        initargs: Its arguments.
        keep: Keep the data of all jobs when the executor closes.
        environment: Which packages workers get that have none, as on a cloud; by default those that the
            functions import, in the versions that are installed here.
        observers: Called with each event of :mod:`wrens.events`.

    Raises:
        UnknownBackend: if no backend has this name.
        BadStoreURL: if the store's URL names none.
        StoreDenied: if the store may not be written.
        BadOption: if an option cannot be.
        WrongPython: if the workers of this backend have another minor version of Python.

    >>> with Executor("inline") as ex:
    ...     list(ex.map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """

    def __init__(
        self,
        backend: str | Backend | None = None,
        *,
        store: str | os.PathLike[str] | Store | None = None,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        keep: bool = False,
        environment: Environment | None = None,
        observers: Sequence[events.Observer] = (),
    ) -> None:
        if max_workers is not None:
            # The standard library's words: its own tests look for them.
            if isinstance(max_workers, int) and max_workers < 1:
                raise BadOption("max_workers", f"must be greater than 0, not {max_workers}")
            whole("max_workers", max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, not {initializer!r}")
        self._options = Options(keep=keep, environment=Environment() if environment is None else environment)
        self._session = open_session(
            backend,
            store,
            max_workers=max_workers,
            initializer=None if initializer is None else (initializer, initargs),
            observers=observers,
        )
        self._queue: SubmitQueue | None = None
        self._owner = True
        _open_sessions.add(self._session)
        self._session.on_closed = partial(_open_sessions.discard, self._session)
        # Not at exit: there the sessions that are still open are waited for, as the standard library does.
        weakref.finalize(self, _forgotten, self._session).atexit = False

    # --- the standard library's face ---

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` once, and return its future at once.

        A future among the arguments, or in a list, tuple or dict that is one, is waited for and stands for
        its result; so does what :meth:`put` returned.

        Raises:
            RuntimeError: if the executor has been shut down.

        >>> with Executor("inline") as ex:
        ...     ex.submit(divmod, 7, 2).result()
        (3, 1)
        """
        self._check_open()
        _check_callable(fn)
        self._session.prepare(fn, self._options)
        if self._queue is None:
            self._queue = self._session.queue(self._options)
        future = self._queue.add(fn, args, kwargs)
        self._session.wake()
        return future

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over ``fn(x)`` for each input, in order, like the built-in ``map``.

        Inputs of known length are stored at once. Others (generators) are read as results are consumed,
        a little ahead, so an endless one is fine.

        Args:
            fn: The function.
            iterables: Its inputs; several are joined as the built-in does.
            timeout: Seconds from this call after which waiting for a result raises ``TimeoutError``.
            chunksize: Tasks per batch when more than 1; by default the packing adapts.
            buffersize: Tasks to be read ahead of what was consumed, as in Python 3.14.

        Raises:
            RuntimeError: if the executor has been shut down.
            ValueError: if ``chunksize`` or ``buffersize`` is below 1.

        >>> with Executor("inline") as ex:
        ...     list(ex.map(pow, [2, 3], [5, 2]))
        [32, 9]
        """
        call: Literal["one", "star"] = "one" if len(iterables) == 1 else "star"
        return self._map(fn, iterables, call, timeout=timeout, chunksize=chunksize, buffersize=buffersize)

    def starmap(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Sequence[Any]],
        timeout: float | None = None,
    ) -> Iterator[T]:
        """Return an iterator over ``fn(*x)`` for each input, in order.

        >>> with Executor("inline") as ex:
        ...     list(ex.starmap(pow, [(2, 5), (3, 2)]))
        [32, 9]
        """
        return self._map(fn, iterables, "star", timeout=timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - stdlib
        """Take no more work, and free everything when what there is has ended.

        Args:
            wait: Return only when that has happened.
            cancel_futures: Cancel what no worker has begun.

        The data of jobs that are neither named nor kept is deleted. On a view made by :meth:`options` this
        does nothing: the executor that it was made from is to be shut down.
        """
        if self._owner:
            self._session.close(wait=wait, cancel=cancel_futures)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        """Shut down; after Ctrl-C without waiting for what is running."""
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._owner:
            self._session.abandon()
            return False
        self.shutdown(wait=True)
        return False

    # --- more ---

    def map_async(self, fn: Callable[..., T], /, *iterables: Iterable[Any]) -> Job[T]:
        """Make a durable job of ``fn`` over the inputs, and return it without waiting.

        The job's id is enough to get it back from anywhere; see :func:`wrens.attach`. An input of unknown
        length is read in a thread, a little ahead of the workers.

        >>> with Executor("inline") as ex:
        ...     ex.map_async(abs, [-1, -2]).results()
        [1, 2]
        """
        self._check_open()
        _check_callable(fn)
        call: Literal["one", "star"] = "one" if len(iterables) == 1 else "star"
        _check_iterables(iterables)
        return self._session.map(fn, iterables, call, self._options, in_background=True)

    def starmap_async(self, fn: Callable[..., T], /, *iterables: Iterable[Sequence[Any]]) -> Job[T]:
        """Make a durable job of ``fn(*x)`` for each input.

        >>> with Executor("inline") as ex:
        ...     ex.starmap_async(pow, [(2, 5)]).results()
        [32]
        """
        self._check_open()
        _check_callable(fn)
        _check_iterables(iterables)
        return self._session.map(fn, iterables, "star", self._options, in_background=True)

    def put(self, value: T) -> Shared[T]:
        """Store a value that many tasks need, once; pass what is returned in its place.

        Raises:
            CannotShip: if the value cannot be pickled.

        >>> with Executor("inline") as ex:
        ...     big = ex.put(list(range(1000)))
        ...     ex.submit(sum, big).result()
        499500
        """
        self._check_open()
        packed = pack([value], what=lambda _: "the shared value", shipper=self._session.shipper)
        if packed.failures:
            raise packed.failures[0]
        store = self._session.store
        upload(store, self._session.shipper)
        name = keys.content(self._session.driver.id, *packed.buffers)
        self._session.remember_value(keys.value(name), packed.modules)
        put_content(store, keys.value(name), packed.buffers)
        return Shared(ValueRef(store.url, name), packed.nbytes)

    @property
    def workers(self) -> int:
        """How many workers may run at a time.

        >>> Executor("inline").workers
        1
        """
        return self._session.backend.limits.parallelism

    @property
    def memory_mb(self) -> int | None:
        """Megabytes that a worker may use, as asked for or as the backend has it; ``None`` when not known.

        >>> import wrens
        >>> Executor("inline").options(resources=wrens.Resources(memory_mb=512)).memory_mb
        512
        """
        return self._options.resources.memory_mb or self._session.backend.limits.memory_mb

    @property
    def requests(self) -> Requests:
        """What stores were asked for until now: by this process, and by workers of which a verdict has come.

        The difference between two moments is what the work between them has asked for; where this process does other
        things at the same time, these are in it too. What attempts have asked that were lost or came too late is not,
        nor what was asked of Redis. Requests to directories are those that a bucket would have been sent.

        >>> import wrens
        >>> with wrens.Executor("inline", store="memory://counts") as ex:
        ...     before = ex.requests
        ...     ex.submit(abs, -1).result()
        ...     (ex.requests - before).puts > 0
        1
        True
        """
        return self._session.driver.signs.accounts.until_now()

    @property
    def store(self) -> Store:
        """The store that holds the state of all jobs."""
        return self._session.store

    @property
    def name(self) -> str | None:
        """The name that a map called on this view has; see :meth:`options`."""
        return self._options.name

    def options(self, **changes: Any) -> Self:
        """Return a view of this executor with other options for what is called through it.

        Args:
            changes: Fields of :class:`wrens.Options`: ``retry``, ``timeout``, ``packing``, ``backup``,
                ``resources``, ``name``, ``keep``, ``buffersize``, ``fail_fast``, ``environment``.

        Raises:
            BadOption: if an option does not exist or cannot be.

        >>> with Executor("inline") as ex:
        ...     ex.options(timeout=5).submit(abs, -1).result()
        1
        """
        view = object.__new__(type(self))
        view._options = self._options.changed(changes)
        view._session = self._session
        view._queue = None
        view._owner = False
        # The view keeps its origin alive, or a temporary executor would close under it.
        view._origin = self  # type: ignore[attr-defined]
        return view

    def discard(self, job: str, *, at_end: bool = False) -> None:
        """Delete a job that has ended and that nobody will ask for, even if it has a name.

        Args:
            job: Its id.
            at_end: Not before this executor closes; otherwise in an idle moment.

        >>> with Executor("inline", store="memory://discards") as ex:
        ...     job = ex.options(name="mine").map_async(abs, [-1])
        ...     ex.discard(job.id)
        """
        self._session.let_go(job)
        if not at_end:
            self._session.discard(job)

    # --- inside ---

    def _map(
        self,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        call: Literal["one", "star"],
        *,
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        self._check_open()
        _check_callable(fn)
        _check_iterables(iterables)
        if chunksize < 1:
            raise BadOption("chunksize", f"must be at least 1, not {chunksize}")
        options = self._options
        if chunksize > 1:
            options = options.changed({"packing": Packing(size=chunksize)})
        if buffersize is not None:
            options = options.changed({"buffersize": buffersize})
        job: Job[T] = self._session.map(fn, iterables, call, options, in_background=False)
        return self._consume(job, timeout)

    def _consume(self, job: Job[T], timeout: float | None) -> Iterator[T]:
        results, session = job.stream(timeout), self._session
        started: list[bool] = []

        def values(executor: Executor) -> Iterator[T]:
            # The argument keeps a temporary executor alive for as long as its results are consumed.
            started.append(True)
            try:
                yield from results
            finally:
                session.leave(job)
            del executor

        iterator = values(self)
        weakref.finalize(iterator, _dropped, session, job, started).atexit = False
        return iterator

    def _check_open(self) -> None:
        if self._session.driver.died is not None:
            raise RuntimeError("the executor's driver has died") from self._session.driver.died
        if self._session.closing:
            raise RuntimeError("cannot schedule new futures after shutdown")


def _dropped(session: Session, job: Job[Any], started: list[bool]) -> None:
    """Delete the data of a map whose results nobody will ever look at, when it has ended."""
    if not started:
        job.on_finished(lambda: session.discard(job.id))


def _check_callable(fn: object) -> None:
    if not callable(fn):
        raise TypeError(f"the first argument must be the function to be called; {fn!r} is not callable")


def _check_iterables(iterables: Sequence[Any]) -> None:
    if not iterables:
        raise TypeError("map() must have at least one iterable of inputs")
    for iterable in iterables:
        if not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
            raise TypeError(f"inputs must be iterable; {type(iterable).__name__!r} object is not")


WONDER_S = 1.0
"""After this long somebody who waits for the end of a program is told why."""
_open_sessions: set[Session] = set()


def _forgotten(session: Session) -> None:
    """Close the session of an executor that nobody holds any more; what was submitted still runs."""
    if not session.closing:
        session.close(wait=False, cancel=False)


@atexit.register
def _close_all() -> None:
    """Wait for what was submitted, as the standard library does, until Ctrl-C; in a terminal say so."""
    sessions = [session for session in list(_open_sessions) if session.driver.made_in == os.getpid()]
    drivers = [session.driver for session in sessions]
    try:
        for session in sessions:
            session.close(wait=False, cancel=False)
        if not all(driver.wait_closed(WONDER_S) for driver in drivers):
            waited_for(sum(driver.open_tasks() for driver in drivers))
        for driver in drivers:
            driver.wait_closed()
    except KeyboardInterrupt:
        for session in sessions:
            session.abandon()


__all__ = ["Executor", "Shared"]
