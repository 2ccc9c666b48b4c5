"""Find CPython's own tests of ``concurrent.futures``, and make them importable here and in workers.

    python tests/conformance/fetch_testsuite.py        # find or fetch them, say where they are

Looked for in this order: in the running interpreter (``test.test_concurrent_futures``; one module in 3.11, a
package since 3.12), in this checkout's cache, in Debian's place for the same Python version. Some builds of
Python leave their tests out; then the script fetches Debian's package of them and unpacks it into the cache,
without installing it.

Decides where the tests come from. What is made of them is in ``adapted.py``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

MODULE = "test.test_concurrent_futures"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = Path(__file__).resolve().parents[2] / ".cache" / f"cpython-{VERSION}"
DEBIAN = Path(f"/usr/lib/python{VERSION}/test")
PACKAGE = f"libpython{VERSION}-testsuite"

_SHIM = '''"""CPython's ``test`` package, with one more place to look in."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
'''


class NoTestsuite(Exception):
    """The tests are not here and could not be fetched."""


def use() -> None:
    """Make the tests importable in this process and, through ``sys.path``, in its workers.

    Raises:
        NoTestsuite: if they are not here.
    """
    if _importable():
        return
    if not _cached() and not _copy_from(DEBIAN):
        raise NoTestsuite(
            f"this Python has no {MODULE}, and {DEBIAN} has none either: run "
            "'python tests/conformance/fetch_testsuite.py', or install the package " + PACKAGE
        )
    sys.path.insert(0, str(SITE))
    if "test" in sys.modules:
        sys.modules["test"].__path__.insert(0, str(SITE / "test"))
    importlib.invalidate_caches()


def fetch() -> None:
    """Fetch Debian's package of the tests into the cache.

    Raises:
        NoTestsuite: if there is no such package to be had.
    """
    with tempfile.TemporaryDirectory() as folder:
        if _run(["apt-get", "download", PACKAGE], folder) is not None:
            # Package lists may be missing or too old to be right.
            _run(["apt-get", "update"], folder)
            problem = _run(["apt-get", "download", PACKAGE], folder)
            if problem is not None:
                raise NoTestsuite(f"{PACKAGE} could not be downloaded: {problem}")
        archive = next(Path(folder).glob("*.deb"))
        problem = _run(["dpkg-deb", "-x", str(archive), folder], folder)
        if problem is not None or not _copy_from(Path(folder) / DEBIAN.relative_to("/")):
            raise NoTestsuite(f"{PACKAGE} does not hold the tests: {problem or 'no such file in it'}")


def modules() -> Iterator[ModuleType]:
    """Yield the module of the tests and, where it is a package, all of its modules."""
    module = importlib.import_module(MODULE)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield importlib.import_module(f"{MODULE}.{found.name}")


def _importable() -> bool:
    try:
        return find_spec(MODULE) is not None
    except ModuleNotFoundError:  # not even a package 'test'
        return False


def _cached() -> bool:
    return any((SITE / "test").glob("test_concurrent_futures*"))


def _copy_from(folder: Path) -> bool:
    """Copy the tests from a ``test`` package into the cache, in which nothing else of it is needed."""
    source = next(
        (path for path in folder.glob("test_concurrent_futures*") if path.suffix in {"", ".py"}), None
    )
    if source is None:
        return False
    target = SITE / "test"
    target.mkdir(parents=True, exist_ok=True)
    (SITE.parent / ".gitignore").write_text("*\n")
    (target / "__init__.py").write_text(_SHIM)
    if source.is_dir():
        shutil.copytree(source, target / source.name, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
    return True


def _run(command: list[str], folder: str) -> str | None:
    """Run a command in ``folder``; return what went wrong, or ``None``."""
    try:
        # English, because the last line of its complaint is shown.
        run = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return (run.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1] if run.returncode else None


def main() -> int:
    """Make sure that the tests are here."""
    try:
        try:
            use()
        except NoTestsuite:
            fetch()
            use()
    except NoTestsuite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{MODULE}: {find_spec(MODULE).origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
