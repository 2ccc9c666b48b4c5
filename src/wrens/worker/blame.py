"""Failures of tasks, with the sentence that says where they happened.

Decides what the note on a user's exception says and which frames of ours its traceback is
spared, and how an error is told that is nobody's fault here.
"""

from __future__ import annotations

import os
import reprlib
import sys
from types import FrameType, TracebackType
from typing import Any

from wrens.errors import (
    BadSignature,
    BadSigningKey,
    ForeignRecord,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    VersionMismatch,
    WrensError,
)
from wrens.serialize import describe_failure
from wrens.wire.records import Call, Failure, Refusal
from wrens.worker.running import Running

_OURS = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - pathlib costs a worker 5 ms to import
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_NOTHING = object()
NOT_THE_TASKS = (StoreUnavailable, StoreDenied, VersionMismatch, BadSignature, BadSigningKey, ForeignRecord)
"""What is no task's fault while something is loaded for it: the attempt ends without a verdict."""
FACT = 300
"""Characters of a fact that is told through a pipe."""


def failure(run: Running, index: int, error: BaseException, x: Any = _NOTHING) -> Failure:
    """Describe what a task raised, with a note of where; ``x`` is its input, when it could be read."""
    error.__traceback__ = _theirs(error.__traceback__)
    invocation = run.invocation
    call = f"{run.name}({'...' if x is _NOTHING else shown(x, invocation.call)})"
    note = (
        f"raised by {call} in task {invocation.start + index} of job {invocation.job}, "
        f"attempt {invocation.tries + invocation.losses + 1}, on {run.host.where}"
    )
    notes = [note]
    if isinstance(error, MemoryError) and run.memory_mb is not None:
        notes.append(
            f"Likely cause (a guess): the limit of {run.memory_mb} MB for a worker. To raise it: "
            f"ex.options(resources=wrens.Resources(memory_mb={2 * run.memory_mb}))"
        )
    try:
        return describe_failure(error, notes=notes)
    except Exception as second:  # noqa: BLE001 - an exception of the user's that even breaks describing it
        kind = type(error)
        reason = f"(it could not be described: {type(second).__name__})"
        return Failure("user", f"{kind.__module__}.{kind.__qualname__}", reason, notes=tuple(notes))


def refusal(error: WrensError, where: str) -> Refusal:
    """Describe an error that is neither the task's nor this worker's, in words short enough for a pipe.

    >>> refusal(VersionMismatch("Python", "3.12", "3.11", "job j"), "worker 7").facts
    ('Python', '3.12', '3.11', 'job j', 'worker 7')
    """
    facts: tuple[str, ...] = ()
    if isinstance(error, StoreError):
        facts = (error.action, error.key, error.store, error.reason)
    elif isinstance(error, VersionMismatch):
        facts = (error.what, error.made, error.here, error.thing, error.where or where)
    elif isinstance(error, BadSignature):
        facts = (error.key, error.store, error.problem, error.advice, error.where or where)
    elif isinstance(error, (BadSigningKey, ForeignRecord)):
        facts = tuple(map(str, error.args))
    return Refusal(type(error).__name__, tuple(fact[:FACT] for fact in facts))


def shown(x: Any, call: Call) -> str:
    """Show the arguments of a call in at most some dozen characters, whatever their ``repr`` does.

    >>> shown(17, "one"), shown((1, "two"), "star"), shown(((1,), {"base": 2}), "apply")
    ('17', "1, 'two'", '1, base=2')
    """
    try:
        if call == "one":
            return _cut(_short.repr(x))
        args, kwargs = (x, {}) if call == "star" else x
        parts = [_short.repr(value) for value in args[:6]]
        parts += [f"{name}={_short.repr(value)}" for name, value in list(kwargs.items())[:6]]
        return _cut(", ".join(parts))
    except BaseException:  # noqa: BLE001 - the user's repr may do anything
        return "..."


def retried(error: BaseException, names: tuple[str, ...]) -> bool:
    """Tell whether the policy's ``retry_on`` names the type of this exception or one of its bases.

    >>> retried(FileNotFoundError(), ("builtins:OSError",)), retried(KeyError(), ("builtins:OSError",))
    (True, False)
    """
    if not names:
        return False
    return any(f"{kind.__module__}:{kind.__qualname__}" in names for kind in type(error).__mro__)


def stack(thread: int) -> str:
    """Return the Python stack of a thread as text, without the frames of the worker."""
    import traceback

    frame: FrameType | None = sys._current_frames().get(thread)  # noqa: SLF001 - documented, despite its name
    if frame is None:
        return ""
    frames = [f for f in traceback.extract_stack(frame) if not f.filename.startswith(_OURS)]
    return "".join(traceback.format_list(frames)).rstrip()


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Drop the frames of the worker from the beginning of a traceback."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    return trace


def _cut(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
