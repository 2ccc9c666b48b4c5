"""From a function and its inputs to a manifest, pages and batches in the store.

Decides what is written before anything runs, and in which order: what a worker will need is in the store
before the worker is told of it. Does not decide how many tasks go into a batch (:mod:`wrens.core.packing`)
nor when inputs are read (:mod:`wrens.core.inputs`).
"""

from __future__ import annotations

import getpass
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from wrens.clock import Clock
from wrens.core.batches import Batch, Rules, Source
from wrens.core.chaining import FailedInput
from wrens.core.policy import Options
from wrens.errors import AlreadyExists, BadOption, CannotShip, StoreError
from wrens.serialize import Shipment, Shipper, describe_failure, pack
from wrens.store.port import Buffer, Store, is_signed
from wrens.version import __version__
from wrens.wire import envelope, keys
from wrens.wire.records import (
    VERSION,
    BackupRule,
    Call,
    End,
    Failure,
    Manifest,
    PackingRule,
    Page,
    Row,
    Verdict,
)

PAGE_BYTES = 64 * 2**20
"""A page is written as soon as its inputs exceed this; one task's input may be larger."""
BATCH_BYTES = 16 * 2**20
"""A batch whose inputs exceed this is halved, so that a worker need not hold them at once."""
INLINE_ROOM = 4096
"""What an invocation needs beside its inline inputs."""


Environment = Callable[[Shipment, frozenset[str]], str]
"""Returns the digest of the packages that a function needs, with the modules that its inputs refer to."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive tasks of one function that shall be a batch."""

    shipment: Shipment
    call: Call
    values: Sequence[Any]


def rules(options: Options, *, initializes: bool) -> Rules:
    """Return what the attempt machine has to know of the options, and of whether there is an initializer."""
    return Rules(
        policy=options.policy(),
        packing=options.packing,
        lost=options.retry.lost,
        backoff_s=options.retry.backoff_s,
        backup=options.backup,
        initializes=initializes,
    )


