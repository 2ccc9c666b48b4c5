"""The parameter server against real servers: sums are NumPy's, each push counts once, and what is lost is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import emulators
import numpy as np
import pytest
from clients import Clients
from emulators import Server
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import Ledger, doze, until
from tcp_proxy import Line, losing

import wrens
from wrens import kv
from wrens.clock import VirtualClock
from wrens.errors import BadOption, BadUpdate, JobFailed, ShardFull, ShardLost, WorkersStalled
from wrens.models import parameter_server as ps
from wrens.models.parameter_server.making import make
from wrens.models.parameter_server.shards import Shards

pytestmark = [pytest.mark.this_computer, pytest.mark.timeout(120)]


def address(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with (
        emulators.redis(tmp_path_factory.mktemp("one")) as one,
        emulators.redis(tmp_path_factory.mktemp("other")) as other,
        kv.serve() as embedded,
    ):
        yield [address(one), embedded, address(other)]


@pytest.fixture(scope="module")
def tiers(servers: list[str]) -> list[kv.KeyValue]:
    """One, two and three servers."""
    return [kv.connect(servers[:count]) for count in (1, 2, 3)]


@pytest.fixture(scope="module")
def executor() -> Iterator[wrens.Executor]:
    with wrens.Executor(max_workers=2) as ex:
        yield ex


ROWS, WIDTH = 23, 11
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["line", "table", "sparse", "vectors"]),
        st.one_of(
            st.none(),
            st.slices(ROWS).filter(lambda s: s.step in {None, 1}),
            st.lists(st.integers(0, ROWS - 1), max_size=40),
        ),
        st.integers(-9, 9),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, count=st.integers(0, 2), dtype=st.sampled_from(["float32", "float64"]))
def test_pushes_add_up_as_numpy_adds(
    tiers: list[kv.KeyValue], steps: list[tuple[str, object, int]], count: int, dtype: str
) -> None:
    row = {"line": (), "table": (WIDTH,), "sparse": (), "vectors": (3, 2)}
    kinds = {name: ps.Sparse(ROWS, shape, dtype) for name, shape in row.items()}
    kinds |= {name: ps.Dense((ROWS, *row[name]), dtype) for name in ("line", "table")}
    with ps.create(tiers[count], kinds) as params:
        model = {name: np.zeros((ROWS, *shape), dtype) for name, shape in row.items()}
        for name, index, value in steps:
            rows = np.arange(ROWS)[slice(None) if index is None else index]
            values = (value + np.arange(rows.size * model[name][0].size)).reshape(*rows.shape, *row[name])
            params.push(name, values, index)
            np.add.at(model[name], rows, values.astype(dtype))
            assert np.array_equal(params.pull(name, index), model[name][rows])
        for name, expected in model.items():
            found = params.pull(name, slice(0, ROWS))
            assert found.dtype == dtype
            assert np.array_equal(found, expected)
        numbers, rows = params.items("sparse")
        assert np.array_equal(model["sparse"][numbers], rows)
        assert set(np.flatnonzero(model["sparse"])) <= set(numbers.tolist())


def test_arrays_begin_with_the_values_that_they_were_given(tiers: list[kv.KeyValue]) -> None:
    first = np.random.default_rng(1).normal(size=(1000, 3))
    with ps.create(tiers[2], {"w": first, "b": np.float32([0.1])}) as params:
        assert np.array_equal(params.pull("w"), first)
        one, other = params.pull_many([("b", None), ("w", [[999, 0]])])
        assert one.dtype == np.float32
        assert one == np.float32(0.1)
        assert np.array_equal(other, first[[[999, 0]]])


def test_a_push_whose_reply_is_lost_counts_once(tmp_path: Path) -> None:
    with emulators.redis(tmp_path) as server, losing(server.port) as line:
        params = ps.create(kv.connect(line.url), {"w": ps.Dense(100)})
        for i in range(10):
            line.losses = 1 + i % 2
            params.push("w", np.ones(100))
            line.losses = i % 3
            assert params.pull("w", [7]) == i + 1
        assert line.lost == 15 + 9


LINES: list[Line] = []


def lossy(worker: ps.Worker, _: object) -> int:
    for clock in worker.clocks(6):
        worker.push("w", 1.0, [clock])
        LINES[0].losses = 1 + clock % 2  # of the tick
    return worker.clock


@pytest.mark.parametrize("consistency", [ps.Bounded(0), ps.Synchronous()])
def test_a_tick_whose_reply_is_lost_counts_once(
    servers: list[str], consistency: ps.Bounded | ps.Synchronous
) -> None:
    with losing(int(servers[0].rpartition(":")[2])) as line, wrens.Executor("inline") as ex:
        LINES[:] = [line]
        params = ps.create(kv.connect(line.url), {"w": ps.Dense(6)}, consistency=consistency)
        assert params.run(ex, lossy, [None]) == [6]
        assert line.lost == 9
        assert params.pull("w").tolist() == [1.0] * 6
        params.drop()


def coupled(worker: ps.Worker, _: object) -> list[float]:
    """Each row depends on all others, so that a mixture of two moments shows; the second server loses a tick before it arrives."""
    for clock in worker.clocks(6):
        weights = worker.pull("w")
        worker.push("w", weights[::-1] * 2 + clock)
        if clock == 3 and LINES:
            LINES.pop().cuts = 3
    return worker.pull("w").tolist()


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_tick_that_reaches_one_of_two_servers_does_not_count(
    servers: list[str], tmp_path: Path, checkpointed: bool
) -> None:
    with losing(int(servers[2].rpartition(":")[2])) as line, wrens.Executor("inline", store=tmp_path) as ex:
        tier = kv.connect([servers[0], line.url], namespace=f"torn-{checkpointed}/")
        first = {"w": np.arange(4.0)}
        with ps.create(tier, first, consistency=ps.Synchronous()) as params:
            (expected,) = params.run(ex, coupled, [None])
        LINES[:] = [line]
        params = ps.create(tier, first, name="torn", consistency=ps.Synchronous())
        with pytest.raises(JobFailed) as error:
            params.run(ex, coupled, [None])
        assert isinstance(error.value.failures[0], ShardLost)
        if checkpointed:
            params.checkpoint(ex.store)
            params.drop()
            params = ps.restore(tier, "torn", ex.store)
        with params:
            assert params.run(ex, coupled, [None], resume=True) == [expected]


def test_what_is_pushed_after_the_last_tick_counts(tiers: list[kv.KeyValue]) -> None:
    def leaves(worker: ps.Worker, _: object) -> None:
        for clock in worker.clocks(5):
            worker.push("w", 1.0)
            if clock == 2:
                break
        worker.push("w", 10.0)

    for consistency in ps.Asynchronous(), ps.Bounded(), ps.Synchronous():
        with (
            wrens.Executor("inline") as ex,
            ps.create(tiers[1], {"w": ps.Dense(3)}, consistency=consistency) as params,
        ):
            params.run(ex, leaves, [None])
            assert params.pull("w").tolist() == [13.0] * 3


class Fatal:
    """A result that kills its worker when it is pickled for the second time: for the job, when the servers know that all is done."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        marks = len(list(Path(self.folder).iterdir()))
        Path(self.folder, str(marks)).touch()
        if marks == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return str, ("done",)


