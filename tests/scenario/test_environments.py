"""Workers without any package run functions that need some: found, pinned, built for them, and fetched."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import uv
from bare import Bare, BareBackend, platform
from packaging.version import Version

import wrens
from wrens import events
from wrens.errors import BadEnvironment, MissingModule, NoWheel, WrongPython
from wrens.store import open_store
from wrens.wire import envelope, keys
from wrens.wire.records import EnvironmentRecord, Manifest

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers of a cloud are Linux"),
    pytest.mark.this_computer("has workers of its own"),
]

Opened = Callable[..., wrens.Executor]


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """An interpreter without packages, the same for all tests."""
    return Bare(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def opened(bare: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens executors whose workers have no packages; nothing is remembered from other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made: list[wrens.Executor] = []

    def open_(**more: object) -> wrens.Executor:
        backend = more.pop("backend", None) or BareBackend(bare, tmp_path / "root", platform())
        made.append(wrens.Executor(backend, store=tmp_path / "store", **more))  # type: ignore[arg-type]
        return made[-1]

    yield open_
    for executor in made:
        executor.shutdown(cancel_futures=True)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes modules of the user's own, and makes them importable here."""
    folder = tmp_path / "project"
    monkeypatch.syspath_prepend(str(folder))

    def write(**files: str) -> None:
        for name, text in files.items():
            path = folder / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    return write


def packages_of(store: Path, digest: str) -> list[str]:
    key = keys.environment(digest)
    record, _ = envelope.unseal(EnvironmentRecord, open_store(store).get(key), key)
    return [package.partition("==")[0] for package in record.packages]


def test_a_function_needs_numpy_and_a_module_of_the_user_and_the_worker_has_neither(
    bare: Bare, opened: Opened, own: Callable[..., None], tmp_path: Path
) -> None:
    own(wings__init__="", wings__span="import numpy as np\ndef total(n): return int(np.arange(n).sum())\n")
    (tmp_path / "project" / "wings" / "__init__.py").write_text("")
    span = importlib.import_module("wings.span")
    assert bare.can_import("wrens.worker.main")
    assert not bare.can_import("numpy")
    assert not bare.can_import("wings")

    def work(n: int) -> tuple[int, str, str]:
        import numpy as np

        return span.total(n), np.__version__, np.__file__

    with opened() as ex:
        job = ex.options(name="wings").map_async(work, range(6))
        results = job.results()
    assert [total for total, _, _ in results] == [0, 0, 1, 3, 6, 10]
    assert {found for _, found, _ in results} == {version("numpy")}
    assert all(str(tmp_path / "root") in file for _, _, file in results)
    manifest = envelope.from_json(Manifest, open_store(tmp_path / "store").get(keys.manifest("wings")))
    assert packages_of(tmp_path / "store", manifest.environment) == ["numpy"]


def test_the_same_is_built_once_and_found_by_the_next_client(opened: Opened) -> None:
    seen: list[events.Event] = []

    def newer(text: str) -> bool:
        return Version(text) > Version("1.9")

    for _ in range(2):
        with opened(observers=[seen.append]) as ex:
            assert ex.submit(newer, "1.10").result()
    wanted = [event for event in seen if isinstance(event, events.EnvironmentWanted)]
    built = [event for event in seen if isinstance(event, events.EnvironmentBuilt)]
    assert [event.packages for event in wanted] == [(f"packaging=={version('packaging')}",)]
    assert [event.cached for event in built] == [False, True]
    assert built[0].digest == built[1].digest
    assert built[1].seconds < built[0].seconds


def test_what_only_an_input_or_a_shared_value_needs_is_found(opened: Opened) -> None:
    def text(x: object) -> str:
        return str(x)

    with opened() as ex:
        assert ex.submit(text, 7).result() == "7"
        assert ex.submit(text, Version("1.2")).result() == "1.2"
    with opened() as ex:
        assert list(ex.map(text, [ex.put(Version("1.3"))])) == ["1.3"]


