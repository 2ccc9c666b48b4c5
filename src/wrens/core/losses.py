"""What is made of the loss of an attempt.

Decides how the task at fault is told from its neighbours, and how a loss that the driver itself caused is
marked, and which refusals of a worker stop a job. When a batch is given up is :mod:`wrens.core.attempts`' decision. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from wrens.core.batches import Batch
from wrens.errors import (
    BackendError,
    BadSignature,
    BadSigningKey,
    CannotStart,
    ForeignRecord,
    StoreDenied,
    StoreFull,
    VersionMismatch,
    WrensError,
)
from wrens.wire.records import Child, Loss

FINAL: dict[str, Callable[..., WrensError]] = {
    "BackendError": BackendError,
    "BadSignature": BadSignature,
    "BadSigningKey": BadSigningKey,
    "CannotStart": CannotStart,
    "ForeignRecord": ForeignRecord,
    "StoreFull": StoreFull,
    "StoreDenied": StoreDenied,
    "VersionMismatch": VersionMismatch,
}
"""What will not change by trying again."""
_OVERDUE = "overdue: "
UNSEEN = Loss(reason="its worker was lost while another driver was in charge of it")


def was_overdue(loss: Loss) -> bool:
    """Whether the driver ended this attempt, because it was past its deadline."""
    return loss.reason.startswith(_OVERDUE)


def refusal(loss: Loss) -> WrensError | None:
    """Return the error that another try would end with as well, or ``None`` when another try may help.

    >>> from wrens.wire.records import Refusal
    >>> refusal(Loss("no space", refused=Refusal("StoreFull", ("put", "key", "file:///data", "quota"))))
    StoreFull('put', 'key')
    """
    refused = loss.refused
    if refused is None or refused.error not in FINAL:
        return None
    return FINAL[refused.error](*refused.facts)


def what_is_kept(job_id: str, ok: int, planned: int) -> str:
    """Say what a job that was stopped has left, and how to go on."""
    return (
        f"At least {ok} of {planned} tasks of job {job_id} have results in the store, which were left as they "
        "are. When that is put right, wrens.attach runs the others; data of a job that is neither named nor kept "
        "is deleted when its executor closes."
    )


def overdue(loss: Loss, ran_s: float) -> Loss:
    """Return the loss of an attempt that the driver has ended ``ran_s`` seconds after its launch."""
    return Loss(
        reason=f"{_OVERDUE}it was ended {ran_s:.1f} s after its launch, past its deadline",
        attempt=loss.attempt,
        where=loss.where,
        task=loss.task,
        ran_s=ran_s,
        memory_mb=loss.memory_mb,
        log=loss.log,
        started=loss.started,
    )


def isolate(batch: Batch, loss: Loss) -> tuple[Child, ...]:
    """Split a batch whose worker was lost, so that the task at fault ends up alone.

    When the backend knows which task was running, that one is the suspect; otherwise the batch is halved,
    and halved again should it be lost again.
    """
    stop = batch.start + batch.count
    if batch.start <= loss.task < stop:
        parts = [(batch.start, loss.task, 0), (loss.task, loss.task + 1, 1), (loss.task + 1, stop, 0)]
    else:
        middle = batch.start + batch.count // 2
        parts = [(batch.start, middle, 0), (middle, stop, 0)]
    return tuple(Child(a, b - a, batch.tries, losses) for a, b, losses in parts if b > a)
