"""The records that cross between driver, store and worker.

Each is a frozen msgspec struct; those that are stored carry ``v``, the version of this layout, which
:mod:`wrens.wire.envelope` checks before anything is decoded. Decides fields and their units, nothing about
when a record is written. A batch always is a contiguous run of tasks, ``start`` to ``start + count - 1``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

VERSION = 1

Call = Literal["one", "star", "apply"]
"""How an input becomes a call: ``f(x)``, ``f(*x)``, or ``f(*x[0], **x[1])``."""


class Policy(Struct, frozen=True, omit_defaults=True):
    """What a worker has to know of the user's options.

    ``timeout_s`` limits one task; ``retry_on`` names exception types (``module:qualname``) whose failures
    are handed on to be run again, up to ``tries`` calls of the task in all. ``memory_mb`` is the worker's
    limit, where the backend can hold it.
    """

    timeout_s: float | None = None
    retry_on: tuple[str, ...] = ()
    tries: int = 1
    memory_mb: int | None = None


class PackingRule(Struct, frozen=True):
    """The user's wishes about the size of batches, for a client that attaches; see :class:`wrens.Packing`."""

    size: int | None
    target_s: float
    most: int


class BackupRule(Struct, frozen=True):
    """When the user calls an attempt slow, for a client that attaches; see :class:`wrens.Backup`."""

    slowness: float
    after: float


class Sharing(Struct, frozen=True, omit_defaults=True):
    """When a worker hands on the rest of a batch that turned out long, so that others can share it.

    After ``after_s`` seconds the worker settles what it has finished and hands on what it has not begun, in
    pieces that should take ``target_s`` each and of which there are at least ``ways`` (the number of
    workers that might take one). ``after_s`` of ``None`` means never.
    """

    after_s: float | None = None
    target_s: float = 0.05
    ways: int = 1


class Manifest(Struct, frozen=True, omit_defaults=True):
    """What is known of a job from its first moment on. Stored as JSON, to be read by people too."""

    v: int
    job: str
    name: str | None
    kind: Literal["map", "submit"]
    function: str
    """The function's name for people; its digest is in the pages."""
    backend: str
    keep: bool
    policy: Policy
    lost_tries: int
    """How often a task may be begun when its worker is lost each time."""
    backoff_s: float
    wrens: str
    python: str
    made_by: str
    """``user@host:pid`` of the client."""
    made_at: float
    """Seconds since 1970."""
    driver: str
    """Id of the driver that made the job."""
    initializer: str = ""
    """Digest of the function that each worker calls first, or empty."""
    packing: PackingRule | None = None
    backup: BackupRule | None = None
    made: str = ""
    """Tells this job from earlier ones of the same name: 8 random digits, which all its records repeat."""
    environment: str = ""
    """Digest of the packages that its first batches run with, or empty; each batch's own is in its page."""


class Row(Struct, frozen=True, array_like=True):
    """One batch of a page. ``offset`` and ``length`` are those of its packed inputs in the page's body.

    ``digest`` is that of the packed inputs, in a store that is signed: who reads only them cannot check the
    signature of the page.
    """

    batch: str
    start: int
    count: int
    function: str
    call: Call
    offset: int
    length: int
    digest: bytes = b""
    environment: str = ""
    """Digest of the packages that workers need for it, or empty."""


class Page(Struct, frozen=True, omit_defaults=True):
    """A table of batches; the packed inputs follow it in the same object."""

    v: int
    job: str
    number: int
    driver: str
    rows: tuple[Row, ...]
    made: str = ""


class End(Struct, frozen=True, omit_defaults=True):
    """No more pages will come. Stored as JSON.

    ``failure`` tells why the inputs stopped early (the user's generator raised); ``tasks`` counts what
    there is.
    """

    v: int
    job: str
    pages: int
    tasks: int
    failure: Failure | None = None
    made: str = ""