CONSISTENCIES = [ps.Asynchronous(), ps.Bounded(), ps.Synchronous()]


@pytest.mark.parametrize("consistency", CONSISTENCIES, ids=lambda one: type(one).__name__)
def test_a_worker_that_is_lost_when_its_program_has_ended_changes_nothing(
    tiers: list[kv.KeyValue], executor: wrens.Executor, tmp_path: Path, consistency: ps.Consistency
) -> None:
    def ends(worker: ps.Worker, fatal: bool) -> object:
        for clock in worker.clocks(5):
            worker.push("w", 1.0)
            if clock == 2:
                break
        worker.push("w", 100.0)
        return Fatal(str(tmp_path)) if fatal else "done"

    with ps.create(tiers[1], {"w": ps.Dense(3)}, consistency=consistency) as params:
        assert params.run(executor, ends, [True, False]) == ["done", "done"]
        assert len(list(tmp_path.iterdir())) == 2
        assert params.pull("w").tolist() == [206.0] * 3


@pytest.mark.parametrize("consistency", CONSISTENCIES, ids=lambda one: type(one).__name__)
def test_what_is_pushed_outside_of_clocks_counts_once(
    tiers: list[kv.KeyValue], executor: wrens.Executor, tmp_path: Path, consistency: ps.Consistency
) -> None:
    def work(worker: ps.Worker, _: object) -> int:
        worker.push("w", 10.0)
        for clock in worker.clocks(2):
            kill_once(worker, clock)
            worker.push("w", 1.0)
        worker.push("w", 100.0)
        for clock in worker.clocks(5):
            kill_once(worker, clock)
            worker.push("w", 1.0)
        worker.push("w", 1000.0)
        return worker.clock

    def kill_once(worker: ps.Worker, clock: int) -> None:
        mark = Path(tmp_path, f"{clock}")
        if worker.number == 1 and clock in {1, 3, 4} and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    with ps.create(tiers[1], {"w": ps.Dense(2)}, consistency=consistency) as params:
        assert params.run(executor, work, [None] * 2) == [5, 5]
        assert len(list(tmp_path.iterdir())) == 3
        assert params.pull("w").tolist() == [2 * 1115.0] * 2


