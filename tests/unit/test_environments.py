"""Packages for workers: what is found, how an object is made of them, and how a worker makes it ready."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import wrens
from wrens.environments import building, indexes
from wrens.environments.installed import Distribution, Installed
from wrens.environments.needs import Imports
from wrens.environments.platform import Platform
from wrens.errors import BadOption, DamagedObject, EnvironmentTooLarge, ObjectMissing, VersionMismatch
from wrens.kv import KeyValue
from wrens.models.mapreduce.folding import Finisher, Folder, Plan
from wrens.models.mapreduce.mapping import Mapper, Reducer
from wrens.models.parameter_server import Dense
from wrens.models.parameter_server.shards import Shards
from wrens.models.partitions.borders import Delimiter, Fixed, RowGroups
from wrens.models.partitions.partition import Partition
from wrens.models.sort.layouts import FixedLayout
from wrens.serialize import Shipper, pack
from wrens.serialize.imports import certain_imports, imports_at_run
from wrens.store import open_store
from wrens.store.port import Store
from wrens.wire import keys
from wrens.worker.environment import ready

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = Platform(PYTHON, "x86_64")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def packages(folder: Path, size: int = 10_000, name: str = "pkg") -> Path:
    """Make what an installer leaves: a package, its metadata, a command, bytecode."""
    info = folder / f"{name}-1.0.dist-info"
    for path, text in (
        (folder / name / "__init__.py", f"size = {size}\n"),
        (folder / name / "data.bin", "x" * size),
        (folder / name / "tests" / "test_it.py", "import pytest\n"),
        (folder / "bin" / "command", f"#!{sys.executable}\n"),
        (info / "METADATA", f"Name: {name}\nVersion: 1.0\n"),
        (info / "WHEEL", "Root-Is-Purelib: true\n"),
        (info / "INSTALLER", "somebody"),
        (info / "RECORD", f"{name}/data.bin,,\nbin/command,sha256=1,2\n{name}/__init__.py,,\n"),
        (folder / ".lock", ""),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / name / "run").write_text("#!/bin/sh\n")
    (folder / name / "run").chmod(0o755)
    return folder


def stored(store: Store, folder: Path, **more: object) -> str:
    built = building.build(packages(folder, **more), PLATFORM)  # type: ignore[arg-type]
    store.put(keys.environment(built.digest), built.buffers)
    return built.digest


# --- what is found -----------------------------------------------------------------------------------


def test_imports_that_run_are_told_from_those_for_type_checkers() -> None:
    source = b"""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import pandas
else:
    import numpy
from . import near
def f():
    from scipy import stats
