"""How many tasks go into a batch, as pure functions.

Decides sizes from counts, measured durations and the number of workers. Does not look at the clock, the
store or a worker: what tasks take is told to it through :class:`Pace`. What a worker does with a batch that
turns out long is :mod:`wrens.wire.handing_on`.
"""

from __future__ import annotations

from wrens.core.policy import Packing
from wrens.wire.records import Sharing

ROUNDS = 4
"""Batches per worker when nothing is known: enough for balance, few enough to be cheap."""
LONGEST_S = 2.0
"""No batch of short tasks is planned to take longer, so that results keep coming."""
LAUNCHES = 50
"""A batch should take this many times what its launch takes, so that launching costs 2 %."""


class Pace:
    """What a task of each function takes, learnt from verdicts; newer ones weigh more.

    >>> pace = Pace()
    >>> pace.learn("f", seconds=2.0, tasks=4)
    >>> pace.per_task("f"), pace.per_task("g")
    (0.5, None)
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def learn(self, function: str, seconds: float, tasks: int) -> None:
        """Take into account that ``tasks`` calls of ``function`` took ``seconds`` together."""
        if tasks <= 0 or seconds < 0:
            return
        new = max(seconds / tasks, 1e-9)
        old = self._seconds.get(function)
        self._seconds[function] = new if old is None else 0.5 * old + 0.5 * new

    def per_task(self, function: str) -> float | None:
        """Return seconds per task, or ``None`` when none has ended yet."""
        return self._seconds.get(function)


def batch_seconds(packing: Packing, launch_s: float) -> float:
    """Return how long a batch of short tasks should take at least, in seconds."""
    return max(packing.target_s, LAUNCHES * launch_s)


def sizes(
    total: int, *, packing: Packing, workers: int, per_task_s: float | None, target_s: float
) -> list[int]:
    """Cut ``total`` tasks that are known at once into batches.

    With nothing known about their duration, each worker gets :data:`ROUNDS` batches: when the tasks are
    short that is all there is to do, and when they are long the workers hand on what they have not begun.

    Args:
        total: Number of tasks.
        packing: The user's wishes.
        workers: How many batches can run at a time.
        per_task_s: Seconds per task when known.
        target_s: Seconds a batch of short tasks should take at least.

    Returns:
        The sizes, in order; they add up to ``total`` and differ by at most one, but for the last one of a
        fixed size.

    >>> sizes(10, packing=Packing(), workers=2, per_task_s=None, target_s=0.05)
    [2, 2, 1, 1, 1, 1, 1, 1]
    >>> sizes(7, packing=Packing(size=3), workers=2, per_task_s=None, target_s=0.05)
    [3, 3, 1]
    """
    if total <= 0:
        return []
    if packing.size is not None:
        full, rest = divmod(total, packing.size)
        return [packing.size] * full + ([rest] if rest else [])
    count = min(total, ROUNDS * workers)
    if per_task_s is not None:
        seconds = total * per_task_s
        # As few batches as give every worker several, unless each would then take too long. Less than a target
        # is shared by the workers too, when a part is worth a launch.
        shared = min(workers, int(seconds / target_s * LAUNCHES))
        count = max(min(count, round(seconds / target_s)), shared, round(seconds / LONGEST_S), 1)
    count = min(total, max(count, -(-total // packing.most)))
    size, larger = divmod(total, count)
    return [size + 1] * larger + [size] * (count - larger)


def queued(waiting: int, free: int, *, packing: Packing, per_task_s: float | None, target_s: float) -> int:
    """Return how many of ``waiting`` submitted tasks of one function make the next batch.

    Calls of ``submit`` may depend on each other in ways that nobody told us, so they are packed only when
    their function is known to be short, and never so that a free worker is left without one.

    >>> queued(1000, 2, packing=Packing(), per_task_s=None, target_s=0.05)
    1
    >>> queued(1000, 2, packing=Packing(), per_task_s=0.0001, target_s=0.05)
    500
    """
    if packing.size is not None:
        return min(waiting, packing.size)
    if per_task_s is None:
        return min(1, waiting)
    room = max(1, int(target_s / per_task_s))
    fair = -(-waiting // max(1, free))
    return max(1, min(waiting, room, fair, packing.most))


def lazily(*, packing: Packing, last: int, per_task_s: float | None, target_s: float) -> int:
    """Return how many tasks of an input of unknown length make the next batch.

    Single tasks go first; once the first have ended, batches grow to what takes ``target_s``, by a factor
    of 16 at most so that one lucky measurement cannot swallow a long input.

    >>> lazily(packing=Packing(), last=1, per_task_s=None, target_s=0.05)
    1
    >>> lazily(packing=Packing(), last=1, per_task_s=1e-6, target_s=0.05)
    16
    """
    if packing.size is not None:
        return packing.size
    if per_task_s is None:
        return 1
    return max(1, min(int(target_s / per_task_s), 16 * max(1, last), packing.most))


def sharing(
    count: int, *, packing: Packing, workers: int, per_task_s: float | None, target_s: float
) -> Sharing:
    """Decide when a worker shall hand on the rest of a batch of ``count`` tasks.

    A batch that takes half as long again as it should is cut; one of unknown duration is cut after
    ``target_s``. A single task cannot be cut, one worker has nobody to share with, and a batch whose size
    the user fixed stays whole.
    """
    if count == 1 or workers == 1 or packing.size is not None:
        return Sharing(target_s=target_s, ways=workers)
    expected = 0.0 if per_task_s is None else count * per_task_s
    return Sharing(after_s=max(target_s, 1.5 * expected), target_s=target_s, ways=workers)
