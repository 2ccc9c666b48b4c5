"""Messages, aggregators and options of bulk-synchronous programs, without a worker of their own."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger import Ledger

import wrens
from wrens.errors import BadMessage, BadOption, JobFailed, ObjectMissing
from wrens.models.bsp import delivering, warm
from wrens.models.bsp.columns import by_index
from wrens.models.exchange import Slice
from wrens.programs import graphs
from wrens.store import open_store
from wrens.wire import keys

_spec = spec_from_file_location("pagerank", Path(__file__).parents[2] / "examples" / "pagerank.py")
assert _spec is not None
assert _spec.loader is not None
pagerank = module_from_spec(_spec)
_spec.loader.exec_module(pagerank)


@pytest.fixture
def ex(tmp_path: Path) -> Iterator[wrens.Executor]:
    with wrens.Executor("inline", store=tmp_path) as executor:
        yield executor


def failure(ex: wrens.Executor, step: Callable[..., Any], **options: Any) -> Exception:
    """Return what the step of partition 1 of two raised."""
    with pytest.raises(JobFailed) as caught:
        wrens.bsp(ex, step, [None, None], supersteps=4, **options)
    (error,) = caught.value.failures.values()
    assert any("partition 1" in note for note in error.__notes__)
    return error


def test_messages_come_by_sender_and_as_they_were_sent(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number == 0:
            for i in range(3):
                at.send(0, (at.partition, i))
                at.send_array(0, np.full(2, 10 * at.partition + i))
        return list(inbox), inbox.array().tolist(), [part.tolist() for part in inbox.arrays()]

    python, typed, each = wrens.bsp(ex, step, [None] * 3, supersteps=2).state(0)
    assert python == [(p, i) for p in range(3) for i in range(3)]
    assert typed == [10 * p + i for p in range(3) for i in range(3) for _ in "ab"]
    assert [x for part in each for x in part] == typed
    assert len(each) == 3


@pytest.mark.parametrize("kind", ["dict", "arrow"])
def test_columns_travel_by_name(ex: wrens.Executor, kind: str) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number == 0:
            rows: Any = {"a": np.arange(3), "b": np.ones(3) * at.partition}
            if kind == "arrow":
                import pyarrow as pa

                rows = pa.record_batch(rows)
            at.send_array(1, rows)
        return {name: column.tolist() for name, column in inbox.columns().items()}

    run = wrens.bsp(ex, step, [None] * 2, supersteps=2)
    assert list(run.states()) == [{}, {"a": [0, 1, 2] * 2, "b": [0.0] * 3 + [1.0] * 3}]


@pytest.mark.parametrize("way", ["sum", "min", "max"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, "m8[s]"])
@pytest.mark.parametrize("spread", [1, 10**9])
def test_rows_of_one_index_become_one(way: str, dtype: Any, spread: int) -> None:
    chance = np.random.default_rng(1)
    index, values = chance.integers(0, 20, 200) * spread, chance.integers(0, 5, (200, 2)).astype(dtype)
    found, columns = by_index(index, {"x": values, "y": values[:, 0].copy()}, way)
    assert found.tolist() == sorted(set(index.tolist()))
    together = getattr(np, way)
    for i, row, one in zip(found, columns["x"], columns["y"], strict=True):
        assert row.tolist() == together(values[index == i], axis=0).tolist()
        assert one == row[0]
    assert columns["x"].dtype == columns["y"].dtype == (values.sum().dtype if way == "sum" else dtype)


@pytest.mark.parametrize("values", [np.float32, np.float64])
@pytest.mark.parametrize(("dtype", "last"), [(np.int8, 100), (np.int16, 20000), (np.int32, 40000)])
def test_no_row_is_lost_whose_index_is_of_a_narrow_type(dtype: Any, last: int, values: Any) -> None:
    index = np.arange(-last, last + 1).astype(dtype)
    found, columns = by_index(index, {"": np.arange(len(index)).astype(values)}, "sum")
    assert found.dtype == dtype
    assert np.array_equal(found, index)
    assert np.array_equal(columns[""], np.arange(len(index)))


@pytest.mark.parametrize("senders", [1, 2])
@pytest.mark.parametrize("times", [1, 300])
@pytest.mark.parametrize(
    ("dtype", "added"),
    [(bool, "int64"), (np.uint8, "uint64"), (np.int16, "int64"), (np.float32, "float32"), (float, "float64")],
)
def test_sums_do_not_overflow_whoever_adds_up(
    ex: wrens.Executor, dtype: Any, added: str, times: int, senders: int
) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number == 0 and at.partition < senders:
            for part in np.array_split(np.ones(times, dtype), 2):
                at.send_array(1, part, index=np.full(len(part), 7, np.uint8))
        (one, *_) = inbox.arrays() or [None]
        return None if one is None else (str(one.dtype), str(inbox.array().dtype), inbox.array().tolist())

    found = wrens.bsp(ex, step, [None] * 2, combine="sum", supersteps=2).state(1)
    assert found == (added, added, [times * senders])


def test_what_was_sent_may_be_changed_afterwards(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number:
            return inbox.array().tolist(), list(inbox), at.aggregated["values"].tolist()
        buffer, message = np.empty(1), [at.partition]
        for to in range(at.partitions):
            buffer[:] = 10 * at.partition + to
            at.send_array(to, buffer)
            at.send(to, message)
            message.append(-1)
        at.aggregate("values", buffer)
        buffer += 1000
        return state

    run = wrens.bsp(ex, step, [None, None], supersteps=2, aggregate={"values": "sum"})
    assert [state[0] for state in run.states()] == [[0, 10], [1, 11]]
    assert [state[1] for state in run.states()] == [[[0], [1]], [[0, -1], [1, -1]]]
    assert run.state(0)[2] == [12]


def test_tables_of_arrow_with_text_and_nulls_are_messages(ex: wrens.Executor) -> None:
    import pyarrow as pa

    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if not at.number:
            at.send(0, pa.table({"word": [f"é{at.partition}", None], "count": [2**53 + 1, None]}))
            return None
        return pa.concat_tables(inbox).to_pydict() if inbox else None

    found = wrens.bsp(ex, step, [None] * 2, supersteps=2).state(0)
    assert found == {"word": ["é0", None, "é1", None], "count": [2**53 + 1, None] * 2}


def test_a_function_may_change_what_it_combines(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        both = [at.partition]
        for to in (0, 0, 1) if not at.number else ():
            at.send(to, both)
        return list(inbox)

    def extended(some: list[int], more: list[int]) -> list[int]:
        some += more
        return some

    run = wrens.bsp(ex, step, [None, None], supersteps=2, combine=extended)
    assert list(run.states()) == [[[0, 0, 1, 1]], [[0, 1]]]


def test_data_may_be_none_for_some(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        return at.data

    for data in (["a", None, "c"], [None] * 3):
        assert list(wrens.bsp(ex, step, [0] * 3, data=data, supersteps=1).states()) == data


def test_what_partitions_tell_is_known_in_the_next_superstep(ex: wrens.Executor) -> None:
    ways = {"sum": "sum", "low": "min", "high": "max", "text": lambda a, b: a + b, "rows": "sum"}

    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number < 2:
            for name in ("sum", "low", "high"):
                at.aggregate(name, at.partition + 1)
            at.aggregate("text", str(at.partition))
            at.aggregate("text", "!")
            at.aggregate("rows", np.array([1, at.partition]))
            return at.aggregated
        at.halt()
        return at.aggregated

    run = wrens.bsp(ex, step, [None] * 3, aggregate=ways)
    found = run.state(1)
    assert found.pop("rows").tolist() == [3, 3]
    assert found == {"sum": 6, "low": 1, "high": 3, "text": "0!1!2!"}
    assert (run.aggregated, run.supersteps, run.halted) == ({}, 3, True)


def test_data_are_the_same_in_each_superstep_and_cannot_be_written_to(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: int, inbox: wrens.Inbox) -> int:
        return state + int(at.data.sum())

    data = [np.arange(5000) + p for p in range(2)]
    run = wrens.bsp(ex, step, [0, 0], data=data, supersteps=3)
    assert list(run.states()) == [3 * int(one.sum()) for one in data]

    def write(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
        if at.partition:
            at.data[0] = 1

    assert isinstance(failure(ex, write, data=data), ValueError)


def test_who_has_voted_sleeps_until_a_message_comes(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: list[int], inbox: wrens.Inbox) -> list[int]:
        if at.partition == 0 and at.number == 3:
            at.send(1, "wake up")
        if at.partition or at.number == 4:
            at.halt()
        return [*state, at.number]

    run = wrens.bsp(ex, step, [[], []])
    assert list(run.states()) == [[0, 1, 2, 3, 4], [0, 4]]
    assert [step.active for step in run.steps] == [2, 1, 1, 1, 2]
    assert sum(step.messages for step in run.steps) == 1


def test_what_is_wrong_with_a_message_is_said(ex: wrens.Executor) -> None:
    def to_nobody(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
        if at.number == 2 and at.partition == 1:
            at.send(7, "x")

    error = failure(ex, to_nobody)
    assert isinstance(error, BadMessage)
    assert (error.partition, error.superstep) == (1, 2)
    assert "partition 7, which does not exist" in str(error)

    def sends(*calls: tuple[Any, Any]) -> Callable[..., None]:
        def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
            for values, index in calls if at.partition else ():
                at.send_array(0, values, index=index)

        return step

    for calls, said in (
        ([("text", None)], "0 dimensions"),
        ([(np.array(["a", None]), None)], "object"),
        ([({"a": [1], "b": [1, 2]}, None)], "different lengths"),
        ([([1, 2], [1])], "different lengths"),
        ([([1.0], [0.5])], "index of 1 dimensions of float64"),
        ([([1], None), ([1.5], None)], "values: float64 after rows of values: int64"),
    ):
        error = failure(ex, sends(*calls))
        assert isinstance(error, BadMessage)
        assert said in str(error)

    import pyarrow as pa

    one, other = pa.array([2**53 + 1, None]), pa.array([1, 2])
    for table, said in (
        ({"a": one}, "nulls in the column 'a'"),
        (pa.table({"a": one, "b": other}), "fill_null"),
        (pa.record_batch([other, other], names=["a", "a"]), "two columns that are both called 'a'; rename"),
        ({1: [1], "1": [2]}, "two columns that are both called '1'"),
        ({}, "without columns"),
    ):
        error = failure(ex, sends((table, None)))
        assert isinstance(error, BadMessage)
        assert said in str(error)

    error = failure(ex, sends((np.array(["a"]), [1])), combine="sum")
    assert isinstance(error, BadMessage)
    assert "there is no 'sum'" in str(error)

    def told(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
        if at.partition:
            at.aggregate("loss", 1)

    assert "aggregate={'loss': 'sum'}" in str(failure(ex, told))


def test_rows_of_two_kinds_from_two_senders_are_refused(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number == 0:
            at.send_array(1, np.zeros(2, np.float32 if at.partition else np.float64))
        return inbox.array()

    error = failure(ex, step)
    assert isinstance(error, BadMessage)
    assert "float64 by partition 0" in str(error)
    assert "float32 by partition 1" in str(error)


def indexed(types: list[Any], value: int) -> Callable[..., Any]:
    """Return a step by which each partition sends partition 1 a row, with an index of its type."""

    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        if at.number == 0:
            at.send_array(1, [1], index=np.array([value], types[at.partition]))
        return str(inbox.index.dtype), inbox.index.tolist()

    return step


@pytest.mark.parametrize("combine", [None, "sum"])
def test_an_index_is_never_rounded(ex: wrens.Executor, combine: str | None) -> None:
    big = 2**53 + 1
    error = failure(ex, indexed([np.int64, np.uint64], big), combine=combine)
    assert isinstance(error, BadMessage)
    assert "index of int64 by partition 0" in str(error)
    assert "index of uint64 by partition 1" in str(error)

    # Each of them fits one that was there before, and not the other.
    three = indexed([np.uint32, np.int32, np.uint64], 3)
    with pytest.raises(JobFailed) as caught:
        wrens.bsp(ex, three, [None] * 3, combine=combine, supersteps=2)
    (error,) = caught.value.failures.values()
    assert "index of int32 by partition 1" in str(error)
    assert "index of uint64 by partition 2" in str(error)

    def alone(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
        if at.partition:
            at.send_array(0, [1], index=np.array([big]))
            at.send_array(0, [1], index=np.array([big], np.uint64))

    assert "index of uint64 after" in str(failure(ex, alone, combine=combine))

    run = wrens.bsp(ex, indexed([np.int32, np.int64], 3), [None] * 2, combine=combine, supersteps=2)
    assert run.state(1) == ("int64", [3] if combine else [3, 3])


@pytest.mark.parametrize("index", [None, [0]])
def test_a_function_to_combine_rows_is_refused(ex: wrens.Executor, index: Any) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
        if at.partition:
            at.send_array(0, [1], index=index)

    error = failure(ex, step, combine=operator.add)
    assert isinstance(error, BadMessage)
    assert "combine=_operator.add" in str(error)
    assert "combine='sum', 'min' or 'max'" in str(error)


@pytest.mark.parametrize("way", ["min", "max"])
@pytest.mark.parametrize("place", range(3))
def test_nan_wins_wherever_it_is(ex: wrens.Executor, way: str, place: int) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> Any:
        value = math.nan if at.partition == place else float(at.partition)
        if at.number == 0:
            at.aggregate("all", value)
            at.send(0, value)
            at.send_array(0, [value], index=[0])
        if place == at.partition == 0:
            at.aggregate("one", math.nan)
        at.aggregate("one", 1.0)
        return at.aggregated.get("all"), [*inbox, *inbox.array().tolist()]

    run = wrens.bsp(ex, step, [None] * 3, combine=way, aggregate={"all": way, "one": way}, supersteps=2)
    told, (message, row) = run.state(0)
    assert math.isnan(told)
    assert math.isnan(message)
    assert math.isnan(row)
    assert math.isnan(run.aggregated["one"]) == (place == 0)


def test_a_run_goes_on_after_an_aggregator_that_raised(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    def step(at: wrens.Superstep, state: int, inbox: wrens.Inbox) -> Any:
        ledger.note(at.number, at.partition)
        at.aggregate("top", np.array([at.partition, at.number]) if at.number == 1 else at.partition)
        return state + 1

    def run(way: Any, **options: Any) -> wrens.Run:
        with wrens.Executor("inline", store=tmp_path) as ex:
            return wrens.bsp(ex, step, [0] * 3, aggregate={"top": way}, supersteps=2, **options)

    with pytest.raises(BadMessage) as caught:
        run("max", name="mine", resume=True)
    error = caught.value
    assert (error.partition, error.superstep) == (1, 1)
    assert isinstance(error.__cause__, ValueError)
    for said in (
        "aggregate={'top': 'max'}",
        "ndarray",
        "truth value",
        "name='mine', resume=True",
        "superstep 1",
    ):
        assert said in str(error)
    before = ledger.lines()
    assert run(np.maximum, name="mine", resume=True).aggregated["top"].tolist() == [2, 1]
    assert ledger.lines() == before

    with pytest.raises(BadMessage, match="nothing of it is kept"):
        run(min)
    assert {key.split("/")[1] for key in open_store(tmp_path).list("jobs/")} == {"mine"}


def test_an_aggregator_that_raises_for_two_values_of_one_partition_is_named(ex: wrens.Executor) -> None:
    def step(at: wrens.Superstep, state: Any, inbox: wrens.Inbox) -> None:
        if at.partition:
            at.aggregate("top", 1)
            at.aggregate("top", "x")

    error = failure(ex, step, aggregate={"top": "max"})
    assert isinstance(error, BadMessage)
    assert isinstance(error.__cause__, TypeError)
    assert "told 'top' a value of type str" in str(error)


def test_options_that_cannot_be_are_refused_before_anything_runs(ex: wrens.Executor) -> None:
    def step(*_: Any) -> None:
        raise AssertionError

    for states, options, said in (
        ([], {}, "is empty"),
        ([1, 2], {"data": [1]}, "has 1 partitions, and states has 2"),
        ([1], {"combine": "mean"}, "combine='mean'"),
        ([1], {"aggregate": {"x": 3}}, "aggregate['x']=3"),
        ([1], {"supersteps": 0}, "supersteps"),
        ([1], {"name": "a/b"}, "name"),
        ([1], {"resume": True}, "needs the run's name"),
    ):
        with pytest.raises(BadOption) as caught:
            wrens.bsp(ex, step, states, **options)  # type: ignore[arg-type]
        assert said in str(caught.value)
    assert list(ex.store.list("jobs/")) == []


def test_only_the_last_states_are_left(tmp_path: Path) -> None:
    def step(at: wrens.Superstep, state: int, inbox: wrens.Inbox) -> int:
        at.send(0, at.number)
        return state + 1

    store = open_store(tmp_path)
    with wrens.Executor("inline", store=tmp_path) as ex:
        run = wrens.bsp(ex, step, [0, 0], supersteps=5)
        named = wrens.bsp(ex, step, [0, 0], supersteps=5, name="mine")
        assert list(run.states()) == list(named.states()) == [5, 5]
        assert len(list(store.list(f"{keys.exchange(run.name)}/"))) == 2
    assert list(named.states()) == [5, 5]
    assert {key.split("/")[1] for key in store.list("jobs/")} == {"mine"}
    assert len(list(store.list(keys.supersteps("mine")))) == 1
    with pytest.raises(ObjectMissing):
        run.state(0)
    # A run that was stopped goes on when it is given more supersteps, and one that has ended is not run again.
    with wrens.Executor("inline", store=tmp_path) as ex:
        more = wrens.bsp(ex, step, [0, 0], supersteps=7, name="mine", resume=True)
        assert (list(more.states()), more.supersteps) == ([7, 7], 7)
        with pytest.raises(BadOption, match="resume=True"):
            wrens.bsp(ex, step, [0, 0], name="mine")
        with pytest.raises(BadOption, match="has 3 partitions"):
            wrens.bsp(ex, step, [0, 0, 0], name="mine", resume=True)


class ClientDied(BaseException):
    """Ends a client in the middle of something."""


def to_all(at: wrens.Superstep, state: list[int], inbox: wrens.Inbox) -> list[int]:
    for to in range(at.partitions):
        at.send(to, 10 * at.partition + at.number)
    return [*state, *inbox]


def test_a_client_that_died_when_messages_were_brought_together_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, times = delivering.deliver, []

    def dies(*given: Any) -> delivering.Delivery:
        found = deliver(*given)
        times.append(found.made)
        if len(times) == 3:
            raise ClientDied
        return found

    options: dict[str, Any] = {"supersteps": 5, "name": "run", "resume": True, "exchange": wrens.TwoLevel()}
    with wrens.Executor("inline", store=tmp_path) as ex, monkeypatch.context() as patched:
        patched.setattr(delivering, "deliver", dies)
        with pytest.raises(ClientDied):
            wrens.bsp(ex, to_all, [[]] * 4, **options)
    assert [len(made) for made in times] == [0, 4, 4]
    with wrens.Executor("inline", store=tmp_path) as ex:
        run = wrens.bsp(ex, to_all, [[]] * 4, **options)
        assert list(run.states()) == [[10 * p + n for n in range(4) for p in range(4)]] * 4
        assert set(ex.store.list(f"{keys.exchange('run')}/")) == {place.key for place in run.places}
        # Of the jobs that only moved messages nothing is left.
    assert {key.split("/")[1] for key in open_store(tmp_path).list("jobs/")} == {"run"}


@pytest.mark.parametrize(
    "way",
    [wrens.Redis("redis://127.0.0.1:1"), wrens.Chosen(redis=wrens.Redis("redis://127.0.0.1:1")), "packed"],
)
def test_messages_stay_in_the_store(ex: wrens.Executor, way: Any) -> None:
    with pytest.raises(BadOption, match="checkpoint"):
        wrens.bsp(ex, to_all, [[]], exchange=way)
    assert list(ex.store.list("jobs/")) == []


def test_a_run_whose_step_raised_goes_on_with_a_better_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    def steps(*, good: bool) -> Callable[..., int]:
        def step(at: wrens.Superstep, state: int, inbox: wrens.Inbox) -> int:
            ledger.note(at.number, at.partition)
            if at.number == 2 and at.partition == 1 and not good:
                raise ZeroDivisionError
            at.send(at.partition, at.number)
            return state + sum(inbox)

        return step

    with wrens.Executor("inline", store=tmp_path) as ex:
        with pytest.raises(JobFailed) as caught:
            wrens.bsp(ex, steps(good=False), [0, 0], supersteps=4, name="run")
        assert "superstep 2 of the run 'run'" in caught.value.__notes__[-1]
    before = ledger.lines()
    with wrens.Executor("inline", store=tmp_path) as ex:
        run = wrens.bsp(ex, steps(good=True), [0, 0], supersteps=4, name="run", resume=True)
    assert list(run.states()) == [0 + 1 + 2] * 2
    assert ledger.lines()[len(before) :] == ["2 1", "3 0", "3 1"]


@pytest.mark.parametrize("scipy", [True, False])
def test_pagerank_agrees_with_a_power_iteration(
    ex: wrens.Executor, monkeypatch: pytest.MonkeyPatch, *, scipy: bool
) -> None:
    if not scipy:
        monkeypatch.setitem(sys.modules, "scipy", None)
    vertices = 1 << 9
    sources, targets = graphs.rmat(9, 3000, seed=3)
    degree, rank = np.bincount(sources, minlength=vertices), np.full(vertices, 1 / vertices)
    for _ in range(20):
        given = np.bincount(targets, weights=(rank / np.maximum(degree, 1))[sources], minlength=vertices)
        rank = (1 - 0.85) / vertices + 0.85 * (given + rank[degree == 0].sum() / vertices)
    for partitions in (1, 3):
        run = pagerank.pagerank(ex, graphs.cut(sources, targets, vertices, partitions), 20)
        found = np.concatenate(list(run.states()))
        assert np.abs(found - rank).max() < 1e-12
    assert abs(rank.sum() - 1) < 1e-9


def test_a_state_that_is_kept_is_one_for_whoever_asks() -> None:
    place = Slice("s3://nowhere/at-all", "k", 0, (10,))
    from wrens.models.bsp.messages import packed

    warm.wrote(place, packed([1, 2], "a state"))
    warm.state_at(place).append(3)
    assert warm.state_at(place) == [1, 2]
