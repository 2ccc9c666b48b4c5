"""However an executor ends, no process stays, no future waits for ever and unwanted data is gone."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos import workers_of
from clients import Clients
from ledger import Ledger, Stopwatch, doze, hold, until

import wrens
from wrens.errors import Cancelled, JobFailed
from wrens.store import open_store

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def children() -> set[int]:
    """Return the worker processes of this process."""
    return set(workers_of(os.getpid()))


@pytest.fixture(autouse=True)
def _no_worker_stays() -> Iterator[None]:
    before = children()
    yield
    gc.collect()
    until(lambda: not children() - before, what="the end of every worker")


def keys(store: Path, prefix: str = "jobs/") -> list[str]:
    return list(open_store(store).list(prefix))


def same(x: Any) -> Any:
    return x


# --- what stays in the store ----------------------------------------------------------------------------


def test_nothing_of_an_unnamed_job_stays(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=2) as ex:
        assert list(ex.map(same, range(100))) == list(range(100))
        assert list(ex.map(same, iter(range(10)))) == list(range(10))
        ex.map_async(same, range(10)).results(30)
        ex.submit(same, 1).result(30)
        list(itertools.islice(ex.map(same, itertools.count()), 5))
        assert ex.submit(len, ex.put([1, 2])).result(30) == 2
    assert keys(store, "") == []


def test_closing_takes_no_function_from_another_executor(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=1) as other:
        with wrens.Executor(store=store, max_workers=1) as ex:
            assert other.submit(pow, 2, 3).result(30) == 8
            assert ex.submit(same, [same, 1]).result(30)[1] == 1
            late = other.submit(lambda: doze(0.5) or same(2))
        assert late.result(30) == 2
        # Its worker is new, and finds the function nowhere but in the store.
        assert other.submit(same, other.submit(same, 3)).result(30) == 3


@pytest.mark.parametrize("how", ["name", "keep", "executor"])
def test_a_named_or_kept_job_stays(store: Path, how: str) -> None:
    with wrens.Executor(store=store, max_workers=2, keep=how == "executor") as ex:
        options: dict[str, Any] = {"name": {"name": "mine"}, "keep": {"keep": True}}.get(how, {})
        job = ex.options(**options).map_async(same, range(10))
        assert job.results(30) == list(range(10))
        other = ex.map_async(same, range(10))
        other.results(30)
    assert wrens.attach(job.id, store=store, backend="inline").results(30) == list(range(10))
    assert {key.split("/")[1] for key in keys(store)} == {job.id} | (
        {other.id} if how == "executor" else set()
    )
    if how == "name":
        assert job.id == "mine"


def test_a_name_is_given_once(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=1) as ex:
        named = ex.options(name="nightly")
        job = named.map_async(same, [1])
        with pytest.raises(wrens.errors.BadOption, match="is taken"):
            named.map_async(same, [2])
        assert job.results(30) == [1]
    with wrens.Executor(store=store) as ex, pytest.raises(wrens.errors.BadOption, match="is taken"):
        ex.options(name="nightly").map_async(same, [3])
    assert wrens.attach("nightly", store=store, backend="inline").results(30) == [1]


def test_two_executors_do_not_take_each_others_data(store: Path) -> None:
    with wrens.Executor(store=store, max_workers=1) as one:
        job = one.map_async(same, range(10))
        value = one.put([1, 2, 3])
        with wrens.Executor(store=store, max_workers=1) as two:
            assert list(two.map(same, range(10))) == list(range(10))
            assert two.submit(sum, two.put([1, 2, 3])).result(30) == 6
        assert job.results(30) == list(range(10))
        assert one.submit(sum, value).result(30) == 6


# --- shutdown -------------------------------------------------------------------------------------------


def test_shutdown_waits_for_what_was_submitted(store: Path, ledger: Ledger) -> None:
    with wrens.Executor(store=store, max_workers=2) as ex:
        futures = [ex.submit(ledger.noted(doze), 0.05) for _ in range(8)]
        job = ex.map_async(ledger.noted(doze), [0.06] * 8)
    assert all(future.done() for future in futures)
    assert job.done()
    assert ledger.counts() == {"0.05": 8, "0.06": 8}
    assert job.results(0) == [None] * 8


def test_shutdown_without_waiting_returns_at_once_and_finishes(store: Path) -> None:
    ex = wrens.Executor(store=store, max_workers=2)
    futures = [ex.submit(lambda: doze(0.5) or 7) for _ in range(4)]
    ex.shutdown(wait=False)
    assert not futures[-1].done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        ex.submit(same, 1)
    assert [future.result(30) for future in futures] == [7] * 4


def test_shutdown_can_cancel_what_has_not_begun(store: Path, ledger: Ledger) -> None:
    ex = wrens.Executor(store=store, max_workers=1)
    first = ex.submit(lambda: ledger.note("begun") or doze(0.5) or 1)
    rest = [ex.submit(same, x) for x in range(20)]
    until(lambda: ledger.lines())
    ex.shutdown(cancel_futures=True)
    assert first.result(0) == 1
    assert all(future.cancelled() for future in rest)


def test_shutdown_cancels_a_job_that_shares_its_work(store: Path, ledger: Ledger) -> None:
    ex = wrens.Executor(store=store, max_workers=2)
    job = ex.map_async(ledger.noted(lambda _: doze(0.2)), range(200))
    until(lambda: len(ledger.lines()) >= 2)
    watch = Stopwatch()
    ex.shutdown(cancel_futures=True)
    assert watch.seconds < 10
    with pytest.raises(JobFailed) as caught:
        job.results(0)
    assert len(caught.value.results) + len(caught.value.failures) == 200
    assert all(isinstance(error, Cancelled) for error in caught.value.failures.values())
    # What was run is kept: nothing that a worker had begun was thrown away.
    assert len(caught.value.results) == len(ledger.lines()) < 100


def test_shutdown_twice_and_in_threads_is_fine(store: Path) -> None:
    ex = wrens.Executor(store=store, max_workers=1)
    future = ex.submit(doze, 0.2)
    threads = [threading.Thread(target=ex.shutdown) for _ in range(4)]
    for thread in threads:
        thread.start()
    ex.shutdown()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert future.done()


def test_shutdown_does_not_wait_for_a_cancelled_call_that_waits_for_a_future(store: Path) -> None:
    ex = wrens.Executor(store=store, max_workers=1)
    never: concurrent.futures.Future[int] = concurrent.futures.Future()
    waits = ex.submit(same, never)
    watch = Stopwatch()
    ex.shutdown(cancel_futures=True)
    assert watch.seconds < 10
    assert waits.cancelled()
    never.set_result(1)


def test_an_endless_map_consumed_in_part_does_not_keep_the_executor(store: Path) -> None:
    watch = Stopwatch()
    with wrens.Executor(store=store, max_workers=2) as ex:
        results = ex.map(same, itertools.count())
        assert list(itertools.islice(results, 10)) == list(range(10))
    assert watch.seconds < 10
    with pytest.raises(RuntimeError, match="after shutdown"):
        list(results)


def test_a_lazy_map_after_shutdown_yields_what_was_read_and_then_says_so(store: Path) -> None:
    ex = wrens.Executor(store=store, max_workers=1)
    results = ex.map(same, iter(range(100)), buffersize=4)
    assert next(results) == 0
    ex.shutdown()
    got: list[int] = []
    with pytest.raises(RuntimeError, match="after shutdown"):
        got.extend(results)
    assert got == list(range(1, len(got) + 1))


def test_a_blocked_input_does_not_keep_a_cancelled_executor(store: Path) -> None:
    gate = threading.Event()

    def inputs() -> Iterator[int]:
        yield 1
        gate.wait(50)

    ex = wrens.Executor(store=store, max_workers=1)
    job = ex.map_async(same, inputs())
    watch = Stopwatch()
    ex.shutdown(cancel_futures=True)
    assert watch.seconds < 10
    assert job.wait(0)
    gate.set()


def test_an_unused_executor_closes(store: Path) -> None:
    with wrens.Executor(store=store):
        pass
    wrens.Executor(store=store).shutdown(wait=False)


def test_an_executor_that_nobody_holds_ends_after_its_work(store: Path) -> None:
    future = wrens.Executor(store=store, max_workers=1).submit(same, 5)
    assert future.result(30) == 5
    gc.collect()
    until(lambda: not keys(store), what="the deletion of the job")


def test_a_failure_in_the_block_does_not_hide_itself(store: Path) -> None:
    def leave(ex: wrens.Executor) -> None:
        with ex:
            ex.submit(doze, 0.1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave(wrens.Executor(store=store, max_workers=1))


def test_ctrl_c_in_the_block_leaves_at_once_and_wakes_who_waits(store: Path, ledger: Ledger) -> None:
    held = ledger.noted(hold)
    waiting: list[BaseException | None] = []
    threads: list[threading.Thread] = []

    def use(ex: wrens.Executor) -> None:
        with ex:
            future = ex.submit(held, 30.0)
            job = ex.map_async(held, [30.0] * 4)
            for wait in (future.exception, job[2].exception, lambda: _error_of(job)):
                threads.append(threading.Thread(target=lambda wait=wait: waiting.append(wait())))
                threads[-1].start()
            until(ledger.lines)
            raise KeyboardInterrupt

    watch = Stopwatch()
    with pytest.raises(KeyboardInterrupt):
        use(wrens.Executor(store=store, max_workers=1))
    for thread in threads:
        thread.join(20)
    assert watch.seconds < 15
    assert [type(error) for error in waiting] == [RuntimeError] * 3


def test_what_was_interrupted_in_this_process_is_not_begun_again(store: Path, ledger: Ledger) -> None:
    def stopped_at_two(x: int) -> int:
        ledger.note(x)
        if x == 2:
            signal.raise_signal(signal.SIGINT)
        return x

    with wrens.Executor("inline", store=store) as ex:
        with pytest.raises(KeyboardInterrupt):
            ex.submit(stopped_at_two, 2).result(30)
        job = None
        with pytest.raises(KeyboardInterrupt):
            job = ex.options(packing=wrens.Packing(size=1), name="mine").map_async(stopped_at_two, range(5))
        assert ex.submit(same, 7).result(30) == 7
        assert job is None
        rest = wrens.attach("mine", store=store, backend="inline")
        with pytest.raises(JobFailed) as caught:
            rest.results(30)
    assert caught.value.results == {0: 0, 1: 1, 3: 3, 4: 4}
    assert ledger.counts() == {"0": 1, "1": 1, "2": 2, "3": 1, "4": 1}


def _error_of(job: wrens.Job[Any]) -> BaseException | None:
    try:
        job.results(30)
    except Exception as error:
        return error
    return None


# --- programs -------------------------------------------------------------------------------------------


def test_a_program_that_never_shuts_down_ends_after_its_work(clients: Clients, ledger: Ledger) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import Ledger, doze
        ledger = Ledger(sys.argv[2])
        ex = wrens.Executor(store=sys.argv[1], max_workers=2)
        futures = [ex.submit(ledger.noted(doze), 0.2) for _ in range(6)]
        print("end of script")
        """,
        ledger.path + ".store",
        ledger.path,
    )
    assert client.ok() == "end of script\n"
    assert ledger.counts() == {"0.2": 6}
    assert client.err == ""
    assert keys(Path(ledger.path + ".store")) == []


