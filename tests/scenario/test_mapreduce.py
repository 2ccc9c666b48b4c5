"""MapReduce, grouping and gathering on workers: what comes, what goes wrong, and what is left in the store."""

from __future__ import annotations

import itertools
import random  # noqa: TID251 - words of a test, from a seed
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest
from chaos import counted_among_kills
from clients import Clients
from ledger import Ledger, doze

import wrens
from wrens.core import reading
from wrens.errors import BadData, BadOption, BadPair, JobFailed
from wrens.store import open_store
from wrens.wire import keys

WORDS = [f"w{i:03}" for i in range(500)]


def texts(count: int, words: int, seed: int = 1) -> list[str]:
    """Return texts of words, of which the first are much more common."""
    chance = random.Random(seed)
    return [" ".join(WORDS[int(500 * chance.random() ** 3)] for _ in range(words)) for _ in range(count)]


def ones(text: str) -> Iterator[tuple[str, int]]:
    return ((word, 1) for word in text.split())


def places(text: str) -> Iterator[tuple[str, str]]:
    return ((word, str(i)) for i, word in enumerate(text.split()))


def total(_: str, values: list[int]) -> int:
    return sum(values)


def counted(found: list[str]) -> Counter[str]:
    return Counter(word for text in found for word in text.split())


@pytest.fixture(scope="module")
def ex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wrens.Executor]:
    """An executor, the same for all tests."""
    with wrens.Executor(store=tmp_path_factory.mktemp("store"), max_workers=2) as executor:
        yield executor


def left_over(executor: wrens.Executor, what: str = "/exchange/") -> list[str]:
    return [key for key in executor.store.list(keys.JOBS) if what in key]


# --- what comes ---


def test_two_stages_chained_without_passing_the_client(ex: wrens.Executor) -> None:
    given = texts(6, 3000)
    view = ex.options(packing=wrens.Packing(size=1))
    first = wrens.map_reduce(view, given, ones, combine=add, reducers=3)
    assert first.collect() == counted(given)
    assert (first.stages[0].pairs_in, first.stages[1].tasks) == (18_000, 3)
    second = wrens.map_reduce(
        view, first.parts, lambda part: ((count, word) for word, count in part), lambda _, words: len(words)
    )
    assert second.collect() == Counter(counted(given).values())
    assert left_over(ex) == []


def test_large_results_are_objects_of_their_own_and_what_is_in_verdicts_stays_small(
    ex: wrens.Executor,
) -> None:
    def long(_: int, values: list[int]) -> bytes:
        return bytes(20_000) * len(values)

    found = wrens.map_reduce(ex, range(4), lambda i: {i: 1, i + 1: 1}, long, reducers=1)
    (part,) = found.parts
    assert part.key in left_over(ex, "/results/")
    assert sum(len(result) for _, result in found) == 8 * 20_000
    verdicts = list(ex.store.list(keys.verdicts(found.job.id)))
    assert max(len(ex.store.get(key)) for key in verdicts) < 10_000


def test_no_inputs_and_inputs_without_pairs(ex: wrens.Executor) -> None:
    assert wrens.map_reduce(ex, [], ones, total).collect() == {}
    assert wrens.map_reduce(ex, iter(["", " "]), ones, total, reducers=2).collect() == {}


def test_values_that_are_of_a_class_of_main_and_a_map_that_returns_a_dict(
    clients: Clients, tmp_path: Path
) -> None:
    client = clients.start(
        """
        import sys, wrens
        from collections import Counter

        class Point:
            def __init__(self, x):
                self.x = x

        def places(n):
            return {n % 2: Point(n)}

        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            found = wrens.map_reduce(ex, range(6), places, lambda key, points: Point(sum(p.x for p in points)))
            print({key: point.x for key, point in found})
        """,
        tmp_path / "store",
    )
    assert client.ok() == "{0: 6, 1: 9}\n" or client.ok() == "{1: 9, 0: 6}\n"


def test_a_map_reduce_inside_a_task(ex: wrens.Executor) -> None:
    def inner(text: str) -> dict[Any, Any]:
        with wrens.Executor() as mine:
            return wrens.map_reduce(mine, [text, text], ones, total).collect()

    assert list(ex.map(inner, ["a b a"])) == [{"a": 4, "b": 2}]