def test_a_result_of_one_function_is_an_argument_of_another(opened: Opened) -> None:
    def make(text: str) -> object:
        from packaging.version import Version

        return Version(text)

    def text(x: object) -> str:
        return str(x)

    with opened() as ex:
        assert ex.submit(text, 7).result() == "7"
        assert ex.submit(text, ex.submit(make, "1.2")).result() == "1.2"


def test_a_function_that_needs_nothing_gets_nothing(bare: Bare, opened: Opened, tmp_path: Path) -> None:
    backend = BareBackend(bare, tmp_path / "root", platform())
    with opened(backend=backend) as ex:
        assert list(ex.map(abs, [-1, 2])) == [1, 2]
    assert {invocation.environment for invocation in backend.invocations} == {""}
    assert list(open_store(tmp_path / "store").list(keys.ENVIRONMENTS)) == []


def test_attach_goes_on_with_the_same_packages(bare: Bare, opened: Opened, tmp_path: Path) -> None:
    def newer(minor: int) -> bool:
        return Version(f"1.{minor}") > Version("1.2")

    class Deaf(BareBackend):
        def launch(self, invocations: object) -> None:
            pass

    executor = opened(backend=Deaf(bare, tmp_path / "root", platform()))
    executor.options(name="later").map_async(newer, range(5))
    executor._session.abandon()
    again = BareBackend(bare, tmp_path / "root", platform())
    assert wrens.attach("later", store=tmp_path / "store", backend=again).results() == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert len({invocation.environment for invocation in again.invocations}) == 1


def test_requirements_are_taken_as_they_are_asked_for(opened: Opened) -> None:
    def what() -> str:
        import six

        return str(six.__version__)

    asked = wrens.Environment(requirements=("six==1.15.0",))
    with opened(environment=asked) as ex:
        assert ex.submit(what).result() == "1.15.0"


def test_a_package_that_was_installed_from_a_folder_is_copied(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, site = tmp_path / "mine", tmp_path / "site-packages"
    (project / "mine").mkdir(parents=True)
    (project / "mine" / "__init__.py").write_text("import six\nanswer = six.text_type(42)\n")
    (project / "pyproject.toml").write_text(PROJECT.replace("wings", "mine"))
    words = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(project)]
    subprocess.run(words, check=True)
    six = [*words[:-1], "six==1.15.0"]
    subprocess.run(six, check=True)
    monkeypatch.syspath_prepend(str(site))

    def ask() -> tuple[str, str]:
        import mine

        return mine.answer, mine.six.__version__

    with opened() as ex:
        assert ex.submit(ask).result() == ("42", "1.15.0")


PROJECT = """
[project]
name = "wings"
version = "1"
requires-python = ">=3.11"
dependencies = ["six==1.15.0"]
[dependency-groups]
dev = ["iniconfig"]
"""


@pytest.mark.parametrize("name", ["requirements.txt", "pylock.toml", "uv.lock"])
def test_a_lock_file_is_taken_as_it_is(opened: Opened, tmp_path: Path, name: str) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    words = {
        "requirements.txt": ["pip", "compile", "--generate-hashes", "-o", name, "pyproject.toml"],
        "pylock.toml": ["pip", "compile", "--format", "pylock.toml", "-o", name, "pyproject.toml"],
        "uv.lock": ["lock"],
    }[name]
    subprocess.run([uv.find_uv_bin(), *words, "--quiet"], cwd=tmp_path, check=True, capture_output=True)
    lock = tmp_path / name

    def what() -> str:
        import six

        return str(six.__version__)

    with opened() as ex:
        view = ex.options(environment=wrens.Environment(lock=lock))
        assert view.submit(what).result() == "1.15.0"


# --- bad input ---------------------------------------------------------------------------------------


