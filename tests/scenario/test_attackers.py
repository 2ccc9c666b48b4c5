"""Somebody who can write to the store, and has no signing key, runs no code and passes off no result.

Each test plays one attack against a client with real worker processes, on a directory that others may write to and
on an emulated S3. What the attacker plants would make a file if anybody unpickled it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ledger import doze, until

import wrens
from wrens.clock import SystemClock
from wrens.core import reading
from wrens.errors import BadSignature, DamagedObject, ForeignRecord, WrensError
from wrens.report import cleaning
from wrens.serialize import pack
from wrens.store import Store, open_store
from wrens.store.signed import HEADER, SignedStore
from wrens.store.signing_keys import SigningKey
from wrens.wire import envelope, keys
from wrens.wire.records import Heartbeat, Loss, Verdict

if TYPE_CHECKING:
    from emulators import Server

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.this_computer("attacks files, and a bucket of its own"),
]
BOUND_S = 30.0
BIG = 200_000
"""Bytes of an input that no invocation carries."""


class Scene:
    """A store to which an attacker may write, and what the attacker has."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.mine = open_store(url)
        self.plain = open_store(url + ("&" if "?" in url else "?") + "signed=no")
        self.strange = SignedStore(self.plain, SigningKey(b"strange!" * 4, "elsewhere"))
        self.folder = folder
        self.hole = folder / "hole"
        """Made by whoever unpickles the attacker's object."""
        self.gate = folder / "gate"
        assert isinstance(self.mine, SignedStore)
        assert not isinstance(self.plain, SignedStore)

    def swap(self, key: str, data: bytes) -> None:
        """Put bytes in the place of an object, which may be there already."""
        self.plain.put(key, data, mode="replace")

    def raw(self, key: str) -> bytes:
        return bytes(self.plain.get(key))

    def bomb(self) -> list[Any]:
        return pack([Bomb(self.hole)], what=str).buffers

    def forged(self, batch: str = "00000000", job: str = "job", **facts: Any) -> list[Any]:
        """Return a verdict whose results nobody may unpickle."""
        verdict = Verdict(1, job, batch, f"{batch}.0-5c9e6960", 0, 1, ok=((0, 1),), **facts)
        return envelope.seal(verdict, self.bomb())

    def unharmed(self, error: BaseException, *words: str) -> None:
        """Check that nothing was unpickled, and that the error says what is needed."""
        assert not self.hole.exists(), "the attacker's code has run"
        told = str(error)
        for word in ("Nothing of it was unpickled", *words):
            assert word in told, told

    def no_task_was_blamed(self, job: str = "job") -> None:
        for key in self.mine.list(keys.verdicts(job)):
            try:
                verdict, _ = reading.read_verdict(self.mine, job, keys.basename(key))
            except WrensError:
                continue  # the attacker's
            assert not verdict.failures


def wrens_command(words: list[str]) -> int:
    """Run the command; its modules are not for the workers, which import this one."""
    from wrens.cli.app import run

    return run(words)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.path,))

    def __call__(self, *_: Any) -> None:
        raise AssertionError("the attacker's function was called")