MAP, SUBMIT = "list(ex.map(held, [30.0] * 8))", "[ex.submit(held, 30) for _ in range(8)][0].result()"


# Outside of a block, what was submitted is waited for at exit, as in the standard library.
@pytest.mark.parametrize(("call", "block"), [(MAP, True), (MAP, False), (SUBMIT, True)])
def test_ctrl_c_ends_a_program_within_seconds(
    clients: Clients, tmp_path: Path, ledger: Ledger, call: str, block: bool
) -> None:
    opening = "with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:" if block else "if True:"
    client = clients.start(
        f"""
        import sys, wrens
        from ledger import Ledger, hold
        held = Ledger(sys.argv[2]).noted(hold)
        ex = None if {block} else wrens.Executor(store=sys.argv[1], max_workers=2)
        {opening}
            print("ready")
            {call}
        """,
        tmp_path / "store",
        ledger.path,
    )
    client.says("ready")
    until(lambda: len(ledger.lines()) == 2)
    watch = Stopwatch()
    client.interrupt()
    client.wait()
    assert watch.seconds < 8
    assert "KeyboardInterrupt" in client.err
    clients.all_gone(8)


def test_a_second_ctrl_c_is_not_needed_while_the_results_are_awaited_in_a_job(
    clients: Clients, tmp_path: Path, ledger: Ledger
) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import Ledger, hold
        held = Ledger(sys.argv[2]).noted(hold)
        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            job = ex.options(name="left").map_async(held, [30.0] * 8)
            print("ready")
            job.results()
        """,
        tmp_path / "store",
        ledger.path,
    )
    client.says("ready")
    until(lambda: len(ledger.lines()) == 2)
    client.interrupt()
    client.wait(10)
    clients.all_gone(8)
    assert keys(tmp_path / "store", "jobs/left/")


def test_a_second_ctrl_c_ends_a_program_that_waits_for_what_it_submitted(
    clients: Clients, tmp_path: Path, ledger: Ledger
) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import Ledger, hold
        held = Ledger(sys.argv[2]).noted(hold)
        ex = wrens.Executor(store=sys.argv[1], max_workers=2)
        named = ex.options(name="left", packing=wrens.Packing(size=1)).map_async(held, [30.0] * 3)
        future = ex.submit(held, 30)
        print("ready")
        future.result()
        """,
        tmp_path / "store",
        ledger.path,
        WRENS_PROGRESS="1",
    )
    client.says("ready")
    until(lambda: len(ledger.lines()) == 2)
    client.interrupt()
    until(lambda: "the program ends when 4 tasks have ended" in client.err)
    before = client.err
    watch = Stopwatch()
    client.interrupt()
    client.wait(10)
    assert watch.seconds < 8
    assert client.err == before
    assert client.err.count("KeyboardInterrupt") == 1
    clients.all_gone(8)
    assert keys(tmp_path / "store", "jobs/left/")
    assert [key.split("/")[1] for key in keys(tmp_path / "store", "jobs/") if "/left/" not in key] == []


