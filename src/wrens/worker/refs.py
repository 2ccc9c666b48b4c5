"""Reads what a reference among the inputs stands for: a shared value, or the result of another task.

Decides what a worker keeps of it: the last few, because many tasks share one value. A result is where the
verdict of its batch says, or in a child that the batch handed the task on to. A verdict of an earlier job of the
same name is none.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from wrens.errors import ObjectMissing
from wrens.serialize import Pack, rebuild_failure
from wrens.wire import envelope, keys
from wrens.wire.records import JobRef, ResultRef, ValueRef, Verdict
from wrens.worker.gathered import Results, position
from wrens.worker.host import Host

KEPT = 8
"""How many shared values and verdicts stay open in a worker."""


class Refs:
    """A resolver for :func:`wrens.serialize.set_resolver`, with a short memory.

    Args:
        host: The worker, which reads the store.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._values: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._verdicts: OrderedDict[tuple[str, str, str], tuple[Verdict, memoryview]] = OrderedDict()

    def __call__(self, ref: ResultRef | JobRef | ValueRef) -> Any:
        """Return the value.

        Raises:
            StoreError: if it cannot be read.
            BadSignature, ForeignRecord: if it is not what was put there.
            BaseException: the failure of the other task, when it has no result.
        """
        if isinstance(ref, JobRef):
            return Results(ref, self._host)
        return self._value(ref) if isinstance(ref, ValueRef) else self._result(ref)

    def _value(self, ref: ValueRef) -> Any:
        name = (ref.store, ref.digest)
        if name not in self._values:
            data = self._host.get(ref.store, keys.value(ref.digest))
            # One copy for all tasks of this worker, so none may write into its arrays.
            pack = Pack(data, self._host.loader(ref.store), frozen=True)
            _keep(self._values, name, pack.item(0))
        return self._values[name]

    def _result(self, ref: ResultRef) -> Any:
        batch = ref.batch
        while True:
            verdict, body = self._verdict(ref, batch)
            for task, failure in verdict.failures:
                if task == ref.task:
                    raise rebuild_failure(failure)
            place = position(verdict, ref.task)
            if place is not None:
                # Read-only memory, so that each task gets arrays of its own.
                return Pack(body.toreadonly(), self._host.loader(ref.store)).item(place)
            for i, child in enumerate(verdict.children):
                if child.start <= ref.task < child.start + child.count:
                    batch = keys.child(batch, i)
                    break
            else:
                raise ObjectMissing(
                    "get", keys.verdict(ref.job, batch), ref.store, f"it has no task {ref.task}"
                )

    def _verdict(self, ref: ResultRef, batch: str) -> tuple[Verdict, memoryview]:
        key = keys.verdict(ref.job, batch)
        name = (ref.store, key, ref.made)
        if name not in self._verdicts:
            data = self._host.get(ref.store, key)
            verdict, body = envelope.unseal(Verdict, data, key)
            envelope.check_made(verdict.made, ref.made, key, ref.store)
            _keep(self._verdicts, name, (verdict, body))
        return self._verdicts[name]


def _keep(memory: OrderedDict[Any, Any], name: Any, value: Any) -> None:
    memory[name] = value
    if len(memory) > KEPT:
        memory.popitem(last=False)