class JobWriter:
    """Writes one job: its manifest first, then its pages, then its end.

    Args:
        store: Where to write.
        job_id: The job's id; put-if-absent of the manifest claims it.
        shipper: Pickles functions and finds the modules that they need.
        options: The job's options.
        payload_bytes: Inputs smaller than this travel in the invocation as well.
        driver: Id of the driver.
        clock: Tells the time for the manifest.
        initializer: Digest of the function that each worker calls first, or empty.
        environment: Finds the packages for a function and for the modules that its inputs refer to.

    Raises:
        BadOption: if a job of this name exists already; nothing of it is changed.
    """

    def __init__(
        self,
        store: Store,
        job_id: str,
        *,
        shipper: Shipper,
        options: Options,
        payload_bytes: int,
        driver: str,
        clock: Clock,
        initializer: str = "",
        environment: Environment = lambda _, __: "",
    ) -> None:
        self.job_id = job_id
        self.tasks = self.nbytes = 0
        self.made = keys.new_mark()
        self._store = store
        self._shipper = shipper
        self._options = options
        self._rules = rules(options, initializes=bool(initializer))
        self._payload_bytes = payload_bytes
        self._driver = driver
        self._clock = clock
        self._initializer = initializer
        self._environment = environment
        self._pages = 0
        self._batches = 0
        self._lock = threading.Lock()

    @property
    def kept(self) -> bool:
        """Whether the job's data stays when its executor closes."""
        return self._options.keep or self._options.name is not None

    def open(self, *, kind: Literal["map", "submit"], shipment: Shipment, backend: str) -> None:
        """Write the manifest, when the packages that the first function needs are there.

        Raises:
            BadOption: if a job with this id exists already.
            BadEnvironment: if these packages cannot be had.
        """
        options = self._options
        manifest = Manifest(
            v=VERSION,
            job=self.job_id,
            name=options.name,
            kind=kind,
            function=shipment.name,
            backend=backend,
            keep=self.kept,
            policy=self._rules.policy,
            lost_tries=self._rules.lost,
            backoff_s=self._rules.backoff_s,
            wrens=__version__,
            python=platform.python_version(),
            made_by=f"{_user()}@{platform.node()}:{os.getpid()}",
            made_at=self._clock.wall(),
            driver=self._driver,
            initializer=self._initializer,
            packing=PackingRule(**asdict(options.packing)),
            backup=None if options.backup is None else BackupRule(**asdict(options.backup)),
            made=self.made,
            environment=self._environment(shipment, frozenset()),
        )
        try:
            self._store.put(keys.manifest(self.job_id), envelope.to_json(manifest))
        except AlreadyExists as error:
            raise BadOption(
                f"name={self.job_id!r}",
                f"is taken: {self._store.url} holds a job of this name, and it was left as it is",
                f"Get it back with wrens.attach({self.job_id!r}), remove it with 'wrens clean --job "
                f"{self.job_id}', or choose another name.",
            ) from error

    def upload(self) -> None:
        """Write functions and modules that were pickled and are not in the store yet."""
        upload(self._store, self._shipper)

    def write(self, chunks: Sequence[Chunk]) -> list[Batch]:
        """Write the tasks of these chunks, in one page or several, and return their batches.

        Tasks whose input cannot be pickled are settled at once by a verdict of the driver's own.
        """
        batches: list[Batch] = []
        for draft in self.drafts(chunks):
            self.upload()
            self.store(draft)
            batches.extend(draft.batches)
        return batches

    def drafts(self, chunks: Sequence[Chunk]) -> Iterator[Draft]:
        """Yield the pages that these chunks make, to be given to :meth:`store`."""
        with self._lock:
            parts = _Parts()
            for chunk in chunks:
                self._add(parts, chunk)
                if parts.nbytes > PAGE_BYTES:
                    yield self._draft(parts)
                    parts = _Parts()
            if parts.rows:
                yield self._draft(parts)

    def store(self, draft: Draft) -> None:
        """Write a page; what its functions need must be there already, see :meth:`upload`."""
        self._store.put(keys.page(self.job_id, draft.number), draft.buffers)

    def end(self, failure: BaseException | None = None) -> None:
        """Say that no more pages will come; ``failure`` is what the user's input raised, if it did."""
        text = None if failure is None else describe_failure(failure)
        end = End(
            v=VERSION, job=self.job_id, pages=self._pages, tasks=self.tasks, failure=text, made=self.made
        )
        put_content(self._store, keys.end(self.job_id), [envelope.to_json(end)])

    # --- inside ---

    def _add(self, parts: _Parts, chunk: Chunk) -> None:
        first = self.tasks
        packed = pack(chunk.values, what=lambda i: f"the input of task {first + i}", shipper=self._shipper)
        count = len(chunk.values)
        if packed.failures:
            self._add_without(parts, chunk, packed.failures)
            return
        if packed.nbytes > BATCH_BYTES and count > 1 and self._options.packing.size is None:
            for part in (chunk.values[: count // 2], chunk.values[count // 2 :]):
                self._add(parts, Chunk(chunk.shipment, chunk.call, part))
            return
        row = Row(
            batch=keys.batch(self._batches),
            start=first,
            count=count,
            function=chunk.shipment.digest,
            call=chunk.call,
            offset=parts.nbytes,
            length=packed.nbytes,
            digest=self._digest(packed.buffers),
            environment=self._environment(chunk.shipment, packed.modules),
        )
        self._batches += 1
        self.tasks += count
        self.nbytes += packed.nbytes
        parts.add(row, packed.buffers)

    def _add_without(self, parts: _Parts, chunk: Chunk, failures: dict[int, Exception]) -> None:
        """Give each input that cannot be pickled a batch of its own, settled by the driver."""
        good: list[Any] = []
        for index, value in enumerate(chunk.values):
            if index not in failures:
                good.append(value)
                continue
            if good:
                self._add(parts, Chunk(chunk.shipment, chunk.call, good))
                good = []
            failure = describe_failure(_in_words(failures[index], value, chunk.call), kind="user")
            row = Row(keys.batch(self._batches), self.tasks, 1, chunk.shipment.digest, chunk.call, 0, 0)
            self._refuse(row, failure)
            parts.add(row, [])
            self._batches += 1
            self.tasks += 1
        if good:
            self._add(parts, Chunk(chunk.shipment, chunk.call, good))

    def _refuse(self, row: Row, failure: Failure) -> None:
        verdict = Verdict(
            v=VERSION,
            job=self.job_id,
            batch=row.batch,
            attempt=f"{row.batch}.driver-{self._driver}",
            start=row.start,
            count=1,
            failures=((row.start, failure),),
            where="driver",
            made=self.made,
        )
        self._store.put(keys.verdict(self.job_id, row.batch), envelope.seal(verdict))

    def _digest(self, buffers: Sequence[Buffer]) -> bytes:
        """Return by what a worker shall know these inputs, which it reads without the rest of their page."""
        if not is_signed(self._store):
            return b""
        from wrens.store.signed import digest_of

        return digest_of(buffers)

    def _draft(self, parts: _Parts) -> Draft:
        page = Page(VERSION, self.job_id, self._pages, self._driver, tuple(parts.rows), self.made)
        self._pages += 1
        buffers = envelope.seal(page, parts.buffers)
        body = memoryview(buffers[0]).nbytes
        batches = batches_of(page, body, self._rules, inline=self._inline(parts))
        return Draft(page.number, buffers, batches)

    def _inline(self, parts: _Parts) -> dict[str, bytes]:
        room = self._payload_bytes - INLINE_ROOM
        return {
            row.batch: b"".join(buffers)
            for row, buffers in zip(parts.rows, parts.parts, strict=True)
            if 0 < row.length <= room
        }


@dataclass(frozen=True, slots=True)
class Draft:
    """A page that has not been stored yet, and its batches."""

    number: int
    buffers: list[Buffer]
    batches: list[Batch]

    @property
    def carried(self) -> bool:
        """Whether invocations carry all of its inputs, so that no worker will read the page."""
        return all(batch.source.inline for batch in self.batches)


class _Parts:
    """A page in the making."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.parts: list[list[Buffer]] = []
        self.buffers: list[Buffer] = []
        self.nbytes = 0

    def add(self, row: Row, buffers: list[Buffer]) -> None:
        self.rows.append(row)
        self.parts.append(buffers)
        self.buffers.extend(buffers)
        self.nbytes += row.length
        if gap := envelope.padding(self.nbytes):
            self.buffers.append(bytes(gap))
            self.nbytes += gap


def batches_of(
    page: Page, body: int, job_rules: Rules, *, inline: dict[str, bytes] | None = None, adopted: bool = False
) -> list[Batch]:
    """Return the root batches of a page.

    Args:
        page: The page's record.
        body: Where its body begins in the object, in bytes.
        job_rules: The job's rules.
        inline: Packed inputs by batch name, of those small enough to travel with the invocation.
        adopted: Another driver may be running them.
    """
    inline = inline or {}
    return [
        Batch(
            job=page.job,
            name=row.batch,
            start=row.start,
            count=row.count,
            source=Source(
                function=row.function,
                call=row.call,
                page=page.number,
                offset=body + row.offset,
                length=row.length,
                origin=row.start,
                inline=inline.get(row.batch, b""),
                made=page.made,
                digest=row.digest,
                environment=row.environment,
            ),
            rules=job_rules,
            adopted=adopted,
        )
        for row in page.rows
    ]


def put_content(store: Store, key: str, buffers: Sequence[Buffer]) -> None:
    """Store an object whose key names its content, so that one which is there already is the same."""
    try:
        store.put(key, buffers)
    except AlreadyExists:
        return


def upload(store: Store, shipper: Shipper) -> None:
    """Write what was pickled and is not in the store yet; what cannot be written is kept for the next try.

    When it returns, everything that was pickled before is in the store, whoever wrote it.
    """
    with shipper.uploading:
        uploads = shipper.take_uploads()
        while uploads:
            try:
                put_content(store, *uploads[0])
            except StoreError:
                shipper.give_back(uploads)
                raise
            del uploads[0]


def _in_words(error: Exception, value: Any, call: Call) -> BaseException:
    """Say what is wrong with an input, in the words of the caller: ``args[0]``, not "the first of the first"."""
    if isinstance(value, FailedInput):
        return value.error
    if call != "apply" or not isinstance(error, CannotShip):
        return error
    for index, name in (("[0]", "args"), ("[1]", "kwargs")):
        if error.path.startswith(index):
            path = name + error.path.removeprefix(index)
            return CannotShip(error.what, path, error.kind, error.reason, error.kept)
    return error


def named(fn: Callable[..., Any]) -> str:
    """Return what people call a function.

    >>> named(len)
    'len'
    """
    return str(getattr(fn, "__qualname__", None) or type(fn).__name__)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def python_version() -> str:
    """Return the interpreter's minor version, as workers are compared with it."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
