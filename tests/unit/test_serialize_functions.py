"""Functions: what they are called, what they need, and why they cannot be shipped."""

from __future__ import annotations

import functools
import json
import threading
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from wrens.clock import VirtualClock
from wrens.errors import CannotShip, DamagedObject, VersionMismatch
from wrens.serialize import Loader, Shipper
from wrens.serialize.functions import FunctionRecord, name_of
from wrens.wire import envelope, keys

LOCK = threading.Lock()
FACTOR = 3
T = typing.TypeVar("T")


class Here(typing.Generic[T]):
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def times(self, x: int) -> int:
        return self.factor * x

    def __call__(self, x: int) -> int:
        return self.times(x)


def times(x: int) -> int:
    return Here(FACTOR).times(x)


def uses_lock() -> bool:
    return LOCK.locked()


def calls_it() -> bool:
    return uses_lock()


class Wire:
    """A shipper and a loader with a store between them."""

    def __init__(self) -> None:
        self.shipper = Shipper(VirtualClock())
        self.objects: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.loader = Loader(self.fetch)

    def fetch(self, key: str) -> memoryview:
        self.fetched.append(key)
        return memoryview(self.objects[key])

    def send(self, fn: Any) -> Callable[..., Any]:
        digest = self.shipper.function(fn).digest
        self.objects.update((key, b"".join(parts)) for key, parts in self.shipper.take_uploads())
        return self.loader.function(digest)


@pytest.mark.parametrize(
    "fn",
    [
        times,
        lambda x: FACTOR * x,
        Here(3),
        Here(3).times,
        functools.partial(lambda a, b: a * b, 3),
        functools.partial(times),
        (3).__mul__,
    ],
)
def test_callables_of_every_kind(fn: Callable[[int], int]) -> None:
    assert Wire().send(fn)(2) == 6


def test_functions_of_installed_modules_ship_nothing_else() -> None:
    wire = Wire()
    assert wire.send(json.dumps) is json.dumps
    assert len(wire.objects) == 1


def test_a_function_is_uploaded_once() -> None:
    wire = Wire()
    wire.send(json.dumps)
    wire.send(json.dumps)
    assert wire.shipper.take_uploads() == []
    assert len(wire.fetched) == 1


def test_a_closure_is_pickled_as_it_is_now() -> None:
    box = [1]
    wire = Wire()

    def fn() -> int:
        return box[0]

    first = wire.send(fn)
    box[0] = 2
    assert (first(), wire.send(fn)()) == (1, 2)


def test_what_a_function_refers_to_is_looked_at_each_time() -> None:
    names: dict[str, Any] = {"__name__": "__main__", "K": 1, "json": json}
    exec("def low(): return K\ndef fn(): return low() + len(json.dumps(K))", names)
    fn, shipper = names["fn"], Shipper()
    seen = [shipper.function(fn).digest]
    for change in (
        "K = 2",
        "K = [2]",
        "K[0] = 3",
        "def low(): return 5",
        "low.x = 3",
        "fn.__defaults__ = ()",
    ):
        assert shipper.function(fn).digest == seen[-1]
        exec(change, names)
        seen.append(shipper.function(fn).digest)
    assert len(set(seen)) >= len(seen) - 1  # the last change changes nothing


def test_a_closure_variable_that_was_assigned_is_seen() -> None:
    n = 1

    def fn() -> int:
        return n

    shipper = Shipper()
    first = shipper.function(fn).digest
    n = 2
    second = shipper.function(fn).digest
    n = 1
    assert first != second
    assert shipper.function(fn).digest == first


def test_equal_functions_have_equal_digests() -> None:
    def make(n: int) -> Callable[[int], int]:
        return lambda x: x + n

    shipper = Shipper()
    digests = [shipper.function(make(n)).digest for n in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_the_loader_keeps_a_bounded_number() -> None:
    wire = Wire()
    for n in range(70):
        wire.send(functools.partial(max, n))
    before = len(wire.fetched)
    wire.send(functools.partial(max, 69))
    assert len(wire.fetched) == before
    wire.send(functools.partial(max, 0))
    assert len(wire.fetched) == before + 1


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (json.dumps, "json.dumps"),
        (len, "len"),
        (functools.partial(json.dumps), "json.dumps"),
        (functools.partial(functools.partial(len)), "len"),
    ],
)
def test_names(fn: Any, name: str) -> None:
    assert name_of(fn) == name


