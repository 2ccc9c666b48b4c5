"""What a driver leaves in the store and tells its observers, beside verdicts.

    drivers/<id>                                  it is alive, and may rely on what it stored before
    jobs/<job>/attempts/driver.<id>/heartbeat     it is alive and drives this job
    jobs/<job>/attempts/<attempt>/loss            what is known of an attempt that was lost
    jobs/<job>/attempts/driver.<id>/account       what it has asked for this job, see core.accounts

All of it is evidence, for people, for those who attach and for those who clean up; no result depends on it, so
a store that refuses it is ignored. Decides how often and what, not what follows from it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Sequence

from wrens import events
from wrens.clock import Clock
from wrens.core.accounts import Accounts
from wrens.core.batches import Batch, Launch
from wrens.errors import StoreError
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat, Loss, Verdict

BEAT_S = 5.0
"""How often a driver says that it is alive while it has a job."""
IDLE_BEAT_S = 30.0
"""The same while it has none."""


class Signs:
    """The signs of life of one driver, and the stream of its events.

    Args:
        store: Where to leave them.
        driver_id: Whose they are.
        clock: Tells the time.
        observers: Called with every event; one that raises is told so in a warning and called no more.
    """

    def __init__(
        self, store: Store, driver_id: str, *, clock: Clock, observers: Sequence[events.Observer]
    ) -> None:
        self.observers = list(observers)
        self._store = store
        self._id = driver_id
        self._clock = clock
        self.accounts = Accounts(store, driver_id, clock)
        self._open: set[str] = set()
        self._left = False
        self.due_at = self.noticed_at = clock.now()
        """When the driver gives its next sign of life, and when its backend has last told it something."""

    def reading_inputs(self, job_id: str, *, going_on: bool) -> None:
        """Note that the inputs of this job are still being read, or no longer."""
        if going_on:
            self._open.add(job_id)
        else:
            self._open.discard(job_id)

    def beat(self, now: float, jobs: Iterable[str]) -> None:
        """Leave a sign of life, for the driver and for each job that it has.

        The first one, left at once so that nobody cleans up what the driver relies on, is for the driver only.
        """
        wanted = {*jobs, *self._open} if self._left else set[str]()
        self.due_at = now + (BEAT_S if wanted or not self._left else IDLE_BEAT_S)
        beat = Heartbeat(attempt=f"driver.{self._id}", at=self._clock.wall())
        data = envelope.to_json(beat)
        self._left = True
        for key in (
            keys.driver(self._id),
            *(keys.evidence(job, beat.attempt, "heartbeat") for job in wanted),
        ):
            with contextlib.suppress(StoreError):
                self._store.put(key, data, mode="replace")

    def remove(self) -> None:
        """Take the driver's sign of life away: it has ended."""
        if self._left:
            with contextlib.suppress(StoreError):
                self._store.delete([keys.driver(self._id)])

    def launched(self, launch: Launch) -> None:
        """Count and tell of an attempt that is given to the backend."""
        batch = launch.batch
        self.accounts.launched(batch.job)
        self.tell(
            lambda at: events.AttemptLaunched(
                batch.job, batch.name, launch.attempt, batch.start, batch.count, launch.backup, at
            )
        )

    def ended(self, job_id: str, ok: int, failed: int) -> None:
        """Tell of the end of a job, and leave what it has asked for."""
        self.accounts.ended(job_id)
        self.tell(lambda at: events.JobEnded(job_id, ok, failed, at))

    def lost(self, job_id: str, attempt: str, loss: Loss) -> None:
        """Keep and tell what is known of a lost attempt."""
        batch = attempt.rpartition(".")[0]
        self.tell(lambda at: events.AttemptLost(job_id, batch, attempt, loss.reason, at))
        with contextlib.suppress(StoreError):
            key = keys.evidence(job_id, attempt, "loss")
            self._store.put(key, envelope.to_json(loss), mode="replace")

    def settled(self, verdict: Verdict, batch: Batch) -> None:
        """Tell of a verdict that was found, and count what its attempt has asked for."""
        self.accounts.settled(verdict.usage)
        again = [c.count for c in verdict.children if c.tries > batch.tries or c.losses > batch.losses]
        self.tell(
            lambda at: events.BatchSettled(
                job=verdict.job,
                batch=verdict.batch,
                attempt=verdict.attempt,
                ok=sum(count for _, count in verdict.ok),
                failed=len(verdict.failures),
                handed_on=sum(child.count for child in verdict.children),
                wall_s=verdict.usage.wall_s,
                at=at,
                retried=sum(again),
                noticed_at=min(self.noticed_at, at),
            )
        )

    def tell(self, make: Callable[[float], events.Event]) -> None:
        """Tell the observers, if there are any; ``make`` is given the time."""
        if not self.observers:
            return
        event = make(self._clock.now())
        for observer in list(self.observers):
            try:
                observer(event)
            except Exception as error:  # noqa: BLE001 - an observer is somebody else's code
                self.observers.remove(observer)
                with contextlib.suppress(Warning):  # where warnings are errors
                    warnings.warn(
                        f"the observer {observer!r} raised {error!r} and is not called any more; "
                        "no job is affected",
                        RuntimeWarning,
                        stacklevel=2,
                    )
