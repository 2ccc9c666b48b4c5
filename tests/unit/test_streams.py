"""The random numbers of a task belong to its number, and to nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import SeedSequence, default_rng

import wrens
from wrens.errors import BadOption, JobFailed, MissingPackage

ENTROPY = 20_170_924


def state(seed: SeedSequence) -> list[int]:
    return seed.generate_state(4).tolist()  # type: ignore[no-any-return]


def of_this_task(_: int) -> list[int]:
    return state(wrens.seed_sequence(ENTROPY))


@pytest.mark.parametrize("size", [1, 3, 20])
def test_they_are_those_that_numpy_spawns_however_tasks_are_packed(size: int, tmp_path: Path) -> None:
    with wrens.Executor("inline", store=tmp_path) as ex:
        found = list(ex.options(packing=wrens.Packing(size=size)).map(of_this_task, range(10)))
    assert found == [state(seed) for seed in SeedSequence(ENTROPY).spawn(10)]
    assert found == [state(wrens.seed_sequence(ENTROPY, task=n)) for n in range(10)]


def test_a_task_may_name_another_one_and_spawn_streams_from_its_own(tmp_path: Path) -> None:
    def both(_: int) -> Any:
        walk, noise = wrens.seed_sequence([1, 2]).spawn(2)
        return state(wrens.seed_sequence([1, 2], task=0)), state(walk), state(noise)

    with wrens.Executor("inline", store=tmp_path) as ex:
        found = list(ex.map(both, range(2)))
    assert found[0][0] == found[1][0] == state(SeedSequence([1, 2]).spawn(1)[0])
    assert len({tuple(stream) for named, *streams in found for stream in (named, *streams)}) == 5


def test_calls_of_submit_are_numbered_as_they_were_made(tmp_path: Path) -> None:
    with wrens.Executor("inline", store=tmp_path) as ex:
        futures = [ex.submit(of_this_task, n) for n in range(3)]
        assert [f.result() for f in futures] == [
            state(wrens.seed_sequence(ENTROPY, task=f.task)) for f in futures
        ]
        assert [f.task for f in futures] == [0, 1, 2]


def test_outside_of_a_task_one_has_to_be_named() -> None:
    with pytest.raises(BadOption, match="task=0"):
        wrens.seed_sequence(1)


def test_what_cannot_be_repeated_is_refused(tmp_path: Path) -> None:
    def careless(_: int) -> float:
        return float(default_rng(wrens.seed_sequence(None)).random())  # type: ignore[arg-type]

    with wrens.Executor("inline", store=tmp_path) as ex, pytest.raises(JobFailed) as caught:
        ex.map_async(careless, [0]).results()
    (error,) = caught.value.failures.values()
    assert isinstance(error, BadOption)
    assert "secrets.randbits" in str(error)


@pytest.mark.parametrize("entropy", [-1, 1.5, "seven", [1, -2]])
def test_entropy_is_whole_numbers(entropy: Any) -> None:
    with pytest.raises(BadOption, match=r"seed_sequence\(7\)"):
        wrens.seed_sequence(entropy, task=0)


@pytest.mark.parametrize("task", [-1, 1.0, "1", True])
def test_tasks_are_numbered_from_0(task: Any) -> None:
    with pytest.raises(BadOption, match="from 0"):
        wrens.seed_sequence(1, task=task)


def test_numpy_integers_are_numbers() -> None:
    assert state(wrens.seed_sequence(np.int64(3), task=np.int64(2))) == state(SeedSequence(3).spawn(3)[2])  # type: ignore[arg-type]


def test_without_numpy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy.random", None)
    with pytest.raises(MissingPackage, match=r"wrens\[data\]"):
        wrens.seed_sequence(1, task=0)