def test_groups_of_columns_chained_and_empty(ex: wrens.Executor) -> None:
    import pyarrow as pa  # here and below: workers import this module, and few need it

    sales = [
        pa.table({"item": ["a", "b", None], "price": [1, 2, 3]}),
        pa.table({"item": ["a"], "price": [2.5]}),
        pa.table({"item": pa.array([], pa.large_string()), "price": pa.array([], pa.int64())}),
    ]
    first = wrens.group_by(
        ex, sales, "item", {"n": ("price", "count"), "mean": ("price", "mean")}, prepare=lambda table: table
    )
    rows = {row.pop("item"): row for row in first.table().to_pylist()}
    assert rows == {"a": {"n": 2, "mean": 1.75}, "b": {"n": 1, "mean": 2.0}, None: {"n": 1, "mean": 3.0}}
    second = wrens.group_by(ex, [part for part in first.parts if part], "n", {"items": ("mean", "count")})
    assert sorted(second.table().to_pylist(), key=lambda row: row["n"]) == [
        {"n": 1, "items": 2},
        {"n": 2, "items": 1},
    ]
    nothing = wrens.group_by(ex, sales[2:], "item", {"n": ("price", "sum")}, prepare=lambda table: table)
    assert nothing.table().schema == pa.schema({"item": pa.large_string(), "n": pa.int64()})
    assert wrens.group_by(ex, [], "item", {"n": ("price", "sum")}).table().column_names == ["item", "n"]
    assert left_over(ex) == []


# --- memory ---


def test_little_memory_changes_nothing(ex: wrens.Executor) -> None:
    given = texts(3, 60_000)
    plenty = wrens.map_reduce(ex, given, places, reducers=2, memory_mb=1000)
    little = wrens.map_reduce(ex, given, places, reducers=2, memory_mb=1)
    assert plenty.stages[0].objects == 3
    assert little.stages[0].objects > 6
    assert list(plenty) == list(little)
    assert {word: len(values) for word, values in little} == counted(given)


def test_more_pairs_than_a_worker_s_memory_holds(tmp_path: Path) -> None:
    def many(start: int) -> Iterator[tuple[int, str]]:
        return ((key, f"{start} {key}" * 80) for key in range(start, start + 80_000))

    def count(_: int, values: list[str]) -> int:
        return len(values)

    with wrens.Executor(store=tmp_path / "store", max_workers=2) as ex:
        view = ex.options(resources=wrens.Resources(memory_mb=128))
        found = wrens.map_reduce(view, [0, 60_000], many, count, reducers=1)
        assert Counter(result for _, result in found) == {1: 120_000, 2: 20_000}
        assert found.stages[0].objects >= 4
        with pytest.raises(JobFailed) as caught:
            wrens.map_reduce(view, [0, 60_000], many, count, reducers=1, memory_mb=1000)
        # It is the system that says so when a file is mapped, and Python otherwise.
        assert "emory" in "".join(f"{error!r} {error}" for error in caught.value.exceptions)


@pytest.mark.parametrize("combined", [False, True])
def test_a_key_that_is_everywhere_is_told_unless_it_is_combined(ex: wrens.Executor, combined: bool) -> None:
    def skewed(_: int) -> Iterator[tuple[str, int]]:
        return itertools.chain((("the", 1) for _ in range(40_000)), ((f"rare {i}", 1) for i in range(1000)))

    found = wrens.map_reduce(ex, range(2), skewed, combine=add if combined else None)
    assert ("the key 'the' has 80,000 of 82,000 pairs" in "".join(found.notes)) == (not combined)


# --- what goes wrong ---


def fails(_: object) -> Any:
    raise LookupError("of the user")


def late(text: str) -> Iterator[tuple[str, int]]:
    yield from ones(text)
    raise LookupError("of the user")


