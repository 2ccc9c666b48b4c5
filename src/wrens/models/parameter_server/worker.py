"""A worker of a parameter server: its number, its clock, and what it waits for.

Decides when what a worker pushes is sent, when it has to wait and for how long, and that each of its clocks counts once: a worker
that is lost is begun again where it was, and what had arrived of its last clock is not added twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from wrens.clock import Clock, SystemClock
from wrens.errors import ShardLost, WorkersStalled
from wrens.models.parameter_server import checkpoints
from wrens.models.parameter_server.policies import Asynchronous, Bounded, Consistency, Synchronous
from wrens.models.parameter_server.shards import Shards
from wrens.models.parameter_server.standing import Standing
from wrens.serialize import Pack, pack
from wrens.store.opening import open_store
from wrens.wire import keys

if TYPE_CHECKING:
    from wrens.models.parameter_server.arrays import Floats, Index

LOOK_S = 0.0005, 0.02
"""After how many seconds a worker that waits looks again, at first and at last."""


class Worker:
    """What a program of a worker is given.

    Attributes:
        number: Its number, from 0.
        workers: How many there are.
        clock: How often it has ticked.
        waited_s: Seconds that it has waited for others.
    """

    def __init__(
        self,
        shards: Shards,
        consistency: Consistency,
        owner: str,
        number: int,
        workers: int,
        time: Clock | None = None,
    ) -> None:
        self.number, self.workers = number, workers
        self.waited_s = 0.0
        self._shards, self._consistency, self._owner = shards, consistency, owner
        self._time = time or SystemClock()
        self._pushed: dict[int, list[Any]] = {}
        self._attempt = keys.new_id()
        self.clock = 0
        self._enter()
        self._began = self.clock
        """The clock that this attempt has begun with."""
        self._ended = self._standing.finished[number]
        """Whether the program has come to its end before, and has not gone on since."""
        self._place = 0
        """The clock that what the program does now belongs to."""

    def __repr__(self) -> str:
        return f"<Worker {self.number} of {self.workers} at clock {self.clock}>"

    def clocks(self, count: int) -> Iterator[int]:
        """Yield the clocks up to ``count``, from where this worker was; wait before each as the consistency says, tick after it.

        Raises:
            WorkersStalled: if nobody whom it waits for goes on.
        """
        while self.clock < count:
            if self._ended:
                self._ended = False
                self._enter(goes_on=True)
                continue
            self._wait()
            self._place = self.clock
            yield self.clock
            self._tick()
            self._place = self.clock
        self._place = max(self._place, count)

    def pull(self, array: str, index: Index = None) -> Floats:
        """Return rows of an array; see :meth:`ParameterServer.pull`."""
        return self.pull_many([(array, index)])[0]

    def pull_many(self, some: Iterable[tuple[str, Index]]) -> list[Floats]:
        """Return rows of several arrays in one round trip."""
        return self._shards.pull(list(some))

    def push(self, array: str, values: Any, index: Index = None) -> None:
        """Add values to rows of an array; see :meth:`ParameterServer.push`. They are added at once, or with the next tick."""
        self.push_many([(array, values, index)])

    def push_many(self, some: Iterable[tuple[str, Any, Index]]) -> None:
        """Add to several arrays, or several times, in one round trip."""
        if self._place < self._began or (self._ended and self._place == self._began):
            return  # an earlier attempt's counts: before its first clock, between loops, or after the last one
        if isinstance(self._consistency, Asynchronous):
            self._shards.push(list(some))
            return
        # Made now, so that it is refused where it was written, and arrays may be used again before the tick.
        for server, words in self._shards.updates(list(some)).items():
            self._pushed.setdefault(server, []).extend(chain.from_iterable(words))

    def _enter(self, *, goes_on: bool = False) -> None:
        """Tell servers that this attempt is the worker from now on."""
        told = self._shards.ask("enter", self._owner, self.number, self._attempt, int(goes_on))
        self._standing = self._seen(told)
        self.clock = self._standing.clocks[self.number]

    def _tick(self, *, last: bool = False) -> None:
        """End a clock: send what was pushed in it, once."""
        shards = self._shards
        together = (1 + (shards.count == 1)) * isinstance(self._consistency, Synchronous)
        args = {
            server: (
                self._owner,
                self.number,
                self.clock,
                together,
                int(last),
                shards.seen(server),
                *self._pushed.get(server, ()),
            )
            for server in range(shards.count)
        }
        self._standing = self._seen(shards.ask_each("tick", args))
        self._pushed = {}
        self.clock += 1

    def _seen(self, answers: Mapping[int, Sequence[Sequence[int]]]) -> Standing:
        """Return what servers have answered; where all have told their part to all of them, let these add it."""
        found = Standing.of(answers)
        if isinstance(self._consistency, Synchronous) and found.settled < found.ready:
            found = self._shards.settled(found)
        return found

    def _wait(self) -> None:
        consistency = self._consistency
        if isinstance(consistency, Asynchronous) or self._may_go(consistency):
            return
        began = changed = self._time.now()
        pause, last = LOOK_S
        while True:
            before = self._standing
            self._standing = self._seen(self._shards.ask("state", changes=False))
            now = self._time.now()
            if self._may_go(consistency):
                self.waited_s += now - began
                return
            if self._standing != before:
                changed, pause = now, LOOK_S[0]
            if self._standing.failed >= 0 or now - changed > consistency.patience_s:
                raise self._stalled(now - changed)
            self._time.sleep(pause)
            pause = min(last, pause * 1.5)

    def _may_go(self, consistency: Bounded | Synchronous) -> bool:
        if isinstance(consistency, Synchronous):
            return self._standing.settled >= self.clock
        return self._standing.slowest() >= self.clock - consistency.staleness

    def _stalled(self, seconds: float) -> WorkersStalled:
        standing = self._standing
        others = {w: c for w, c in enumerate(standing.clocks) if not standing.finished[w]}
        failed = standing.failed if standing.failed >= 0 else None
        return WorkersStalled(self.clock, others, seconds, failed)

    def finish(self, result: Any) -> None:
        """Send what was pushed after the last tick, and tell servers that nobody has to wait for this worker any more.

        What the program has returned goes first: a worker that is lost from now on is not begun again, but has it from there.
        """
        kept = pack([result], what=lambda _: "a result")
        if not kept.failures:  # or the job tells of them
            self._shards.ask_each("keep", {0: (self._owner, self.number, b"".join(kept.buffers))})
        if self._pushed:
            self._tick(last=True)
        self.leave("done")

    def kept(self) -> Pack | None:
        """Return what the program has returned in this run, if it had come to its end before its worker was lost."""
        if not self._ended:
            return None
        found = self._shards.ask_each("kept", {0: (self._owner, self.number)}, changes=False)[0][0]
        return Pack(found) if found else None

    def leave(self, word: str) -> None:
        """Tell servers that this worker is ``"done"``, or has ``"failed"``; called by :meth:`ParameterServer.run`."""
        waited = round(self.waited_s * 1000)
        told = self._shards.ask("leave", self._owner, self.number, self._attempt, word, waited)
        self._standing = self._seen(told)


class Checkpointing(Worker):
    """Worker 0 where it writes checkpoints: between two clocks, when with ``Synchronous`` nobody can go on without it."""

    store = ""
    every = 1

    def _wait(self) -> None:
        super()._wait()
        if self.clock and not self.clock % self.every:
            checkpoints.write(self._shards, self._consistency, open_store(self.store))


@dataclass(frozen=True, slots=True)
class Program:
    """The task of a worker.

    Args:
        shards: The arrays.
        consistency: What workers wait for.
        program: The user's function.
        owner: Whose run this is.
        workers: How many there are.
        store: URL of the store for checkpoints, and
        every: at each so many clocks of worker 0; 0 for none.
    """

    shards: Shards
    consistency: Consistency
    program: Callable[..., Any]
    owner: str
    workers: int
    store: str = ""
    every: int = 0

    def __call__(self, number: int, given: Any) -> Any:
        """Run one worker."""
        kind = Checkpointing if self.every and not number else Worker
        worker = kind(self.shards, self.consistency, self.owner, number, self.workers)
        if isinstance(worker, Checkpointing):
            worker.store, worker.every = self.store, self.every
        if (kept := worker.kept()) is not None:
            return kept.item(0)
        try:
            result = self.program(worker, given)
            worker.finish(result)
        except BaseException:
            with suppress(ShardLost):  # nobody can be told
                worker.leave("failed")
            raise
        return result