def test_a_program_in_no_terminal_waits_silently(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import doze
        wrens.Executor(store=sys.argv[1], max_workers=1).submit(doze, 1.5)
        """,
        tmp_path / "store",
    )
    client.ok()
    assert client.err == ""


def test_sys_exit_ends_a_program(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import sys, wrens
        with wrens.Executor(store=sys.argv[1], max_workers=1) as ex:
            print(ex.submit(abs, -1).result())
            sys.exit(5)
        """,
        tmp_path / "store",
    )
    assert client.wait() == 5


@pytest.mark.this_computer("elsewhere they finish what they have begun")
def test_workers_of_a_killed_program_leave_by_themselves(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import sys, wrens
        from ledger import hold
        with wrens.Executor(store=sys.argv[1], max_workers=2) as ex:
            list(ex.map(hold, [30.0] * 8))
        """,
        tmp_path / "store",
    )
    until(lambda: len(clients.workers()) == 2)
    client.kill()
    clients.all_gone(10)


def test_a_forked_child_of_the_program_does_not_disturb_it(clients: Clients, tmp_path: Path) -> None:
    client = clients.start(
        """
        import os, sys, wrens
        with wrens.Executor(store=sys.argv[1], max_workers=1) as ex:
            ex.submit(abs, -1).result()
            pid = os.fork()
            if pid == 0:
                sys.exit(0)
            os.waitpid(pid, 0)
            print(ex.submit(abs, -2).result())
        """,
        tmp_path / "store",
    )
    assert client.ok() == "2\n"


def test_the_main_thread_is_not_needed(store: Path) -> None:
    got: list[Any] = []

    def work() -> None:
        with wrens.Executor(store=store, max_workers=1) as ex:
            got.extend(ex.map(os.path.basename, ["/a/b"]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert got == ["b"]


def test_a_closed_executor_writes_into_nobody_elses_file(store: Path, tmp_path: Path) -> None:
    ex = wrens.Executor(store=store, max_workers=1)
    job = ex.map_async(same, range(3))
    assert job.results(30) == [0, 1, 2]
    ex.shutdown()
    with (tmp_path / "precious").open("wb") as file:
        # These get the numbers that the executor's own pipes had.
        copies = [os.dup(file.fileno()) for _ in range(30)]
        job.cancel()
        job[0].cancel()
        for fd in copies:
            os.close(fd)
    assert (tmp_path / "precious").read_bytes() == b""
