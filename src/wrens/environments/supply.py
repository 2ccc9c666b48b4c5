"""The packages of one executor's workers: what is needed, found or built, and put into the store.

    modules of functions, inputs, shared values ──▶ pins ──▶ remembered? ──▶ in the store? ──▶ digest
                                                               no │              no │
                                                                  └──▶ uv, build ◀──┘ ──▶ put-if-absent

What is needed grows with what is called, and never shrinks: so a result of one function can be an argument of
another, and warm workers need not change environments with every call. Decides that, and which checks come before
anything is launched.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from wrens import events
from wrens.clock import Clock
from wrens.environments import building, remembered
from wrens.environments.installed import Distribution, Installed, split
from wrens.environments.installer import Installer
from wrens.environments.needs import Imports, is_builtin
from wrens.environments.platform import Platform
from wrens.environments.remembered import Memory
from wrens.environments.wanted import Environment
from wrens.errors import AlreadyExists, CannotResolve, MissingModule, NoWheel, ObjectMissing, StoreError
from wrens.serialize import Shipment
from wrens.serialize.origins import ORIGINS
from wrens.store.port import Store, raw_range
from wrens.wire import envelope, keys
from wrens.wire.records import EnvironmentUse

FORM = 1
"""Changes when the same wish is built in another way."""

Tell = Callable[[Callable[[float], events.Event]], None]


class Supply:
    """Finds the environment for what is called on one executor; safe for threads.

    Args:
        store: Where environments are.
        platform: What the workers are.
        clock: Measures how long building takes, and dates what is in use.
        tell: Tells the observers.
    """

    def __init__(self, store: Store, platform: Platform, *, clock: Clock, tell: Tell) -> None:
        self._store, self._platform, self._clock, self._tell = store, platform, clock, tell
        self._lock = threading.Lock()
        self._imports = Imports()
        self._installed = Installed()
        self._shared: set[str] = set()
        self._needed: dict[Environment, frozenset[str]] = {}
        self._answers: dict[tuple[Environment, Shipment, frozenset[str]], str] = {}
        self._made: dict[str, Memory] = {}

    def always(self, modules: Iterable[str]) -> None:
        """Note modules that every worker needs: those of shared values and of the initializer."""
        with self._lock:
            self._shared.update(modules)
            self._answers.clear()

    def environment(
        self, wanted: Environment, shipment: Shipment, modules: frozenset[str] = frozenset()
    ) -> str:
        """Return the digest of the packages with which a function can be called; they are in the store then.

        Args:
            wanted: What the user asks for.
            shipment: The function.
            modules: Modules that its inputs refer to.

        Returns:
            The digest; empty when nothing is needed beside what the workers have.

        Raises:
            MissingModule: if the function imports what is not installed here, or not in what was asked for.
            NoWheel: if a package has no wheel for the platform.
            CannotResolve: if no set of versions does.
            EnvironmentTooLarge: if it does not fit on a worker's disk.
            StoreError: if it cannot be stored.
        """
        question = (wanted, shipment, modules)
        known = self._answers.get(question)
        if known is not None:  # without the lock, which is held while something is built
            return known
        with self._lock:
            digest = self._answer(wanted, shipment, modules)
            self._answers[question] = digest
            return digest

    def _answer(self, wanted: Environment, shipment: Shipment, modules: frozenset[str]) -> str:
        if wanted.provided:
            return ""
        if wanted.found:
            self._check_installed(wanted, shipment)
            memory = self._of_imports(wanted, shipment, modules)
        elif wanted.lock:
            memory = self._of_lock(Path(wanted.lock))
        else:
            memory = self._of_requirements(wanted.requirements)
        if not wanted.found:
            self._check_included(shipment, memory)
        return memory.digest if memory else ""

    # --- the forms ---

    def _of_imports(self, wanted: Environment, shipment: Shipment, modules: frozenset[str]) -> Memory | None:
        before = self._needed.get(wanted, frozenset())
        needed = before | self._imports.reached(shipment.modules | modules | self._shared)
        roots: dict[str, Distribution] = {}
        for module in needed:
            for owner in self._installed.owners(module):
                if owner.name not in self._platform.provided:
                    roots[owner.name] = owner
        copied = self._copied(roots.values())
        asked = sorted(each.pin for name, each in roots.items() if name not in copied)
        requires = {name for each in copied.values() for name in each.requires}
        asked += sorted(
            self._installed.by_name[name].pin for name in self._from_index(requires - roots.keys())
        )
        memory = self._of_requirements((*asked, *wanted.also), copied)
        if needed != before:  # only now: what cannot be built for one function must not harm the others
            self._needed[wanted] = needed
            self._answers.clear()
        return memory

    def _from_index(self, names: Iterable[str]) -> list[str]:
        by_name, provided = self._installed.by_name, self._platform.provided
        return [name for name in names if name in by_name and name not in provided]

    def _copied(self, roots: Iterable[Distribution]) -> dict[str, Distribution]:
        """Return those among what is needed that no index has, so that their installed files are taken."""
        closure = self._installed.closure(each.name for each in roots)
        found = {
            each.name: each for each in closure if each.origin and each.name not in self._platform.provided
        }
        for each in found.values():
            if not each.pure:
                said = f"it was installed from {each.origin}, which is no index, and it has compiled parts"
                raise NoWheel((each.pin,), self._platform.tag, said)
        return found

    def _of_requirements(
        self, asked: tuple[str, ...], copied: dict[str, Distribution] | None = None
    ) -> Memory | None:
        copied = copied or {}
        if not asked and not copied:
            return None
        said = {name for name, versions in map(split, asked) if versions}
        closure = self._installed.closure(split(each)[0] for each in asked)
        limits = [each.pin for each in closure if each.name not in said and not each.origin]
        contents = [f"{name}:{keys.digest(*_contents(each))}" for name, each in sorted(copied.items())]
        wish = self._wish("requirements", *asked, "limits", *limits, "copied", *contents)

        def fill(installer: Installer, folder: Path) -> None:
            try:
                pins = installer.resolve(asked, limits)
            except CannotResolve:
                if all("==" in each for each in asked) or not limits:
                    raise
                pins = installer.resolve(
                    asked, ()
                )  # what is installed here does not go with what was asked for
            installer.install([pin for pin in pins if split(pin)[0] not in copied], folder)
            for each in copied.values():
                building.add_copied(each, folder)

        return self._get(wish, (*asked, *(each.pin for each in copied.values())), fill)

    def _of_lock(self, lock: Path) -> Memory | None:
        content = lock.read_bytes()

        def fill(installer: Installer, folder: Path) -> None:
            file = installer.exported(lock, folder.parent) if lock.name == "uv.lock" else lock
            installer.install_file(file, folder, complete=lock.name == "uv.lock", wanted=(lock.name,))

        # A file that names other files is read anew each time: they may have changed.
        simple = not any(
            line.lstrip().startswith(b"-") for line in content.splitlines() if b"--hash" not in line
        )
        wish = self._wish("lock", lock.name, keys.digest(content)) if simple else ""
        return self._get(wish, (lock.name,), fill)

    # --- from a wish to an object in the store ---

    def _wish(self, *words: str) -> str:
        p = self._platform
        text = "\n".join((str(FORM), p.tag, p.python, *sorted(p.provided), "", *words))
        return keys.digest(text.encode())

    def _get(
        self, wish: str, packages: tuple[str, ...], fill: Callable[[Installer, Path], None]
    ) -> Memory | None:
        """Return what comes of a wish; build and store it unless both has been done."""
        if wish in self._made:
            return self._made[wish]
        began = self._clock.now()
        memory = remembered.recall(wish) if wish else None
        if memory is not None:
            self._mark_used(memory.digest)  # first: whoever cleans up must not take it for forgotten
        cached = memory is not None and self._is_stored(memory.digest)
        if memory is None or not cached:
            self._tell(lambda at: events.EnvironmentWanted(packages, at))
            try:
                memory = self._build(fill)
            except BaseException as error:
                reason = str(error)
                self._tell(lambda at: events.EnvironmentFailed(packages, reason, at))
                raise
            if wish:
                remembered.remember(wish, memory)
        self._made[wish] = memory
        built, seconds = memory, self._clock.now() - began
        self._tell(
            lambda at: events.EnvironmentBuilt(
                built.digest, built.record.packages, built.nbytes, seconds, cached, at
            )
        )
        return memory

    def _build(self, fill: Callable[[Installer, Path], None]) -> Memory:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="wrens-build-") as place:
            folder = Path(place, "site-packages")
            folder.mkdir()
            fill(Installer(self._platform), folder)
            building.without(folder, self._platform.provided)
            built = building.build(folder, self._platform)
        self._mark_used(built.digest)
        if not self._is_stored(built.digest):
            with contextlib.suppress(AlreadyExists):
                self._store.put(keys.environment(built.digest), built.buffers)
        return Memory(built.digest, built.record, sum(memoryview(part).nbytes for part in built.buffers))

    def _is_stored(self, digest: str) -> bool:
        try:
            raw_range(self._store, keys.environment(digest), 0, 16)
        except ObjectMissing:
            return False
        return True

    def _mark_used(self, digest: str) -> None:
        use = envelope.to_json(EnvironmentUse(self._clock.wall()))
        with contextlib.suppress(StoreError):  # a sign for those who clean up; no result depends on it
            self._store.put(keys.environment_use(digest), use, mode="replace")

    # --- what is not there ---

    def _check_installed(self, wanted: Environment, shipment: Shipment) -> None:
        """Refuse a function that imports what is not installed here, before anything is built."""
        for module in self._foreign(shipment.certain):
            # What "also" names may hold it, under any name.
            if not wanted.also and not self._installed.owners(module):
                raise MissingModule(module, f"the function {shipment.name}")

    def _check_included(self, shipment: Shipment, memory: Memory | None) -> None:
        """Refuse a function that imports what is not in the environment that was asked for."""
        there = set(memory.record.modules) if memory else set[str]()
        there |= self._installed.tops_of(self._platform.provided)
        for module in self._foreign(shipment.certain):
            if module.partition(".")[0] not in there:
                where = "the environment that was asked for"
                raise MissingModule(module, f"the function {shipment.name}", where)

    def _foreign(self, modules: Iterable[str]) -> list[str]:
        return [
            module
            for module in sorted(modules)
            if not is_builtin(module) and ORIGINS.place(module.partition(".")[0]) is None
        ]


def _contents(distribution: Distribution) -> Iterable[bytes]:
    for name, path in sorted(distribution.files.items()):
        yield name.encode()
        yield path.read_bytes()
