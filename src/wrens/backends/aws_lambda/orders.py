"""What one invocation of the function carries: an order to run attempts.

    {"v": 1, "sent_at": 1795351234.5, "function": "wrens-py311", "invocations": [{…}, …]}
    {"v": 1, "store": "s3://lab/jobs", "key": "jobs/6b02f20a-262e7a3a/attempts/trial.5eed5eed/heartbeat"}

An order of several attempts is a **tree launch**: whoever gets it keeps the first for itself and sends the others
on in parts, so that a thousand workers start after a few dozen requests of the client's. The second form is a
**trial**: whether the function can be loaded, and may read and write the store. Decides the layout, how many
attempts make an order, and how one is divided. It is JSON because the service takes nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wrens.wire import decoders, envelope
from wrens.wire.records import VERSION, Invocation, Refusal

PAYLOAD_BYTES = 1_000_000
"""An asynchronous invocation may carry 1 MB (the service's documentation, since October 2025)."""
INLINE_BYTES = 700_000
"""An encoded invocation may be this large, for what is bytes here becomes longer by a third in JSON."""
ONE_REQUEST, FURTHER = 256 * 1024, 64 * 1024
"""How many bytes of a payload are billed as one request, and how many more as one more each."""
BESIDE = 1000
TOGETHER = 32
"""The most attempts of one order: its first worker spends about a tenth of a second on sending them on."""
BRANCHES = 4
"""In how many parts the rest of an order is sent on."""
BACKLOG = 8
"""How many times the open requests must be waiting before attempts travel together."""


class Order(msgspec.Struct, frozen=True):
    """Attempts to run.

    Args:
        v: Version of the records.
        sent_at: When the client sent it, in seconds since 1970.
        function: The function that others are to be sent to.
        invocations: The attempts; the first is the receiver's own.
    """

    v: int
    sent_at: float
    function: str
    invocations: tuple[Invocation, ...]


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks a function to read a piece of evidence that the client has left, and to write it anew."""

    v: int
    store: str
    key: str


class Answer(msgspec.Struct, frozen=True):
    """What came of a trial; ``refused`` is the error that every attempt would meet as well."""

    refused: Refusal | None = None


def encode(order: Order | Trial) -> bytes:
    """Return an order or a trial as the payload of an invocation."""
    return msgspec.json.encode(order)


def decode(event: object) -> Order | Trial:
    """Return the order, or the trial, that a function was invoked with.

    Args:
        event: The payload, as the runtime has decoded it.

    Raises:
        VersionMismatch: if a client of another version has sent it.
        msgspec.ValidationError: if it is no order.
    """
    if isinstance(event, dict) and isinstance(event.get("v"), int):
        envelope.check_version(event["v"], "the invocation")
    text = msgspec.json.encode(event)
    if isinstance(event, dict) and "invocations" in event:
        return decoders.from_json(Order, text)
    return decoders.from_json(Trial, text)


def together(backlog: int, requests: int) -> int:
    """Return how many attempts the next order should hold.

    One, as long as the client sends about as quickly as there is something to send. When many more are waiting
    than requests are open, the client is what the launch waits for, and attempts travel together.

    Args:
        backlog: How many attempts wait to be sent.
        requests: How many requests may be open at a time.

    >>> together(100, 32), together(1000, 32), together(10_000, 32)
    (1, 4, 32)
    """
    if backlog <= BACKLOG * requests:
        return 1
    return min(TOGETHER, -(-backlog // (BACKLOG * requests)))


def divided(order: Order) -> list[Order]:
    """Return what is to be sent on of an order: all but the first attempt, in at most ``BRANCHES`` parts.

    >>> order = Order(1, 0.0, "f", tuple(range(6)))
    >>> [part.invocations for part in divided(order)]
    [(1, 5), (2,), (3,), (4,)]
    """
    rest = order.invocations[1:]
    parts = (rest[i::BRANCHES] for i in range(BRANCHES))
    return [Order(order.v, order.sent_at, order.function, part) for part in parts if part]


def billed_as(order: Order) -> int:
    """Return as how many requests the service bills an order: one, and one more for each 64 KB beyond 256 KB.

    What is in the records beside the inputs is taken for ``BESIDE`` bytes each.
    """
    return requests_of(sum(BESIDE + 4 * len(one.inputs) // 3 for one in order.invocations))


def requests_of(nbytes: int) -> int:
    """Return as how many requests the service bills a payload of this size.

    >>> requests_of(1_000), requests_of(256 * 1024 + 1), requests_of(1_000_000)
    (1, 2, 13)
    """
    return 1 + max(0, -(-(nbytes - ONE_REQUEST) // FURTHER))


def order_of(invocations: Sequence[Invocation], function: str, sent_at: float) -> Order:
    """Return an order to run these attempts."""
    return Order(VERSION, sent_at, function, tuple(invocations))