def test_a_run_that_has_finished_is_not_resumed(tiers: list[kv.KeyValue], executor: wrens.Executor) -> None:
    def work(worker: ps.Worker, count: int) -> int:
        for _ in worker.clocks(count):
            worker.push("w", 1.0)
        return worker.clock

    with ps.create(tiers[1], {"w": ps.Dense(2)}, consistency=ps.Bounded(9)) as params:
        assert params.run(executor, work, [3], resume=True) == [3]
        with pytest.raises(BadOption, match="has finished"):
            params.run(executor, work, [3], resume=True)
        assert params.run(executor, work, [1]) == [1]
        assert params.pull("w").tolist() == [4.0] * 2
        with pytest.raises(JobFailed):
            params.run(executor, work, [2, "no number"])
        assert params.run(executor, work, [4, 1], resume=True) == [4, 1]  # who had finished goes on, too
        assert params.pull("w").tolist() == [9.0] * 2


CLIENT = """
import sys
import wrens
from ledger import Ledger, hold
from wrens import kv
from wrens.models import parameter_server as ps

def work(worker, target):
    for clock in worker.clocks(6):
        worker.push("w", (target - worker.pull("w")) / 3)
        if (worker.number, clock) == (1, hangs):
            ledger.note("hangs at", clock)
            hold()
    return worker.clock

ledger, hangs = Ledger(sys.argv[3]), int(sys.argv[4])
with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
    tier = kv.connect(sys.argv[2].split(","))
    params = ps.create(tier, {"w": ps.Dense(40)}, name="orphan", consistency=ps.Synchronous())
    print(params.run(ex, work, [0.1, 0.7], resume=True))
"""


def test_the_client_is_killed_five_times_and_the_run_goes_on(
    servers: list[str], clients: Clients, tmp_path: Path, ledger: Ledger
) -> None:
    given = tmp_path / "store", ",".join(servers[::2]), ledger.path
    for clock in (0, 2, 2, 3, 5):
        before = len(ledger.lines())
        client = clients.start(CLIENT, *given, clock)
        until(lambda: len(ledger.lines()) > before or client.popen.poll() is not None, 90)  # noqa: B023
        assert client.popen.poll() is None, client.err
        client.kill()
        clients.all_gone()
    assert clients.start(CLIENT, *given, 6).ok(90) == "[6, 6]\n"
    with ps.create(
        kv.connect(servers[::2]), {"w": ps.Dense(40)}, name="orphan", consistency=ps.Synchronous()
    ) as params:
        assert np.array_equal(params.pull("w"), by_hand([0.1, 0.7]))


def test_a_slow_worker_has_no_copy(tiers: list[kv.KeyValue], executor: wrens.Executor) -> None:
    def work(worker: ps.Worker, slow: bool) -> None:
        worker.push("w", 1.0)
        doze(0.5 if slow else 0)

    view = executor.options(backup=wrens.Backup(slowness=1, after=0.0))
    with ps.create(tiers[1], {"w": ps.Dense(2)}) as params:
        params.run(view, work, [False, False, False, True])
        assert params.pull("w").tolist() == [4.0] * 2


