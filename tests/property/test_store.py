"""Stores against a dict: whatever is done to both, they agree."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from wrens.clock import VirtualClock
from wrens.errors import AlreadyExists, BadOption, ObjectMissing
from wrens.store import Fault, FaultyStore, MeteredStore, RetryingStore, Store, open_store
from wrens.store.cloud import memory
from wrens.store.naming import as_buffers, check_key

PARTS = st.sampled_from(["a", "b", "a-", "a.", "a0", "é", "Z"])
# Parts that hold others end in '+', so that no key is the beginning of another one.
KEYS = st.builds(
    lambda folders, name: "".join(f"{part}+/" for part in folders) + name, st.lists(PARTS, max_size=3), PARTS
)
PREFIXES = st.builds(lambda folders: "".join(f"{part}+/" for part in folders), st.lists(PARTS, max_size=2))
DATA = st.lists(st.binary(max_size=40), max_size=4) | st.binary(max_size=40)
RANGES = st.tuples(st.integers(0, 50), st.none() | st.integers(0, 50))


class AgainstDict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = self.make_store()
        self.model: dict[str, bytes] = {}

    def make_store(self) -> Store:
        raise NotImplementedError

    @rule(key=KEYS, data=DATA, replace=st.booleans())
    def put(self, key: str, data: bytes | list[bytes], replace: bool) -> None:
        if key in self.model and not replace:
            # Contents are unique below, so that a store which reads back cannot take it for its own.
            with pytest.raises(AlreadyExists):
                self.store.put(key, [b"other", *as_buffers(data)])
            return
        self.store.put(key, data, mode="replace" if replace else "if_absent")
        self.model[key] = b"".join(as_buffers(data))

    @rule(key=KEYS, span=RANGES)
    def get(self, key: str, span: tuple[int, int | None]) -> None:
        start, length = span
        if key not in self.model:
            with pytest.raises(ObjectMissing):
                self.store.get(key, start=start, length=length)
            return
        stop = None if length is None else start + length
        assert bytes(self.store.get(key, start=start, length=length)) == self.model[key][start:stop]

    @rule(prefix=PREFIXES, after=KEYS | PREFIXES | st.just(""))
    def list(self, prefix: str, after: str) -> None:
        expected = sorted(key for key in self.model if key.startswith(prefix) and key > after)
        assert [*self.store.list(prefix, after=after)] == expected

    @rule(keys=st.lists(KEYS, max_size=6))
    def delete(self, keys: list[str]) -> None:
        self.store.delete(keys)
        for key in keys:
            self.model.pop(key, None)

    @invariant()
    def all_is_there(self) -> None:
        assert [*self.store.list("")] == sorted(self.model)


class InDirectory(AgainstDict):
    def make_store(self) -> Store:
        self.root = Path(tempfile.mkdtemp())
        return open_store(self.root)

    @invariant()
    def no_empty_directory_stays(self) -> None:
        folders = {key.rpartition("/")[0] for key in self.model if "/" in key}
        there = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_dir()}
        ancestors = {folder[:i] for folder in folders for i, c in enumerate(folder) if c == "/"} | folders
        assert there - {".wrens"} == ancestors

    def teardown(self) -> None:
        shutil.rmtree(self.root)


class InMemory(AgainstDict):
    def make_store(self) -> Store:
        return memory("memory://")


class WithFaults(AgainstDict):
    """Lost replies at regular places, and a patient client in front."""

    def make_store(self) -> Store:
        def script(action: str, key: str, call: int) -> Fault | None:
            return Fault(kind=("lost_reply", "error", "torn")[call // 3 % 3]) if call % 3 == 1 else None

        return MeteredStore(RetryingStore(FaultyStore(memory("memory://"), script), clock=VirtualClock()))


@pytest.mark.parametrize("machine", [InDirectory, InMemory, WithFaults])
def test_a_store_is_a_dict(machine: type[AgainstDict]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@given(st.text(alphabet="ab/.\0\n é\ud800", max_size=8))
def test_a_key_is_good_exactly_when_its_parts_are(key: str) -> None:
    bad = any(part in ("", ".", "..") or set(part) & set("\0\n\ud800") for part in key.split("/"))
    if bad:
        with pytest.raises(BadOption):
            check_key(key)
    else:
        assert check_key(key) == key
