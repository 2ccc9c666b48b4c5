"""A sort whose workers are killed, and what an undisturbed one has written."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from chaos import kill_some

import wrens
from wrens.models.sort.records import KEY, WIDTH, write
from wrens.models.sort.target import MANIFEST, target_of
from wrens.models.sort.validating import validate
from wrens.store import open_store
from wrens.store.port import sizes


def contents(target: str) -> dict[str, bytes]:
    """Return all objects below a place of a sort, by name."""
    place = target_of(target)
    store = open_store(place.store)
    return {key: bytes(store.get(key)) for key, _ in sizes(store, place.prefix)}


def sort_under_fire(
    folder: Path,
    *,
    records: int,
    parts: int,
    kills: int,
    seed: int,
    pause_s: float,
    pids: Callable[[], list[int]],
) -> int:
    """Sort records undisturbed, and again while workers are killed; compare, and return how many were killed.

    Sorts are begun until there were as many kills as were asked for; each has to give the same bytes.
    """
    with wrens.Executor(store=folder / "store", max_workers=2) as ex:
        before = write(ex, folder / "in", records, seed=seed, parts=parts)
        size = -(-records * WIDTH // (2 * parts))
        wrens.sort(ex, folder / "in", folder / "calm", border=WIDTH, key=slice(0, KEY), size=size)
        calm = contents(str(folder / "calm"))
        killed = rounds = 0

        def kill() -> None:
            nonlocal killed
            for _ in kill_some(pids, kills=kills, seed=seed, pause_s=pause_s):
                killed += 1

        killer = threading.Thread(target=kill)
        killer.start()
        patient = ex.options(retry=wrens.Retry(lost=100))
        while killer.is_alive():
            rounds += 1
            target = folder / f"fire-{rounds}"
            wrens.sort(patient, folder / "in", target, border=WIDTH, key=slice(0, KEY), size=size)
            assert contents(str(target)) == calm
        killer.join()
        assert json.loads(calm[MANIFEST])["records"] == records
        assert validate(ex, folder / "fire-1", border=WIDTH, key=slice(0, KEY), same_as=before) == before
    print(f"{killed} kills during {rounds} sorts of {records:,} records in {len(calm) - 1} objects")
    return killed
