"""What a driver's process has asked of the store and the backend, job by job, left in the store for who asks what it cost.

    jobs/<job>/attempts/driver.<id>/account       when a job that is kept has ended, and again when the session closes

Decides when an account is written and what stands in it; and what was asked in all, by this process and, as far as their
verdicts have come, by workers, is known here to whoever wants to compare two moments. What was asked is counted by :mod:`wrens.store.meters`, so a
store that nobody bills has no accounts, and nothing is done for it. An account is evidence: a store that refuses it is
ignored, and what is asked after the last one, such as by who reads results later, is in none.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable

from wrens.clock import Clock
from wrens.errors import StoreError
from wrens.store.meters import is_metered, made_here, meter_at, unbilled
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import Account, Requests, Usage


class Accounts:
    """The accounts of one driver.

    Args:
        store: What is asked, and where to leave them.
        driver_id: Whose they are.
        clock: Tells the time.
    """

    def __init__(self, store: Store, driver_id: str, clock: Clock) -> None:
        self.kept: Callable[[str], bool] = lambda _: False
        """Whether a job's data will stay, so that somebody can ask."""
        self._store = store
        self._id = driver_id
        self._clock = clock
        self._meter = meter_at(store.url) if is_metered(store.url) else None
        self._launched: Counter[str] = Counter()
        self._written: dict[str, Account] = {}
        self._workers = Requests()
        self._shared = self._meter.of_job("") if self._meter else Requests()

    def settled(self, usage: Usage) -> None:
        """Add what a worker has asked for, as its verdict tells."""
        for asked in (usage.requests, usage.unbilled):
            if asked is not None:
                self._workers = self._workers + asked

    def until_now(self) -> Requests:
        """Return what this process has asked of buckets and directories, and workers whose verdicts were read."""
        return made_here() + unbilled.total() + self._workers

    def launched(self, job_id: str) -> None:
        """Note that an attempt was given to the backend."""
        if self._meter is not None:
            self._launched[job_id] += 1

    def ended(self, job_id: str) -> None:
        """Leave the account of a job, if it is kept and this driver has done something for it."""
        if self._meter is None or not self._launched[job_id] or not self.kept(job_id):
            return
        before = self._written.get(job_id)
        requests = self._meter.of_job(job_id)
        if before is not None and (before.launched, before.requests) == (self._launched[job_id], requests):
            return
        shared = self._meter.of_job("")
        news, self._shared = shared - self._shared, shared
        account = Account(
            driver=self._id,
            at=self._clock.wall(),
            launched=self._launched[job_id],
            requests=requests + Requests(puts=1),
            shared=news if before is None else before.shared + news,
        )
        self._written[job_id] = account
        with contextlib.suppress(StoreError):
            key = keys.account(job_id, self._id)
            self._store.put(key, envelope.to_json(account), mode="replace")
            # What it weighs is not in it; so that writing it is no news, it is from here on.
            self._written[job_id] = _with(account, self._meter.of_job(job_id))

    def close(self, jobs: Iterable[str]) -> None:
        """Leave the accounts of these jobs as far as they have changed."""
        for job_id in jobs:
            self.ended(job_id)

    def forget(self, job_id: str) -> None:
        """Free what is known of a job that is deleted."""
        self._launched.pop(job_id, None)
        if self._meter is not None:
            self._meter.forget(job_id)


def _with(account: Account, requests: Requests) -> Account:
    return Account(account.driver, account.at, account.launched, requests, account.shared)
