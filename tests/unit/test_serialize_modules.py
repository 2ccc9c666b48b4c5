"""Modules: a client with a project, a worker with nothing but wrens, and two processes between them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import wrens
from wrens.clock import VirtualClock
from wrens.errors import CannotShip
from wrens.serialize import Shipper, bundles
from wrens.serialize.imports import imports_of_code, imports_of_source

SOURCE = str(Path(wrens.__path__[0]).parent)

CLIENT = """
import os, sys
from pathlib import Path
from wrens.clock import VirtualClock
from wrens.serialize import Shipper, pack
shipper, order = Shipper(VirtualClock()), []
def upload():
    for key, parts in shipper.take_uploads():
        path = Path(os.environ["STORE"], key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(parts))
def send(fn):
    order.append("function " + shipper.function(fn).digest)
    upload()
def send_values(values):
    packed = pack(values, what=str, shipper=shipper)
    assert not packed.failures, packed.failures
    Path(os.environ["STORE"], f"pack{len(order)}").write_bytes(b"".join(packed.buffers))
    order.append(f"pack pack{len(order)}")
    upload()
def edit(name, text):
    Path(name).write_text(text)
"""

WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from wrens.serialize import Loader, Pack
store = Path(sys.argv[2])
loader = Loader(lambda key: memoryview((store / key).read_bytes()))
for what in sys.argv[3:]:
    kind, name = what.split()
    if kind == "function":
        print(loader.function(name)())
    else:
        one = Pack((store / name).read_bytes(), loader)
        print([str(value) for value in one.items(0, len(one))])
"""


