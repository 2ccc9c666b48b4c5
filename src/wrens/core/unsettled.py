"""The batches that have no verdict, and which of them are whose.

Decides nothing: it answers questions about one job at the cost of the answer, however many batches the others
have. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wrens.core.batches import Batch, Key


@dataclass(slots=True)
class _OfJob:
    batches: dict[Key, Batch] = field(default_factory=dict)
    tasks: int = 0


class Unsettled:
    """The batches without a verdict, in the order in which they came."""

    def __init__(self) -> None:
        self._all: dict[Key, Batch] = {}
        self._jobs: dict[str, _OfJob] = {}
        self._with_backup = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def __contains__(self, key: Key) -> bool:
        """Whether this batch is known and has no verdict."""
        return key in self._all

    def __getitem__(self, key: Key) -> Batch:
        """Return a batch that is here."""
        return self._all[key]

    def get(self, key: Key) -> Batch | None:
        """Return a batch, or ``None`` when it is not here."""
        return self._all.get(key)

    def all(self) -> list[Batch]:
        """Return the batches of all jobs."""
        return list(self._all.values())

    def add(self, batch: Batch) -> None:
        """Take up a batch, in place of one of this name."""
        self.pop(batch.key)
        job = self._jobs.setdefault(batch.job, _OfJob())
        self._all[batch.key] = job.batches[batch.key] = batch
        job.tasks += batch.count
        if batch.rules.backup is not None:
            self._with_backup += 1

    def pop(self, key: Key) -> Batch | None:
        """Let go of a batch, and return it; ``None`` when it is not here."""
        batch = self._all.pop(key, None)
        if batch is None:
            return None
        job = self._jobs[batch.job]
        del job.batches[key]
        job.tasks -= batch.count
        if batch.rules.backup is not None:
            self._with_backup -= 1
        if not job.batches:
            del self._jobs[batch.job]
        return batch

    def jobs(self) -> set[str]:
        """Return the jobs that have any."""
        return set(self._jobs)

    def of(self, job: str) -> list[Key]:
        """Return the keys of a job's batches."""
        mine = self._jobs.get(job)
        return [] if mine is None else list(mine.batches)

    def tasks(self, job: str) -> int:
        """Return how many tasks a job's batches have together."""
        mine = self._jobs.get(job)
        return 0 if mine is None else mine.tasks

    @property
    def any_backup(self) -> bool:
        """Whether the rules of any job with batches here ask for backup copies of slow attempts."""
        return self._with_backup > 0