def test_a_second_run_takes_over_and_the_first_is_refused(tiers: list[kv.KeyValue]) -> None:
    def interrupted(worker: ps.Worker, other: ps.ParameterServer | None) -> None:
        for clock in worker.clocks(4):
            worker.push("w", 1.0)
            if other is not None and clock == 1:
                with wrens.Executor("inline") as inner:
                    other.run(inner, interrupted, [None])

    with (
        wrens.Executor("inline") as ex,
        ps.create(tiers[1], {"w": ps.Dense(1)}, consistency=ps.Bounded()) as params,
    ):
        with pytest.raises(JobFailed) as error:
            params.run(ex, interrupted, [params])
        assert "new run" in str(error.value.failures[0])
        assert params.pull("w") == 1 + 4


def test_arrays_are_joined_only_on_the_same_servers(servers: list[str]) -> None:
    given = {"w": np.arange(6.0)}
    with ps.create(kv.connect(servers[:2]), given, name="placed") as params:
        for others in servers[1::-1], servers[:1], servers[1:2], servers:
            with pytest.raises((BadOption, ShardLost)):
                ps.create(kv.connect(others), given, name="placed")
        assert ps.create(kv.connect(servers[:2]), given, name="placed").pull("w").tolist() == list(range(6))
        assert ps.create(kv.connect(servers[:2], namespace="mine/"), given, name="placed").pull("w", [1]) == 1
        ps.drop(kv.connect(servers[:2]), "placed")
        with pytest.raises(ShardLost):
            params.pull("w")


def test_a_server_that_is_full_can_be_read_and_saved(tmp_path: Path) -> None:
    with emulators.redis(tmp_path, maxmemory="4mb") as server:
        tier = kv.connect(address(server))
        params = ps.create(tier, {"w": np.arange(3.0)}, name="full")
        with pytest.raises(ShardFull):
            tier.put_many({f"{i}": bytes(100_000) for i in range(50)})
        with pytest.raises(ShardFull):
            tier.compare_and_set("one more", None, bytes(10**6))
        assert params.pull("w").tolist() == [0.0, 1.0, 2.0]
        params.checkpoint(f"{tmp_path}/store")
        with pytest.raises(ShardFull):
            ps.create(tier, {"w": ps.Dense(10**5)})
        params.drop()


def test_many_clients_make_the_same_arrays_once(tiers: list[kv.KeyValue]) -> None:
    def work(i: int) -> None:
        mine = ps.create(tiers[2], {"w": np.full(50, 5.0)}, name="together")
        mine.push("w", 1.0, [i, 49])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    with ps.create(tiers[2], {"w": np.full(50, 5.0)}, name="together") as params:
        assert params.pull("w").tolist() == [6.0] * 8 + [5.0] * 41 + [13.0]


def descend(worker: ps.Worker, target: float, clocks: int = 6, fail: str = "") -> int:
    """Move all towards a target; every worker's part depends on what all have done before."""
    for clock in worker.clocks(clocks):
        mark = Path(fail, f"{worker.number}-{clock}")
        if fail and worker.number == clock % worker.workers and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        weights = worker.pull("w")
        worker.push("w", (target - weights) / 3)
        worker.push("seen", 1.0, [clock * worker.workers + worker.number])
    return worker.clock


def by_hand(targets: list[float], clocks: int = 6) -> np.ndarray:
    """The same in a plain loop."""
    weights = np.zeros(40)
    for _ in range(clocks):
        for step in [(target - weights) / 3 for target in targets]:
            weights = weights + step
    return weights


ARRAYS = {"w": ps.Dense(40), "seen": ps.Sparse(100)}


@pytest.mark.parametrize("kills", [False, True])
def test_synchronous_workers_come_to_what_a_plain_loop_does(
    tiers: list[kv.KeyValue], executor: wrens.Executor, tmp_path: Path, kills: bool
) -> None:
    """To the last bit, whoever is first, and also when a worker is killed in every clock."""
    with ps.create(tiers[1], ARRAYS, consistency=ps.Synchronous()) as params:

        def work(worker: ps.Worker, target: float) -> int:
            return descend(worker, target, fail=str(tmp_path) if kills else "")

        assert params.run(executor, work, [0.1, 0.7]) == [6, 6]
        assert np.array_equal(params.pull("w"), by_hand([0.1, 0.7]))
        numbers, counts = params.items("seen")
        assert numbers.tolist() == list(range(12))
        assert set(counts.tolist()) == {1.0}
        assert len(list(tmp_path.iterdir())) == (6 if kills else 0)
        assert params.run(executor, lambda worker, _: worker.clock, [0, 0]) == [0, 0]  # another run


