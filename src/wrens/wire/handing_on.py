"""How what is left of a batch is cut, so that others can share it.

Pure functions: the worker cuts with them and the simulator runs the very same ones. Decides the sizes of the
pieces; when to hand on is the worker's decision, and who takes a piece the driver's.
"""

from __future__ import annotations

from collections.abc import Iterable

from wrens.wire.records import Sharing


def cut(start: int, count: int, per_task_s: float, sharing: Sharing) -> tuple[tuple[int, int], ...]:
    """Cut a run of tasks into pieces that shrink, so that all workers end at about the same time.

    Each piece is what is left divided by twice the number of workers that might take one: large pieces
    first, small ones last to even out what the estimate got wrong. No piece is expected to take less than
    ``sharing.target_s``, because a piece costs a round trip.

    Args:
        start: First task of the run.
        count: How many tasks it has.
        per_task_s: What one of them is expected to take, in seconds; zero when not known.
        sharing: The policy: ``target_s`` and ``ways``.

    Returns:
        ``(start, count)`` of each piece, in order and without gaps.

    >>> cut(100, 16, 1.0, Sharing(target_s=0.05, ways=2))
    ((100, 4), (104, 3), (107, 3), (110, 2), (112, 1), (113, 1), (114, 1), (115, 1))
    >>> cut(0, 10, 0.01, Sharing(target_s=0.05, ways=2))
    ((0, 5), (5, 5))
    """
    least = _fitting(per_task_s, sharing.target_s, count)
    share = 2 * max(1, sharing.ways)
    pieces = []
    while count > 0:
        size = min(count, max(least, -(-count // share)))
        pieces.append((start, size))
        start, count = start + size, count - size
    return tuple(pieces)


def runs(tasks: Iterable[int], per_task_s: float, target_s: float) -> tuple[tuple[int, int], ...]:
    """Join single tasks that are to run again into runs, where being alone would not pay.

    Neighbours stay together only up to ``target_s`` of expected work: a slow task gets a batch of its own,
    while a thousand short ones do not become a thousand batches.

    Args:
        tasks: Task numbers, ascending.
        per_task_s: What one of them is expected to take, in seconds.
        target_s: How long a run may be expected to take.

    Returns:
        ``(start, count)`` of each run, in order.

    >>> runs([3, 4, 5, 9], 1.0, 0.05)
    ((3, 1), (4, 1), (5, 1), (9, 1))
    >>> runs([3, 4, 5, 9], 0.001, 0.05)
    ((3, 3), (9, 1))
    """
    found: list[tuple[int, int]] = []
    most = _fitting(per_task_s, target_s, 1 << 62)
    for task in tasks:
        if found and found[-1][0] + found[-1][1] == task and found[-1][1] < most:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((task, 1))
    return tuple(found)


def _fitting(per_task_s: float, target_s: float, most: int) -> int:
    """Return how many tasks fit into ``target_s``, at least one and at most ``most``."""
    if per_task_s * most <= target_s:
        return max(1, most)
    return max(1, int(target_s / per_task_s))
