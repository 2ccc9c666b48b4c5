"""Failures grouped by their cause, so that a thousand read as three.

Decides what counts as the same cause: the same type, raised at the same place. What a message says beside
that (the value that could not be parsed) is different each time and is shown by one example. A failure
without a place is told apart by its message, numbers aside. Does not decide how it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from wrens.wire.records import Failure, Verdict

_PLACE = re.compile(r'^\s*File "([^"]+)", line (\d+), in (.+)$', re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Cause:
    """Failures with one cause.

    Args:
        kind: Whose it is: ``"user"``, ``"system"`` or ``"cancelled"``.
        type_name: The exception's type.
        place: Where it was raised: file, line and function; empty when nobody knows.
        tasks: The tasks that failed of it, in order.
        example: The failure of the first of them.
    """

    kind: str
    type_name: str
    place: str
    tasks: tuple[int, ...]
    example: Failure

    @property
    def count(self) -> int:
        """How many tasks failed of it."""
        return len(self.tasks)


def place_of(failure: Failure) -> str:
    """Return where an exception was raised, from its traceback.

    >>> place_of(Failure("user", "ValueError", "no", traceback='''Traceback (most recent call last):
    ...   File "a.py", line 3, in outer
    ...     inner()
    ...   File "b.py", line 7, in inner
    ...     raise ValueError("no")
    ... ValueError: no'''))
    'b.py:7 in inner'
    """
    frames = _PLACE.findall(failure.traceback)
    if not frames:
        return ""
    path, line, function = frames[-1]
    return f"{path}:{line} in {function}"


def causes(verdicts: Iterable[Verdict]) -> list[Cause]:
    """Group the failures of some verdicts; the commonest cause comes first.

    >>> bad = [(n, Failure("user", "ValueError", f"bad value {n}")) for n in range(3)]
    >>> verdict = Verdict(v=1, job="j", batch="0", attempt="0.a", start=0, count=4, failures=(
    ...     *bad, (3, Failure("system", "wrens.errors.WorkerLost", "gone"))))
    >>> [(cause.type_name, cause.count, cause.example.message) for cause in causes([verdict])]
    [('ValueError', 3, 'bad value 0'), ('wrens.errors.WorkerLost', 1, 'gone')]
    """
    found: dict[tuple[str, str, str], list[tuple[int, Failure]]] = {}
    for verdict in verdicts:
        for task, failure in verdict.failures:
            where = place_of(failure) or _NUMBER.sub("#", failure.message)
            found.setdefault((failure.kind, failure.type_name, where), []).append((task, failure))
    made: list[Cause] = []
    for (kind, type_name, _), failures in found.items():
        failures.sort(key=lambda item: item[0])
        example = failures[0][1]
        tasks = tuple(task for task, _ in failures)
        made.append(Cause(kind, type_name, place_of(example), tasks, example))
    return sorted(made, key=lambda cause: (-cause.count, cause.tasks))


def spans(tasks: Iterable[int], most: int = 6) -> str:
    """Return ascending task numbers as people write them.

    >>> spans([1, 2, 3, 7, 9, 10])
    '1-3, 7, 9-10'
    >>> spans(range(0, 40, 2))
    '0, 2, 4, 6, 8, 10, …'
    """
    runs: list[list[int]] = []
    for task in tasks:
        if runs and task == runs[-1][1] + 1:
            runs[-1][1] = task
        else:
            runs.append([task, task])
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs[:most]]
    return ", ".join(shown + (["…"] if len(runs) > most else []))
