"""What runs inside the function: carries out one attempt at a time, in a worker process of its own.

    runtime ──▶ handle(event, context)                  worker process, kept warm between invocations
                  send on the others of the order
                  invocation ─────────── pipe ─────────▶ the same program as on any computer
                             ◀────────── pipe ─────────  notices
                  every 2 s: asked to stop?
                  it died, or is out of time: attempts/<attempt>/loss

The user's code runs in the worker process, so that what ends or blocks it (an exit, a crash, a time-out, want of
memory) is seen here, named, and written down, and the function itself stays warm. Decides how a worker process
is kept from one invocation to the next, and when it is ended. Nobody reads what it returns, but people.
"""

from __future__ import annotations

import os
import select
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from wrens.backends.aws_lambda import orders
from wrens.backends.aws_lambda.orders import Order
from wrens.backends.output import Shown
from wrens.backends.process import Process
from wrens.clock import SystemClock
from wrens.errors import ObjectMissing, StoreError, WrensError
from wrens.store import open_store
from wrens.store.meters import made_here
from wrens.store.port import Store
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat, Invocation, Loss, Metered, Refusal
from wrens.worker import blame, talk
from wrens.worker.environment import ready

LOOK_S = 2.0
"""How often it is looked whether somebody has asked for the attempt to stop."""
LATE_S = 0.25
"""An attempt that begins so long after it was sent may be a repetition, and looks for a verdict first.

The service delivers some orders twice. What a warm function begins at once cannot have been settled yet, unless its
batch is shorter than this; only what begins later pays for a look, which is one GET and costs as much as two
invocations. A client's clock that is wrong moves this moment and changes nothing else.
"""
RESERVE = 0.03
"""The part of its time that an attempt keeps to settle what it has; from 1 to 10 s."""
LONGEST_INIT_S = 10.0
"""What the platform gives a function to get ready, and bills with its first invocation."""
LAST_S = 0.4
"""How long before the platform ends everything the worker process is ended, so that its loss can be written."""


