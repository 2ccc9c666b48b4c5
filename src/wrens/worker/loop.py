"""The loop that calls the user's function: the one place where a nanosecond counts.

A no-op task costs about 80 ns here, most of it the call itself, so a loop does nothing per task but write
the task's number into the status page (a killed worker must tell which task it was) and append the result.
Decides nothing about what happens with a failure; it tells the attempt and goes on with the next task.

The inputs come from a list iterator, for one reason: another thread can empty the list, and then this loop
ends after the call that it is in, without ever having looked at a flag. See :mod:`wrens.worker.running`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wrens.wire.records import Call

LONG_S = 0.001
"""From this mean on, a task is long enough for its duration to be worth keeping."""

Feed = Iterator[tuple[int, Any]]
Now = Callable[[], float]


def sweep(call: Callable[[Any], Any], feed: Feed, page: memoryview, keep: Callable[[Any], None]) -> None:
    """Call for every input, numbered as in the job; ``page[0]`` always is the task begun last."""
    for page[0], x in feed:  # the number goes straight into shared memory
        keep(call(x))


def sweep_timed(
    call: Callable[[Any], Any],
    feed: Feed,
    page: memoryview,
    keep: Callable[[Any], None],
    stamps: list[float],
    now: Now,
    *,
    always: bool,
) -> bool:
    """Do as :func:`sweep`, and note when each task ended.

    Returns:
        ``True`` when there are no more inputs, ``False`` when the tasks turned out too short for this;
        with ``always`` that does not matter.
    """
    for page[0], x in feed:
        keep(call(x))
        stamps.append(now())
        if not always and stamps[-1] - stamps[0] < LONG_S * (len(stamps) - 1):
            return False
    return True


def bound(fn: Callable[..., Any], call: Call) -> Callable[[Any], Any]:
    """Return the callable of one input that makes the call in this style.

    >>> bound(pow, "star")((2, 5)), bound(int, "apply")((("ff",), {"base": 16}))
    (32, 255)
    """
    if call == "one":
        return fn
    if call == "star":
        return lambda x: fn(*x)
    return lambda x: fn(*x[0], **x[1])
