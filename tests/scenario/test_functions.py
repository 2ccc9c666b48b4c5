"""Anything that can be called is a function: closures, methods, objects, and those of a script without a guard."""

from __future__ import annotations

import functools
import operator
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clients import Clients
from ledger import Ledger

import wrens
from wrens.core import reading
from wrens.errors import CannotShip, InitializerFailed, JobFailed
from wrens.store import open_store
from wrens.wire import keys

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    with wrens.Executor(store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


OFFSET = 100


def uses_a_global(x: int) -> int:
    return x + OFFSET


def shouts(fn: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(fn)
    def wrapper(x: int) -> int:
        return 1000 + fn(x)

    return wrapper


@shouts
def decorated(x: int) -> int:
    return x + 1


@functools.lru_cache
def cached(x: int) -> int:
    return x + 2


@dataclass
class Adder:
    amount: int

    def __call__(self, x: int) -> int:
        return x + self.amount

    def method(self, x: int) -> int:
        return x + 10 * self.amount

    @classmethod
    def made(cls, x: int) -> Any:
        return cls(x)

    @staticmethod
    def plain(x: int) -> int:
        return -x


def recursive(x: int) -> int:
    return 1 if x <= 1 else x * recursive(x - 1)


def in_a_closure(amount: int) -> Callable[[int], int]:
    def inner(x: int) -> int:
        return helper(x) + amount

    def helper(x: int) -> int:
        return 2 * x

    return inner


@pytest.mark.parametrize(
    ("fn", "result"),
    [
        (uses_a_global, 105),
        (lambda x: x + OFFSET, 105),
        (in_a_closure(3), 13),
        (decorated, 1006),
        (cached, 7),
        (functools.partial(pow, 2), 32),
        (functools.partial(Adder(3).method), 35),
        (Adder(4), 9),
        (Adder(4).method, 45),
        (Adder.made, Adder(5)),
        (Adder.plain, -5),
        (Adder, Adder(5)),
        (recursive, 120),
        (str, "5"),
        (operator.neg, -5),
        ("abc".__mul__, "abc" * 5),
        ([0, 1, 2, 3, 4, 55].__getitem__, 55),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_whatever_is_callable(ex: wrens.Executor, fn: Callable[[int], Any], result: Any) -> None:
    assert ex.submit(fn, 5).result(30) == result
    assert list(ex.map(fn, [5, 5])) == [result] * 2


def test_each_call_uses_what_the_function_means_then(ex: wrens.Executor) -> None:
    amount = 1
    table = {"amount": 1}

    def fn(x: int) -> int:
        return x + amount + table["amount"]

    assert list(ex.map(fn, [0])) == [2]
    amount = 2
    assert list(ex.map(fn, [0])) == [3]
    table["amount"] = 5
    assert list(ex.map(fn, [0])) == [7]
    assert ex.submit(fn, 0).result(30) == 7
    amount = 3
    assert ex.submit(fn, 0).result(30) == 8
    table["amount"] = 7
    assert ex.submit(fn, 0).result(30) == 10


def test_arguments_called_like_parameters_of_ours(ex: wrens.Executor) -> None:
    def takes(**kwargs: int) -> int:
        return sum(kwargs.values())

    assert ex.submit(takes, fn=1, self=2, timeout=3, job=4, name=5).result(30) == 15


def test_a_function_that_changes_its_argument_does_not_change_ours(ex: wrens.Executor) -> None:
    values = [1, 2]
    assert ex.submit(lambda v: v.append(3) or v, values).result(30) == [1, 2, 3]
    assert values == [1, 2]


# --- what does not travel -------------------------------------------------------------------------------


def test_a_function_that_cannot_be_pickled_is_refused_at_once_by_map(ex: wrens.Executor) -> None:
    generator = (x for x in "ab")
    with pytest.raises(CannotShip, match="generator"):
        ex.map(lambda _: generator, [1])
    with pytest.raises(CannotShip, match="generator"):
        ex.map_async(lambda _: generator, [1])
    future = ex.submit(lambda: generator)
    assert isinstance(future.exception(30), CannotShip)
    assert ex.submit(abs, -1).result(30) == 1


class _Hostile:
    """An input whose pickling or unpickling does what it is told."""

    def __init__(self, kind: type[BaseException], *, here: bool) -> None:
        self.kind, self.here = kind, here

    def __reduce__(self) -> Any:
        if self.here:
            raise self.kind("at pickle")
        return (_throw, (self.kind,))


def _throw(kind: type[BaseException]) -> None:
    raise kind("at unpickle")


@pytest.mark.parametrize("kind", [ValueError, SystemExit, MemoryError])
@pytest.mark.parametrize("here", [True, False], ids=["pickle", "unpickle"])
def test_a_hostile_input_fails_its_own_task(
    ex: wrens.Executor, kind: type[BaseException], here: bool
) -> None:
    inputs = [1, _Hostile(kind, here=here), 3]
    job = ex.map_async(lambda x: x if isinstance(x, int) else None, inputs)
    assert job.wait(30)
    error = job[1].exception(0)
    assert isinstance(error, (kind, CannotShip))
    assert (job[0].result(), job[2].result()) == (1, 3)
    future = ex.submit(len, inputs[1])
    assert isinstance(future.exception(30), (kind, CannotShip))
    assert ex.submit(abs, -2).result(30) == 2


# --- scripts --------------------------------------------------------------------------------------------


def test_a_script_needs_no_guard(clients: Clients, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("FACTOR = 3\ndef scale(x):\n    return FACTOR * x\n")
    client = clients.start(
        """
        import sys
        import wrens
        from beside import scale

        BASE = 10
        print("script runs")

        class Point:
            def __init__(self, x):
                self.x = x

        def base(x):
            return BASE + scale(x)

        def make(x):
            return Point(base(x))

        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            print([point.x for point in ex.map(make, range(3))])
            print(isinstance(ex.submit(make, 1).result(), Point))
            print(ex.submit(lambda p: p.x, Point(7)).result())
        """,
        tmp_path / "store",
    )
    assert client.ok() == "script runs\n[10, 13, 16]\nTrue\n7\n"


def test_a_program_on_standard_input_and_on_the_command_line(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import subprocess, sys
        program = "import sys, wrens\\ndef f(x): return x + 1\\nwith wrens.Executor(store=sys.argv[1]) as ex: print(list(ex.map(f, [1, 2])))"
        print(subprocess.run([sys.executable, "-c", program, sys.argv[1]], capture_output=True, text=True, check=True).stdout)
        print(subprocess.run([sys.executable, "-", sys.argv[1]], input=program, capture_output=True, text=True, check=True).stdout)
        """,
        tmp_path / "store",
    )
    assert client.ok() == "[2, 3]\n\n[2, 3]\n\n"


def test_a_module_run_as_a_program(clients: Clients, tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "near.py").write_text("def one():\n    return 1\n")
    (package / "__main__.py").write_text(
        "import sys, wrens\nfrom .near import one\n\ndef f(x):\n    return x + one()\n\n"
        "with wrens.Executor(store=sys.argv[1], max_workers=1) as ex:\n    print(list(ex.map(f, [1, 2])))\n"
    )
    client = clients.start(
        "import runpy, sys; sys.path.insert(0, '.'); runpy.run_module('pack', run_name='__main__', alter_sys=True)",
        tmp_path / "store",
    )
    assert client.ok() == "[2, 3]\n"


# --- output ---------------------------------------------------------------------------------------------


@pytest.mark.this_computer("nothing is shown here that is written elsewhere")
def test_output_of_tasks_is_seen_at_the_client(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import os, sys, wrens

        def talks(x):
            print(f"task {x} speaks")
            print(f"task {x} warns", file=sys.stderr)
            os.system(f"echo child {x}")
            return x

        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            print(sum(ex.map(talks, range(4))))
        """,
        tmp_path / "store",
    )
    out = client.ok()
    assert sorted(out.splitlines()) == sorted(
        [f"task {x} speaks" for x in range(4)] + [f"child {x}" for x in range(4)] + ["6"]
    )
    assert sorted(client.err.splitlines()) == [f"task {x} warns" for x in range(4)]


def test_output_of_a_task_is_in_the_log_of_its_verdict(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with wrens.Executor(store=store, max_workers=1, keep=True) as ex:
        job = ex.map_async(print, ["for the record"])
        job.results(30)
        opened = open_store(store)
        (key,) = opened.list(keys.verdicts(job.id))
        verdict, _ = reading.read_verdict(opened, job.id, keys.basename(key))
    assert "for the record" in verdict.log


def test_a_flood_of_output_harms_nobody(ex: wrens.Executor) -> None:
    def floods(x: int) -> int:
        for _ in range(2000):
            sys.stdout.write("x" * 999 + "\n")
        return x

    assert list(ex.map(floods, range(4))) == [0, 1, 2, 3]


# --- initializers ---------------------------------------------------------------------------------------


@pytest.mark.this_computer("elsewhere the platform decides in how many places two attempts at a time run")
def test_an_initializer_runs_once_in_each_worker(tmp_path: Path, ledger: Ledger) -> None:
    with wrens.Executor(
        store=tmp_path / "store", max_workers=2, initializer=ledger.note, initargs=("began",)
    ) as ex:
        assert list(ex.map(abs, range(-100, 0))) == list(range(100, 0, -1))
        assert [ex.submit(abs, -x).result(30) for x in range(5)] == list(range(5))
    assert 1 <= ledger.counts()["began"] <= 2


def test_what_an_initializer_sets_is_there_for_the_tasks(tmp_path: Path) -> None:
    def initialize(value: str) -> None:
        os.environ["WRENS_TEST_SECRET"] = value

    store = tmp_path / "store"
    with wrens.Executor(store=store, max_workers=2, initializer=initialize, initargs=("7",)) as ex:
        assert list(ex.map(lambda _: os.environ["WRENS_TEST_SECRET"], range(10))) == ["7"] * 10


def test_an_initializer_that_fails_fails_every_task_by_name(tmp_path: Path) -> None:
    def no_licence() -> None:
        raise PermissionError("no licence")

    with wrens.Executor(store=tmp_path / "store", max_workers=2, initializer=no_licence) as ex:
        with pytest.raises(InitializerFailed, match="no licence"):
            ex.submit(abs, -1).result(30)
        with pytest.raises(JobFailed) as caught:
            ex.map_async(abs, range(10)).results(30)
    assert {type(error) for error in caught.value.failures.values()} == {InitializerFailed}


def test_a_function_of_no_module(ex: wrens.Executor) -> None:
    made: dict[str, Any] = {}
    exec("def add_one(x):\n    return x + 1", made)
    assert made["add_one"].__module__ is None
    assert ex.submit(made["add_one"], 1).result(30) == 2
