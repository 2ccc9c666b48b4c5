"""Finds out from the store how attempts end, where workers cannot talk to the process that launched them.

    jobs/<job>/verdicts/<batch>                   the attempt has committed, or come too late
    jobs/<job>/attempts/<batch>.0.<k>/…           it goes on under this name
    jobs/<job>/attempts/<attempt>/loss            it is over, and left no verdict
    jobs/<job>/attempts/<attempt>/heartbeat       it was alive

A platform that only takes requests (a cloud's functions, a batch queue) does not tell when a worker has ended.
What the worker leaves in the store does, when its signature is valid. Decides what those objects mean for the attempts in flight, and which
attempts have given no sign of life for too long; two listings for each job tell of all its attempts together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from wrens.backends.base import Committed, Lost, Notice
from wrens.errors import BadSignature, ObjectMissing, StoreError, WrensError
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat, Invocation, Loss

SILENT_S = 35.0
"""How long an attempt may give no sign of life; a worker gives one every 10 s."""
CHECK_S = 15.0
"""How often the sign of life of an attempt that takes long is read."""
THREADS = 16
"""How many small objects are read or written at a time."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Awaited:
    """An attempt whose end is awaited, under the name that it has now."""

    store: str
    job: str
    batch: str
    attempt: str
    tasks: range
    since: float
    """When it was launched, or heard of last, by this process's clock."""
    beat: float = 0.0
    """Its last sign of life, by the worker's clock; zero when there was none."""
    check_at: float = 0.0


class StoreWatch:
    """The attempts in flight, and what the store says of them.

    Args:
        open_store: Opens the store of an invocation.

    >>> from wrens.store import open_store
    >>> watch = StoreWatch(open_store)
    >>> watch.look(), watch.attempts
    ([], [])
    """

    def __init__(self, open_store: Callable[[str], Store]) -> None:
        self._open = open_store
        self._stores: dict[str, Store] = {}
        self._awaited: list[Awaited] = []
        self._threads: ThreadPoolExecutor | None = None

    @property
    def attempts(self) -> list[Awaited]:
        """The attempts that are awaited, in order of launch."""
        return self._awaited

    def expect(self, invocation: Invocation, now: float) -> Awaited:
        """Await the end of this attempt from now on."""
        tasks = range(invocation.start, invocation.start + invocation.count)
        one = Awaited(invocation.store, invocation.job, invocation.batch, invocation.attempt, tasks, now)
        self._awaited.append(one)
        return one

    def forget(self, attempts: Iterable[Awaited]) -> None:
        """Await these no longer."""
        gone = set(map(id, attempts))
        self._awaited = [one for one in self._awaited if id(one) not in gone]

    def store(self, url: str) -> Store:
        """Return the store of this URL, opened once."""
        if url not in self._stores:
            self._stores[url] = self._open(url)
        return self._stores[url]

    def look(self) -> list[tuple[Awaited, Notice]]:
        """Return what has become of the attempts since; a store that does not answer is looked at next time."""
        seen: list[tuple[Awaited, Notice]] = []
        for url, job in dict.fromkeys((one.store, one.job) for one in self._awaited):
            mine = [one for one in self._awaited if (one.store, one.job) == (url, job)]
            try:
                store = self.store(url)
            except WrensError as error:
                # Nobody will ever find anything there, the worker included.
                self.forget(mine)
                seen += [(one, Lost(one.attempt, Loss(str(error), one.attempt))) for one in mine]
                continue
            try:
                settled, evidence = self._list(store, job, mine)
            except StoreError:
                continue
            for one in mine:
                seen += [(one, notice) for notice in self._became(one, settled, evidence)]
        return seen

    @staticmethod
    def _list(store: Store, job: str, mine: list[Awaited]) -> tuple[set[str], set[str]]:
        """Return the settled batches and the evidence of a job, as far back as these attempts need."""
        first = min(one.batch for one in mine).partition(".")[0]
        # The sorting of names puts "." before digits, so what comes after the number less its end has all.
        verdicts = store.list(keys.verdicts(job), after=keys.verdict(job, first[:-1]))
        settled = {keys.basename(key) for key in verdicts}
        prefix = keys.attempts(job)
        evidence = store.list(prefix, after=prefix + first[:-1])
        return settled, {key.removeprefix(prefix) for key in evidence}

    def _became(self, one: Awaited, settled: set[str], evidence: set[str]) -> Iterator[Notice]:
        """Yield what is told of one attempt."""
        while one.batch in settled:
            following = keys.going_on(one.attempt)
            if f"{following}/heartbeat" not in evidence:
                self.forget([one])
                yield Committed(one.attempt)
                return
            yield Committed(one.attempt, following)
            one.batch, one.attempt = following.rpartition(".")[0], following
        if f"{one.attempt}/loss" in evidence and (loss := self._loss(one)) is not None:
            self.forget([one])
            yield Lost(one.attempt, loss)

    def _loss(self, one: Awaited) -> Loss | None:
        """Return what the worker's host has written about a loss; ``None`` when it was not the host."""
        key = keys.evidence(one.job, one.attempt, "loss")
        try:
            return envelope.from_json(Loss, self.store(one.store).get(key), key)
        except BadSignature:
            return None
        except WrensError as error:
            return Loss(f"it was lost, and its evidence cannot be read: {error}", one.attempt)

    # --- signs of life ---

    def silent(self, now: float) -> list[Awaited]:
        """Return the attempts that have given no sign of life for too long, each again after a while."""
        late = [one for one in self._awaited if now >= max(one.check_at, one.since + CHECK_S)]
        if not late:
            return []
        for one in late:
            one.check_at = now + CHECK_S
        for one, beat in zip(late, self._together(self._beat, late), strict=True):
            if beat > one.beat:
                one.beat, one.since = beat, now
        return [one for one in late if self.is_silent(one, now)]

    @staticmethod
    def is_silent(one: Awaited, now: float) -> bool:
        """Whether this attempt has given no sign of life for too long."""
        return now - one.since >= SILENT_S

    def _together(self, do: Callable[[Awaited], T], attempts: Sequence[Awaited]) -> Iterator[T]:
        """Do something for each of these, several at a time."""
        if len(attempts) < 2:
            return map(do, attempts)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="wrens-watch")
        try:
            return self._threads.map(do, attempts)
        except RuntimeError:  # the interpreter is about to end, and begins nothing new
            return map(do, attempts)

    def _beat(self, one: Awaited) -> float:
        """Return when an attempt last gave a sign of life, by its worker's clock; zero for never."""
        key = keys.evidence(one.job, one.attempt, "heartbeat")
        try:
            return envelope.from_json(Heartbeat, self.store(one.store).get(key), key).at
        except (ObjectMissing, BadSignature):
            return 0.0
        except WrensError:
            # Nothing is known, so nothing is held against it.
            return max(one.beat, 0.0) + 1e-3

    # --- asking workers to stop ---

    def ask_to_stop(self, attempts: Iterable[Awaited]) -> None:
        """Leave word for the hosts of these attempts that they shall end them."""
        for _ in self._together(self._ask_to_stop, list(attempts)):
            pass

    def _ask_to_stop(self, one: Awaited) -> None:
        # Where it cannot be written the attempt runs to its end, and comes too late.
        with contextlib.suppress(StoreError):
            self.store(one.store).put(keys.evidence(one.job, one.attempt, "cancel"), b"", mode="replace")

    def close(self) -> None:
        """Free the threads and the stores."""
        self._stores.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
