"""Backends by name.

Another package adds one through the entry point group ``wrens.backends``. The names that come with wrens are
known here as text, so that they work without an installation too and the core imports no adapter. Decides
which class a name means, and imports it when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wrens.errors import BadOption, UnknownBackend
from wrens.worker.context import current_task

if TYPE_CHECKING:
    from wrens.backends.base import Backend

GROUP = "wrens.backends"
_OWN = {
    "local": "wrens.backends.local:LocalBackend",
    "inline": "wrens.backends.inline:InlineBackend",
    "lambda": "wrens.backends.aws_lambda.backend:LambdaBackend",
}
_HERE = {"local", "inline"}
"""Those whose tasks share this computer's processors with what they start."""


def find(name: str) -> type[Backend]:
    """Return the class of a backend.

    Args:
        name: Such as ``"local"``.

    Raises:
        UnknownBackend: if nothing has this name.

    >>> find("local").__name__
    'LocalBackend'
    """
    if name in _OWN:
        module, _, attribute = _OWN[name].partition(":")
        found: type[Backend] = getattr(import_module(module), attribute)
        return found
    for entry in _entry_points():
        if entry.name == name:
            return entry.load()  # type: ignore[no-any-return]
    raise UnknownBackend(name, available())


def open_backend(name: str, *, max_workers: int | None = None) -> Backend:
    """Make a backend of this name.

    Args:
        name: Such as ``"local"``. What follows a colon names one of several of its kind, such as the function in
            ``"lambda:wrens-py311-big"``.
        max_workers: How many attempts at most it runs at a time; by default as many as is sensible.

    Raises:
        UnknownBackend: if nothing has this name.
        BadOption: if ``max_workers`` cannot be, or the backend has no several of its kind.

    >>> open_backend("inline").limits.parallelism
    1
    """
    name, _, which = name.partition(":")
    kind: Any = find(name)
    if not which:
        backend: Backend = kind(max_workers=max_workers)
        return backend
    if not hasattr(kind, "named"):
        raise BadOption(
            f"backend={name}:{which!r}", "names one of several, and there is only one", f"Write {name!r}."
        )
    chosen: Backend = kind.named(which, max_workers=max_workers)
    return chosen


def default() -> str:
    """Return the name of the backend for an executor that names none.

    Outside of a task that is ``local``. A task on this computer runs further tasks in its own process,
    because its pool has all processors already; a task elsewhere launches from where it is.

    >>> default()
    'local'
    """
    context = current_task()
    if context is None:
        return "local"
    return "inline" if context.backend in _HERE else context.backend


def available() -> list[str]:
    """Return the names that :func:`find` knows, in order.

    >>> {"inline", "local"} <= set(available())
    True
    """
    return sorted({*_OWN, *(entry.name for entry in _entry_points())})


def _entry_points() -> list[Any]:
    # Imported late: it costs more than the rest of this package together.
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))