def test_bounded_workers_stay_together_and_others_do_not_wait(
    tiers: list[kv.KeyValue], executor: wrens.Executor
) -> None:
    def ahead(worker: ps.Worker, watched: ps.ParameterServer) -> int:
        found = 0
        for clock in worker.clocks(30):
            if worker.number and not clock:  # the other one goes on without this one, as far as it may
                while (standing := watched.standing()).clocks[0] < 2:
                    assert standing.failed < 0
            found = max(found, clock - watched.standing().slowest())
            worker.push("w", 1.0, [0])
        return found

    with ps.create(tiers[1], ARRAYS, consistency=ps.Bounded(2, patience_s=10)) as params:
        assert max(params.run(executor, ahead, [params] * 2)) == 2
        assert params.pull("w", [0]) == 60
        told = params.statistics()
        assert told.pushed == 60
        assert told.pulls == 1
        assert "60 numbers" in told.told()
    with ps.create(tiers[1], ARRAYS) as params:  # more workers than can run at a time
        assert params.run(executor, lambda worker, target: descend(worker, target), [0.5] * 5) == [6] * 5
        assert params.items("seen")[1].sum() == 30


def test_staleness_is_what_others_have_pushed_since_the_pull(tiers: list[kv.KeyValue]) -> None:
    def others() -> None:
        for _ in range(2):
            params.push("w", 1.0, [0])

    with ps.create(tiers[1], ARRAYS) as params, ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            params.pull("w", [0])
            pool.submit(others).result()
            params.push_many([("w", 1.0, [0]), ("w", 1.0, [2])])
            params.push("w", 1.0, [0])
        told = params.statistics()
        assert (told.pushes, told.staleness_most, told.staleness_mean) == (15, 2, 2.0)
        assert told.staleness[:4] == (0, 0, 9, 0)


def test_what_a_lost_worker_says_late_is_not_taken_for_its_successors(tiers: list[kv.KeyValue]) -> None:
    with ps.create(tiers[1], ARRAYS, consistency=ps.Bounded()) as params:
        params._shards.ask("begin", 1, 1, "owner")
        lost, successor = (ps.Worker(params._shards, params.consistency, "owner", 0, 1) for _ in range(2))
        lost.leave("failed")
        assert params.standing().failed == -1
        lost.leave("done")
        assert not params.standing().over
        successor.leave("done")
        assert params.standing().over