"""
    assert imports_at_run(source, "own") == {
        *("typing", "typing.TYPE_CHECKING", "numpy", "own", "own.near", "scipy", "scipy.stats")
    }


def test_only_an_import_that_cannot_be_avoided_is_certain() -> None:
    def f(x: int) -> None:
        import one  # type: ignore[import-not-found]

        try:
            import two  # type: ignore[import-not-found]
        except ImportError:
            two = None
        if x:
            import three  # type: ignore[import-not-found]
        import four.inner  # type: ignore[import-not-found]

        print(one, two, three, four)

    assert certain_imports(f.__code__, "") == {"one", "four.inner"}


def test_what_is_reached_goes_from_file_to_file_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("__init__", ""),
        ("near", "from .far import thing\n"),
        ("far", "import numpy.linalg\nthing = 1\n"),
        ("plots", "import pytest\n"),
    ):
        path = tmp_path / "ownpkg" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert Imports().reached({"ownpkg.near", "json"}) == {"numpy.linalg"}
    assert Imports().reached({"ownpkg.plots"}) == {"pytest"}


def test_a_function_by_value_needs_what_it_refers_to_and_not_what_its_module_imports() -> None:
    import numpy as np

    shipment = Shipper().function(lambda: np.arange(3))
    assert Imports().reached(shipment.modules) == {"numpy"}


def test_a_namespace_leads_to_the_distribution_that_has_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", ""], check=True)
        info = tmp_path / f"space_{name}-1.dist-info"
        (tmp_path / "space" / name).mkdir(parents=True)
        (tmp_path / "space" / name / "__init__.py").write_text("")
        info.mkdir()
        (info / "METADATA").write_text(f"Name: space-{name}\nVersion: 1\n")
        (info / "RECORD").write_text(f"space/{name}/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = Installed()
    assert [each.pin for each in installed.owners("space.two.thing")] == ["space-two==1"]
    assert [each.name for each in installed.owners("space")] == ["space-one", "space-two"]


def test_what_came_from_a_folder_is_known_and_copied(tmp_path: Path) -> None:
    from importlib.metadata import Distribution as Found

    site = packages(tmp_path / "site", name="mine")
    info = site / "mine-1.0.dist-info"
    (info / "direct_url.json").write_text(f'{{"url": "{tmp_path.as_uri()}", "dir_info": {{}}}}')
    each = Distribution(Found.at(info))
    assert (each.origin, each.pure) == (tmp_path.as_uri(), True)
    building.add_copied(each, tmp_path / "copy")
    assert (tmp_path / "copy" / "mine" / "data.bin").stat().st_size == 10_000


def test_what_others_have_built_in_a_folder_of_theirs_is_taken_from_an_index(tmp_path: Path) -> None:
    from importlib.metadata import Distribution as Found

    info = packages(tmp_path / "site", name="mine") / "mine-1.0.dist-info"
    (info / "direct_url.json").write_text('{"url": "file:///croot/mine_1234/work", "dir_info": {}}')
    assert Distribution(Found.at(info)).origin == ""


# --- what the user asks for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"requirements": "numpy"}, "with the comma"),
        ({"requirements": ("",)}, "must be a tuple of requirements"),
        ({"lock": "nowhere.lock"}, "there is none at 'nowhere.lock'"),
        ({"provided": True, "requirements": ("six",)}, "cannot have both requirements= and provided="),
        ({"provided": True, "also": ("six",)}, "cannot have both also= and provided="),
        ({"provided": 1}, "must be True or False"),
    ],
)
def test_wishes_that_cannot_be_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        wrens.Environment(**wrong)  # type: ignore[arg-type]


# --- where packages come from ------------------------------------------------------------------------


def test_what_pip_knows_is_passed_on_unless_uv_knows_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{wheels} {tmp_path}/missing")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.chdir(tmp_path)
    variables = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    told = indexes.passed_on(variables)
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["UV_FIND_LINKS"] == str(wheels)
    assert indexes.passed_on({**variables, "UV_INDEX": "https://other.example"}) == {}
    (tmp_path / "uv.toml").write_text('index-url = "https://third.example"\n')
    assert indexes.passed_on(variables) == {}


# --- one object --------------------------------------------------------------------------------------


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = packages(tmp_path / "one")
    two = packages(tmp_path / "elsewhere" / "two")
    for path in sorted(two.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
    (two / "pkg" / "__pycache__").mkdir(exist_ok=True)
    (two / "pkg" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"of another time")
    first, second = building.build(one, PLATFORM), building.build(two, PLATFORM)
    assert first.digest == second.digest
    assert b"".join(first.buffers) == b"".join(second.buffers)
    assert first.record.packages == ("pkg==1.0",)
    assert first.record.modules == ("pkg",)
    (two / "pkg" / "data.bin").write_text("other")
    assert building.build(two, PLATFORM).digest != first.digest


def test_commands_and_notes_are_left_out_and_bytecode_is_put_in(store: Store, tmp_path: Path) -> None:
    found = ready(store, stored(store, tmp_path / "made"), root=tmp_path / "root")
    names = {path.relative_to(found.folder).as_posix() for path in Path(found.folder).rglob("*")}
    assert not any(name.startswith(("bin", ".lock")) or "INSTALLER" in name for name in names)
    assert f"pkg/__pycache__/__init__.{sys.implementation.cache_tag}.pyc" in names
    assert os.access(Path(found.folder, "pkg", "run"), os.X_OK)
    assert not os.access(Path(found.folder, "pkg", "data.bin"), os.X_OK)
    record = Path(found.folder, "pkg-1.0.dist-info", "RECORD").read_text()
    assert record == "pkg/__init__.py,,\npkg/data.bin,,\n"


def test_what_workers_have_is_taken_out(tmp_path: Path) -> None:
    folder = packages(packages(tmp_path / "both"), name="other")
    building.without(folder, frozenset({"other"}))
    assert not (folder / "other" / "data.bin").exists()
    assert (folder / "pkg" / "data.bin").exists()


def test_too_much_is_refused_with_the_largest(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentTooLarge, match=r"2 MB.*room for 1 MB(.|\n)*pkg \(2 MB\)"):
        building.build(packages(tmp_path, size=2_000_000), Platform(PYTHON, "x86_64", disk_mb=1))


# --- in the worker -----------------------------------------------------------------------------------


def test_a_second_use_finds_it_there(store: Store, tmp_path: Path) -> None:
    digest = stored(store, tmp_path / "made")
    first = ready(store, digest, root=tmp_path / "root")
    store.delete([keys.environment(digest)])
    second = ready(store, digest, root=tmp_path / "root")
    assert (first.cached, second.cached) == (False, True)
    assert first.folder == second.folder
    assert first.nbytes > 0
    assert first.unpack_s > 0


def test_one_that_is_not_there_or_is_another_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        ready(store, "0" * 32, root=tmp_path / "root")
    with pytest.raises(DamagedObject, match="no name of an environment"):
        ready(store, "../../etc", root=tmp_path / "root")
    digest = stored(store, tmp_path / "made")
    forged = building.build(packages(tmp_path / "forged", size=5), PLATFORM)
    store.put(keys.environment(digest), forged.buffers, mode="replace")
    with pytest.raises(DamagedObject, match="its content is not what its name says"):
        ready(store, digest, root=tmp_path / "root")
    assert [path.name for path in (tmp_path / "root").iterdir()] == []


def test_one_for_another_python_is_refused(store: Store, tmp_path: Path) -> None:
    built = building.build(packages(tmp_path / "made"), Platform("3.99", "x86_64"))
    store.put(keys.environment(built.digest), built.buffers)
    with pytest.raises(VersionMismatch, match=r"Python 3\.99"):
        ready(store, built.digest, root=tmp_path / "root")


def test_the_longest_unused_makes_room(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "root"
    digests = [stored(store, tmp_path / str(i), size=1_000_000 + i) for i in range(3)]
    for i, digest in enumerate(digests[:2]):
        ready(store, digest, root=root)
        os.utime(root / digest / "used", (i + 1, i + 1))
    ready(store, digests[2], root=root, limit_bytes=2_500_000)
    assert {path.name for path in root.iterdir()} == {digests[1], digests[2]}
    with pytest.raises(EnvironmentTooLarge, match="the worker's disk has room for"):
        ready(store, digests[0], root=root, limit_bytes=500_000)


def test_what_another_process_uses_stays(store: Store, tmp_path: Path) -> None:
    root = tmp_path / "root"
    one, two = (stored(store, tmp_path / str(i), size=1_000_000 + i) for i in range(2))
    program = (
        "import sys; from wrens.store import open_store; from wrens.worker.environment import ready\n"
        "ready(open_store(sys.argv[1]), sys.argv[2], root=sys.argv[3]); print('ready', flush=True); input()"
    )
    words = [sys.executable, "-c", program, store.url, one, str(root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(EnvironmentTooLarge):
            ready(store, two, root=root, limit_bytes=1_500_000)
        other.communicate("\n")
    ready(store, two, root=root, limit_bytes=1_500_000)
    assert {path.name for path in root.iterdir()} == {two}


def test_several_at_once_get_the_same(store: Store, tmp_path: Path) -> None:
    digest, root = stored(store, tmp_path / "made"), tmp_path / "root"
    folders: list[str] = []
    threads = [
        threading.Thread(target=lambda: folders.append(ready(store, digest, root=root).folder))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 8
    assert len(set(folders)) == 1
    assert [path.name for path in root.iterdir()] == [digest]


def test_a_folder_that_others_can_write_is_refused(store: Store, tmp_path: Path) -> None:
    digest = stored(store, tmp_path / "made")
    (tmp_path / "root").mkdir()
    (tmp_path / "root").chmod(0o777)
    with pytest.raises(PermissionError, match="where nobody else can write"):
        ready(store, digest, root=tmp_path / "root")


def test_a_signed_store_changes_nothing_for_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRENS_SIGNING_KEY", "5" * 64)
    signed = open_store("memory://environments?signed=yes")
    digest = stored(signed, tmp_path / "made")
    found = ready(signed, digest, root=tmp_path / "root")
    assert Path(found.folder, "pkg", "data.bin").stat().st_size == 10_000


def test_every_module_of_ours_that_cannot_do_without_a_package_says_so() -> None:
    import ast

    import wrens
    from wrens.environments.needs import OURS_NEED

    root = Path(wrens.__path__[0])
    for path in [*(root / "models").rglob("*.py"), *(root / "programs").rglob("*.py")]:
        module = ".".join(("wrens", *path.relative_to(root).with_suffix("").parts))
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    package = alias.name.partition(".")[0]
                    if package in {"numpy", "pyarrow"}:
                        assert package in OURS_NEED[module]


@pytest.mark.parametrize(
    ("task", "needed"),
    [
        (Mapper(len, None, 1, 1), set()),
        (Reducer(len, None, 1, len), set()),
        (Folder(Plan(("k",), ()), None, 1, 1), {"numpy", "pyarrow"}),
        (Finisher(Plan(("k",), ()), 1), {"numpy", "pyarrow"}),
        (FixedLayout(100, 0, 10), {"numpy"}),
    ],
)
def test_what_the_tasks_of_models_need(task: object, needed: set[str]) -> None:
    assert Imports().reached(Shipper().function(task).modules) == needed


def test_what_state_that_changes_needs() -> None:
    tier = KeyValue(["redis://127.0.0.1"], "", [b""], 1.0)
    for value, needed in (tier, {"redis"}), (Shards(tier, "w", {"w": Dense(1)}), {"numpy", "redis"}):
        packed = pack([value], what=str, shipper=Shipper())
        assert Imports().reached(packed.modules) == needed


@pytest.mark.parametrize(
    ("border", "needed"), [(Delimiter(b"x"), set()), (Fixed(9), {"numpy"}), (RowGroups(0, 1, 9), {"pyarrow"})]
)
def test_what_partitions_need(border: Any, needed: set[str]) -> None:
    part = Partition("memory://x", "y", 0, 9, 9, border)
    packed = pack([part], what=str, shipper=Shipper())
    assert Imports().reached(packed.modules) == needed
