"""The index of batches by job, beside a search through all batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wrens.core.batches import Batch, Rules, Source
from wrens.core.policy import Backup, Packing
from wrens.core.unsettled import Unsettled
from wrens.wire import keys
from wrens.wire.records import Policy

SOURCE = Source(function="f", call="one", page=0, offset=0, length=1, origin=0)
JOBS = ("with", "without", "third")


def batch(job: str, number: int) -> Batch:
    rules = Rules(policy=Policy(), packing=Packing(), backup=Backup() if job == "with" else None)
    return Batch(job, keys.batch(number), 10 * number, number + 1, SOURCE, rules)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(JOBS), st.integers(0, 3))))
def test_answers_are_those_of_a_search(steps: list[tuple[bool, str, int]]) -> None:
    unsettled, model = Unsettled(), dict[tuple[str, str], Batch]()
    for adding, job, number in steps:
        each = batch(job, number)
        if adding:
            unsettled.add(each)
            model[each.key] = each
        else:
            assert unsettled.pop(each.key) is model.pop(each.key, None)
        assert len(unsettled) == len(model)
        assert {b.key for b in unsettled.all()} == set(model)
        assert unsettled.jobs() == {name for name, _ in model}
        assert unsettled.any_backup == any(b.rules.backup is not None for b in model.values())
        for name in JOBS:
            mine = [b for b in model.values() if b.job == name]
            assert sorted(unsettled.of(name)) == sorted(b.key for b in mine)
            assert unsettled.tasks(name) == sum(b.count for b in mine)
            assert all(unsettled.get(b.key) is b and b.key in unsettled for b in mine)
