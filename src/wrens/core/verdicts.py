"""The verdicts that a driver writes: to hand on, to cancel, and to give up.

Decides how evidence becomes an error's text; a guess at the cause is marked as one. Does not decide when a
batch is given up.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from wrens.core.batches import Batch, GiveUp, HandOn
from wrens.errors import Cancelled, TaskTimeout, WorkerLost
from wrens.serialize import describe_failure
from wrens.wire.records import VERSION, Child, Failure, Loss, Verdict


def hand_on(command: HandOn, driver: str) -> Verdict:
    """Return the verdict that cancels some tasks of a batch and hands on the others."""
    batch = command.batch
    failures = tuple((task, _cancelled(batch.job, task)) for task in command.cancelled)
    return _verdict(batch, driver, failures, command.children)


def give_up(command: GiveUp, driver: str) -> Verdict:
    """Return the verdict in which every task of a batch fails on the evidence of its attempts."""
    batch = command.batch
    failures: list[tuple[int, Failure]] = []
    for task in range(batch.start, batch.start + batch.count):
        error: Exception
        if command.overdue and batch.rules.policy.timeout_s is not None:
            error = TaskTimeout(batch.job, task, batch.rules.policy.timeout_s)
        else:
            lines = [evidence_line(loss) for loss in command.evidence]
            log = command.evidence[-1].log
            error = WorkerLost(batch.job, task, lines, likely_cause(command.evidence), log)
        failures.append((task, describe_failure(error, kind="system")))
    return _verdict(batch, driver, tuple(failures), ())


def evidence_line(loss: Loss) -> str:
    """Return what is known of one lost attempt, as a line.

    >>> evidence_line(Loss("the process ended", where="local pid 7", signal=9, ran_s=1.5, memory_mb=812.0))
    'local pid 7: killed by signal 9 (SIGKILL) after 1.5 s, last memory reading 812 MB'
    """
    what = loss.reason
    if loss.signal is not None:
        what = f"killed by signal {loss.signal} ({_signal_name(loss.signal)})"
    elif loss.exit_code is not None:
        what = f"the process ended with exit code {loss.exit_code}"
    line = f"{loss.where}: {what}" if loss.where else what
    if loss.ran_s:
        line += f" after {loss.ran_s:.3g} s"
    if loss.memory_mb:
        line += f", last memory reading {loss.memory_mb:.0f}"
        line += f" of {loss.memory_limit_mb:.0f} MB" if loss.memory_limit_mb else " MB"
    return line


def likely_cause(evidence: Sequence[Loss]) -> str:
    """Return a guess at why the workers were lost, or nothing when the evidence suggests none.

    >>> likely_cause([Loss("gone", signal=9, memory_mb=1011.0, memory_limit_mb=1024.0)])
    'the memory limit: every last reading is within 10 % of it; Resources(memory_mb=...) sets it'
    """
    if not evidence:
        return ""
    if all(e.memory_limit_mb and e.memory_mb > 0.9 * e.memory_limit_mb for e in evidence):
        return "the memory limit: every last reading is within 10 % of it; Resources(memory_mb=...) sets it"
    signals = {loss.signal for loss in evidence}
    if signals == {signal.SIGKILL}:
        return "the operating system ended it for want of memory, or somebody ran kill -9"
    if signals <= {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}:
        return "a fault in compiled code that the function calls (an extension module, or ctypes)"
    if signals == {None} and all(loss.exit_code is not None for loss in evidence):
        return "the function, or code that it calls, ended the process itself (os._exit, a C library's exit)"
    return ""


def _verdict(
    batch: Batch, driver: str, failures: tuple[tuple[int, Failure], ...], children: tuple[Child, ...]
) -> Verdict:
    return Verdict(
        v=VERSION,
        job=batch.job,
        batch=batch.name,
        attempt=f"{batch.name}.driver-{driver}",
        start=batch.start,
        count=batch.count,
        failures=failures,
        children=children,
        where="driver",
        made=batch.source.made,
    )


def _cancelled(job: str, task: int) -> Failure:
    return Failure(kind="cancelled", type_name="wrens.errors.Cancelled", message=str(Cancelled(job, task)))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
