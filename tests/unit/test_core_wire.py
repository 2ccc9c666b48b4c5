"""Bytes and names that two programs agree on: envelopes, their damage, and keys."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrens.core.attempts import Batch
from wrens.core.batches import GiveUp, HandOn, Rules, Source
from wrens.core.policy import Packing
from wrens.core.verdicts import evidence_line, give_up, hand_on, likely_cause
from wrens.errors import BadOption, Cancelled, DamagedObject, TaskTimeout, VersionMismatch, WorkerLost
from wrens.serialize import rebuild_failure
from wrens.wire import decoders, envelope, keys
from wrens.wire.records import (
    VERSION,
    Child,
    End,
    Failure,
    Heartbeat,
    Invocation,
    Loss,
    Manifest,
    Page,
    Policy,
    Row,
    Sharing,
    Usage,
    Verdict,
)

FAILURE = Failure("user", "ValueError", "no", traceback="...", pickled=b"\x80", notes=("in task 1",))
VERDICT = Verdict(
    VERSION,
    "job",
    "00000007",
    "00000007.0-ab",
    0,
    9,
    ok=((0, 3), (5, 1)),
    failures=((3, FAILURE),),
    children=(Child(4, 1, 1, 0, "00000007.0.0-ab"), Child(6, 3)),
    usage=Usage(wall_s=1.5, task_s=(0.5, 1.0)),
    where="here",
    log="said",
)
PAGE = Page(VERSION, "job", 3, "ab", (Row("00000000", 0, 5, "digest", "one", 0, 100),))


def sealed(record: msgspec.Struct, *body: bytes) -> bytes:
    return b"".join(map(bytes, envelope.seal(record, body)))


# --- envelopes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [VERDICT, PAGE], ids=["verdict", "page"])
@pytest.mark.parametrize("body", [(), (b"x",), (b"one", b"", b"two"), (bytes(1000),)])
def test_what_was_sealed_is_unsealed(record: Any, body: tuple[bytes, ...]) -> None:
    found, rest = envelope.unseal(type(record), sealed(record, *body))
    assert found == record
    assert bytes(rest) == b"".join(body)


@given(st.text(max_size=300), st.binary(max_size=200))
def test_a_body_begins_at_a_multiple_of_64(log: str, body: bytes) -> None:
    record = Verdict(VERSION, "j", "b", "b.0", 0, 1, log=log)
    data = sealed(record, body or b"x")
    _, rest = envelope.unseal(Verdict, data)
    assert (len(data) - len(rest)) % envelope.ALIGN == 0
    assert bytes(rest) == (body or b"x")


@given(st.data())
def test_damage_is_named_or_harmless(data: st.DataObject) -> None:
    whole = bytearray(sealed(VERDICT, b"body" * 20))
    end = envelope.record_end(whole)
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, end - 1)) :]
    else:
        at = data.draw(st.integers(0, end - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
    # A flipped bit inside a text may still decode, as another text.
    with contextlib.suppress(DamagedObject, VersionMismatch):
        assert isinstance(envelope.unseal(Verdict, bytes(whole))[0], Verdict)
    with contextlib.suppress(DamagedObject):
        text = envelope.to_json(VERDICT)
        at = data.draw(st.integers(0, len(text) - 1))
        envelope.from_json(Verdict, text[:at] + b"\xea" + text[at + 1 :])


@pytest.mark.parametrize("data", [b"", b"wrens", b"x" * 16, b"wrens\x01\0\0" + b"\xff" * 8, bytes(100)])
def test_what_is_no_envelope_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(DamagedObject):
        envelope.unseal(Verdict, data)


def test_another_version_is_named() -> None:
    data = bytearray(sealed(VERDICT))
    data[5] = VERSION + 1
    with pytest.raises(VersionMismatch, match=rf"(?s)version {VERSION + 1}.*version {VERSION}.*Go on with"):
        envelope.unseal(Verdict, data, "the key")


def test_another_version_of_a_manifest_is_named_with_its_wrens() -> None:
    text = b'{"v": 7, "wrens": "3.1.4", "job": "what a job was in those days"}'
    with pytest.raises(
        VersionMismatch, match=r"the key was made with wrens 3\.1\.4 \(records of version 7\)"
    ):
        envelope.from_json(Manifest, text, "the key")


def test_a_record_of_another_kind_is_damage() -> None:
    with pytest.raises(DamagedObject):
        envelope.unseal(Page, sealed(VERDICT))


@pytest.mark.parametrize(
    "record",
    [
        Manifest(
            1, "j", None, "map", "f", "local", False, Policy(), 4, 0.0, "0.1", "3.11", "me@here:1", 1.0, "ab"
        ),
        End(1, "j", 3, 100, FAILURE),
        Heartbeat("b.0", 1.0, task=3),
        Loss("gone", exit_code=3, signal=None, started=False),
    ],
    ids=lambda record: type(record).__name__,
)
def test_json_records_come_back(record: Any) -> None:
    text = envelope.to_json(record)
    assert text.decode().startswith("{\n")
    assert envelope.from_json(type(record), text) == record
    with pytest.raises(DamagedObject, match="the key"):
        envelope.from_json(type(record), text[: len(text) // 2], "the key")


def test_an_invocation_is_small() -> None:
    invocation = Invocation(
        1,
        "file:///data/jobs",
        "65a1b2c3-0badcafe",
        "00000007.1",
        "00000007.1.3-ab",
        "d" * 32,
        "one",
        0,
        100,
        0,
        64,
        1000,
        0,
        Policy(timeout_s=5.0, retry_on=("builtins:OSError",), tries=3),
        Sharing(1.0, 0.05, 4),
    )
    text = msgspec.msgpack.encode(invocation)
    assert len(text) < 700
    assert decoders.from_msgpack(Invocation, text) == invocation


# --- keys -----------------------------------------------------------------------------------------------


def test_keys_sort_by_number_and_children_follow_their_parents() -> None:
    names = [keys.batch(n) for n in (0, 1, 9, 10, 99, 100, 12345)]
    assert sorted(names) == names
    assert keys.batch(1) < keys.child(keys.batch(1), 0) < keys.batch(2)
    assert keys.basename(keys.verdict("j", "00000001.2")) == "00000001.2"
    assert keys.verdict("j", "b").startswith(keys.verdicts("j"))
    assert keys.page("j", 3).startswith(keys.pages("j"))
    assert all(
        key.startswith(keys.job("j")) for key in (keys.manifest("j"), keys.end("j"), keys.attempts("j"))
    )


def test_ids_are_different_and_are_names() -> None:
    ids = {keys.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(keys.check_name(each) == each for each in ids)


@pytest.mark.parametrize("name", ["", "-a", "_a", "a/b", "a b", "a.b", "ä", "a" * 101, "a\n", "../up"])
def test_a_name_that_cannot_be_a_key_is_refused(name: str) -> None:
    with pytest.raises(BadOption, match="cannot be part of a key"):
        keys.check_name(name)


@pytest.mark.parametrize("name", ["a", "0", "Nightly-2024_01", "a" * 100])
def test_a_good_name_is_taken(name: str) -> None:
    assert keys.check_name(name) == name


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_a_digest_depends_on_the_content_only(parts: list[bytes]) -> None:
    assert keys.digest(*parts) == keys.digest(b"".join(parts)) == keys.digest(*map(memoryview, parts))
    assert len(keys.digest(*parts)) == 32


# --- verdicts of the driver -----------------------------------------------------------------------------


def batch(count: int = 2, timeout_s: float | None = None) -> Batch:
    rules = Rules(policy=Policy(timeout_s=timeout_s), packing=Packing())
    return Batch("job", "00000001", 5, count, Source("f", "one", 0, 0, 1, 0), rules)


def test_giving_up_says_what_was_seen() -> None:
    evidence = (
        Loss("x", where="local pid 7", signal=9, ran_s=1.0),
        Loss("x", where="local pid 8", signal=9, log="end"),
    )
    verdict = give_up(GiveUp(batch(), evidence, overdue=False), "me")
    assert [task for task, _ in verdict.failures] == [5, 6]
    error = rebuild_failure(verdict.failures[0][1])
    assert isinstance(error, WorkerLost)
    assert error.attempts == (
        "local pid 7: killed by signal 9 (SIGKILL) after 1 s",
        "local pid 8: killed by signal 9 (SIGKILL)",
    )
    assert "want of memory" in error.likely
    assert error.log == "end"


def test_giving_up_what_is_overdue_is_a_timeout() -> None:
    verdict = give_up(GiveUp(batch(1, timeout_s=3.0), (Loss("late"),), overdue=True), "me")
    error = rebuild_failure(verdict.failures[0][1])
    assert isinstance(error, TaskTimeout)
    assert error.timeout_s == 3.0


def test_handing_on_cancels_by_name() -> None:
    verdict = hand_on(HandOn(batch(), (6,), (Child(5, 1),)), "me")
    assert verdict.children == (Child(5, 1),)
    assert isinstance(rebuild_failure(verdict.failures[0][1]), Cancelled)
    assert verdict.where == "driver"


@pytest.mark.parametrize(
    ("losses", "guess"),
    [
        ([], ""),
        ([Loss("x", signal=11)], "compiled code"),
        ([Loss("x", signal=6)], "compiled code"),
        ([Loss("x", signal=9)], "want of memory"),
        ([Loss("x", signal=9, memory_mb=990, memory_limit_mb=1000)], "memory limit"),
        ([Loss("x", exit_code=3)], "ended the process itself"),
        ([Loss("x", exit_code=3), Loss("x", signal=9)], ""),
        ([Loss("x")], ""),
        ([Loss("x", signal=64)], ""),
    ],
)
def test_a_cause_is_guessed_from_the_evidence(losses: list[Loss], guess: str) -> None:
    found = likely_cause(losses)
    assert (guess in found) if guess else found == ""


def test_a_line_of_evidence_names_the_signal_or_the_code() -> None:
    assert evidence_line(Loss("x", exit_code=0)) == "the process ended with exit code 0"
    assert evidence_line(Loss("silent", where="far")) == "far: silent"
    assert "signal 64" in evidence_line(Loss("x", signal=64))
    assert "1011 of 1024 MB" in evidence_line(Loss("x", memory_mb=1011, memory_limit_mb=1024))
