"""The exam that every backend passes.

    class TestMyBackend(BackendContract):
        def make_backend(self):
            return MyBackend(...)

Each promise of :class:`wrens.backends.base.Backend` is a test here, with tasks that fail as a script says. The
tests launch attempts themselves, without a driver, so what they see is the backend and the worker alone. It is
written for pytest but does not import it.
"""

# The names of the tests are their documentation, and an exam consists of assertions.
# ruff: noqa: D102, S101

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import ClassVar
from unittest import SkipTest

from wrens.backends.base import Backend, Committed, Lost
from wrens.clock import SystemClock
from wrens.errors import CannotShip, InitializerFailed, TaskTimeout
from wrens.store import Store, open_store
from wrens.testing.small_jobs import SmallJob, await_notices, poll_until, run
from wrens.testing.tasks import Scripted, ScriptedError
from wrens.wire.records import Policy, Sharing
from wrens.worker.context import TaskContext, current_task


def _fails() -> None:
    raise ScriptedError("no licence")


def _context(_: int) -> TaskContext | None:
    return current_task()


class BackendContract:
    """What callers may rely on, one test for each promise.

    Inherit from it in a class that pytest collects and define :meth:`make_backend`.
    """

    survives: ClassVar[frozenset[str]] = frozenset({"exit", "kill", "segv", "hang", "slow", "print"})
    """The fates for which a backend has workers apart from the driver: what ends or blocks the process,
    ``slow`` for acting upon a task that runs, and ``print`` for catching output."""

    many: ClassVar[int] = 1000
    """How many batches "many" is; fewer for a backend that needs a tenth of a second to launch one."""
    keeps_idle_workers: ClassVar[bool] = False
    """Whether workers that have nothing to do are the platform's to keep, and stay when the backend closes."""
    cancels_within_s: ClassVar[float] = 0.0
    """How long an attempt that has been sent may run on before it learns that it is cancelled."""
    names_the_task: ClassVar[bool] = True
    """Whether a loss tells which task was running; a backend without it has its batches halved instead."""

    def make_backend(self) -> Backend:
        """Return a new backend, with at least one worker."""
        raise NotImplementedError("define make_backend() in the test class")

    def make_store(self, folder: Path) -> Store:
        """Return a store that the backend's workers reach; by default a directory."""
        return open_store(folder)

    @contextmanager
    def exam(self, needs: str = "") -> Iterator[tuple[Backend, _Desk]]:
        """Open a backend, a store and a folder for one test, and close them."""
        if needs and needs not in self.survives:
            raise SkipTest(f"this backend has no worker apart from the driver, which {needs!r} needs")
        with tempfile.TemporaryDirectory() as folder:
            backend = self.make_backend()
            try:
                yield backend, _Desk(self.make_store(Path(folder, "store")), Path(folder))
            finally:
                backend.close()

    # --- every launched attempt is reported ---------------------------------------------------------------

    def test_a_batch_is_run_and_reported(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({}, 5)
            assert run(backend, job.invocations()) == [Committed("00000000.a")]
            assert job.results() == {i: i for i in range(5)}
            verdict, _ = job.verdict()
            assert verdict.attempt == "00000000.a"
            assert verdict.where
            assert verdict.usage.wall_s > 0

    def test_inputs_are_read_from_the_page(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({}, 10, batches=3, inline=False)
            run(backend, job.invocations())
            assert job.results() == {i: i for i in range(10)}

    def test_many_batches(self) -> None:
        with self.exam() as (backend, desk):
            job = SmallJob(desk.store, str, list(range(self.many)), batches=self.many)
            notices = run(backend, job.invocations(), timeout_s=100)
            assert sorted(notice.attempt for notice in notices) == [f"{i:08d}.a" for i in range(self.many)]
            assert job.results() == {i: str(i) for i in range(self.many)}

    def test_two_deliveries_give_one_verdict(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({}, 2)
            notices = run(backend, job.invocations() + job.invocations())
            assert notices == [Committed("00000000.a")] * 2
            assert job.results() == {0: 0, 1: 1}

    def test_a_backup_that_looks_first_runs_nothing(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({}, 1)
            run(backend, job.invocations())
            assert run(backend, job.invocations("b", look_first=True)) == [Committed("00000000.b")]
            assert desk.scripted.calls(0) == 1

    def test_an_unknown_store_is_a_loss_not_a_hang(self) -> None:
        with self.exam() as (backend, desk):
            (invocation,) = desk.job({}, 1).invocations()
            broken = type(invocation)(
                **{f: getattr(invocation, f) for f in invocation.__struct_fields__} | {"store": "s4://x"}
            )
            (notice,) = run(backend, [broken])
            assert isinstance(notice, Lost)
            assert "s4" in notice.loss.reason

    # --- what the user's code raises is the task's failure --------------------------------------------------

    def test_an_exception_costs_its_own_task_only(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({1: ["raise"], 3: ["sysexit"]}, 5)
            assert run(backend, job.invocations()) == [Committed("00000000.a")]
            results = job.results()
            assert isinstance(results[1], ScriptedError)
            assert f"in task 1 of job {job.id}, attempt 1, on " in results[1].__notes__[-1]
            assert isinstance(results[3], SystemExit)
            assert (results[0], results[2], results[4]) == (0, 2, 4)

    def test_a_result_that_cannot_travel_costs_its_own_task_only(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({1: ["unpicklable"]}, 3)
            run(backend, job.invocations())
            results = job.results()
            assert isinstance(results[1], CannotShip)
            assert "(task 1)" in results[1].what
            assert (results[0], results[2]) == (0, 2)

    def test_a_failure_to_be_repeated_is_handed_on(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({1: ["raise"]}, 3)
            named = (f"{ScriptedError.__module__}:{ScriptedError.__qualname__}",)
            run(backend, job.invocations(policy=Policy(retry_on=named, tries=2)))
            assert job.results() == {0: 0, 2: 2}
            ((name, child),) = job.handed_on().items()
            assert (name, child.start, child.count, child.tries) == ("00000000.0", 1, 1, 1)

    def test_an_initializer_that_fails_fails_every_task(self) -> None:
        with self.exam() as (backend, desk):
            job = SmallJob(desk.store, abs, [1, 2], initializer=_fails)
            run(backend, job.invocations())
            assert [type(error) for error in job.results().values()] == [InitializerFailed] * 2
            assert "no licence" in str(job.results()[0])

    def test_a_task_knows_which_it_is(self) -> None:
        with self.exam() as (backend, desk):
            job = SmallJob(desk.store, _context, [0, 0], batches=2)
            run(backend, job.invocations())
            found = job.results()[1]
            assert (found.job, found.task, found.attempt) == (job.id, 1, "00000001.a")
            assert found.backend == backend.name

    # --- a lost worker costs its own attempt only -----------------------------------------------------------

    def test_an_exit_is_a_loss_with_its_code(self) -> None:
        with self.exam("exit") as (backend, desk):
            job = desk.job({2: ["exit"]}, 4)
            (notice,) = run(backend, job.invocations())
            assert isinstance(notice, Lost)
            assert (notice.attempt, notice.loss.attempt) == ("00000000.a", "00000000.a")
            assert (notice.loss.exit_code, notice.loss.started) == (7, True)
            assert notice.loss.task == (2 if self.names_the_task else -1)
            assert job.settled() == []

    def test_a_kill_is_a_loss_with_its_signal(self) -> None:
        with self.exam("kill") as (backend, desk):
            (notice,) = run(backend, desk.job({0: ["kill"]}, 1).invocations())
            assert isinstance(notice, Lost)
            assert notice.loss.signal == 9
            assert notice.loss.task == (0 if self.names_the_task else -1)
            assert notice.loss.where

    def test_a_crash_is_a_loss_with_its_log(self) -> None:
        with self.exam("segv") as (backend, desk):
            (notice,) = run(backend, desk.job({0: ["segv"]}, 1).invocations())
            assert isinstance(notice, Lost)
            assert notice.loss.signal == 11
            assert "Segmentation fault" in notice.loss.log

    def test_a_lost_worker_is_replaced(self) -> None:
        with self.exam("kill") as (backend, desk):
            job = desk.job({i: ["kill", "ok"] for i in range(4)}, 8, batches=8)
            lost = [n.attempt[:8] for n in run(backend, job.invocations()) if isinstance(n, Lost)]
            assert sorted(lost) == [f"{i:08d}" for i in range(4)]
            run(backend, [one for one in job.invocations("b") if one.batch in lost])
            assert job.results() == {i: i for i in range(8)}

    # --- cancel and close -----------------------------------------------------------------------------------

    def test_cancel_ends_a_hanging_attempt(self) -> None:
        with self.exam("hang") as (backend, desk):
            backend.launch(desk.job({0: ["hang"]}, 1).invocations())
            poll_until(backend, lambda: desk.scripted.calls(0) == 1)
            backend.cancel({"00000000.a"})
            (notice,) = await_notices(backend, 1)
            assert isinstance(notice, Lost)
            assert run(backend, desk.job({}, 1).invocations()) == [Committed("00000000.a")]

    def test_cancel_withdraws_what_has_not_begun(self) -> None:
        with self.exam() as (backend, desk):
            many = backend.limits.parallelism + 1
            late = f"slow:{2 * self.cancels_within_s}"
            script = {i: [late] for i in range(many)} if self.cancels_within_s else {0: ["slow:0.2"]}
            job = desk.job(script, many, batches=many)
            backend.launch(job.invocations())
            backend.cancel([f"{i:08d}.a" for i in range(many)])
            seen = await_notices(backend, many)
            assert all(isinstance(notice, Lost) for notice in seen)
            assert job.settled() == []

    def test_cancel_of_an_unknown_attempt_does_nothing(self) -> None:
        with self.exam() as (backend, desk):
            backend.cancel(["00000099.z"])
            assert run(backend, desk.job({}, 1).invocations()) == [Committed("00000000.a")]

    def test_wake_ends_a_poll(self) -> None:
        with self.exam() as (backend, _desk):
            clock = SystemClock()
            Timer(0.05, backend.wake).start()
            began = clock.now()
            assert list(backend.poll(30)) == []
            assert clock.now() - began < 10

    def test_close_leaves_no_process_behind(self) -> None:
        with self.exam("hang") as (backend, desk):
            desk.note_pids()
            if not self.keeps_idle_workers:
                run(backend, desk.job({}, 1, pids=True).invocations())
            job = desk.job({0: ["hang"]}, 1, pids=True)
            backend.launch(job.invocations())
            poll_until(backend, lambda: desk.scripted.calls(0) == 1)
            backend.close()
            assert desk.pids()
            assert not [pid for pid in desk.pids() if _exists(pid)]

    def test_close_twice_does_nothing(self) -> None:
        with self.exam() as (backend, _desk):
            backend.close()
            backend.close()

    # --- while a task runs ------------------------------------------------------------------------------------

    def test_output_is_kept_in_the_verdict(self) -> None:
        with self.exam("print") as (backend, desk):
            job = desk.job({0: ["print"], 2: ["print"]}, 3, batches=3)
            run(backend, job.invocations())
            assert job.verdict("00000000")[0].log == "[stdout]\ntask 0\n\n[stderr]\nwarning 0\n"
            assert job.verdict("00000001")[0].log == ""
            assert "task 2" in job.verdict("00000002")[0].log

    def test_a_task_that_closes_its_streams_harms_nobody(self) -> None:
        with self.exam("print") as (backend, desk):
            job = desk.job({0: ["close"], 1: ["print"]}, 2, batches=2)
            first, second = job.invocations()
            run(backend, [first])
            run(backend, [second])
            assert job.results() == {0: 0, 1: 1}
            assert "task 1" in job.verdict("00000001")[0].log

    def test_a_forked_child_that_returns_settles_nothing(self) -> None:
        with self.exam("kill") as (backend, desk):
            job = desk.job({0: ["fork"]}, 1)
            assert run(backend, job.invocations()) == [Committed("00000000.a")]
            assert run(backend, desk.job({}, 1).invocations()) == [Committed("00000000.a")]

    def test_a_long_batch_is_handed_on_while_it_runs(self) -> None:
        with self.exam("slow") as (backend, desk):
            job = desk.job({i: ["slow:0.15"] for i in range(2, 5)}, 12)
            sharing = Sharing(after_s=0.1, target_s=0.2, ways=2)
            notices = run(backend, job.invocations(sharing=sharing))
            assert notices == [Committed("00000000.a", "00000000.0.a"), Committed("00000000.0.a")]
            children = job.handed_on()
            assert children["00000000.0"].running_in == "00000000.0.a"
            begun = children["00000000.0"].start
            assert job.results() == {i: i for i in range(begun + 1)}
            rest = [t for c in children.values() for t in range(c.start, c.start + c.count)]
            assert sorted(rest) == list(range(begun, 12))

    def test_a_task_that_takes_too_long_fails_alone(self) -> None:
        with self.exam("hang") as (backend, desk):
            job = desk.job({1: ["hang"]}, 4)
            run(backend, job.invocations(policy=Policy(timeout_s=0.2)))
            results = job.results()
            assert results.keys() == {0, 1}
            assert isinstance(results[1], TaskTimeout)
            assert "_hang" in results[1].where
            assert [(c.start, c.count) for c in job.handed_on().values()] == [(2, 2)]
            assert run(backend, desk.job({}, 1).invocations()) == [Committed("00000000.a")]

    def test_a_timeout_is_noticed_at_least_afterwards(self) -> None:
        with self.exam() as (backend, desk):
            job = desk.job({0: ["slow:0.3"]}, 1)
            run(backend, job.invocations(policy=Policy(timeout_s=0.1)))
            assert isinstance(job.results()[0], TaskTimeout)

    def test_what_cannot_end_before_the_deadline_is_handed_on(self) -> None:
        with self.exam("hang") as (backend, desk):
            run(backend, desk.job({}, 1).invocations())  # so that a worker is warm
            job = desk.job({1: ["hang"]}, 4)
            run(backend, job.invocations(stop_at=SystemClock().wall() + 3))
            assert job.results() == {0: 0}
            tasks = [(c.start, c.count, c.losses) for c in job.handed_on().values()]
            assert tasks == [(1, 1, 0), (2, 2, 0)]


class _Desk:
    """What one test works with."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self._folder = store, folder
        self._pids: Path | None = None
        self.scripted = Scripted(folder, {})

    def job(
        self,
        script: Mapping[int, Sequence[str]],
        count: int,
        *,
        batches: int = 1,
        inline: bool = True,
        pids: bool = False,
    ) -> SmallJob:
        """Make a job of ``count`` tasks that follow a script."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        self.scripted = (_Noted if pids else Scripted)(folder, script)
        if pids:
            self.scripted.pids = str(self._pids)  # type: ignore[attr-defined]
        return SmallJob(self.store, self.scripted, list(range(count)), batches=batches, inline=inline)

    def note_pids(self) -> None:
        """Let jobs made with ``pids`` note the processes in which they run."""
        self._pids = Path(tempfile.mkdtemp(dir=self._folder))

    def pids(self) -> list[int]:
        """Return the processes that were noted."""
        return [int(path.name) for path in self._pids.iterdir()] if self._pids else []


class _Noted(Scripted):
    """Notes the process in which it is called."""

    pids = ""

    def __call__(self, task: int) -> object:
        Path(self.pids, str(os.getpid())).touch()
        return super().__call__(task)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