class Child(Struct, frozen=True, array_like=True):
    """A batch that a verdict hands on. Its name is that of the parent, a dot, and its place in the list.

    ``tries`` counts calls of its tasks that ended in an exception, ``losses`` those that ended with their
    worker. ``running_in`` names the attempt that goes on with this child itself.
    """

    start: int
    count: int
    tries: int = 0
    losses: int = 0
    running_in: str = ""


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a task has no result.

    ``pickled`` is the exception itself, when it could be pickled; ``type_name``, ``message`` and
    ``traceback`` are text and always there. ``kind`` tells whose it is.
    """

    kind: Literal["user", "system", "cancelled"]
    type_name: str
    message: str
    traceback: str = ""
    pickled: bytes = b""
    notes: tuple[str, ...] = ()


class Requests(Struct, frozen=True, omit_defaults=True):
    """Requests to a store by class, and the bytes that came from it and went to it.

    ``puts`` are PUT, COPY and POST requests, ``gets`` are GET and HEAD requests; tries that failed are among them.

    >>> Requests(puts=2, bytes_written=10) + Requests(gets=1) - Requests(puts=1)
    Requests(puts=1, gets=1, bytes_written=10)
    """

    puts: int = 0
    gets: int = 0
    lists: int = 0
    deletes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def __add__(self, other: Requests) -> Requests:
        """Return both together."""
        return Requests(
            self.puts + other.puts,
            self.gets + other.gets,
            self.lists + other.lists,
            self.deletes + other.deletes,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.puts + self.gets + self.lists + self.deletes > 0

    def __sub__(self, other: Requests) -> Requests:
        """Return what is left without the others."""
        return Requests(*(getattr(self, name) - getattr(other, name) for name in self.__struct_fields__))

    def __repr__(self) -> str:
        """Show what there is."""
        told = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return f"Requests({', '.join(f'{name}={value}' for name, value in told if value)})"


class Metered(Struct, frozen=True, omit_defaults=True):
    """By what a platform bills the invocation that runs an attempt; its worker's host tells.

    ``since`` is from when on, in seconds since 1970. ``invocations`` is as how many the platform counts it.
    ``requests`` are those that the host has made before the attempt; it makes one more GET each ``look_s``.
    """

    memory_mb: int
    since: float
    machine: str = ""
    invocations: int = 1
    look_s: float = 0.0
    requests: Requests = Requests()


class Usage(Struct, frozen=True, omit_defaults=True):
    """What an attempt used. Seconds, megabytes (10**6) and bytes; zero means not known."""

    began_at: float = 0.0
    """Seconds since 1970 on the worker's clock."""
    wall_s: float = 0.0
    setup_s: float = 0.0
    """Of ``wall_s``, the time to fetch the function and the inputs."""
    cpu_s: float = 0.0
    peak_memory_mb: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    task_s: tuple[float, ...] = ()
    """Duration of each task that was run, in order; empty when they are too short to be worth it."""
    billed_s: float = 0.0
    """Time that the platform bills, where it bills time; that after this was written is missing."""
    billed_mb: int = 0
    """The memory size by which it bills, in 2**20 bytes."""
    machine: str = ""
    """Of such a worker: ``x86_64`` or ``aarch64``."""
    invocations: int = 0
    """Invocations that it bills for this; what goes on in an invocation under another name has none."""
    requests: Requests | None = None
    """Requests to buckets by this worker and its host, those with the user's own data included; ``None`` where the
    client counts them, or where there were none."""
    unbilled: Requests | None = None
    """The same to directories, which nobody bills."""
    fetch_s: float = 0.0
    """Of ``setup_s``, the time to read and unpickle the inputs."""


class Verdict(Struct, frozen=True, omit_defaults=True):
    """The one record that settles a batch; the packed results follow it in the same object.

    Every task of the batch is in exactly one of ``ok`` (ranges ``(start, count)``, in order, whose results
    are the items of the pack in the same order), ``failures`` and ``children``.
    """

    v: int
    job: str
    batch: str
    attempt: str
    """``<batch>.<k>`` of the attempt that wrote it; read back to tell one's own object from another's."""
    start: int
    count: int
    ok: tuple[tuple[int, int], ...] = ()
    failures: tuple[tuple[int, Failure], ...] = ()
    children: tuple[Child, ...] = ()
    usage: Usage = Usage()
    where: str = ""
    """The worker, as its backend calls it."""
    log: str = ""
    """The last characters that the tasks wrote to stdout and stderr."""
    made: str = ""
    """As in the job's manifest."""