# --- what cannot be shipped --------------------------------------------------------------------------


def refused(fn: Any) -> CannotShip:
    with pytest.raises(CannotShip) as caught:
        Shipper().function(fn, what="the function resize")
    assert caught.value.what == "the function resize"
    return caught.value


def closing_over(db: Any) -> Callable[[], Any]:
    return lambda: db


def test_the_closure_variable_is_named() -> None:
    error = refused(closing_over({"config": [threading.Lock()]}))
    assert (error.path, error.kind) == ("closure variable 'db'['config'][0]", "_thread.lock")
    assert "closure variable 'db'" in str(error)


def test_a_default_is_named() -> None:
    def fn(a: int, lock: Any = threading.Lock(), *, other: Any = None) -> None:  # noqa: B008
        pass

    assert refused(fn).path == "default of 'lock'"


def test_a_global_of_a_function_that_is_called_is_named() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__", "LOCK": threading.Lock()}
    exec("def low():\n  return LOCK\ndef fn():\n  return low()", namespace)
    error = refused(namespace["fn"])
    assert (error.path, error.kind) == ("global 'low', global 'LOCK'", "_thread.lock")


def test_bound_methods_and_partials_are_searched() -> None:
    thing = Here(3)
    thing.factor = threading.Lock()  # type: ignore[assignment]
    assert refused(thing.times).path == ".__self__.factor"
    assert refused(functools.partial(max, [thing])).path == ".args[0][0].factor"


class Worse:
    def __getstate__(self) -> Any:
        raise OSError("not today")


def test_an_error_of_the_users_own_is_the_reason() -> None:
    error = refused(closing_over(Worse()))
    assert error.path == "closure variable 'db'"
    assert error.kind.endswith("Worse")
    assert error.reason == "OSError: not today"


def test_a_generator_and_an_open_file_are_refused(tmp_path: Any) -> None:
    assert refused(closing_over(i for i in range(3))).kind == "generator"
    with (tmp_path / "x").open("w") as file:
        assert refused(closing_over(file)).kind == "_io.TextIOWrapper"


def test_a_search_gives_up_on_huge_things() -> None:
    many = [[i, threading.Lock()] if i == 100_000 - 1 else [i] for i in range(100_000)]
    assert refused(closing_over(many)).path == "closure variable 'db'"


# --- what does not load ------------------------------------------------------------------------------


def loading(data: bytes) -> Callable[..., Any]:
    return Loader(lambda key: memoryview(data)).function("d")


def test_another_python_is_refused_before_anything_is_unpickled() -> None:
    with pytest.raises(VersionMismatch, match=r"Python 2\.7"):
        loading(b"".join(envelope.seal(FunctionRecord(1, "2.7", "f", ""), [b"junk"])))


def test_another_wrens_is_refused() -> None:
    good = bytearray(b"".join(envelope.seal(FunctionRecord(1, "3.11", "f", ""), [b"junk"])))
    good[5] += 1
    with pytest.raises(VersionMismatch, match="wrens"):
        loading(bytes(good))


def test_damage_is_named() -> None:
    shipper = Shipper()
    shipper.function(len)
    ((key, parts),) = shipper.take_uploads()
    whole = b"".join(parts)
    for cut in (0, 10, 20, len(whole) - 1):
        with pytest.raises(DamagedObject, match="functions/d"):
            loading(whole[:cut])
    assert key.startswith(keys.function(""))


def test_a_missing_module_is_reported_with_the_functions_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = ModuleType("gone_tomorrow")
    exec("def f(): pass", vars(module))
    module.__file__ = json.__file__  # as if it were installed
    monkeypatch.setitem(sys.modules, "gone_tomorrow", module)
    wire = Wire()
    digest = wire.shipper.function(module.f).digest
    wire.objects.update((key, b"".join(parts)) for key, parts in wire.shipper.take_uploads())
    monkeypatch.delitem(sys.modules, "gone_tomorrow")
    with pytest.raises(ModuleNotFoundError) as caught:
        wire.loader.function(digest)
    assert "gone_tomorrow.f" in caught.value.__notes__[0]