@pytest.fixture(params=["directory", "s3"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    if request.param == "directory":
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        url = shared.as_uri()
    else:
        server: Server = request.getfixturevalue("aws")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        url = server.make_bucket("attacked") + f"/{tmp_path.name}"
    return Scene(url, tmp_path)


def executor(scene: Scene, **changes: Any) -> wrens.Executor:
    chosen: dict[str, Any] = {"name": "job", "packing": wrens.Packing(size=1), "retry": wrens.Retry(lost=1)}
    return wrens.Executor(store=scene.url, max_workers=1).options(**chosen | changes)


def double(x: Any) -> Any:
    return x + x


def triple(x: Any) -> Any:
    return x + x + x


def through(gate: Path) -> Callable[[Any], Any]:
    """Return a task that waits at a gate with its first input."""

    def task(x: Any) -> int:
        if x[:1] == b"0":
            Path(f"{gate}.reached").touch()
            for _ in range(3000):
                if gate.exists():
                    break
                doze(0.01)
        return len(x)

    return task


def finished(
    scene: Scene, fn: Callable[[Any], Any] = double, inputs: Any = (1, 2, 3), **changes: Any
) -> None:
    """Let a job be finished and kept."""
    with executor(scene, **changes) as ex:
        assert ex.map_async(fn, inputs).results(BOUND_S) == list(map(fn, inputs))


def attached(scene: Scene, job: str = "job") -> list[Any]:
    return wrens.attach(job, store=scene.url, max_workers=1).results(BOUND_S)


# --- verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True])
def test_a_forged_verdict_is_refused_by_the_client_that_waits(scene: Scene, *, signed: bool) -> None:
    writer: Store = scene.strange if signed else scene.plain
    writer.put(keys.verdict("job", "00000000"), scene.forged())
    with executor(scene) as ex, pytest.raises(BadSignature) as caught:
        ex.map_async(double, [1]).results(BOUND_S)
    scene.unharmed(caught.value, "jobs/job/verdicts/00000000", "another key" if signed else "no signature")


@pytest.mark.parametrize("signed", [False, True])
def test_a_forged_verdict_is_refused_by_who_attaches(scene: Scene, *, signed: bool) -> None:
    finished(scene)
    writer: Store = scene.strange if signed else scene.plain
    writer.put(keys.verdict("job", "00000001"), scene.forged("00000001"), mode="replace")
    with pytest.raises(BadSignature) as caught:
        attached(scene)
    scene.unharmed(caught.value, "jobs/job/verdicts/00000001")


def test_a_verdict_of_another_job_is_refused(scene: Scene) -> None:
    finished(scene, name="other")
    scene.swap(keys.verdict("job", "00000000"), scene.raw(keys.verdict("other", "00000000")))
    with executor(scene) as ex, pytest.raises(BadSignature) as caught:
        ex.map_async(triple, [1]).results(BOUND_S)
    scene.unharmed(caught.value, "its bytes or its place")


def test_a_verdict_of_another_batch_is_refused(scene: Scene) -> None:
    finished(scene)
    scene.swap(keys.verdict("job", "00000001"), scene.raw(keys.verdict("job", "00000000")))
    with pytest.raises(BadSignature) as caught:
        attached(scene)
    scene.unharmed(caught.value, "its bytes or its place")


def test_what_an_earlier_job_of_this_name_has_left_is_refused(scene: Scene) -> None:
    finished(scene, double)
    old = {key: scene.raw(key) for key in scene.plain.list(keys.job("job"))}
    scene.plain.delete(old)
    with executor(scene) as ex:
        scene.swap(keys.verdict("job", "00000000"), old[keys.verdict("job", "00000000")])
        with pytest.raises(ForeignRecord) as caught:
            ex.map_async(triple, [1, 2, 3]).results(BOUND_S)
        scene.unharmed(caught.value, "another job of the same name", "wrens clean --job")
    for key in (keys.page("job", 0), keys.end("job"), keys.verdict("job", "00000002")):
        scene.plain.delete(scene.plain.list(keys.job("job")))
        finished(scene, triple)
        scene.swap(key, old[key])
        with pytest.raises(ForeignRecord) as caught:
            attached(scene)
        scene.unharmed(caught.value, key)


def test_a_worker_refuses_the_result_of_another_task_when_it_was_forged(scene: Scene) -> None:
    with executor(scene) as ex:
        first = ex.submit(double, 4)
        assert first.result(BOUND_S) == 8
        scene.swap(keys.verdict("job", "00000000"), b"".join(map(bytes, scene.forged())))
        with pytest.raises(BadSignature) as caught:
            ex.submit(double, first).result(BOUND_S)
    scene.unharmed(caught.value, "local worker")
    scene.no_task_was_blamed()


def test_a_worker_refuses_the_result_of_an_earlier_job_of_this_name(scene: Scene) -> None:
    with executor(scene) as ex:
        assert ex.submit(double, 50).result(BOUND_S) == 100
    old = scene.raw(keys.verdict("job", "00000000"))
    scene.plain.delete(list(scene.plain.list(keys.job("job"))))
    with executor(scene) as ex:
        first = ex.submit(double, 4)
        assert first.result(BOUND_S) == 8
        scene.swap(keys.verdict("job", "00000000"), old)
        with pytest.raises(ForeignRecord) as caught:
            ex.submit(double, first).result(BOUND_S)
    scene.unharmed(caught.value)


# --- inputs, functions, values -----------------------------------------------------------------------


def _at_the_gate(scene: Scene, attack: Callable[[], None]) -> BaseException:
    """Let a job run, attack when its first task is running and the second has not been read, and return its end."""
    inputs = [b"%d" % n * BIG for n in range(3)]
    with executor(scene) as ex:
        job = ex.map_async(through(scene.gate), inputs)
        until(Path(f"{scene.gate}.reached").exists, BOUND_S, "the first task has begun")
        attack()
        scene.gate.touch()
        with pytest.raises(WrensError) as caught:
            job.results(BOUND_S)
        assert job[0].result(BOUND_S) == BIG, "what was settled before is kept"
    scene.no_task_was_blamed()
    return caught.value


@pytest.mark.parametrize("how", ["one byte", "a bomb"])
def test_a_worker_refuses_a_page_that_was_changed(scene: Scene, how: str) -> None:
    key = keys.page("job", 0)

    def attack() -> None:
        page = bytearray(scene.raw(key))
        at = page.index(b"1" * 1000)
        if how == "one byte":
            page[at] = ord("x")
        else:
            bomb = b"".join(map(bytes, scene.bomb()))
            begin = page.rindex(b"pack", 0, at)
            page[begin : begin + len(bomb)] = bomb
        scene.swap(key, bytes(page))

    scene.unharmed(_at_the_gate(scene, attack), key, "the inputs of batch 00000001", "local worker")


def test_the_client_refuses_a_page_that_was_changed(scene: Scene) -> None:
    finished(scene)
    page = bytearray(scene.raw(keys.page("job", 0)))
    page[80] ^= 1
    scene.swap(keys.page("job", 0), bytes(page))
    with pytest.raises(BadSignature) as caught:
        attached(scene)
    scene.unharmed(caught.value, "pages/00000000")


@pytest.mark.parametrize("how", ["another of the user's", "a bomb", "a bomb under another key"])
def test_a_worker_refuses_a_function_that_was_swapped(scene: Scene, how: str) -> None:
    finished(scene, double)
    finished(scene, triple, name="other")
    page, _ = reading.read_page(scene.mine, "job", 0)
    other, _ = reading.read_page(scene.mine, "other", 0)
    key = keys.function(page.rows[0].function)
    if how == "another of the user's":
        scene.swap(key, scene.raw(keys.function(other.rows[0].function)))
    else:
        from wrens.serialize import Shipper

        shipper = Shipper()
        shipper.function(Bomb(scene.hole))
        ((_, buffers),) = shipper.take_uploads()
        writer: Store = scene.strange if "key" in how else scene.plain
        writer.put(key, buffers, mode="replace")
    verdict = keys.verdict("job", "00000001")
    scene.plain.delete([verdict])
    with pytest.raises(BadSignature) as caught:
        attached(scene)
    scene.unharmed(caught.value, key, "local worker")
    assert verdict not in set(scene.plain.list(keys.verdicts("job"))), "the task can still be run"
    scene.no_task_was_blamed()


def test_a_worker_refuses_a_shared_value_that_was_changed(scene: Scene) -> None:
    with executor(scene) as ex:
        assert ex.submit(double, 1).result(BOUND_S) == 2
        shared = ex.put([1, 2, 3])
        (key,) = scene.plain.list("values/")
        scene.swap(key, b"".join(map(bytes, scene.bomb())))
        with pytest.raises(BadSignature) as caught:
            ex.submit(double, shared).result(BOUND_S)
    scene.unharmed(caught.value, key, "local worker")
    scene.no_task_was_blamed()


def test_a_worker_refuses_an_initializer_that_was_swapped(scene: Scene) -> None:
    with wrens.Executor(store=scene.url, max_workers=1, initializer=print) as ex:
        for key in list(scene.plain.list("functions/")):
            scene.swap(key, b"".join(map(bytes, scene.bomb())))
        with pytest.raises(BadSignature) as caught:
            ex.submit(double, 1).result(BOUND_S)
    scene.unharmed(caught.value, "functions/")


# --- what a job says of itself -----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["manifest", "end"])
def test_a_changed_record_is_refused(scene: Scene, what: str) -> None:
    finished(scene)
    key = f"jobs/job/{what}"
    changed = scene.raw(key).replace(b'"tasks": 3', b'"tasks": 2').replace(b'"tries": 1', b'"tries": 7')
    changed = changed.replace(b'"lost_tries": 1', b'"lost_tries": 9')
    assert changed != scene.raw(key)
    for forged in (changed, changed[HEADER:]):
        scene.swap(key, forged)
        with pytest.raises(BadSignature) as caught:
            attached(scene)
        scene.unharmed(caught.value, key)


def test_a_job_whose_page_was_taken_away_is_not_taken_for_a_shorter_one(scene: Scene) -> None:
    finished(scene)
    scene.plain.delete([keys.page("job", 0)])
    with pytest.raises(DamagedObject, match="3 tasks"):
        attached(scene)


def test_evidence_of_strangers_is_ignored(scene: Scene) -> None:
    finished(scene)
    loss = envelope.to_json(Loss("it was lost", attempt="00000000.1-5c9e6960"))
    beat = envelope.to_json(Heartbeat("driver.5c9e6960", 9e12))
    for writer in (scene.plain, scene.strange):
        writer.put(keys.evidence("job", "00000000.1-5c9e6960", "loss"), loss, mode="replace")
        writer.put(keys.evidence("job", "driver.5c9e6960", "heartbeat"), beat, mode="replace")
        writer.put(keys.driver("5c9e6960"), beat, mode="replace")
        assert reading.losses(scene.mine, "job") == []
        assert reading.driver_beat(scene.mine, "job", "5c9e6960") is None
        assert "5c9e6960" not in reading.drivers(scene.mine)
    assert attached(scene) == [2, 4, 6]


def test_the_command_line_names_what_it_does_not_trust(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(scene)
    finished(scene, name="sound")
    scene.swap(keys.verdict("job", "00000000"), b"".join(map(bytes, scene.forged())))
    scene.swap(keys.end("planted"), b"{}")
    assert wrens_command(["jobs", "--store", scene.url]) == 0
    told = capsys.readouterr()
    rows = {words[0]: words for words in map(str.split, told.out.splitlines()) if words}
    assert rows["sound"][2] == "done"
    assert any(words[:4] == ["job", "?", "not", "trusted"] for words in map(str.split, told.out.splitlines()))
    assert "it carries no signature" in told.err
    assert wrens_command(["show", "job", "--store", scene.url]) == 2
    later = SystemClock().wall() + 2 * cleaning.QUIET_S
    ((chosen,), _) = cleaning.choose(scene.mine, now=later, job="job")
    assert chosen.state == "not trusted"
    assert not cleaning.delete(scene.mine, "job", now=later)
    assert not list(scene.plain.list(keys.job("job")))
    assert not cleaning.sweep(scene.mine, now=later).reason
    assert attached(scene, "sound") == [2, 4, 6]


# --- keys --------------------------------------------------------------------------------------------


def test_another_key_is_named_with_the_place_of_ones_own(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(scene)
    assert wrens_command(["key"]) == 0
    theirs = capsys.readouterr().out.split()[1]
    assert wrens_command(["key", "--export"]) == 0
    exported = capsys.readouterr().out.strip()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(scene.folder / "elsewhere"))
    assert wrens_command(["key"]) == 0
    ours = capsys.readouterr().out.split()[1]
    with pytest.raises(BadSignature) as caught:
        attached(scene)
    scene.unharmed(caught.value, theirs, ours, str(scene.folder / "elsewhere/wrens/signing-key"), "--export")
    assert exported not in str(caught.value)
    monkeypatch.setenv("WRENS_SIGNING_KEY", exported)
    assert attached(scene) == [2, 4, 6]
    for key in scene.plain.list(""):
        assert exported.encode() not in scene.raw(key)
        assert bytes.fromhex(exported) not in scene.raw(key)


def test_a_job_on_a_signed_store_is_like_any_other(scene: Scene) -> None:
    """Large and small inputs, values, references, batches that are handed on: all is read through signatures."""
    inputs = [b"%d" % (n % 10) * (BIG if n % 7 == 0 else 10) for n in range(40)]
    with wrens.Executor(store=scene.url, max_workers=2) as ex:
        job = ex.options(name="job").map_async(slowly, inputs)
        shared = ex.put(b"x" * BIG)
        sizes = [ex.submit(len, shared) for _ in range(3)]
        assert sum(ex.submit(sum, [sizes[0], 1]).result(BOUND_S) for _ in range(2)) == 2 * BIG + 2
        assert job.results(BOUND_S) == list(map(len, inputs))
    children = [key for key in scene.plain.list(keys.verdicts("job")) if "." in keys.basename(key)]
    assert children, "some batch was handed on, so that a part of a pack was read"
    assert wrens.attach("job", store=scene.url).results(BOUND_S) == list(map(len, inputs))


def slowly(x: bytes) -> int:
    doze(0.06)
    return len(x)
