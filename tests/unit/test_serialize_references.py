"""References: who is asked, and what happens when nobody can be."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from wrens.errors import WrensError
from wrens.serialize import Pack, load_reference, pack, resolving, set_resolver
from wrens.wire.records import ResultRef, ValueRef

REF = ValueRef("memory://", "d")


class Promise:
    def __reduce__(self) -> Any:
        return load_reference, (ResultRef("memory://", "j", "00000000", 3),)


def test_a_reference_among_inputs_is_resolved_where_it_arrives() -> None:
    packed = pack([((Promise(),), {"a": Promise()})], what=str)
    one = Pack(b"".join(packed.buffers))
    with resolving(lambda ref: ref.task * 10):
        assert one.item(0) == ((30,), {"a": 30})


def test_without_a_resolver_the_error_says_what_is_missing() -> None:
    with pytest.raises(WrensError, match="memory://"):
        load_reference(REF)


def test_the_threads_own_resolver_wins_over_the_process() -> None:
    set_resolver(lambda ref: "process")
    try:
        found = []
        with resolving(lambda ref: "thread"):
            assert load_reference(REF) == "thread"
            other = threading.Thread(target=lambda: found.append(load_reference(REF)))
            other.start()
            other.join()
        assert found == ["process"]
        assert load_reference(REF) == "process"
    finally:
        set_resolver(None)
