"""An exception as a record, and the record as an exception again.

The record always has text: type, message, traceback. It has the pickled exception too, when that can be
pickled here and be rebuilt; both are tried where it was raised, because later nobody can help. What does not
pickle among its attributes is left out rather than the exception. The client gets the same type, the remote
traceback and our notes added; or a :class:`~wrens.errors.RemoteError` when it cannot be rebuilt there.

Decides how a failure travels, not whether it is final.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - this package is the home of pickle
import traceback
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Literal

from wrens.errors import Cancelled, RemoteError
from wrens.serialize.quick import HARMFUL
from wrens.wire.records import Failure

TEXT = 100_000
"""Characters of a message or a traceback that are kept."""


def describe_failure(
    error: BaseException,
    *,
    kind: Literal["user", "system", "cancelled"] = "user",
    notes: Sequence[str] = (),
    skip_frames_of: Collection[str] = (),
) -> Failure:
    """Turn an exception into a record; never fails, whatever the exception does.

    Args:
        error: The exception.
        kind: Whose failure it is.
        notes: What to tell the user besides, a line each.
        skip_frames_of: Names of packages whose frames are left out at the beginning of the traceback; those
            of wrens always are.

    Returns:
        The record.

    >>> failure = describe_failure(ValueError("no"), notes=["in task 3"])
    >>> failure.type_name, failure.message, failure.notes
    ('ValueError', 'no', ('in task 3',))
    >>> rebuild_failure(failure)
    ValueError('no')
    """
    skip = ("wrens", *skip_frames_of)
    return Failure(
        kind=kind,
        type_name=_name_of(type(error)),
        message=_clipped(_message_of(error)),
        traceback=_clipped(_traceback_of(error, skip)),
        pickled=_pickled(error),
        notes=tuple(notes),
    )


def rebuild_failure(failure: Failure) -> BaseException:
    """Turn a record back into an exception.

    Args:
        failure: The record.

    Returns:
        An exception of the same type where that is possible, otherwise a ``RemoteError``. Its notes end with
        the remote traceback and the record's notes. Most often it is an ``Exception``, but a task that called
        ``sys.exit()`` gives the ``SystemExit``.

    >>> rebuild_failure(Failure("user", "mypkg.Refused", "no"))
    RemoteError('mypkg.Refused', 'no', 'it could not be pickled')
    """
    error, reason = _unpickled(failure.pickled)
    if error is None:
        cancelled = failure.kind == "cancelled" and not failure.pickled
        error = Cancelled() if cancelled else RemoteError(failure.type_name, failure.message, reason)
    for note in (failure.traceback, *failure.notes):
        if note:
            _add_note(error, note)
    return error


def _pickled(error: BaseException) -> bytes:
    """Return the exception's pickle, whole or without what does not pickle; empty when neither works."""
    from wrens.serialize.exceptions import dumps_error

    for careful in (False, True):
        try:
            text = dumps_error(error, careful=careful)
            if isinstance(pickle.loads(text), type(error)):  # noqa: S301 - made a moment ago
                return text
        except HARMFUL:
            continue
    return b""


def _unpickled(text: bytes) -> tuple[BaseException | None, str]:
    """Return the exception, or ``None`` and why not."""
    if not text:
        return None, "it could not be pickled"
    try:
        error = pickle.loads(text)  # noqa: S301 - a client trusts the store that it chose
    except HARMFUL as problem:
        from wrens.serialize.explain import reason_of

        return None, reason_of(problem)
    if not isinstance(error, BaseException):
        return None, f"its pickle holds a {type(error).__name__}"
    return error, ""


def _traceback_of(error: BaseException, skip: tuple[str, ...]) -> str:
    """Format an exception with its chain, without the frames of those who called the user's function."""
    frames = error.__traceback__
    while frames is not None and _module_of(frames).partition(".")[0] in skip:
        frames = frames.tb_next
    if frames is None:
        frames = error.__traceback__ if type(error).__module__.startswith("wrens.") else None
    try:
        return "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
    except HARMFUL as problem:
        return f"{_name_of(type(error))}: (the traceback could not be formatted: {type(problem).__name__})"


def _module_of(frames: TracebackType) -> str:
    return str(frames.tb_frame.f_globals.get("__name__") or "")


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except HARMFUL as problem:
        return f"(str() of it raised {type(problem).__name__})"


def _name_of(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _clipped(text: str) -> str:
    """Return text that can be stored, with the middle left out when it is too long."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= TEXT:
        return text
    return f"{text[: TEXT // 2]}\n[... {len(text) - TEXT} characters left out ...]\n{text[-TEXT // 2 :]}"


def _add_note(error: BaseException, note: str) -> None:
    """Add a note, even where an attribute of the user's stands in the way."""
    try:
        error.add_note(note)
    except TypeError:  # __notes__ is something else than a list
        error.__notes__ = [note]
