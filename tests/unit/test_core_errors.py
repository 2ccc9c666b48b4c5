"""Every exception pickles with its facts and its sentence, and says what to do next."""

from __future__ import annotations

import concurrent.futures
import copy
import inspect
import pickle  # noqa: TID251 - errors travel
from typing import Any

import pytest

from wrens import errors
from wrens.errors import JobFailed, WrensError

FACTS: dict[str, tuple[Any, ...]] = {
    "WrensError": ("something",),
    "BadOption": ("timeout=", "must be positive, not -1", "It is in seconds."),
    "UnknownBackend": ("lokal", ("inline", "local")),
    "UnknownJob": ("nightly", "file:///data"),
    "CannotShip": (
        "the function f",
        "closure variable db",
        "sqlite3.Connection",
        "no pickle",
        "Nothing was sent.",
    ),
    "Cancelled": ("job", 3),
    "VersionMismatch": ("Python", "3.12", "3.11", "job j", "local worker 7"),
    "CannotStart": ("local worker 7: exit code 1", "no module named encodings"),
    "InitializerFailed": ("connect", "Traceback: no route"),
    "BadSignature": ("jobs/j/end", "s3://lab", "it carries no signature", "Look who writes.", "worker 7"),
    "BadSigningKey": ("the variable", "is not 64 hexadecimal digits", "'wrens key' prints one."),
    "ForeignRecord": ("jobs/j/end", "s3://lab", "0a1b2c3d", "4e5f6071"),
    "BackendError": ("lambda", "there is no function wrens-py311", "ResourceNotFoundException", "Make it."),
    "ServiceError": (
        "iam",
        "GetRole",
        "AccessDenied",
        "not authorized to perform: iam:GetRole",
        "Ask for it.",
    ),
    "NotOurs": ("the function wrens-py311", "It lacks the tag wrens=1.", "Use another --name."),
    "CannotDeploy": ("create role x", "iam:CreateRole was refused", "Ask for it.", "Nothing was changed."),
    "BadEnvironment": ("no packages",),
    "MissingModule": ("scipy", "the function fit", "the environment that was asked for"),
    "WrongPython": ("3.12", "3.11", "lambda"),
    "CannotResolve": (("a==1", "b==2"), "x86_64-manylinux_2_34", "a needs b<2"),
    "NoWheel": (("a==1",), "x86_64-manylinux_2_34", "a has wheels for win_amd64 only"),
    "EnvironmentTooLarge": (900_000_000, 500_000_000, ("torch (800 MB)",), "a worker of 'lambda'"),
    "BadData": ("s3://lab/words.txt", 1234, "b'\\xff' is not utf-8", "Name the encoding."),
    "BadMessage": (3, 7, "sent a message to partition 9, which does not exist", "There are 4, from 0 to 3."),
    "BadValue": ("visits", "cannot be used so: value is not an integer"),
    "BadUpdate": ("weights", "has 40 rows from 0 on, and row 40 was asked for", "Count from 0."),
    "ShardLost": ("redis://127.0.0.1", "it does not answer", "Restore a checkpoint."),
    "ShardFull": ("redis://127.0.0.1", "large"),
    "WorkersStalled": (3, {0: 3, 1: 2}, 60.0, 1),
    "BadPair": ("('a', 1, 2)", "is no pair", "Return tuples of two."),
    "MissingPackage": ("pyarrow", "Parquet files", "pip install 'wrens[data]'"),
    "NoData": ("s3://lab/*.txt", "no object matches", "Look at the address."),
    "ExchangeLost": ("redis://127.0.0.1", "wrens/jobs/j/exchange/1/0", "it is not there any more"),
    "BadShard": ("redis://127.0.0.1", "it does not answer", "Look at the address."),
    "TargetTaken": ("/data/out", "/data/out/part-00000", "Name another place."),
    "WorkerLost": ("job", 7, ("local: killed", "local: killed again"), "memory", "last words"),
    "TaskTimeout": ("job", 7, 1.5, 'File "x.py", line 3'),
    "RemoteError": ("mypkg.Refused", "no", "it could not be pickled"),
    "JobFailed": ("job", {1: ValueError("a"), 4: KeyError("b")}, {0: "x", 2: None}),
    "JobIncomplete": ("job", 2, {0: 1, 1: None}),
    "DamagedObject": ("jobs/j/end", "cut off"),
}
STORE_FACTS = ("put", "jobs/j/end", "file:///data", "disk quota exceeded")
CLASSES = [getattr(errors, name) for name in errors.__all__]