@pytest.mark.parametrize(
    ("functions", "note"),
    [
        ({"map": late}, "late('a"),
        ({"map": ones, "combine": lambda *_: fails(0)}, "raised by combine, for the key 'a'"),
        # Only of the first failure it is certain that it is told, so there is one.
        ({"map": ones, "reduce": lambda k, _: fails(0) if k == "b" else 0}, "for the key 'b'"),
    ],
)
def test_exceptions_are_the_user_s_own_and_nothing_stays_of_the_exchange(
    ex: wrens.Executor, functions: dict[str, Callable[..., Any]], note: str
) -> None:
    with pytest.raises(JobFailed) as caught:
        wrens.map_reduce(ex, ["a b", "a b", "a a", "c"], **functions)
    errors = [error for error in caught.value.exceptions if isinstance(error, LookupError)]
    assert errors
    assert note in "".join(line for error in errors for line in error.__notes__)
    assert left_over(ex) == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (["ab"], "'ab' is no pair"),
        ([("a", 1, 2)], "is no pair"),
        (None, "None was returned by map"),
        ([([1], 2)], "unhashable type: 'list'"),
        ([("a", 1), (float("nan"), 2)], "equals nothing"),
        ([("a", 1), (iter([]), 2)], "of the type builtins.list_iterator no number is known"),
    ],
)
def test_what_is_no_pair_is_told_with_its_input(ex: wrens.Executor, made: Any, told: str) -> None:
    with pytest.raises(JobFailed) as caught:
        wrens.map_reduce(ex, ["this input"], lambda _: made, total)
    (error,) = caught.value.exceptions
    assert isinstance(error, BadPair)
    assert told in str(error)
    assert "'this input'" in "".join(error.__notes__)


def test_what_cannot_travel_is_told(ex: wrens.Executor) -> None:
    with pytest.raises(JobFailed) as caught:
        wrens.map_reduce(ex, ["a"], lambda _: {"key": threading.Lock()})
    assert "cannot ship the values: [0][0] is a _thread.lock" in str(caught.value.exceptions[0])
    with pytest.raises(JobFailed) as caught:
        wrens.map_reduce(ex, ["a"], ones, lambda *_: threading.Lock())
    assert "cannot ship the results: [0] is a _thread.lock" in str(caught.value.exceptions[0])


def test_what_cannot_be_is_refused_before_anything_runs(ex: wrens.Executor, ledger: Ledger) -> None:
    noted = ledger.noted(ones)
    for call in (
        lambda: wrens.map_reduce(ex, ["a"], noted, reducers=0),
        lambda: wrens.map_reduce(ex, ["a"], noted, memory_mb=0),
        lambda: wrens.map_reduce(ex, ["a"], noted, reduce="sum"),  # type: ignore[arg-type]
        lambda: wrens.map_reduce(ex, ["a"], "words"),  # type: ignore[arg-type]
        lambda: wrens.group_by(ex, ["a"], [], {}, prepare=noted),
        lambda: wrens.group_by(ex, ["a"], ["k", "k"], {}, prepare=noted),
        lambda: wrens.group_by(ex, ["a"], "k", {"x": ("x", "median")}, prepare=noted),
        lambda: wrens.group_by(ex, ["a"], "k", {"k": ("x", "sum")}, prepare=noted),
        lambda: wrens.group_by(ex, ["a"], "k", {"x": "sum"}, prepare=noted),  # type: ignore[dict-item]
    ):
        with pytest.raises(BadOption):
            call()
    assert ledger.lines() == []


@pytest.mark.parametrize(
    ("tables", "by", "aggregate", "told"),
    [
        ([{"k": [1]}], "key", {}, "there is no column 'key', but 'k'"),
        ([{"k": [[1]]}], "k", {}, "which is no key"),
        ([{"k": [1], "x": ["a"]}], "k", {"t": ("x", "sum")}, "has no kernel matching"),
        ([{"k": [1]}, {"k": ["1"]}], "k", {}, "is string here, and int64 in"),
        (
            [{"k": [1], "x": [1]}, {"k": [1], "x": ["1"]}],
            "k",
            {"t": ("x", "max")},
            "is string here, and int64 in",
        ),
    ],
)
def test_tables_that_do_not_fit_are_told(
    ex: wrens.Executor, tables: list[dict[str, Any]], by: str, aggregate: Any, told: str
) -> None:
    import pyarrow as pa

    with pytest.raises((JobFailed, BadData)) as caught:
        wrens.group_by(ex, tables, by, aggregate, prepare=pa.table)
    errors = [caught.value] if isinstance(caught.value, BadData) else caught.value.exceptions
    assert any(isinstance(error, BadData) and told in str(error) for error in errors)
    assert left_over(ex) == []


# --- options, and what stays ---


def test_a_name_is_that_of_the_results(tmp_path: Path, ledger: Ledger) -> None:
    store = tmp_path / "store"
    with wrens.Executor(store=store, max_workers=2) as ex:
        view = ex.options(name="words")
        wrens.map_reduce(view, ["a b", "a"], ones, total)
        with pytest.raises(BadOption, match="is taken"):
            wrens.map_reduce(view, ["c"], ledger.noted(ones), total)
    assert ledger.lines() == []
    assert list(reading.list_jobs(open_store(store))) == ["words"]
    again = wrens.attach("words", store=store, backend="inline").results()
    assert dict(itertools.chain.from_iterable(again)) == {"a": 2, "b": 1}