class Project:
    """Files of a user, a client that runs among them, and a worker that runs elsewhere."""

    def __init__(self, root: Path) -> None:
        self.home, self.store = root / "home", root / "store"
        self.home.mkdir()
        self.store.mkdir()
        (root / "elsewhere").mkdir()
        self.elsewhere = root / "elsewhere"
        self.order: list[str] = []

    def file(self, name: str, text: str = "") -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def client(self, script: str, **environ: str) -> list[str]:
        """Run a script in the project; return what it sent."""
        (self.home / "main.py").write_text(CLIENT + script + "\nprint(*order, sep='\\n')\n")
        path = os.pathsep.join(filter(None, [environ.pop("PYTHONPATH", ""), SOURCE]))
        done = subprocess.run(
            [sys.executable, "main.py"],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": path, "STORE": str(self.store), **environ},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[:-1]

    def worker(self, order: list[str]) -> list[str]:
        """Call in a bare process what was sent, in this order."""
        done = subprocess.run(
            [sys.executable, "-I", "-c", WORKER, SOURCE, str(self.store), *order],
            cwd=self.elsewhere,
            env={**os.environ, "TMPDIR": str(self.elsewhere)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert list(self.elsewhere.iterdir()) == [], "the worker left files behind"
        return done.stdout.split("\n")[:-1]

    def run(self, script: str, **environ: str) -> list[str]:
        return self.worker(self.client(script, **environ))

    def files(self) -> list[str]:
        """Return the names of all files in the bundles that were sent."""
        found = []
        for path in (self.store / "functions").iterdir():
            data = path.read_bytes()
            if b"PK\x03\x04" in data:
                with zipfile.ZipFile(path) as archive:
                    found += archive.namelist()
        return sorted(found)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_module_beside_the_script_and_what_it_imports(project: Project) -> None:
    project.file("first.py", "import second, json\ndef f():\n    return second.g()")
    project.file("second.py", "def g():\n    import third\n    return third.X")
    project.file("third.py", "X = 3")
    project.file("unrelated.py", "X = 3")
    assert project.run("import first; send(first.f)") == ["3"]
    assert project.files() == ["first.py", "second.py", "third.py"]


def test_a_package_with_relative_imports_and_data(project: Project) -> None:
    project.file("pkg/__init__.py")
    project.file("pkg/data.txt", "data")
    project.file("pkg/.hidden/x")
    project.file("pkg/node_modules/x.js")
    project.file("pkg/deep/__init__.py", "from ..low import low")
    project.file("pkg/low.py", "def low(): return 'low'")
    project.file(
        "pkg/deep/work.py",
        "from pathlib import Path\nfrom importlib.resources import files\nfrom . import low\n"
        "def f():\n"
        "    import helper\n"
        "    here = Path(__file__).parent.with_name('data.txt').read_text()\n"
        "    return here + files('pkg').joinpath('data.txt').read_text() + low() + helper.h()\n",
    )
    project.file("helper.py", "def h(): return 'h'")
    assert project.run("from pkg.deep.work import f; send(f)") == ["datadatalowh"]
    assert project.files() == [
        "helper.py",
        "pkg/__init__.py",
        "pkg/data.txt",
        "pkg/deep/__init__.py",
        "pkg/deep/work.py",
        "pkg/low.py",
    ]


def test_a_script_like_a_notebook(project: Project) -> None:
    project.file("helper.py", "class Base:\n    def f(self): return 'base'")
    script = """
import numpy as np, dataclasses, enum
K = 4
class Colour(enum.Enum):
    RED = 1
@dataclasses.dataclass
class Thing:
    x: int
    def __str__(self): return f"thing {self.x * K} {Colour(1).name}"
def inner(x):
    import helper
    return str(Thing(x)) + helper.Base().f() + str(np.arange(3).sum())
send(lambda: inner(2))
send_values([Thing(1), (Thing(2), 3), __import__("helper").Base()])
"""
    printed = project.run(script)
    assert printed[0] == "thing 8 REDbase3"
    assert printed[1].startswith("['thing 4 RED', '(Thing(x=2), 3)', '<helper.Base")


def test_modules_that_are_only_named_in_code_by_value(project: Project) -> None:
    project.file("helper.py", "X = 'helper'")
    project.file("pkg/__init__.py")
    project.file("pkg/sub.py", "X = 'sub'")
    script = """
import importlib
def f():
    return importlib.import_module("helper").X + importlib.import_module("pkg.sub").X
def g():
    def inner():
        from pkg import sub
        return sub.X
    return inner()
send(f); send(g)
"""
    assert project.run(script) == ["helpersub", "sub"]


def test_an_editable_checkout(project: Project) -> None:
    project.file("checkout/src/tool/__init__.py", "from tool.core import f")
    project.file("checkout/src/tool/core.py", "def f(): return __name__")
    printed = project.run("import tool; send(tool.f)", PYTHONPATH=str(project.home / "checkout" / "src"))
    assert printed == ["tool.core"]


def test_what_every_worker_has_is_not_sent_from_beside_the_code_of_a_function(project: Project) -> None:
    for name in ("wrens", "msgspec", "cloudpickle"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        (project.home / "task").mkdir(exist_ok=True)
        (project.home / "task" / name).symlink_to(Path(found.origin).parent)
    project.file("work.py", "import cloudpickle, msgspec, wrens\ndef f(): return msgspec.__name__")
    script = """
import cloudpickle, sys, work
assert Path(cloudpickle.__file__).parts[-3] == "task", cloudpickle.__file__
send(work.f)
# As where a worker has been sent a copy, which would be found first now.
Path("cloudpickle").mkdir()
for name in "__init__.py", "cloudpickle.py":
    Path("cloudpickle", name).write_text("")
sys.path.insert(0, str(Path.cwd()))
send(lambda: work.f())
"""
    assert project.run(script, PYTHONPATH=str(project.home / "task")) == ["msgspec", "msgspec"]
    assert project.files() == ["work.py"]


def test_a_namespace_package_of_which_one_part_is_the_users(project: Project) -> None:
    project.file("space/mine.py", "def f(): return 'mine'")
    project.file("lib/site-packages/space/theirs.py", "def f(): return 'theirs'")
    path = str(project.home / "lib" / "site-packages")
    assert project.run("import space.mine; send(space.mine.f)", PYTHONPATH=path) == ["mine"]
    assert project.files() == ["space/mine.py"]


def test_an_edited_module_is_seen_by_the_same_worker(project: Project) -> None:
    project.file("pkg/__init__.py")
    project.file("pkg/low.py", "X = 1")
    project.file("work.py", "from pkg import low\nclass C:\n    pass\ndef f(): return low.X, C.__module__")
    script = """
import work
send(work.f)
edit("pkg/low.py", "X = 2000")
send(work.f)
edit("pkg/low.py", "X = 1")
send(work.f)
"""
    order = project.client(script)
    assert len(set(order)) == 2
    assert order[0] == order[2]
    assert project.worker([order[0], order[1], order[0], order[1]]) == [
        "(1, 'work')",
        "(2000, 'work')",
        "(1, 'work')",
        "(2000, 'work')",
    ]


def test_a_function_and_its_inputs_meet_in_one_module(project: Project) -> None:
    project.file(
        "one.py", "class A:\n    pass\nSEEN = []\ndef f():\n    import sys; return 'two' in sys.modules"
    )
    project.file(
        "two.py", "import one\nclass B(one.A):\n    def __str__(self): return str(isinstance(self, one.A))"
    )
    assert project.run("import one, two; send(one.f); send_values([two.B()]); send(one.f)") == [
        "False",
        "['True']",
        "True",
    ]


def test_equal_files_have_equal_digests_in_every_process(project: Project) -> None:
    project.file("work.py", "import helper\ndef f(): return 1")
    project.file("helper.py", "")
    script = "K = {'a', 'b', 'c'}; import work; send(work.f); send(lambda: [1, 'a', {2, 3}, work.f()])"
    assert project.client(script) == project.client(script, PYTHONHASHSEED="7")


def test_a_bundle_depends_on_contents_and_not_on_places_or_times(tmp_path: Path) -> None:
    stored = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        other = Project(tmp_path / name)
        other.file("work.py", "import helper\ndef f(): return 1")
        other.file("helper.py", "")
        os.utime(other.home / "helper.py", (1e9, len(name)))
        stored.append(other.client("import work; send(work.f)"))
    assert stored[0] == stored[1]


def test_a_module_that_no_worker_finds_under_its_name_goes_by_value(project: Project) -> None:
    project.file(
        "hidden/test_it.py", "K = 3\nclass C:\n    def f(self): return K\ndef f(): return C().f(), __name__"
    )
    script = """
import importlib.util
spec = importlib.util.spec_from_file_location("tests.test_it", "hidden/test_it.py")
module = importlib.util.module_from_spec(spec)
sys.modules["tests.test_it"] = module
spec.loader.exec_module(module)
send(module.f)
send_values([module.C().f])
send(lambda: module.f())
"""
    printed = project.run(script)
    assert printed[0] == "(3, 'tests.test_it')"
    assert printed[2] == printed[0]


def test_tests_of_this_very_suite_can_be_sent(project: Project) -> None:
    shipper = Shipper(VirtualClock())
    digest = shipper.function(of_this_module).digest
    for key, parts in shipper.take_uploads():
        path = project.store / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(parts))
    assert project.worker([f"function {digest}"]) == ["7"]


def of_this_module() -> int:
    return 7


def test_a_module_in_an_archive_is_refused(project: Project) -> None:
    with zipfile.ZipFile(project.home / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "def f(): pass")
    script = """
sys.path.insert(0, str(Path("lib.zip").absolute()))
import zipped
try:
    send(zipped.f)
except TypeError as error:
    order.append(str(error).replace(chr(10), " "))
"""
    (message,) = project.client(script)
    assert "zipped" in message
    assert "archive" in message


def test_too_much_is_refused_with_the_names_of_the_biggest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bigpkg").mkdir()
    (tmp_path / "bigpkg" / "__init__.py").write_text("")
    (tmp_path / "bigpkg" / "model.bin").write_bytes(bytes(2000))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bundles, "LIMIT_BYTES", 1000)
    with pytest.raises(CannotShip, match=r"bigpkg/model.bin"):
        Shipper().bundle(frozenset({"bigpkg"}))


def test_files_are_looked_at_only_as_often_as_it_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slowly_changing.py").write_text("X = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    clock = VirtualClock()
    ticking = SimpleNamespace(now=lambda: (clock.advance(0.001), clock.now())[1])
    shipper = Shipper(ticking)  # type: ignore[arg-type]
    first = shipper.bundle(frozenset({"slowly_changing"}))
    (tmp_path / "slowly_changing.py").write_text("X = 2222")
    assert shipper.bundle(frozenset({"slowly_changing"})) == first
    clock.advance(1)
    assert shipper.bundle(frozenset({"slowly_changing"})) != first


def test_links_in_a_circle_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ring").mkdir()
    (tmp_path / "ring" / "__init__.py").write_text("")
    (tmp_path / "ring" / "again").symlink_to(tmp_path / "ring")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Shipper().bundle(frozenset({"ring"}))


@pytest.mark.parametrize(
    ("text", "package", "found"),
    [
        ("import a, b.c as d", "", {"a", "b.c"}),
        ("from . import x", "p.q", {"p.q"}),
        ("from ..r import x", "p.q", {"p.r"}),
        ("from ....r import x", "p.q", set()),
        ("def f():\n  if 1:\n    import a", "", {"a"}),
        ("import importlib\nimportlib.import_module('a.b')", "", {"importlib", "a.b"}),
        ("__import__('a')", "", {"a"}),
        ("this is not python", "", set()),
        ("\x00", "", set()),
    ],
)
def test_imports_are_found(text: str, package: str, found: set[str]) -> None:
    assert imports_of_source(text.encode(), package) == found
    if found and "\x00" not in text:
        assert imports_of_code(compile(text, "f", "exec"), package) >= found - {"importlib"}
