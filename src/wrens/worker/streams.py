"""Random numbers for tasks: each task has a stream of its own, which is the same whenever and wherever it runs.

Decides that a stream belongs to the task's number, and to nothing that can differ from run to run: no worker, attempt, batch
or clock. How seeds become numbers is NumPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING

from wrens.errors import BadOption, MissingPackage
from wrens.worker.context import current_task

if TYPE_CHECKING:
    from numpy.random import SeedSequence


def seed_sequence(entropy: int | Sequence[int], task: int | None = None) -> SeedSequence:
    """Return the seed of the running task's random numbers, for ``numpy.random.default_rng``.

    It is ``numpy.random.SeedSequence(entropy).spawn(n)[task]`` for any ``n``, so that different tasks have independent streams,
    and a task has the same one when it is tried again, in a backup copy, in a batch of another size, on another backend, and
    with another number of workers. Within a task each call returns the same seed from its beginning: for several streams
    call it once, and spawn from what it returns.

    Args:
        entropy: A whole number, or several, of which all streams of a job are made. Jobs that are to be independent need
            different ones.
        task: The number of the task whose stream it is; by default that of the running task. With it, streams can be had
            outside of tasks, such as to repeat one.

    Raises:
        BadOption: if there is no entropy or it is no whole number, or no task is running and none is named.
        MissingPackage: if NumPy is not installed.

    >>> import wrens
    >>> from numpy.random import default_rng
    >>> def throw(dice):
    ...     return default_rng(wrens.seed_sequence(7)).integers(1, 7, dice).tolist()
    >>> with wrens.Executor("inline") as ex:
    ...     thrown = list(ex.map(throw, [2, 3, 2]))
    >>> thrown[1] == default_rng(wrens.seed_sequence(7, task=1)).integers(1, 7, 3).tolist()
    True
    """
    if entropy is None:
        raise BadOption(
            "entropy=None",
            "would make other random numbers at each try of a task",
            "Pass a whole number; for a new one each time, draw it outside of the tasks and note it: secrets.randbits(128).",
        )
    try:
        from numpy.random import SeedSequence
    except ImportError as error:
        raise MissingPackage(
            "numpy",
            "streams of random numbers",
            "pip install 'wrens[data]'; on workers, import numpy in the function as well",
        ) from error
    number = _number(task)
    try:
        return SeedSequence(entropy, spawn_key=(number,))
    except (TypeError, ValueError) as error:
        raise BadOption(
            f"entropy={entropy!r}",
            "is neither a whole number from 0 nor several of them",
            "Write wrens.seed_sequence(7), or wrens.seed_sequence([7, 2]).",
        ) from error


def _number(task: int | None) -> int:
    """Return the number that the stream belongs to."""
    if task is None:
        running = current_task()
        if running is None:
            raise BadOption(
                "seed_sequence",
                "was called outside of a task, so there is no task whose stream it could be",
                "Name one: wrens.seed_sequence(..., task=0).",
            )
        return running.task
    try:
        number = -1 if isinstance(task, bool) else index(task)
    except TypeError:
        number = -1
    if number < 0:
        raise BadOption(f"task={task!r}", "is no number of a task", "Tasks are numbered from 0.")
    return number