class Sandbox:
    """The place in which one invocation after another is run.

    Args:
        clock: Tells the time.
        invoke: Has a function invoked; by default through AWS's library, which the platform provides.
    """

    def __init__(self, clock: SystemClock, invoke: Callable[[str, bytes], None] | None = None) -> None:
        self._clock = clock
        self._invoke = invoke or _invoke
        self._worker: Process | None = None
        self._shown: tuple[Shown, Shown] | None = None
        self._folders: tuple[str, ...] = ()
        self._stores: dict[str, Store] = {}
        function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self._name = f"lambda:{function}" if function else "lambda"
        self._metered = Metered(0, since=clock.wall())
        """By what the invocation is billed, as far as no verdict tells it."""
        self._init_s = 0.0
        """How long this process took to be ready, until an invocation has been billed for it."""
        self._where = "lambda " + (os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME") or os.uname().nodename)

    def engage(self, folders: tuple[str, ...] = ()) -> Process:
        """Return an idle worker process that finds modules in these folders, too."""
        if self._worker is not None and (self._folders != folders or self._worker.is_dead()):
            self._bury()
        if self._worker is None:
            self._worker, self._folders = Process(self._name, where=self._where, folders=folders), folders
            self._shown = (Shown(self._worker.files[0], "stdout"), Shown(self._worker.files[1], "stderr"))
        return self._worker

    def ready(self) -> None:
        """Start the first worker; the time that this process has taken until then is billed with its first invocation."""
        self.engage()
        self._init_s = _age_s()

    def run(self, order: Order, remaining_s: float, memory_mb: int) -> dict[str, Any]:
        """Carry out the first attempt of an order and send on the others.

        Args:
            order: The order.
            remaining_s: Seconds until the platform ends this process.
            memory_mb: What the platform lets it use.

        Returns:
            The attempt's last name, and why it was lost, for people.
        """
        end = self._clock.now() + remaining_s
        self._metered = Metered(
            memory_mb,
            since=self._clock.wall() - self._init_s,
            machine=os.uname().machine,
            invocations=orders.billed_as(order),
            look_s=LOOK_S,
        )
        self._init_s = 0.0
        before = made_here()
        sending = ThreadPoolExecutor(orders.BRANCHES)
        sent = [sending.submit(self._send_on, part) for part in orders.divided(order)]
        invocation = order.invocations[0]
        _say(
            f"wrens attempt {invocation.attempt} of job {invocation.job}, tasks {invocation.start} to "
            f"{invocation.start + invocation.count - 1}"
        )
        try:
            prepared = self._prepared(invocation, order, remaining_s)
            folders = self._folders_of(prepared)
            made = made_here() - before
            metered = msgspec.structs.replace(self._metered, requests=made)
            loss = self._attempt(msgspec.structs.replace(prepared, metered=metered), folders, end, memory_mb)
        except WrensError as error:
            loss = Loss(str(error), invocation.attempt, self._where, refused=_refused(error))
        except Exception as error:  # noqa: BLE001 - a fault here must not look like a worker that fell silent
            loss = Loss(
                f"{type(error).__name__}: {error}",
                invocation.attempt,
                self._where,
                log=traceback.format_exc(),
            )
        if self._worker is not None and self._worker.attempt:
            self._bury()  # the fault was here, and the process may still be at it
        if loss is not None:
            self._write(invocation, self._billed(loss))
        for one in sent:
            one.result()
        sending.shutdown()
        return {"attempt": loss.attempt if loss else invocation.attempt, "lost": loss.reason if loss else ""}

    def _prepared(self, invocation: Invocation, order: Order, remaining_s: float) -> Invocation:
        now = self._clock.wall()
        reserve_s = min(10.0, max(1.0, RESERVE * remaining_s))
        stop_at = now + remaining_s - reserve_s
        return msgspec.structs.replace(
            invocation,
            late_at=order.sent_at + LATE_S,
            stop_at=stop_at if invocation.stop_at is None else min(stop_at, invocation.stop_at),
        )

    def _folders_of(self, invocation: Invocation) -> tuple[str, ...]:
        """Return where the packages are that the attempt needs; a cold sandbox fetches them first."""
        if not invocation.environment:
            return self._folders  # more than is asked for does no harm, and the worker stays warm
        found = ready(self._store(invocation.store), invocation.environment)
        if not found.cached:
            _say(
                f"wrens fetched packages {invocation.environment} of {found.nbytes / 1e6:.1f} MB in "
                f"{found.fetch_s:.2f} s and unpacked them in {found.unpack_s:.2f} s"
            )
        return (found.folder,)

    # --- one attempt ---

    def _attempt(
        self, invocation: Invocation, folders: tuple[str, ...], end: float, memory_mb: int
    ) -> Loss | None:
        """Run an attempt to its end; returns what is known of it when it has left no verdict."""
        worker = self.engage(folders)
        worker.give(invocation, self._clock.now())
        waiting = select.poll()
        for fd in (worker.notices, worker.pidfd):
            if fd >= 0:
                waiting.register(fd, select.POLLIN)
        verdict = ""
        look_at = self._clock.now() + LOOK_S
        while True:
            now = self._clock.now()
            wait = min(look_at, end - LAST_S) - now
            waiting.poll(max(0.0, wait) * 1000)
            dead = worker.is_dead()
            said, silent = worker.read()
            for notice in said:
                if notice.goes_on_as:
                    worker.attempt = notice.goes_on_as
                    # What was before is in a verdict, with the invocation.
                    self._metered = msgspec.structs.replace(
                        self._metered, since=self._clock.wall(), invocations=0
                    )
                else:
                    return self._ended(worker, notice, memory_mb)
            self._show()
            if dead or silent:
                return self._lost(worker, verdict, memory_mb)
            now = self._clock.now()
            if now >= end - LAST_S:
                verdict = "the platform's time limit came before the worker had settled what it had"
                worker.kill()
            elif now >= look_at:
                look_at = now + LOOK_S
                if self._asked_to_stop(invocation, worker.attempt):
                    verdict = "cancelled"
                    worker.kill()

    def _ended(self, worker: Process, notice: talk.Notice, memory_mb: int) -> Loss | None:
        """Take leave of an attempt that has ended by itself; its process stays for the next, unless it leaves."""
        self._show(whole=True)
        loss = None
        if notice.lost:
            loss = worker.loss(self._clock.now(), notice.lost)
            loss = msgspec.structs.replace(
                loss, attempt=notice.attempt, refused=notice.refused, memory_limit_mb=float(memory_mb)
            )
        worker.attempt = ""
        if notice.leaves:
            self._bury()
        elif self._shown:
            for shown in self._shown:
                shown.empty()
        return loss

    def _lost(self, worker: Process, verdict: str, memory_mb: int) -> Loss:
        """Say what is known of a worker process that has died."""
        worker.end()
        self._show(whole=True)
        loss = worker.loss(self._clock.now(), verdict)
        self._bury()
        return msgspec.structs.replace(loss, memory_limit_mb=loss.memory_limit_mb or float(memory_mb))

    def _billed(self, loss: Loss) -> Loss:
        """Return a loss with what the platform bills for it."""
        metered = self._metered
        return msgspec.structs.replace(
            loss,
            billed_s=self._clock.wall() - metered.since,
            billed_mb=metered.memory_mb,
            machine=metered.machine,
            invocations=metered.invocations,
        )

    def _bury(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._show(whole=True)
            self._worker.free()
        self._worker = self._shown = None

    def _show(self, *, whole: bool = False) -> None:
        """Pass on what tasks write, to the function's log."""
        for shown in self._shown or ():
            shown.show(whole=whole)

    # --- the store ---

    def _store(self, url: str) -> Store:
        if url not in self._stores:
            self._stores[url] = open_store(url, decided=True)
        return self._stores[url]

    def _asked_to_stop(self, invocation: Invocation, attempt: str) -> bool:
        """Look whether the client has left word that this attempt shall end."""
        try:
            self._store(invocation.store).get(keys.evidence(invocation.job, attempt, "cancel"), length=0)
        except WrensError:
            return False
        return True

    def _write(self, invocation: Invocation, loss: Loss) -> None:
        """Leave a loss in the store, where the client looks for it."""
        key = keys.evidence(invocation.job, loss.attempt, "loss")
        try:
            self._store(invocation.store).put(key, envelope.to_json(loss), mode="replace")
        except WrensError as error:
            _say(f"wrens could not write {key}: {error}")
        _say(f"wrens lost {loss.attempt}: {loss.reason}")

    def tried(self, trial: orders.Trial) -> dict[str, Any]:
        """Read what the client has left, write it anew, and say what every attempt would meet that this has met."""
        try:
            store = self._store(trial.store)
            store.get(
                trial.key
            )  # whose signature tells whether it is signed with the key that this function has
            sign = Heartbeat(attempt=f"trial of {self._name}", at=self._clock.wall(), where=self._where)
            store.put(trial.key, envelope.to_json(sign), mode="replace")
        except WrensError as error:
            return dict(msgspec.to_builtins(orders.Answer(blame.refusal(error, self._where))))
        return dict(msgspec.to_builtins(orders.Answer()))

    # --- the others of an order ---

    def _send_on(self, part: Order) -> None:
        """Have the function invoked with a part of the order; what cannot be sent is reported as never begun."""
        try:
            self._invoke(part.function, orders.encode(part))
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempts must be accounted for
            for one in part.invocations:
                told = f"it could not be sent on: {type(error).__name__}: {error}"
                self._write(one, Loss(told, one.attempt, self._where, started=False))


def _invoke(function: str, payload: bytes) -> None:
    from wrens.backends.aws_lambda.clients import client

    client("lambda", tries=6).invoke(FunctionName=function, InvocationType="Event", Payload=payload)


def _age_s() -> float:
    """Return for how long this process has run; zero where nobody can tell, or it has done something else before."""
    try:
        with open("/proc/self/stat") as file:  # noqa: PTH123 - cheaper than a Path
            began = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        with open("/proc/uptime") as file:  # noqa: PTH123
            age_s = float(file.read().split()[0]) - began
    except (OSError, ValueError, IndexError):
        return 0.0
    return age_s if 0.0 < age_s < LONGEST_INIT_S else 0.0


def _refused(error: WrensError) -> Refusal | None:
    """Return the error as one that another worker would meet as well, if it is of that kind."""
    if isinstance(error, (StoreError, *blame.NOT_THE_TASKS)) and not isinstance(error, ObjectMissing):
        return Refusal(type(error).__name__, tuple(str(fact) for fact in error.args))
    return None


def _say(text: str) -> None:
    """Write a line to the function's log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


_sandbox = Sandbox(SystemClock())
# The platform gives a whole processor while a function is loaded, so its first worker is started now.
_sandbox.ready()


def handle(event: object, context: Any) -> dict[str, Any]:
    """Carry out an invocation; the function's entry point.

    Args:
        event: The order, see :mod:`wrens.backends.aws_lambda.orders`.
        context: The runtime's: what time is left, how much memory there is.

    Raises:
        VersionMismatch: if a client of another version has sent it.
    """
    order = orders.decode(event)
    if isinstance(order, orders.Trial):
        return _sandbox.tried(order)
    remaining_s = context.get_remaining_time_in_millis() / 1000
    return _sandbox.run(order, remaining_s, int(context.memory_limit_in_mb))
