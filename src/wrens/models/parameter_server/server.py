"""The face of a parameter server: arrays by name, read and added to by rows.

Decides what arrays there may be, that all servers hold the same ones, and how a run of workers begins and ends. What a server does
is in ``functions.lua``, and what a worker waits for in :mod:`wrens.models.parameter_server.worker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from wrens.core.executor import Executor
from wrens.core.policy import Packing, whole
from wrens.errors import BadOption, BadUpdate, ShardLost
from wrens.kv import KeyValue
from wrens.models.parameter_server import arrays, checkpoints, library
from wrens.models.parameter_server.arrays import Array, Floats, Index, Sparse
from wrens.models.parameter_server.making import make
from wrens.models.parameter_server.policies import Asynchronous, Consistency
from wrens.models.parameter_server.shards import Shards
from wrens.models.parameter_server.standing import Standing
from wrens.models.parameter_server.statistics import Statistics, statistics_of
from wrens.models.parameter_server.worker import Program
from wrens.store.opening import open_store
from wrens.store.port import Store
from wrens.wire import keys

T = TypeVar("T")


def create(
    tier: KeyValue,
    given: Mapping[str, Any],
    *,
    name: str | None = None,
    consistency: Consistency = Asynchronous(),  # noqa: B008 - frozen
) -> ParameterServer:
    """Make arrays on servers, or join those of this name.

    Args:
        tier: The servers; rows of each array are spread over all of them.
        given: What each array is, by its name: :class:`Dense`, :class:`Sparse`, or its first values.
        name: Of the whole. Who creates the same arrays under the same name has the same ones, as they are; checkpoints need one.
        consistency: What workers wait for.

    Raises:
        BadOption: if an array cannot be, or there are other arrays of this name.
        BadUpdate: if a first value is not finite.
        BadShard: if a server has no functions.
        ShardFull: if one has too little memory.
        ShardLost: if one does not answer, or has lost its part of arrays of this name.

    >>> from wrens import kv
    >>> from wrens.models import parameter_server as ps
    >>> with kv.connect() as tier, ps.create(tier, {"w": ps.Dense(5)}) as params:
    ...     params.push("w", [1.0, 2.0], index=[4, 0])
    ...     params.push("w", [0.5, 0.5], slice(3, 5))
    ...     params.pull("w").tolist()
    [2.0, 0.0, 0.0, 0.5, 1.5]
    """
    found = {key: arrays.array_of(key, value) for key, value in given.items()}
    if not found:
        raise BadOption("arrays", "is empty", "Name at least one.")
    arrays.check_sizes(found, len(tier.urls))
    if name is not None:
        keys.check_name(name)
    first = [(key, value, None) for key, value in given.items() if not isinstance(value, arrays.Array)]
    shards = Shards(tier, name or keys.new_id(), found)
    make(shards, first)
    return ParameterServer(shards, consistency)


def restore(tier: KeyValue, name: str, store: Store | str) -> ParameterServer:
    """Make the arrays of the last checkpoint on servers, and let workers go on where they stood then.

    Checkpoints are still there when arrays are dropped: the last one of a name may be of arrays that had it before.

    With ``Synchronous`` that is one moment, and what follows is what would have followed. Otherwise what was pushed while the
    checkpoint was written may be in some arrays and not in others, and is pushed again by workers that go on.

    Args:
        tier: The servers; they may be others, and more or fewer.
        name: Of the parameter server.
        store: Where the checkpoint is.

    Raises:
        BadOption: if the store has no checkpoint of this name, or the servers still hold arrays of this name.
    """
    opened = open_store(store) if isinstance(store, str) else store
    found = checkpoints.read(opened, keys.check_name(name))
    shards = Shards(tier, name, found.arrays)
    make(shards, found.updates(), found.standing)
    return ParameterServer(shards, found.consistency)


def drop(tier: KeyValue, name: str) -> None:
    """Delete all that servers hold of arrays of this name, whoever has made them, such as what is left when one server was lost.

    Raises:
        ShardLost: if a server does not answer. The others have deleted theirs.
    """
    library.put(tier)
    calls = {server: [("forget", f"{tier.namespace}{name}", b"")] for server in range(len(tier.urls))}
    library.call(tier, calls)


class ParameterServer:
    """Named arrays on servers. Made by :func:`create` or :func:`restore`; it travels to tasks, and may be used by many threads.

    Attributes:
        consistency: What workers wait for.
    """

    def __init__(self, shards: Shards, consistency: Consistency) -> None:
        self._shards, self.consistency = shards, consistency

    @property
    def name(self) -> str:
        """Its name."""
        return self._shards.name

    @property
    def arrays(self) -> Mapping[str, Array]:
        """What each array is."""
        return self._shards.arrays

    def __repr__(self) -> str:
        return f"<ParameterServer {self.name!r}: {arrays.spelled(self.arrays)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.drop()

    def pull(self, array: str, index: Index = None) -> Floats:
        """Return rows of an array.

        Args:
            array: Its name.
            index: Which rows: all by default, a slice, or whole numbers in any order; the result has their shape.

        Raises:
            BadUpdate: if there are no such rows.
            ShardLost: if a server is gone, or has lost the array.
        """
        return self.pull_many([(array, index)])[0]

    def pull_many(self, some: Iterable[tuple[str, Index]]) -> list[Floats]:
        """Return rows of several arrays; one round trip to each server."""
        return self._shards.pull(list(some))

    def push(self, array: str, values: Any, index: Index = None) -> None:
        """Add values to rows of an array, on the servers.

        Args:
            array: Its name.
            values: As many as rows are named, or one number for all.
            index: Which rows: all by default, a slice, or whole numbers; one may be there more than once.

        Raises:
            BadUpdate: if there are no such rows, the values have another shape, or one of them is not finite. Nothing was added.
            ShardLost: if a server is gone, or has lost the array.
        """
        self.push_many([(array, values, index)])

    def push_many(self, some: Iterable[tuple[str, Any, Index]]) -> None:
        """Add to several arrays, or several times; one round trip to each server, which adds the first while the next is sent."""
        self._shards.push(list(some))

    def items(self, array: str) -> tuple[Any, Floats]:
        """Return the numbers of all rows of a sparse array that somebody has added to, ascending, and the rows.

        Raises:
            BadUpdate: if it is not sparse.
        """
        if not isinstance(self._shards.array(array), Sparse):
            raise BadUpdate(array, "is not sparse", "pull() has all its rows.")
        return self._shards.read(array)

    def statistics(self) -> Statistics:
        """Return what servers have done until now; the difference of two is what was done between."""
        found = self._shards.ask("statistics", changes=False)
        return statistics_of([found[server][0] for server in sorted(found)])

    def run(
        self,
        executor: Executor,
        program: Callable[..., T],
        inputs: Sequence[Any],
        *,
        resume: bool = False,
        every: int | None = None,
    ) -> list[T]:
        """Run a program in as many workers as there are inputs, at the same time, and return what each has returned.

        A run takes the arrays over: workers of one that is still under way are refused from then on.

        Args:
            executor: Runs them.
            program: Called as ``program(worker, input)`` with a :class:`Worker`.
            inputs: One for each worker.
            resume: Go on with the run that was not finished, each worker at the clock where it was; begin one, if there was none.
            every: Write a checkpoint into the executor's store at each so many clocks of worker 0; by default never.

        Raises:
            BadOption: if workers would wait for others that cannot run, as the executor has fewer; or if the run to be resumed has
                finished, or has another number of workers.
            JobFailed: if a program raised, such as a ``ShardLost``, or a ``WorkersStalled`` of those that have waited for it.
        """
        if not len(inputs):
            raise BadOption("inputs", "is empty, so there is no worker", "Pass one for each.")
        if len(inputs) > executor.workers and not isinstance(self.consistency, Asynchronous):
            raise BadOption(
                f"{len(inputs)} workers",
                f"wait for each other, and only {executor.workers} can run at a time",
                f"Pass {executor.workers} inputs, or take Executor(max_workers={len(inputs)}), or Asynchronous().",
            )
        if every is not None:
            whole("every", every)
        standing, owner = self.standing(), keys.new_id()
        if resume and standing.run and standing.over:
            raise BadOption(
                "resume=True",
                f"finds that run {standing.run} of {self.name!r} has finished",
                "Its arrays are there: pull() reads them. Without resume a new run begins with them.",
            )
        going_on = resume and bool(standing.run)
        if going_on and len(inputs) != standing.workers:
            raise BadOption(
                f"{len(inputs)} inputs",
                f"do not go with the run that was not finished, which has {standing.workers} workers",
                "Pass as many as it was begun with.",
            )
        self._shards.ask("begin", standing.run + (not going_on), len(inputs), owner)
        store = executor.store.url
        work = Program(self._shards, self.consistency, program, owner, len(inputs), store, every or 0)
        # A copy of a worker that is slow would push what that one pushes.
        view = executor.options(packing=Packing(size=1), backup=None)
        return view.map_async(work, range(len(inputs)), inputs).results()

    def standing(self) -> Standing:
        """Return where workers stand."""
        return self._shards.standing()

    def checkpoint(self, store: Store | str) -> str:
        """Write all arrays, and where workers stand, into a store; return the key.

        With :class:`Synchronous`, while no run is under way or as worker 0 of one, it is one moment. Otherwise pushes go on between one array and the next.

        Raises:
            StoreError: if the store does not take it.
        """
        opened = open_store(store) if isinstance(store, str) else store
        return checkpoints.write(self._shards, self.consistency, opened)

    def drop(self) -> None:
        """Delete the arrays on the servers, as far as these can be reached."""
        try:
            self._shards.ask("drop")
        except ShardLost:
            return
