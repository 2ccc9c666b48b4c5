"""What workers must be able to import beside the user's own modules.

Nothing has to be done for workers that run on this installation, which are those of a backend that names no
platform; for all others :mod:`wrens.environments` finds or builds the packages, and is imported only then. Workers
that a task asks for get what its own worker has been given: there is nothing else that it could have imported.
Decides that, and that the versions of Python fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from wrens import events
from wrens.backends.base import Backend
from wrens.clock import Clock
from wrens.core.planning import python_version
from wrens.core.policy import Options
from wrens.environments.wanted import Environment
from wrens.errors import WrongPython
from wrens.serialize import Shipment
from wrens.store.port import Store
from wrens.worker.context import current_task

if TYPE_CHECKING:
    from wrens.environments.supply import Supply


def check_python(backend: Backend) -> None:
    """Refuse workers that could not run what this Python pickles, before anything is stored.

    Raises:
        WrongPython: naming both versions.
    """
    platform, here = backend.limits.platform, python_version()
    if platform is not None and platform.python != here:
        raise WrongPython(here, platform.python, backend.name)


class Packages:
    """Finds the packages for what is called on one executor.

    Args:
        backend: Says what its workers are.
        store: Where the packages are.
        clock: Measures how long it takes.
        tell: Tells the observers.
    """

    def __init__(
        self,
        backend: Backend,
        store: Store,
        *,
        clock: Clock,
        tell: Callable[[Callable[[float], events.Event]], None],
    ) -> None:
        self._supply: Supply | None = None
        task = current_task()
        alike = task is not None and (task.backend, task.store) == (backend.name, store.url)
        self._given = task.environment if task is not None and alike else None
        if backend.limits.platform is not None:
            from wrens.environments.supply import Supply

            self._supply = Supply(store, backend.limits.platform, clock=clock, tell=tell)

    @property
    def needed(self) -> bool:
        """Whether workers have none of their own."""
        return self._supply is not None

    def always(self, modules: Iterable[str]) -> None:
        """Note modules that every worker needs: those of shared values and of the initializer."""
        if self._supply is not None:
            self._supply.always(modules)

    def environment(self, options: Options, shipment: Shipment, modules: frozenset[str] = frozenset()) -> str:
        """Return the digest of what a function needs, which is in the store then; empty for nothing.

        Args:
            options: They may ask for other packages than those that are found.
            shipment: The function.
            modules: Modules that its inputs refer to.

        Raises:
            BadEnvironment: if the packages cannot be had.
            StoreError: if they cannot be stored.
        """
        if self._supply is None:
            return ""
        if self._given is not None and options.environment == Environment():
            return self._given
        return self._supply.environment(options.environment, shipment, modules)