class Invocation(Struct, frozen=True, omit_defaults=True):
    """All that a worker is handed: which attempt of which batch, and where to read the rest.

    ``offset`` and ``length`` are absolute in the page's object and cover the root batch's pack, whose
    first item belongs to task ``origin``. ``inputs`` is that pack itself, when it is small enough.
    ``look_first`` asks the worker to make sure that there is no verdict yet before it runs the first task.
    """

    v: int
    store: str
    job: str
    batch: str
    attempt: str
    function: str
    call: Call
    start: int
    count: int
    page: int
    offset: int
    length: int
    origin: int
    policy: Policy
    sharing: Sharing = Sharing()
    inputs: bytes = b""
    initializer: str = ""
    """Digest of a function to be called once in each worker before its first task."""
    tries: int = 0
    losses: int = 0
    look_first: bool = False
    stop_at: float | None = None
    """Seconds since 1970 by which the worker must have committed, on a backend that ends it then."""
    unheard: bool = False
    """Nobody hears this worker but through the store: it says there that it goes on under another name."""
    made: str = ""
    """As in the job's manifest."""
    digest: bytes = b""
    """That of the root batch's pack, where the store is signed."""
    environment: str = ""
    """Digest of the packages that must be importable before anything is unpickled, or empty."""
    metered: Metered | None = None
    """How the platform bills it; the worker's host adds this."""
    late_at: float | None = None
    """Seconds since 1970 from when on a first task is not begun without looking, as with ``look_first``."""


class Heartbeat(Struct, frozen=True, omit_defaults=True):
    """A sign of life of an attempt. Stored as JSON; evidence, so it may be overwritten."""

    attempt: str
    at: float
    task: int = -1
    memory_mb: float = 0.0
    cpu_s: float = 0.0
    where: str = ""


class Refusal(Struct, frozen=True):
    """The error for which a worker cannot do what it was asked, although the task has done it no harm.

    ``error`` is the name of a class of :mod:`wrens.errors`, ``facts`` its arguments.
    """

    error: str
    facts: tuple[str, ...]


class Loss(Struct, frozen=True, omit_defaults=True):
    """What is known of an attempt that left no verdict. Stored as JSON as evidence.

    ``exit_code`` is the process's, ``signal`` its number when one ended it; ``task`` is the one that was
    running, or -1; ``memory_mb`` the last reading, against ``memory_limit_mb`` when one is known.
    ``reason`` says in words what the backend saw.
    """

    reason: str
    attempt: str = ""
    where: str = ""
    exit_code: int | None = None
    signal: int | None = None
    task: int = -1
    ran_s: float = 0.0
    memory_mb: float = 0.0
    memory_limit_mb: float = 0.0
    log: str = ""
    refused: Refusal | None = None
    """What another try would end with as well: the store takes no verdict, the versions
    do not fit, no worker can be started."""
    started: bool = True
    """Whether a worker is known to have begun it; a loss before that is nobody's fault."""
    billed_s: float = 0.0
    """Time that the platform bills for it; zero where it bills none, or nobody knows. So are those that follow."""
    billed_mb: int = 0
    machine: str = ""
    invocations: int = 0


class Account(Struct, frozen=True, omit_defaults=True):
    """What one driver has asked for a job. Stored as JSON; evidence, so it may be overwritten.

    ``shared`` are requests that belong to no job, such as those for functions, since the driver wrote its last account.
    ``launched`` counts the attempts that it gave to its backend.
    """

    driver: str
    at: float
    launched: int = 0
    requests: Requests = Requests()
    shared: Requests = Requests()


class ResultRef(Struct, frozen=True):
    """Where a task's result is: what a ``Future`` turns into among the inputs of another task."""

    store: str
    job: str
    batch: str
    task: int
    made: str = ""


class JobRef(Struct, frozen=True):
    """Where all results of a job are: what a whole job turns into among the inputs of a task.

    ``runs`` has the batch, first task and count of each run of tasks whose results lie side by side, in order.
    """

    store: str
    job: str
    made: str
    runs: tuple[tuple[str, int, int], ...]


class ValueRef(Struct, frozen=True):
    """Where a shared value is: what ``ex.put`` returns turns into among inputs."""

    store: str
    digest: str


class EnvironmentRecord(Struct, frozen=True):
    """The head of an environment: packages for workers that have none; a zip of their files follows it.

    ``platform`` is one such as ``"x86_64-manylinux_2_34"``. ``packages`` are ``name==version``, ``modules``
    the names that can be imported. ``nbytes`` is what the files take up on a disk.
    """

    v: int
    python: str
    platform: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    nbytes: int


class EnvironmentUse(Struct, frozen=True):
    """When a client last relied on an environment, in seconds since 1970. Stored as JSON, and overwritten."""

    at: float
