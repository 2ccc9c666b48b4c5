"""What the benchmarks of large data read: text whose words are distributed as in language, and records to sort.

Made once from a seed, below the directory for temporary files, and read by every system alike. Decides what the data look
like.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILES = 16
WORDS = 200_000
ZIPF = 1.05
LINE = 10
"""Words in a line."""
AT_ONCE = 2_000_000


def text(megabytes: int) -> Path:
    """Return a directory with ``FILES`` files of text, in all about so many megabytes (10**6 bytes)."""
    return _made(f"words-{megabytes}", lambda folder: _write_text(folder, megabytes * 10**6 // FILES))


def records(megabytes: int) -> Path:
    """Return a directory with ``FILES`` files of lines of 100 bytes, of which the first ten are a random key."""
    return _made(f"records-{megabytes}", lambda folder: _write_records(folder, megabytes * 10**4 // FILES))


def size_of(folder: Path) -> int:
    """Return how many bytes the files have together."""
    return sum(file.stat().st_size for file in folder.iterdir())


def _made(name: str, write: object) -> Path:
    folder = Path(tempfile.gettempdir()) / "wrens-bench" / name
    if not folder.exists():
        draft = folder.with_name(f".{name}")
        draft.mkdir(parents=True, exist_ok=True)
        write(draft)  # type: ignore[operator]
        draft.rename(folder)
    return folder


def _write_text(folder: Path, nbytes: int) -> None:
    chance = np.random.default_rng(1)
    lengths = np.clip(chance.poisson(5.5, WORDS), 2, 14)
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", np.uint8)
    made = (letters[np.minimum(chance.geometric(0.13, n) - 1, 25)].tobytes() for n in lengths)
    words = sorted(set(made))
    chance.shuffle(words)
    share = 1 / np.arange(1, len(words) + 1) ** ZIPF
    reach = np.cumsum(share / share.sum())
    whole = np.frombuffer(b" ".join(words) + b" ", np.uint8)
    sizes = np.array([len(word) + 1 for word in words])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for number in range(FILES):
        with (folder / f"part-{number:02}.txt").open("wb") as file:
            for block in _blocks(chance, reach, whole, starts, sizes, nbytes):
                file.write(block)


def _blocks(
    chance: np.random.Generator,
    reach: npt.NDArray[np.float64],
    whole: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    nbytes: int,
) -> Iterator[bytes]:
    while nbytes > 0:
        chosen = np.minimum(np.searchsorted(reach, chance.random(AT_ONCE)), len(sizes) - 1)
        lengths = sizes[chosen]
        ends = np.cumsum(lengths)
        shift = np.repeat(starts[chosen] - (ends - lengths), lengths)
        block = whole[shift + np.arange(ends[-1])]
        block[ends[LINE - 1 :: LINE] - 1] = ord("\n")
        yield block.tobytes()
        nbytes -= len(block)


def _write_records(folder: Path, count: int) -> None:
    from wrens.models.records import generate

    for number in range(FILES):
        rows = generate(1, number * count, count)
        rows[:, :10] = rows[:, :10] % 94 + 33  # what can be printed, and is no space
        rows[:, 10:12] = ord(" ")
        rows[:, 99] = ord("\n")
        rows.tofile(folder / f"part-{number:02}.txt")
