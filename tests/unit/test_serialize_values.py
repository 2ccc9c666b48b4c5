"""Packs: what goes in comes out, one by one, in place, and a bad value harms only itself."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import mmap
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wrens.errors import CannotShip, DamagedObject, VersionMismatch
from wrens.serialize import Pack, Packed, Shipper, open_pack, pack


def joined(packed: Packed) -> bytes:
    whole = b"".join(packed.buffers)
    assert len(whole) == packed.nbytes
    return whole


def name(i: int) -> str:
    return f"input {i}"


def there_and_back(values: list[Any]) -> list[Any]:
    packed = pack(values, what=name)
    assert not packed.failures
    assert packed.count == len(values)
    one = Pack(joined(packed))
    assert len(one) == len(values)
    return one.items(0, len(values))


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024


@dataclasses.dataclass
class Named:
    name: str
    more: Any = None


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None],
        [1, 2.5, "three", b"four", True, None, 10**50, -1],
        list(range(5000)),
        ["x" * 1000] * 3000,
        [b"y" * 2_000_000, 1],
        [((3,), {}), ((4,), {"a": [1, {2: (3,)}]})],
        [Point(1, 2), Named("a", {1, 2}), Colour.RED, frozenset({1})],
        [Path("/a"), ValueError],
        [[[[[[[[[1]]]]]]]]],
    ],
)
def test_round_trip(values: list[Any]) -> None:
    assert there_and_back(values) == values


def test_tuples_and_generators_of_plain_values_pack_like_lists() -> None:
    assert Pack(joined(pack((1, 2, 3), what=name))).items(0, 3) == [1, 2, 3]
    assert Pack(joined(pack(range(3), what=name))).items(0, 3) == [0, 1, 2]


def test_items_take_a_slice_and_item_checks_its_index() -> None:
    for values in ([1, 2, 3], [(1,), (2,), (3,)]):
        one = Pack(joined(pack(values, what=name)))
        assert one.items(1, 99) == values[1:]
        assert one.items(2, 1) == []
        assert one.item(2) == values[2]
        for wrong in (-1, 3):
            with pytest.raises(IndexError):
                one.item(wrong)


def test_local_classes_and_lambdas_travel_by_value() -> None:
    class Local:
        factor = 3

        def times(self, x: int) -> int:
            return self.factor * x

    found = there_and_back([Local(), lambda x: x + 1, Local()])
    assert found[0].times(2) == 6
    assert found[1](1) == 2
    assert type(found[0]) is type(found[2])


def test_a_class_by_value_is_stored_once_for_a_pack() -> None:
    class Local:
        def method(self) -> str:
            return "some text that makes the class longer" * 10

    one, many = (pack([Local() for _ in range(n)], what=name) for n in (1, 101))
    assert (many.nbytes - one.nbytes) / 100 < 80
    data = memoryview(joined(many))
    part = open_pack(lambda at, n: data[at : at + n], len(data), 50, 51)
    assert part.item(0).method().startswith("some text")


def test_the_same_object_in_two_items_is_not_shared() -> None:
    both: list[int] = []
    first, second = there_and_back([(both,), (both,)])
    first[0].append(1)
    assert second == ([],)


class Hostile:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), RecursionError(), MemoryError()])
def test_a_value_that_raises_is_left_out_and_named(error: BaseException) -> None:
    packed = pack([(1,), Hostile(error), (3,)], what=name)
    assert Pack(joined(packed)).items(0, 9) == [(1,), (3,)]
    assert list(packed.failures) == [1]
    failure = packed.failures[1]
    assert isinstance(failure, CannotShip)
    assert failure.what == "input 1"
    assert type(error).__name__ in failure.reason
    assert failure.kind.endswith("Hostile")


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        pack([Hostile(KeyboardInterrupt())], what=name)


def test_the_offender_is_found_in_containers_and_attributes() -> None:
    packed = pack([Named("a", {"config": [1, threading.Lock()]})], what=name)
    failure = packed.failures[0]
    assert isinstance(failure, CannotShip)
    assert failure.path == ".more['config'][1]"
    assert failure.kind == "_thread.lock"
    assert "pickle" in failure.reason


def test_endless_nesting_is_an_error_and_not_a_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    packed = pack([(1,), deep], what=name)
    assert list(packed.failures) == [1]
    while deep:  # taken apart by hand, so that freeing it is not deep either
        deep = deep[0]


def test_a_class_that_cannot_travel_harms_only_its_own_items() -> None:
    class Bad:
        lock = threading.Lock()

    packed = pack([(1,), Bad(), Bad()], what=name)
    assert list(packed.failures) == [1, 2]
    assert Pack(joined(packed)).items(0, 9) == [(1,)]
    failure = packed.failures[1]
    assert isinstance(failure, CannotShip)
    assert failure.kind == "_thread.lock"


class Bomb:
    def __reduce__(self) -> Any:
        return (explode, ())


def explode() -> None:
    raise LookupError("at unpickling")


def test_an_error_of_unpickling_is_the_users_and_harms_only_its_item() -> None:
    one = Pack(joined(pack([(1,), Bomb(), (3,)], what=name)))
    assert (one.item(0), one.item(2)) == ((1,), (3,))
    with pytest.raises(LookupError, match="at unpickling"):
        one.item(1)
    with pytest.raises(LookupError):
        one.items(0, 3)


# --- arrays ------------------------------------------------------------------------------------------


def arrays() -> list[np.ndarray[Any, Any]]:
    return [np.arange(n, dtype=np.float64) for n in (3, 5000, 100_000)]


@pytest.mark.parametrize("writable", [False, True])
def test_arrays_come_back_writable(*, writable: bool) -> None:
    data = joined(pack(arrays(), what=name))
    one = Pack(bytearray(data) if writable else data)
    for given, found in zip(arrays(), one.items(0, 3), strict=True):
        assert np.array_equal(given, found)
        found += 1
        assert found[0] == 1


def test_large_arrays_are_used_in_place_when_the_memory_is_writable() -> None:
    data = bytearray(joined(pack(arrays(), what=name)))
    large = Pack(data).item(2)
    large[:] = 7.0
    assert np.frombuffer(data, np.uint8).tobytes().count(np.float64(7.0).tobytes()) >= 100_000


def test_a_private_map_of_a_file_is_used_in_place_and_aligned(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(joined(pack([*arrays(), (1, 2)], what=name)))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        before = path.read_bytes()
        found = Pack(memoryview(mapped)).item(2)
        assert found.ctypes.data % 64 == 0
        found += 1
        assert path.read_bytes() == before
        del found


def test_large_arrays_are_not_copied_into_the_pack() -> None:
    given = np.zeros(100_000)
    packed = pack([given], what=name)
    given[0] = 42  # the buffers look at the array itself until they are written
    assert Pack(joined(packed)).item(0)[0] == 42


def test_read_only_arrays_stay_read_only() -> None:
    for count in (3, 100_000):
        given = np.zeros(count)
        given.flags.writeable = False
        for data in (joined(pack([given], what=name)), bytearray(joined(pack([given], what=name)))):
            assert not Pack(data).item(0).flags.writeable


@pytest.mark.parametrize(
    "given",
    [
        np.asfortranarray(np.ones((300, 300))),
        np.arange(90_000)[::3],
        np.array([], dtype=np.int32),
        np.array(3.0),
        np.array([("a", 1)] * 9000, dtype=[("s", "U3"), ("n", "i4")]),
        np.array([{"a": 1}, None, "x"], dtype=object),
        np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]),
        np.float32(2.5),
        np.datetime64("2020-01-01"),
    ],
)
def test_arrays_of_every_kind(given: Any) -> None:
    (found,) = there_and_back([given])
    assert type(found) is type(given)
    assert found.dtype == given.dtype
    assert np.array_equal(found, given)


def test_several_arrays_in_one_item() -> None:
    (found,) = there_and_back([{"a": np.ones(9000), "b": [np.zeros(7000), "text"]}])
    assert found["a"].sum() == 9000
    assert found["b"][0].shape == (7000,)


def test_numpy_and_cloudpickle_are_not_imported_before_they_are_needed() -> None:
    script = (
        "import sys, wrens.serialize as s; p = s.pack([((1,), {'a': [2]})], what=str); "
        "s.Pack(p.buffers[0]).items(0, 1); print('numpy' in sys.modules, 'cloudpickle' in sys.modules)"
    )
    source = str(Path(sys.modules["wrens.serialize"].__file__ or "").parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


# --- parts and damage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [list(range(200_000)), [(i, "x" * 50) for i in range(20_000)], [np.full(5000, i) for i in range(40)]],
    ids=["plain", "each", "framed"],
)
def test_a_part_is_read_without_the_rest(values: list[Any]) -> None:
    data = memoryview(joined(pack(values, what=name)))
    asked: list[int] = []

    def fetch(at: int, length: int) -> memoryview:
        asked.append(length)
        return data[at : at + length]

    first = len(values) // 2
    part = open_pack(fetch, len(data), first, first + 2)
    assert len(part) == 2
    assert [str(v) for v in part.items(0, 2)] == [str(v) for v in values[first : first + 2]]
    assert str(part.item(1)) == str(values[first + 1])
    assert len(asked) <= 3
    assert sum(asked) < 400_000


@pytest.mark.parametrize("values", [[1, 2, 3], [(1,), [2], (3,)], [np.zeros(9000), 1]])
def test_damage_is_named(values: list[Any]) -> None:
    whole = joined(pack(values, what=name))
    for cut in (0, 5, 31, 33, 40, len(whole) - 1):
        with pytest.raises(DamagedObject):
            Pack(whole[:cut])
        with pytest.raises(DamagedObject):
            open_pack(lambda at, n, cut=cut: memoryview(whole[:cut])[at : at + n], len(whole), 0, 3)
    with pytest.raises(DamagedObject):
        Pack(b"x" + whole[1:])
    with pytest.raises(DamagedObject):
        open_pack(lambda at, n: memoryview(whole)[at : at + n], len(whole), 0, 4)
    for at in range(len(whole[:64])):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        with contextlib.suppress(
            DamagedObject, VersionMismatch
        ):  # some bits go unnoticed, but nothing else is raised
            Pack(broken).items(0, 9)


def test_a_broken_pickle_is_damage() -> None:
    for values in ([1, 2, 3], [(1,), (2,)]):
        whole = bytearray(joined(pack(values, what=name)))
        whole[-12:] = b"\xff" * 12
        with pytest.raises(DamagedObject):
            Pack(whole).items(0, 9)


def test_inputs_name_no_bundle_when_nothing_of_the_users_is_in_them() -> None:
    shipper = Shipper()
    pack([(1,), Path("a"), np.zeros(3)], what=name, shipper=shipper)
    assert shipper.take_uploads() == []