def test_a_module_that_is_not_installed_is_told_before_anything_is_launched(
    bare: Bare, opened: Opened, tmp_path: Path
) -> None:
    backend = BareBackend(bare, tmp_path / "root", platform())

    def work(n: int) -> int:
        import no_such_module_anywhere

        return n + len(dir(no_such_module_anywhere))

    def careful(n: int) -> int:
        try:
            import no_such_module_anywhere  # noqa: F401
        except ImportError:
            return n
        return -1

    with opened(backend=backend) as ex:
        for call in (
            lambda: ex.submit(work, 1),
            lambda: list(ex.map(work, [1, 2])),
            lambda: ex.map_async(work, [1]),
        ):
            with pytest.raises(MissingModule, match="'no_such_module_anywhere', which is not installed here"):
                call()
        assert backend.invocations == []
        assert ex.submit(careful, 3).result() == 3


def test_a_module_that_an_explicit_environment_lacks_is_told(opened: Opened) -> None:
    def work() -> str:
        import numpy as np

        return str(np.__version__)

    with (
        opened(environment=wrens.Environment(requirements=("six",))) as ex,
        pytest.raises(MissingModule, match="'numpy', which the environment that was asked for does not hold"),
    ):
        ex.submit(work)


def test_another_python_is_refused_at_once(bare: Bare, opened: Opened, tmp_path: Path) -> None:
    other = BareBackend(bare, tmp_path / "root", platform(python="3.99"))
    with pytest.raises(WrongPython, match=r"Run this program with Python 3.99, or deploy"):
        opened(backend=other)
    assert list(open_store(tmp_path / "store").list("")) == []


def test_a_package_without_a_wheel_is_named_with_the_platform(opened: Opened) -> None:
    with (
        opened(environment=wrens.Environment(requirements=("psycopg2==2.9.9",))) as ex,
        pytest.raises(NoWheel, match=r"psycopg2==2.9.9 has no wheel for .*manylinux.*Python 3") as caught,
    ):
        ex.submit(abs, -1)
    assert caught.value.wanted == ("psycopg2==2.9.9",)
    assert "container image" in str(caught.value)
    assert "Python 3.12" not in str(caught.value)


def test_where_wheels_lack_because_the_system_is_old_a_newer_one_is_named(
    bare: Bare, opened: Opened, tmp_path: Path
) -> None:
    old = BareBackend(bare, tmp_path / "root", platform(libc="manylinux_2_17"))
    ex = opened(backend=old, environment=wrens.Environment(also=("psycopg2==2.9.9",)))
    with pytest.raises(NoWheel, match=r"Those of Python 3\.12 and later have a newer one"):
        ex.submit(abs, -1)


def test_what_contradicts_itself_is_told_in_the_words_of_the_resolver(opened: Opened) -> None:
    asked = wrens.Environment(requirements=("six==1.15.0", "six<1.15"))
    seen: list[events.Event] = []
    ex = opened(environment=asked, observers=[seen.append])
    with pytest.raises(BadEnvironment, match=r"you require six==1.15.0 and six<1.15"):
        ex.submit(abs, -1)
    assert [type(event) for event in seen] == [events.EnvironmentWanted, events.EnvironmentFailed]


def test_more_than_the_disk_holds_is_refused_with_the_largest(
    bare: Bare, opened: Opened, tmp_path: Path
) -> None:
    small = BareBackend(bare, tmp_path / "root", platform(disk_mb=10))

    def work() -> str:
        import numpy as np

        return str(np.__version__)

    ex = opened(backend=small)
    with pytest.raises(wrens.errors.EnvironmentTooLarge, match=r"room for 10 MB\n.*numpy \(\d+ MB\)"):
        ex.submit(work)


def test_a_lock_whose_wheel_was_exchanged_is_refused(opened: Opened, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"six==1.15.0 --hash=sha256:{'0' * 64}\n")
    with (
        opened(environment=wrens.Environment(lock=lock)) as ex,
        pytest.raises(BadEnvironment, match="Hash mismatch"),
    ):
        ex.submit(abs, -1)


def test_one_function_that_cannot_have_its_packages_harms_no_other(opened: Opened) -> None:
    def newer(text: str) -> bool:
        return Version(text) > Version("1.9")

    with opened() as ex:
        with pytest.raises(NoWheel):
            ex.options(environment=wrens.Environment(also=("psycopg2==2.9.9",))).submit(newer, "1.10")
        assert ex.submit(newer, "1.10").result()