def test_large_arrays_are_read_and_filled_in_parts(
    tiers: list[kv.KeyValue], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wrens.models.parameter_server.arrays.PAGE", 7)
    table = np.random.default_rng(1).normal(size=(50, 2))
    rows = np.arange(0, 4 * 10**9, 10**8)
    given = {"table": table, "rows": ps.Sparse(row=(3,)), "none": ps.Sparse(10), "wide": ps.Sparse(9, (20,))}
    with ps.create(tiers[1], given, name="parts") as params:
        params.push("rows", np.arange(3 * len(rows)).reshape(-1, 3), rows[::-1])
        params.push("wide", np.ones((2, 20)), [8, 3])
        params.checkpoint(str(tmp_path))
    for tier in tiers:
        with ps.restore(tier, "parts", str(tmp_path)) as params:
            assert np.array_equal(params.pull("table"), table)
            found, values = params.items("rows")
            assert np.array_equal(found, rows)
            assert np.array_equal(values, np.arange(3 * len(rows)).reshape(-1, 3)[::-1])
            assert [len(found) for found in params.items("none")] == [0, 0]
            assert params.items("wide")[0].tolist() == [3, 8]
            assert params.items("wide")[1].sum() == 40
            assert params.statistics().pushes == 0


def test_arrays_are_joined_when_they_have_their_first_values(
    tiers: list[kv.KeyValue], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"w": np.arange(4.0)}

    class Killed(Exception):
        pass

    def add(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Shards, "add", add)
        with pytest.raises(Killed):
            ps.create(tiers[1], given, name="unfilled")
    with pytest.raises(ShardLost, match="may have died"):
        make(Shards(tiers[1], "unfilled", {"w": ps.Dense(4)}), [], time=VirtualClock())
    ps.drop(tiers[1], "unfilled")
    with ps.create(tiers[1], given, name="unfilled") as params:
        assert params.pull("w").tolist() == [0.0, 1.0, 2.0, 3.0]


def test_a_lost_server_is_told_and_a_checkpoint_goes_on_elsewhere(
    servers: list[str], executor: wrens.Executor, tmp_path: Path
) -> None:
    with emulators.redis(tmp_path) as mortal:
        tier = kv.connect([servers[0], address(mortal)], answer_s=1)
        params = ps.create(tier, ARRAYS, name="learned", consistency=ps.Synchronous())

        def work(worker: ps.Worker, given: tuple[float, int]) -> int:
            target, pid = given
            for clock in worker.clocks(6):
                if clock == 4 and not worker.number:
                    os.kill(pid, signal.SIGKILL)
                worker.push("w", (target - worker.pull("w")) / 3)
            return worker.clock

        given = [(0.1, mortal.pid), (0.7, mortal.pid)]
        with pytest.raises(JobFailed) as error:
            params.run(executor, work, given, every=2)
        assert any(isinstance(e, ShardLost) for e in error.value.failures.values())
        with pytest.raises(ShardLost, match="not answer"):
            params.pull("w")
        params.drop()
    again = ps.restore(kv.connect(servers), "learned", executor.store)
    assert again.standing().clocks == (4, 4)
    assert again.run(executor, lambda worker, target: descend(worker, target), [0.1, 0.7], resume=True) == [
        6,
        6,
    ]
    assert np.array_equal(again.pull("w"), by_hand([0.1, 0.7]))
    with pytest.raises(BadOption, match="servers hold arrays"):
        ps.restore(kv.connect(servers), "learned", executor.store)
    again.drop()
    with pytest.raises(BadOption, match="no checkpoint"):
        ps.restore(kv.connect(servers), "never", executor.store)


def test_a_server_that_has_lost_its_part_is_never_taken_for_zeros(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    with emulators.redis(folders[0]) as stays:
        with emulators.redis(folders[1]) as mortal:
            urls, port = [address(stays), address(mortal)], mortal.port
            params = ps.create(kv.connect(urls), {"w": np.ones(10)}, name="w")
        with emulators.redis(folders[1], port=port):
            with pytest.raises(ShardLost):
                params.pull("w")
            with pytest.raises(ShardLost, match="lost its part"):
                ps.create(kv.connect(urls), {"w": np.ones(10)}, name="w")
            kept = ps.create(kv.connect(urls[0]), {"w": ps.Dense(3)}, name="kept")
            again = ps.create(kv.connect(urls[0]), {"w": ps.Dense(3)}, name="kept")
            again.drop()
            with pytest.raises(ShardLost, match="does not hold the arrays"):
                kept.push("w", 1.0)


def test_who_waits_for_a_worker_that_failed_is_told_which(
    tiers: list[kv.KeyValue], executor: wrens.Executor
) -> None:
    def work(worker: ps.Worker, broken: bool) -> int:
        for clock in worker.clocks(4):
            if broken and clock == 2:
                raise ZeroDivisionError
        return worker.clock

    with ps.create(tiers[0], ARRAYS, consistency=ps.Synchronous(), name="fails") as params:
        with pytest.raises(JobFailed) as error:
            params.run(executor, work, [False, True])
        told = error.value.failures
        assert isinstance(told[1], ZeroDivisionError)
        assert isinstance(told[0], WorkersStalled)
        assert told[0].failed == 1
        assert "worker 1 has failed" in str(told[0])
        assert told[0].clock == 3
        with pytest.raises(BadOption, match="not finished, which has 2"):
            params.run(executor, work, [False], resume=True)
        assert params.run(executor, work, [False, False], resume=True) == [4, 4]


def test_who_waits_in_vain_stops(tiers: list[kv.KeyValue], executor: wrens.Executor) -> None:
    def work(worker: ps.Worker, waits: bool) -> int:
        if waits:
            return sum(1 for _ in worker.clocks(3))
        while worker.pull("told")[0] == 0:  # this one does not tick while the other one is there
            pass
        return 0

    def watched(worker: ps.Worker, waits: bool) -> int:
        try:
            return work(worker, waits)
        finally:
            if waits:
                params.push("told", 1.0)

    arrays = {"told": ps.Dense(1)}
    with ps.create(tiers[0], arrays, consistency=ps.Bounded(0, patience_s=0.05)) as params:
        with pytest.raises(JobFailed) as error:
            params.run(executor, watched, [True, False])
        assert error.value.failures[0].others == {0: 1, 1: 0}
        assert "for 0 s" in str(error.value.failures[0])


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p: p.push("w", [1.0, NAN, NAN], [1, 2, 3]), "2 of 3 values that are nan"),
        (lambda p: p.push("w", [float("inf")], [1]), "values that are inf"),
        (lambda p: p.push("w", [1.0], [40]), "has 40 rows from 0 on, and row 40"),
        (lambda p: p.push("w", [1.0], [-1]), "row -1"),
        (lambda p: p.pull("w", slice(0, 41)), "row 41"),
        (lambda p: p.pull("w", slice(0, 40, 2)), "steps of 2"),
        (lambda p: p.pull("w", [0.5]), "named by float64"),
        (lambda p: p.push("w", np.ones(39)), r"shape \(39,\) for rows of shape \(40,\)"),
        (lambda p: p.push("w", [[1.0], [1.0, 2.0]], [1, 2]), "no array"),
        (lambda p: p.push("w", ["1"], [1]), "values of <U1"),
        (lambda p: p.push("w", [1j], [1]), "values of complex128"),
        (lambda p: p.push("v", 1.0), "'v' does not exist"),
        (lambda p: p.pull("seen", slice(None, 2**31)), "is sparse"),
        (lambda p: p.items("w"), "is not sparse"),
    ],
)
def test_bad_updates_are_refused_whole(
    tiers: list[kv.KeyValue], call: Callable[[ps.ParameterServer], object], told: str
) -> None:
    with ps.create(tiers[1], {"w": ps.Dense(40), "seen": ps.Sparse(2**32)}) as params:
        params.push("w", 1.0)
        with pytest.raises(BadUpdate, match=told):
            call(params)
        assert params.pull("w").tolist() == [1.0] * 40
        assert not len(params.items("seen")[0])


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "is empty"),
        ({"w": ps.Sparse}, "is given as object"),
        ({"w": np.arange(3)}, "is given as int64"),
        ({"w": ps.Dense(2**24 + 1)}, "Take 2 servers"),
        ({"": ps.Dense(1)}, "no name"),
        ({"w": ps.Sparse(2**33)}, "more than 4,294,967,296 rows"),
    ],
)
def test_arrays_that_cannot_be_are_refused(
    tiers: list[kv.KeyValue], arrays: dict[str, object], told: str
) -> None:
    with pytest.raises(BadOption, match=told):
        ps.create(tiers[0], arrays)


