"""The work of ``wrens demo``: counting the words of many files.

Decides which files are counted, how they are cut into tasks, and what a word is. A task is a group of files
of about a megabyte, and its result is one :class:`collections.Counter`. That is what makes it fast: the
client has to merge every result, a word at a time, and most files hold the same words. With a result for
each of some two thousand files it would merge as many words as it could have counted by itself; merged by
the megabyte in the workers, a tenth of them is left. Does not decide what is printed.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wrens.clock import SystemClock

SUFFIXES = frozenset({".py", ".pyi", ".txt", ".rst", ".md", ".c", ".h", ".toml", ".cfg", ".json", ".html"})
"""Files that are counted: text, and source code."""
ELSEWHERE = frozenset({"site-packages", "dist-packages", "__pycache__"})
"""Directories that are passed over: other people's packages, and what is no text."""
GROUP_BYTES = 1_000_000
"""How much a task reads at least, but for the last; small enough that no worker is late at the end."""
PATIENCE_S = 30.0
"""How long the task of :class:`Held` waits for the end of its worker."""

_WORD = re.compile(rb"[a-z]+")


def standard_library() -> Path:
    """Return the directory of the standard library of the Python that is running."""
    return Path(sysconfig.get_path("stdlib"))


def text_files(root: Path) -> list[tuple[str, int]]:
    """Find the text and source files below a directory.

    Args:
        root: Where to look.

    Returns:
        Path and length in bytes of each file, in order of path.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     _ = Path(root, "a.txt").write_text("one two")
    ...     _ = Path(root, "b.bin").write_text("three")
    ...     [(os.path.basename(path), length) for path, length in text_files(Path(root))]
    [('a.txt', 7)]
    """
    found: list[tuple[str, int]] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ELSEWHERE and not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if path.suffix in SUFFIXES and path.is_file() and os.access(path, os.R_OK):
                found.append((str(path), path.stat().st_size))
    return sorted(found)


def groups(files: Iterable[tuple[str, int]], least: int = GROUP_BYTES) -> list[list[str]]:
    """Cut files into groups of at least ``least`` bytes, in order; the last may be smaller.

    >>> groups([("a", 3), ("b", 3), ("c", 9), ("d", 1)], least=5)
    [['a', 'b'], ['c'], ['d']]
    """
    made: list[list[str]] = []
    group: list[str] = []
    size = 0
    for path, length in files:
        group.append(path)
        size += length
        if size >= least:
            made.append(group)
            group, size = [], 0
    if group:
        made.append(group)
    return made


def count_words(paths: Sequence[str]) -> Counter[bytes]:
    """Count the words of some files. This is what runs in the workers, and in the plain loop.

    A word is a run of the letters a to z, in lower case. A file that cannot be read any more counts nothing.

    Args:
        paths: The files.

    Returns:
        How often each word occurs in all of them together.
    """
    found: Counter[bytes] = Counter()
    for path in paths:
        try:
            data = Path(path).read_bytes()
        except OSError:
            continue
        found.update(_WORD.findall(data.lower()))
    return found


def merge(counts: Iterable[Counter[bytes]]) -> Counter[bytes]:
    """Add up counts.

    >>> merge([Counter({b"a": 1}), Counter({b"a": 2, b"b": 1})])
    Counter({b'a': 3, b'b': 1})
    """
    total: Counter[bytes] = Counter()
    for count in counts:
        total.update(count)
    return total


def top(counts: Counter[bytes], most: int) -> Iterator[tuple[str, int]]:
    """Yield the commonest words; those that are equally common in the order of the alphabet.

    >>> list(top(Counter({b"b": 2, b"a": 2, b"c": 1}), 2))
    [('a', 2), ('b', 2)]
    """
    for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]:
        yield word.decode("ascii"), count


class Held:
    """``count_words``, but the first time that it meets one certain group it waits for the end of its worker.

    So a demonstration can end a worker while it is at work, however short the work is. The second worker that
    gets the group finds that it has been begun before, and counts.

    Args:
        folder: An empty directory that client and workers share.
        group: The first path of the group to stop at.
    """

    def __init__(self, folder: str, group: str) -> None:
        self.folder, self.group = folder, group

    def __call__(self, paths: Sequence[str]) -> Counter[bytes]:
        """Count, or wait."""
        if paths[0] == self.group and not self._note.exists():
            # Written apart and renamed, so that the client never reads half a line.
            draft = Path(self.folder, "draft")
            draft.write_text(f"{os.getpid()} {os.getppid()}")
            draft.rename(self._note)
            SystemClock().sleep(PATIENCE_S)
        return count_words(paths)

    @property
    def _note(self) -> Path:
        return Path(self.folder, "worker")

    def worker(self) -> int | None:
        """Return the id of the process that waits, when it is a child of this one; ``None`` before."""
        if not self._note.exists():
            return None
        pid, parent = map(int, self._note.read_text().split())
        return pid if parent == os.getpid() else None
