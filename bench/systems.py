"""wrens and its peers behind one small face, each used as its own documentation advises.

Decides how a system is started, warmed and asked; nothing about sizes or repeats. Every system gets two
workers. Nothing but the standard library's lightest is imported here: a system's package is imported when
the system is started, so that a cold start can be measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

WORKERS = 2


class System:
    """What a script can ask of any system; ``with`` starts and ends it.

    ``package`` is what has to be installed. ``chunksize`` is for the systems that take one.
    """

    package = ""

    def __init__(self, *, chunksize: int = 1) -> None:
        self.chunksize = chunksize

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the workers' home; they may still be cold."""
        raise NotImplementedError

    def stop(self) -> None:
        """End everything that was started."""

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Return the results in order, as they come where the system can do that."""
        raise NotImplementedError

    def map(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return all results in order."""
        return list(self.stream(fn, items))

    def submit_all(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Submit call by call, yield once when all are submitted, then every result in order."""
        raise NotImplementedError

    def round_trip(self, fn: Callable[[Any], Any], item: Any) -> Any:
        """Ask for one call and wait for its result."""
        calls = self.submit_all(fn, [item])
        next(calls)
        return next(calls)


class FuturesSystem(System):
    """A system whose executor is a ``concurrent.futures`` one."""

    executor: Any

    def stop(self) -> None:
        """Shut the executor down."""
        self.executor.shutdown()

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Return what the executor's ``map`` returns."""
        return self.executor.map(fn, items, chunksize=self.chunksize)

    def submit_all(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Submit with ``submit``, collect with ``result``."""
        futures = [self.executor.submit(fn, item) for item in items]
        yield None
        for future in futures:
            yield future.result()


class Wrens(FuturesSystem):
    """wrens with its defaults: this computer's processes, results durable in a directory."""

    package = "wrens"

    def start(self) -> None:
        """Make an executor."""
        import wrens

        self.executor = wrens.Executor(max_workers=WORKERS)

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Use ``map`` with its defaults."""
        return self.executor.map(fn, items)


class ProcessPool(FuturesSystem):
    """The standard library's pool."""

    package = "concurrent"

    def start(self) -> None:
        """Make a pool."""
        from concurrent.futures import ProcessPoolExecutor

        self.executor = ProcessPoolExecutor(WORKERS)


class Loky(FuturesSystem):
    """The pool below joblib, used by itself."""

    package = "loky"

    def start(self) -> None:
        """Take the reusable executor."""
        from loky import get_reusable_executor

        self.executor = get_reusable_executor(max_workers=WORKERS)


class Joblib(System):
    """joblib with its default backend."""

    package = "joblib"

    def start(self) -> None:
        """Enter a Parallel, so that its workers stay warm between calls."""
        from joblib import Parallel, delayed

        self.delayed = delayed
        self.parallel = Parallel(n_jobs=WORKERS).__enter__()

    def stop(self) -> None:
        """Leave the Parallel and end its workers."""
        from joblib.externals.loky import get_reusable_executor

        self.parallel.__exit__(None, None, None)
        get_reusable_executor().shutdown(wait=True)

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Run the calls; the answer is a list."""
        call = self.delayed(fn)
        return self.parallel(call(item) for item in items)

    def round_trip(self, fn: Callable[[Any], Any], item: Any) -> Any:
        """Map over one input, since there is no ``submit``."""
        return self.map(fn, [item])[0]


class Dask(System):
    """Dask distributed on a local cluster of two single-threaded workers."""

    package = "distributed"

    def start(self) -> None:
        """Start the cluster without its dashboard."""
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
        self.client = Client(self.cluster)

    def stop(self) -> None:
        """Close the client, then the cluster."""
        self.client.close()
        self.cluster.close()

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Use ``client.map`` and ``gather``; large inputs are scattered first, as Dask's warning asks."""
        inputs = list(items)
        if inputs and getattr(inputs[0], "nbytes", 0) > 1_000_000:
            inputs = self.client.scatter(inputs)
        # Impure, or a repeat could be answered from the results that are still held.
        return self.client.gather(self.client.map(fn, inputs, pure=False))

    def submit_all(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Submit with ``client.submit``; one ``gather`` collects, as Dask advises for many."""
        futures = [self.client.submit(fn, item, pure=False) for item in items]
        yield None
        if len(futures) == 1:
            yield futures[0].result()
        else:
            yield from self.client.gather(futures)


class Ray(System):
    """Ray on this computer with two processors."""

    package = "ray"

    def start(self) -> None:
        """Start a local Ray without dashboard and without its usage report."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self.ray = ray
        self.remotes: dict[Any, Any] = {}
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

    def stop(self) -> None:
        """Shut Ray down."""
        self.ray.shutdown()

    def _remote(self, fn: Callable[[Any], Any]) -> Any:
        if fn not in self.remotes:
            self.remotes[fn] = self.ray.remote(fn)
        return self.remotes[fn]

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Call the remote function for each input and get all results at once."""
        remote = self._remote(fn)
        return self.ray.get([remote.remote(item) for item in items])

    def submit_all(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Do as :meth:`stream` does; Ray has no other way."""
        remote = self._remote(fn)
        references = [remote.remote(item) for item in items]
        yield None
        yield from self.ray.get(references)


class Lithops(System):
    """Lithops on this computer."""

    package = "lithops"

    def start(self) -> None:
        """Make an executor whose workers run on this very interpreter."""
        import lithops

        config = {
            "lithops": {"backend": "localhost", "storage": "localhost", "data_limit": False},
            "localhost": {"runtime": sys.executable, "worker_processes": WORKERS},
        }
        self.executor = lithops.FunctionExecutor(config=config, log_level="ERROR")

    def stop(self) -> None:
        """Remove the job's data."""
        self.executor.clean(clean_cloudobjects=True)

    def stream(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Use ``map`` and ``get_result``; inputs have to be a list."""
        futures = self.executor.map(fn, list(items))
        return self.executor.get_result(futures)

    def submit_all(self, fn: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Submit with ``call_async``."""
        futures = [self.executor.call_async(fn, item) for item in items]
        yield None
        yield from (future.result() for future in futures)


class Spark(System):
    """Started by :mod:`engines`."""

    package = "pyspark"


class Polars(System):
    """Needs no start."""

    package = "polars"


class DuckDB(System):
    """Started by :mod:`engines`."""

    package = "duckdb"


class SciPy(System):
    """Needs no start."""

    package = "scipy"


class Plain(System):
    """A program or function of the system's own, such as ``sort`` or reading a file."""

    package = "concurrent"


SYSTEMS: dict[str, type[System]] = {
    "Spark": Spark,
    "Polars": Polars,
    "DuckDB": DuckDB,
    "SciPy": SciPy,
    "GNU sort": Plain,
    "floor": Plain,
    "wrens": Wrens,
    "joblib": Joblib,
    "loky": Loky,
    "ProcessPoolExecutor": ProcessPool,
    "Dask": Dask,
    "Ray": Ray,
    "Lithops": Lithops,
}


def open_system(name: str, *, chunksize: int = 1) -> System:
    """Make the system of this name, not yet started."""
    return SYSTEMS[name](chunksize=chunksize)


def installed(name: str) -> bool:
    """Say whether the system's package can be imported."""
    from importlib.util import find_spec

    return find_spec(SYSTEMS[name].package) is not None


def version_of(name: str) -> str:
    """Return the version of the system's package, or that it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    package = SYSTEMS[name].package
    if package == "concurrent":
        return "the standard library's"
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree" if installed(name) else "not installed"