def test_options_hold_for_both_stages(ex: wrens.Executor, ledger: Ledger) -> None:
    def once(what: str) -> None:
        ledger.note(what)
        if ledger.counts()[what] == 1:
            raise ConnectionError(what)

    def noted(text: str) -> Iterator[tuple[str, int]]:
        once("map")
        return ones(text)

    def reduced(key: str, values: list[int]) -> int:
        once("reduce")
        return sum(values)

    view = ex.options(retry=wrens.Retry(attempts=2, on=ConnectionError))
    assert wrens.map_reduce(view, ["a a"], noted, reduced).collect() == {"a": 2}
    assert ledger.counts() == {"map": 2, "reduce": 2}


@pytest.mark.this_computer("presses Ctrl-C in a terminal of its own")
def test_ctrl_c_stops_it_and_a_killed_client_s_remains_are_cleaned(clients: Clients, tmp_path: Path) -> None:
    program = """
        import sys, wrens
        from ledger import doze

        def slow(i):
            yield i, "x" * 100_000
            if i == 3:
                print("at work", flush=True)
                doze(60)

        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            view = ex.options(packing=wrens.Packing(size=1))
            wrens.map_reduce(view, range(4), slow, memory_mb=1)
        """
    store = tmp_path / "store"
    client = clients.start(program, store)
    client.says("at work")
    client.interrupt()
    client.wait()
    assert "KeyboardInterrupt" in client.err
    clients.all_gone()
    assert [key for key in open_store(store).list(keys.JOBS) if "/exchange/" in key] == []

    client = clients.start(program, store)
    client.says("at work")
    client.kill()
    clients.all_gone()
    there = open_store(store)
    assert [key for key in there.list(keys.JOBS) if "/exchange/" in key]
    from wrens.clock import SystemClock
    from wrens.report import cleaning

    later = SystemClock().wall() + 2 * cleaning.QUIET_S
    chosen, kept = cleaning.choose(there, now=later, older_than_s=0)
    assert chosen
    assert not kept
    for job in chosen:
        assert cleaning.delete(there, job.job, now=later) == ""
    assert list(there.list(keys.JOBS)) == []


# --- one task over all results ---


def test_one_reduce_on_another_backend_of_the_same_store(tmp_path: Path) -> None:
    def here(results: Any, power: int) -> tuple[int, str, int]:
        task = wrens.current_task()
        assert task is not None
        return len(results), task.backend, sum(x**power for x in results) + sum(results)

    def square(x: int) -> int:
        doze(0.1 if x == 7 else 0.0)
        return x * x

    store = tmp_path / "store"
    with wrens.Executor(store=store, max_workers=2) as small, wrens.Executor("inline", store=store) as large:
        job = small.options(packing=wrens.Packing(size=7)).map_async(square, range(100))
        found = wrens.gather(large, here, job, power=2).result(20)
        assert found == (100, "inline", sum(x**4 + x**2 for x in range(100)))
        task = wrens.gather(small.options(resources=wrens.Resources(memory_mb=500)), here, job, 1)
        assert task.result(20)[1] == "local"


def test_a_reduce_of_what_failed_fails_likewise_and_is_not_called(ex: wrens.Executor, ledger: Ledger) -> None:
    job = ex.map_async(lambda x: 1 // x, [1, 0])
    with pytest.raises(JobFailed) as caught:
        wrens.gather(ex, ledger.noted(sum), job).result(20)
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    assert ledger.lines() == []


def test_a_reduce_elsewhere_is_refused(ex: wrens.Executor, tmp_path: Path) -> None:
    with wrens.Executor("inline", store=tmp_path / "other") as other, pytest.raises(BadOption, match="is in"):
        wrens.gather(other, sum, ex.map_async(abs, [1]))


# --- kills ---


@pytest.mark.parametrize("combine", [None, add])
def test_workers_killed_at_random_change_no_byte(
    ex: wrens.Executor, combine: Callable[[int, int], int] | None
) -> None:
    given = texts(24, 4000)
    calm, wild, kills = counted_among_kills(ex, given, combine, kills=6, pause_s=0.1, seed=3)
    assert kills >= 3, "they were too late"
    assert wild == calm
    assert left_over(ex) == []
