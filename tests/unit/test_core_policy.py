"""Options that cannot be are refused at once, and the refusal says what to write."""

from __future__ import annotations

import pickle  # noqa: TID251 - options may be among the arguments of a task
from pathlib import Path
from typing import Any

import pytest

import wrens
from wrens import Backup, Options, Packing, Resources, Retry
from wrens.errors import BadOption, UnknownBackend
from wrens.wire.records import Policy


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Retry(attempts=0), "Retry.attempts must be at least 1, not 0"),
        (lambda: Retry(lost=0), "Retry.lost must be at least 1"),
        (lambda: Retry(backoff_s=-1), "Retry.backoff_s must not be negative"),
        (lambda: Retry(on="ValueError"), "on=(ValueError,)"),  # type: ignore[arg-type]
        (lambda: Retry(on=(ValueError, 3)), "must list exception types, not 3"),  # type: ignore[arg-type]
        (lambda: Packing(size=0), "Packing.size must be at least 1"),
        (lambda: Packing(target_s=0), "Packing.target_s must be positive"),
        (lambda: Packing(most=0), "Packing.most must be at least 1"),
        (lambda: Backup(slowness=0.5), "Backup.slowness must be at least 1"),
        (lambda: Backup(after=1.5), "between 0 and 1"),
        (lambda: Resources(memory_mb=10), "at least 64"),
        (lambda: Options(timeout=0), "in seconds"),
        (lambda: Options(timeout=-3.0), "must be positive"),
        (lambda: Options(buffersize=0), "buffersize must be at least 1"),
        (lambda: Options(name="a b"), "letters, digits"),
        (lambda: Options(retry=3), "retry=wrens.Retry(...)"),  # type: ignore[arg-type]
        (lambda: Options(packing=10), "packing=wrens.Packing(...)"),  # type: ignore[arg-type]
        (lambda: Options(resources={"memory_mb": 1}), "resources=wrens.Resources(...)"),  # type: ignore[arg-type]
        (lambda: Options(backup=True), "backup=wrens.Backup()"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_refused_with_advice(make: Any, text: str) -> None:
    with pytest.raises(BadOption) as caught:
        make()
    assert text in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_misspelt_option_is_told_the_right_one() -> None:
    with pytest.raises(BadOption, match="Did you mean 'timeout'"):
        Options().changed({"timeot": 3})
    with pytest.raises(BadOption, match=r"Options are: .*retry.*buffersize"):
        Options().changed({"zzz": 3})


def test_options_are_values() -> None:
    options = Options(retry=Retry(attempts=5, on=KeyError), timeout=3, name="nightly")
    assert options == Options(retry=Retry(attempts=5, on=KeyError), timeout=3, name="nightly")
    assert options.changed({"timeout": None}).timeout is None
    assert options.timeout == 3
    assert pickle.loads(pickle.dumps(options)) == options
    with pytest.raises(AttributeError):
        options.timeout = 5  # type: ignore[misc]


def test_what_a_worker_has_to_know() -> None:
    options = Options(
        retry=Retry(attempts=4, on=(OSError, Local)), timeout=2.5, resources=Resources(memory_mb=100)
    )
    names = ("builtins:OSError", f"{__name__}:Local")
    assert options.policy() == Policy(timeout_s=2.5, retry_on=names, tries=4, memory_mb=100)


class Local(Exception):
    pass


# --- at the executor ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, -1])
def test_a_senseless_number_of_workers_is_refused(tmp_path: Path, number: int) -> None:
    with pytest.raises(BadOption, match="max_workers"):
        wrens.Executor("inline", store=tmp_path, max_workers=number)


def test_a_wrong_backend_is_told_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownBackend, match="did you mean 'local'"):
        wrens.Executor("locale", store=tmp_path)


def test_an_initializer_has_to_be_callable(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="callable"):
        wrens.Executor("inline", store=tmp_path, initializer=3)  # type: ignore[arg-type]


def test_a_private_store_is_refused_where_workers_cannot_see_it() -> None:
    with pytest.raises(BadOption, match="private to this process"):
        wrens.Executor("local", store="memory://mine")


def test_options_of_a_view_do_not_change_the_executor(tmp_path: Path) -> None:
    with wrens.Executor("inline", store=tmp_path) as ex:
        view = ex.options(timeout=5, packing=Packing(size=2)).options(timeout=7)
        assert (view._options.timeout, view._options.packing.size) == (7, 2)
        assert ex._options.timeout is None
        view.shutdown()
        assert ex.submit(abs, -1).result() == 1
        with pytest.raises(BadOption, match="is not an option"):
            ex.options(tiemout=3)


@pytest.mark.parametrize(("argument", "value"), [("chunksize", 0), ("buffersize", 0)])
def test_senseless_arguments_of_map_are_refused_at_once(tmp_path: Path, argument: str, value: int) -> None:
    with wrens.Executor("inline", store=tmp_path) as ex, pytest.raises(ValueError, match=argument):
        ex.map(abs, [1], **{argument: value})  # type: ignore[arg-type]
