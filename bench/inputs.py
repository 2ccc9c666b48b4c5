"""What the benchmarks of large data read: text whose words are distributed as in language, records to sort, and graphs.

Made once, below the directory for temporary files, and read by every system alike. What the data look like is decided in
:mod:`wrens.programs.inputs` and :mod:`wrens.programs.graphs`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

FILES = 16


def home() -> Path:
    """Return the directory in which inputs are kept from one run to the next."""
    folder = Path(tempfile.gettempdir()) / "wrens-bench"
    folder.mkdir(exist_ok=True)
    return folder


def text(megabytes: int) -> Path:
    """Return a directory with ``FILES`` files of text, in all about so many megabytes (10**6 bytes)."""
    from wrens.programs import inputs

    return _made(f"words-{megabytes}", inputs.text, megabytes)


def records(megabytes: int) -> Path:
    """Return a directory with ``FILES`` files of lines of 100 bytes, of which the first ten are a random key."""
    from wrens.programs import inputs

    return _made(f"records-{megabytes}", inputs.lines_to_sort, megabytes)


def graph(scale: int) -> Path:
    """Return a directory with the edges of an R-MAT graph of ``2**scale`` vertices, 16 for each, as Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from wrens.programs import graphs

    folder = home() / f"graph-{scale}"
    if not folder.exists():
        draft = folder.with_name(f".graph-{scale}")
        draft.mkdir(exist_ok=True)
        sources, targets = graphs.rmat(scale, 16 << scale, seed=1)
        edges = pa.table({"source": sources, "target": targets})
        size = edges.num_rows // FILES
        for number in range(FILES):
            pq.write_table(edges.slice(number * size, size), draft / f"part-{number:02}.parquet")
        draft.rename(folder)
    return folder


def size_of(folder: Path) -> int:
    """Return how many bytes the files have together."""
    return sum(file.stat().st_size for file in folder.iterdir())


def _made(name: str, part: Any, megabytes: int) -> Path:
    folder = home() / name
    if not folder.exists():
        draft = folder.with_name(f".{name}")
        draft.mkdir(exist_ok=True)
        for number in range(FILES):
            with (draft / f"part-{number:02}.txt").open("wb") as file:
                file.writelines(part(number, megabytes * 10**6 // FILES))
        draft.rename(folder)
    return folder
