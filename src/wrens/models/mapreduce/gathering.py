"""One task over all results of a job, on workers of its own: a map, and then a reduce that is not cut up.

    small = wrens.Executor("lambda", ...)          map on many small workers
    large = wrens.Executor("local", ...)           reduce on one that has the memory, of any backend on the same store

Decides who waits, and that the results go from the store to the worker. How they are read there is decided in
:mod:`wrens.worker.gathered`.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any, TypeVar

from wrens.core.executor import Executor
from wrens.core.future import Future
from wrens.core.job import Job
from wrens.errors import BadOption
from wrens.serialize import load_reference
from wrens.wire.records import JobRef

T = TypeVar("T")


def gather(
    executor: Executor, function: Callable[..., T], job: Job[Any], /, *args: Any, **kwargs: Any
) -> Future[T]:
    """Call a function once, on one worker, with all results of a job, when that has ended.

    The function gets them as an iterable with a length, in the order of the inputs. The worker reads them from the
    store while they are taken: they do not pass through the client again, and need not fit into memory together.

    Args:
        executor: Runs the call. It may be another one than the job's, with another backend or other options, as long
            as both are on the same store, and the job's is open until the call has ended.
        function: Called with the results, and with what follows.
        job: Of :meth:`wrens.Executor.map_async`, or of :func:`wrens.attach`.
        args: More arguments.
        kwargs: More arguments.

    Returns:
        The call's future. When a task of the job has failed, it fails with the same ``JobFailed``, and nothing is called.

    Raises:
        BadOption: if the job is in another store.

    >>> import wrens
    >>> with wrens.Executor("inline", store="memory://gathers") as ex:
    ...     job = ex.map_async(pow, [1, 2, 3], [2, 2, 2])
    ...     gather(ex, sum, job).result()
    14
    """
    if job.store != executor.store.url:
        raise BadOption(
            "job",
            f"is in {job.store}, and the executor's store is {executor.store.url}",
            "Open the executor with the store of the job.",
        )
    there: concurrent.futures.Future[_All] = concurrent.futures.Future()
    job.on_finished(lambda: _tell(there, job))
    return executor.submit(function, there, *args, **kwargs)


def _tell(there: concurrent.futures.Future[_All], job: Job[Any]) -> None:
    try:
        there.set_result(_All(job.reference()))
    except Exception as error:  # noqa: BLE001 - whatever there is instead of results goes to whom they are for
        there.set_exception(error)


class _All:
    """Stands for all results of a job on the way to a worker."""

    def __init__(self, ref: JobRef) -> None:
        self._ref = ref

    def __reduce__(self) -> tuple[Any, ...]:
        return (load_reference, (self._ref,))