def example(kind: type[WrensError]) -> WrensError:
    facts = STORE_FACTS if issubclass(kind, errors.StoreError) else FACTS[kind.__name__]
    return kind(*facts)


def test_all_names_every_exception() -> None:
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert found == set(errors.__all__)
    assert list(errors.__all__) == sorted(errors.__all__)
    assert all(issubclass(kind, WrensError) for kind in CLASSES)


def test_the_drawing_of_the_tree_is_complete() -> None:
    drawn = errors.__doc__ or ""
    for kind in CLASSES:
        assert kind.__name__ in drawn
    for kind, parent in (
        (errors.BadOption, ValueError),
        (errors.UnknownJob, LookupError),
        (errors.CannotShip, TypeError),
        (errors.Cancelled, concurrent.futures.CancelledError),
        (errors.ObjectMissing, FileNotFoundError),
        (errors.AlreadyExists, FileExistsError),
        (errors.StoreDenied, PermissionError),
        (errors.StoreUnavailable, ConnectionError),
        (errors.StoreError, OSError),
        (errors.BadStoreURL, ValueError),
        (errors.TaskTimeout, TimeoutError),
        (errors.InitializerFailed, concurrent.futures.BrokenExecutor),
        (errors.MissingModule, ImportError),
        (errors.JobFailed, ExceptionGroup),
    ):
        assert issubclass(kind, parent)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_every_exception_pickles_with_the_same_text(kind: type[WrensError], protocol: int) -> None:
    error = example(kind)
    error.add_note("in task 3")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert str(again) == str(error)
    assert {k: repr(v) for k, v in vars(again).items()} == {k: repr(v) for k, v in vars(error).items()}
    assert str(pickle.loads(pickle.dumps(again))) == str(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_can_be_copied(kind: type[WrensError]) -> None:
    error = example(kind)
    assert str(copy.copy(error)) == str(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_says_its_facts(kind: type[WrensError]) -> None:
    text = str(example(kind))
    facts = STORE_FACTS if issubclass(kind, errors.StoreError) else FACTS[kind.__name__]
    for fact in facts:
        if isinstance(fact, str):
            assert fact in text


@pytest.mark.parametrize("kind", [k for k in CLASSES if k != errors.JobFailed])
def test_every_exception_can_be_made_from_the_least(kind: type[WrensError]) -> None:
    parameters = inspect.signature(kind.__init__).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD][1:]
    error = kind(
        *(1.0 if p.name == "timeout_s" else 1 if p.name in {"task", "known"} else "x" for p in needed)
    )
    assert str(error) or kind in {WrensError, errors.BadEnvironment}
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_near_name_is_suggested() -> None:
    assert "did you mean 'local'" in str(errors.UnknownBackend("lokal", ["local", "inline"]))
    assert "did you mean" not in str(errors.UnknownBackend("zzz", ["local", "inline"]))


def test_a_worker_lost_tells_its_attempts() -> None:
    text = str(errors.WorkerLost("j", 7, ["first", "second"], "memory", "the end"))
    assert "all 2 attempts" in text
    assert "attempt 1: first" in text
    assert "attempt 2: second" in text
    assert "Likely cause (a guess): memory" in text
    assert "the end" in text
    assert "its only attempt" in str(errors.WorkerLost("j", 7, ["first"]))


def test_a_thousand_failures_read_as_their_causes() -> None:
    kinds = [ValueError, KeyError, TypeError, OSError, IndexError, RuntimeError, MemoryError]
    failures = {i: kinds[i % 7](i) if i % 2 else ValueError(i) for i in range(1000)}
    error = JobFailed("j", failures, {i: i for i in range(1000, 3000)})
    text = str(error)
    assert "1000 of 3000 tasks of job j failed; 2000 results are kept" in text
    assert "× ValueError" in text
    assert "and 2 more kinds" in text
    assert len(text) < 300
    assert len(error.exceptions) == 1000


def test_a_job_failed_can_be_split() -> None:
    error = example(JobFailed)
    assert isinstance(error, JobFailed)
    match, rest = error.split(ValueError)
    assert match is not None
    assert rest is not None
    assert [type(e) for e in match.exceptions] == [ValueError]
    assert [type(e) for e in rest.exceptions] == [KeyError]
    assert error.failures[4].args == ("b",)
    assert error.results == {0: "x", 2: None}