def test_options_that_cannot_be_are_refused(tiers: list[kv.KeyValue], executor: wrens.Executor) -> None:
    for wrong in (
        lambda: ps.Dense(0),
        lambda: ps.Dense(5, "int64"),
        lambda: ps.Sparse(row=(0,)),
        lambda: ps.Bounded(-1),
        lambda: ps.Synchronous(patience_s=0),
    ):
        with pytest.raises(BadOption):
            wrong()
    with ps.create(tiers[0], ARRAYS, name="options", consistency=ps.Synchronous()) as params:
        with pytest.raises(BadOption, match="only 2 can run"):
            params.run(executor, descend, [0.0] * 3)
        with pytest.raises(BadOption, match=r"shape=\(40,\).*here.*shape=\(41,\)"):
            ps.create(tiers[0], {**ARRAYS, "w": ps.Dense(41)}, name="options")
        assert params.pull("w").tolist() == [0.0] * 40


def test_a_server_without_the_memory_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with emulators.redis(tmp_path, maxmemory="3mb") as server:
        tier = kv.connect(address(server))
        with pytest.raises(ShardFull, match="24,000,000 bytes"):
            ps.create(tier, {"w": ps.Dense(10**6)})
        assert ps.create(tier, {"w": ps.Dense(1000)}).pull("w").sum() == 0
