"""What an attempt needs before its first task: initializer, inputs, limits.

Decides how much is read at once and when inputs are unpickled: all before the loop when they are small, each
inside the loop when they are large, when one of them cannot be unpickled, or when the tasks have lost a
worker before and it has to be known which one does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wrens.errors import BadSignature, ForeignRecord, InitializerFailed, VersionMismatch
from wrens.serialize import Pack, describe_failure, open_pack
from wrens.store.port import is_signed
from wrens.wire import keys
from wrens.wire.records import Failure, Invocation
from wrens.worker import blame
from wrens.worker.host import Host
from wrens.worker.running import Running

LARGE = 8192
"""Mean bytes of an input from which inputs are unpickled one by one, so that only one is in memory."""

Fetch = Callable[[int], Any]


def initialize(host: Host, invocation: Invocation) -> Failure | None:
    """Call the executor's initializer if this process has not done so yet.

    Returns:
        The failure of every task, when it raised now or earlier in this process.
    """
    name = invocation.initializer
    if not name:
        return None
    if name not in host.initialized:
        host.initialized[name] = _initialize(host, invocation)
    return host.initialized[name]


def _initialize(host: Host, invocation: Invocation) -> Failure | None:
    shown = "of this executor"
    try:
        call = host.loader(invocation.store).function(invocation.initializer)
        shown = getattr(call, "__qualname__", shown)
        call()
    except blame.NOT_THE_TASKS:
        raise
    except BaseException as error:  # noqa: BLE001 - the initializer is the user's code
        text = describe_failure(error)
        raised = InitializerFailed(shown, text.traceback or f"{text.type_name}: {text.message}")
        return describe_failure(raised, kind="system")
    return None


def inputs(state: Running) -> tuple[list[Any], Fetch | None]:
    """Return the inputs of the attempt's tasks.

    Returns:
        The inputs and ``None``; or their places in the pack, and what returns the input at a place.
    """
    invocation = state.invocation
    first, stop = (
        invocation.start - invocation.origin,
        invocation.start - invocation.origin + invocation.count,
    )
    loader = state.host.loader(invocation.store)
    nbytes = 0
    if invocation.inputs:
        pack = Pack(memoryview(invocation.inputs), loader)
    elif is_signed(state.host.store(invocation.store)):
        pack = Pack(_checked(state), loader)
        nbytes = invocation.length * invocation.count // max(1, len(pack))
    else:
        key = keys.page(invocation.job, invocation.page)

        def fetch(at: int, length: int) -> memoryview:
            nonlocal nbytes
            nbytes += length
            return state.host.get(invocation.store, key, invocation.offset + at, length)

        if "." in invocation.batch:
            pack = open_pack(fetch, invocation.length, first, stop, loader)
            first, stop = 0, invocation.count
        else:
            # A root batch takes the whole of its pack, which is one request.
            pack = Pack(fetch(0, invocation.length), loader)
    state.pack, state.pack_first = pack, first
    if not invocation.losses and nbytes <= LARGE * invocation.count:
        try:
            return pack.items(first, stop), None
        except blame.NOT_THE_TASKS:
            raise
        except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001, S110 - the loop will find out which
            pass
    state.lazy = True

    def item(place: int) -> Any:
        try:
            return pack.item(place)
        except (VersionMismatch, ForeignRecord) as error:
            state.host.broken = error
            raise

    return list(range(first, stop)), item


def _checked(state: Running) -> memoryview:
    """Return the pack of the root batch, whose signature, or digest, was checked before anything is unpickled.

    Raises:
        BadSignature: if it is not what the client has stored.
    """
    from wrens.store.signed import digest_of

    invocation, host = state.invocation, state.host
    key = keys.page(invocation.job, invocation.page)
    if not invocation.digest:
        return host.get(invocation.store, key, invocation.offset, invocation.length)
    data = host.raw_range(invocation.store, key, invocation.offset, invocation.length)
    if digest_of([data]) != invocation.digest:
        raise BadSignature(
            key,
            invocation.store,
            f"the inputs of batch {invocation.batch} are not those that were stored",
            "Somebody has changed the object, or put another one in its place.",
        )
    return data


def input_of(state: Running, index: int) -> tuple[Any, ...]:
    """Return a tuple of the input of one task, for a message; an empty one when it cannot be had."""
    if not state.lazy:
        # The watchdog may have emptied the list meanwhile.
        return tuple(state.tasks[index : index + 1])
    try:
        return (state.pack.item(state.pack_first + index),) if state.pack else ()
    except BaseException:  # noqa: BLE001 - as above; the task has failed for this very reason
        return ()


@contextmanager
def memory_limit(megabytes: int | None) -> Iterator[None]:
    """Let allocations beyond ``megabytes`` of private data raise ``MemoryError``; only Linux can."""
    if megabytes is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = megabytes * 1_000_000
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
