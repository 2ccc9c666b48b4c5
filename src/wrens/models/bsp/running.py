"""The client of a bulk-synchronous program: superstep by superstep, each a job.

    jobs/<run>/exchange/<id>            states with data, then states with messages: what the board names is kept
    jobs/<run>/supersteps/<n>           what superstep n begins with; of a run with a name
    jobs/<run>, jobs/<run>-<n>          the jobs of the supersteps

Decides what the user may ask for, when a superstep's job and objects are deleted (when the next one has what it begins with),
and how a run that died goes on: with the last record, and the jobs that there are of its superstep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from wrens.clock import SystemClock
from wrens.core.attach import attach
from wrens.core.executor import Executor
from wrens.core.job import Job
from wrens.core.policy import Packing, whole
from wrens.errors import BadMessage, BadOption, JobFailed, JobIncomplete, StoreError, UnknownJob
from wrens.models.bsp import checkpoints, combining, delivering
from wrens.models.bsp.board import Board
from wrens.models.bsp.combining import Way
from wrens.models.bsp.delivering import Delivery
from wrens.models.bsp.messages import Inbox, packed
from wrens.models.bsp.results import Run
from wrens.models.bsp.superstep import Done, Stepper, Superstep, Turn
from wrens.models.exchange import Exchange, Slice, columns, is_near, write
from wrens.wire import keys

AT_ONCE = 16
"""States that are on their way to the store at a time."""
ROUNDS = 4
"""Batches for each worker and superstep, where there are more partitions than that."""


def bsp(
    executor: Executor,
    step: Callable[[Superstep, Any, Inbox], Any],
    states: Sequence[Any],
    *,
    data: Sequence[Any] | None = None,
    combine: Way | None = None,
    aggregate: Mapping[str, Way] | None = None,
    supersteps: int | None = None,
    name: str | None = None,
    resume: bool = False,
    keep: bool = False,
    exchange: Exchange | None = None,
) -> Run:
    """Run a bulk-synchronous program: a step for each partition, superstep after superstep, with messages between them.

    It ends when all partitions have voted to halt and no message is on its way, or after so many supersteps.

    Args:
        executor: Runs each superstep as one map, under its options.
        step: Called as ``step(at, state, inbox)`` with a :class:`~wrens.models.bsp.Superstep`, the partition's state and the
            :class:`~wrens.models.bsp.Inbox` of what was sent to it in the superstep before; returns the new state. It may be
            called again when a worker is lost, so it has to return and send the same then.
        states: The first state of each partition.
        data: What each partition needs in each superstep and never changes, such as its edges.
        combine: How messages to one receiver become one: a function of two Python messages (a program that sends rows has
            none), or ``"sum"``, ``"min"``, ``"max"``, which also make one of rows with the same index. It must not depend
            on how messages are grouped.
        aggregate: For each name that ``at.aggregate`` is called with, how values become one, likewise.
        supersteps: How many there are at most; by default no end.
        name: Makes the run one that can be resumed, and keeps its last states.
        resume: Go on with the run of this name in the superstep that it was in; begin it, if there is none. Of one that is there
            ``states`` and ``data`` are those that it was begun with: only how many there are is compared. One that has ended is
            returned as it is.
        keep: Delete nothing of supersteps that are over.
        exchange: The way of messages: :class:`wrens.Packed`, which reads a range for each partition that has sent some,
            :class:`wrens.TwoLevel`, with a map between two supersteps that brings them together, or :class:`wrens.Chosen`.
            By default what costs less, with what a superstep of this run takes beside its work. The result is the same.

    Raises:
        BadOption: if an option cannot be, ``states`` and ``data`` differ in length, or the name is taken.
        JobFailed: if a step raised. A run with a name can be resumed after that, with another function.
        BadMessage: if what partitions have told cannot be combined. Likewise.

    >>> import wrens
    >>> def largest(at, state, inbox):
    ...     new = max([state, *inbox])
    ...     if new > state or at.number == 0:
    ...         at.send((at.partition + 1) % at.partitions, new)
    ...     at.halt()
    ...     return new
    >>> with wrens.Executor("inline") as ex:
    ...     run = wrens.bsp(ex, largest, [3, 9, 4], combine="max")
    ...     list(run.states()), run.supersteps
    ([9, 9, 9], 4)
    """
    ways = dict(aggregate or {})
    _check(step, states, data, combine, ways, supersteps, name, resume=resume)
    delivering.check(exchange)
    run = name or keys.new_id()
    stepper = Stepper(step, combine, ways, len(states), executor.store.url, keys.exchange(run))
    program = _Program(executor, stepper, run, exchange, named=name is not None, keep=keep)
    try:
        board = checkpoints.last(executor.store, run) if resume else None
        program.resumed = board is not None
        if board is None:
            board = program.begin(states, data)
        elif len(board.states) != len(states):
            raise BadOption(
                "states",
                f"has {len(states)} partitions, and the run {run!r} has {len(board.states)}",
                "Pass as many as the run was begun with; the run was left as it is.",
            )
        if program.resumed:
            program.clear_before(board)
        while not board.ended and (supersteps is None or board.number < supersteps):
            board = program.next(board)
        program.end(board)
    except BaseException:
        program.leave()
        raise
    return Run(run, board.states, board.aggregated, board.ended, board.steps)


class _Program:
    """A run as the client drives it."""

    def __init__(
        self,
        executor: Executor,
        stepper: Stepper,
        run: str,
        way: Exchange | None,
        *,
        named: bool,
        keep: bool,
    ) -> None:
        self._executor, self._store, self._way = executor, executor.store, way
        self._stepper, self._run, self._named, self._keep = stepper, run, named, keep
        self._jobs: list[str] = []
        """Those of the superstep that is under way."""
        self._delivery: Delivery | None = None
        """Where the messages of the superstep that is under way are, once somebody needs to know."""
        self._waste: list[tuple[int, set[str], list[str]]] = []
        """Of supersteps that are over the number, keys that nobody needs any more, and the jobs."""
        self._clock = SystemClock()
        self._since = self._clock.now()
        self.resumed = False
        """Whether there may be a job of the next superstep."""

    def begin(self, states: Sequence[Any], data: Sequence[Any] | None) -> Board:
        """Put states and data into the store, and claim the name."""
        if self._named and checkpoints.is_taken(self._store, self._run):
            raise checkpoints.taken(self._store, self._run)
        puts = [(i, (state,) if data is None else (state, data[i])) for i, state in enumerate(states)]
        with ThreadPoolExecutor(1 if is_near(self._store.url) else AT_ONCE) as pool:
            placed = list(pool.map(lambda put: self._put(*put), puts))
        board = Board(
            0,
            tuple(place[0] for place in placed),
            tuple(place for _, *places in placed for place in places),
            (False,) * len(states),
        )
        if self._named:
            checkpoints.claim(self._store, self._run, board)
        self._since = self._clock.now()
        return board

    def _put(self, partition: int, values: Sequence[Any]) -> list[Slice]:
        """Put a partition's first state and, if there are any, its data into the store."""
        kinds = "first state", "data"
        parts = [
            packed(value, f"the {kind} of partition {partition}")
            for kind, value in zip(kinds, values, strict=False)
        ]
        folder = keys.exchange(self._run)
        written = write(parts, store=self._store.url, folder=folder)
        return [next(iter(column)) for column in columns([written])]

    def next(self, board: Board) -> Board:
        """Carry out a superstep, and delete what only the one before needed."""
        done = self._done(board)
        now = self._clock.now()
        delivery, self._delivery = self._delivery or Delivery([]), None
        try:
            new = board.after(done, self._stepper.ways, now - self._since, delivery.seconds)
        except BadMessage as error:
            advice = f"{error.advice}\n  {self._kept(board.number)}"
            raise BadMessage(error.partition, error.superstep, error.problem, advice) from error.__cause__
        self._since = now
        if self._named:
            new = checkpoints.record(self._store, self._run, new)
        self.resumed = False
        self._waste.append((board.number, (board.keys() | delivery.made) - new.keys(), self._jobs))
        self._jobs = []
        return new

    def _kept(self, number: int) -> str:
        """Return what is said of a superstep whose steps were all called, and that cannot be ended."""
        if not self._named:
            return "The run had no name, so nothing of it is kept."
        return (
            f"What the partitions did in superstep {number} and before is kept: "
            f"wrens.bsp(..., name={self._run!r}, resume=True) goes on with the aggregate= that it is given."
        )

    def _done(self, board: Board) -> dict[int, Done]:
        """Return what the tasks of a superstep returned, by partition: from jobs that there are, and from one of now."""
        turns, done = board.turns(), dict[int, Done]()
        for again in count():
            left = [turn for turn in turns if turn.partition not in done]
            if not left:
                break
            ours = True
            try:
                job, ours = self._job(board, again, left)
                self._clear()  # while the workers are busy
                found = dict(enumerate(job.results()))
            except (JobFailed, JobIncomplete) as error:
                if ours:
                    if self._named:
                        error.add_note(
                            f"This was superstep {board.number} of the run {self._run!r}. What came before and the other "
                            f"partitions' steps are kept: wrens.bsp(..., name={self._run!r}, resume=True) goes on."
                        )
                    raise
                found = error.results
            done.update((left[task].partition, one) for task, one in found.items())
        return done

    def _delivered(self, board: Board, turns: Sequence[Turn]) -> list[Turn]:
        """Return turns that know where their messages are now. A superstep whose job is there already needs none."""
        if self._delivery is None:
            folder = keys.exchange(self._run)
            self._delivery = delivering.deliver(self._executor, self._way, board, folder)
        return [replace(turn, inbox=self._delivery.inboxes[turn.partition]) for turn in turns]

    def _job(self, board: Board, again: int, turns: Sequence[Turn]) -> tuple[Job[Done], bool]:
        """Return the job of a superstep, and whether it was made here."""
        number = board.number
        name = self._job_name(number, again)
        self._jobs.append(name)
        if self.resumed:
            with suppress(UnknownJob):
                return attach(name, store=self._store, max_workers=self._executor.workers), False
        size = -(-len(turns) // (ROUNDS * self._executor.workers))
        view = self._executor.options(name=name, packing=Packing(size=size))
        turns = self._delivered(board, turns)
        try:
            job = view.map_async(self._stepper, turns)
        except BadOption:
            if not self._named or next(self._store.list(keys.job(name)), None) is None:
                raise
            # Another client goes on with the same run, and was first.
            return attach(name, store=self._store, max_workers=self._executor.workers), False
        if not self._named:
            self._executor.discard(name, at_end=True)
        return job, True

    def _job_name(self, number: int, again: int) -> str:
        """Return the name of a superstep's job: what the first one leaves over gets another one."""
        name = self._run if number == 0 else f"{self._run}-{number:06d}"
        return f"{name}-{again}" if again else name

    def _clear(self) -> None:
        """Delete what only supersteps that are over needed."""
        waste, self._waste = self._waste, []
        for number, unneeded, jobs in waste if not self._keep else ():
            with suppress(StoreError):
                self._store.delete(sorted(unneeded))
                if self._named:
                    self._store.delete([keys.superstep(self._run, number)])
            for job in jobs:
                if job != self._run:
                    self._executor.discard(job)

    def clear_before(self, board: Board) -> None:
        """Delete the job that a client may have left that died just after its superstep was over."""
        if board.number > 1 and not self._keep:
            self._executor.discard(self._job_name(board.number - 1, 0))

    def end(self, board: Board) -> None:
        """Delete all but the last states and, of a run with a name, its last record."""
        self._clear()
        if self._keep:
            return
        needed = {state.key for state in board.states} if board.ended else board.keys()
        with suppress(StoreError):
            folder = f"{keys.exchange(self._run)}/"
            self._store.delete([key for key in self._store.list(folder) if key not in needed])
            if self._named:  # clients that died may have left records of supersteps that were over
                last = keys.superstep(self._run, board.number)
                records = self._store.list(keys.supersteps(self._run))
                self._store.delete([key for key in records if key != last])

    def leave(self) -> None:
        """Something failed: of a run with a name all is kept, of another one nothing."""
        self._clear()
        if self._named:
            return
        for job in self._jobs:
            self._executor.discard(job)
        with suppress(StoreError):
            self._store.delete(self._store.list(f"{keys.exchange(self._run)}/"))


def _check(
    step: object,
    states: Sequence[Any],
    data: Sequence[Any] | None,
    combine: object,
    ways: Mapping[str, object],
    supersteps: int | None,
    name: str | None,
    *,
    resume: bool,
) -> None:
    """Refuse options that cannot be."""
    if not callable(step):
        raise BadOption(f"step={step!r}", "cannot be called", "Pass a function of (at, state, inbox).")
    if not len(states):
        raise BadOption("states", "is empty, so there is no partition", "Pass a first state for each.")
    if data is not None and len(data) != len(states):
        raise BadOption(
            "data",
            f"has {len(data)} partitions, and states has {len(states)}",
            "Pass one of each for every partition. Nothing was started.",
        )
    if combine is not None:
        combining.check("combine", combine)
    for key, way in ways.items():
        combining.check(f"aggregate[{key!r}]", way)
    if supersteps is not None:
        whole("supersteps", supersteps)
    if name is not None:
        keys.check_name(f"{name}-000000-0")
    elif resume:
        raise BadOption("resume=True", "needs the run's name", "Write wrens.bsp(..., name=..., resume=True).")
