"""A folder of packages as one object, the same bytes for the same files.

Names are sorted, times are fixed, and what depends on the computer that builds is left out: commands (their
first line names an interpreter) and the installer's own notes. Nothing else is: a package may read any of its
files. Bytecode is put in, because a cold worker would have to make it: for NumPy most of the time that its import
takes. The object's name is the digest of the whole, so a worker knows what it was promised.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wrens.environments.installed import Distribution, canonical
from wrens.environments.platform import Platform
from wrens.errors import EnvironmentTooLarge
from wrens.wire import envelope, keys
from wrens.wire.envelope import Buffer
from wrens.wire.records import VERSION, EnvironmentRecord

LEVEL = 3
"""Of compression: beyond it the time doubles for a tenth of the size."""
_FILE, _FOLDER = 0o100644, 0o100755
_BLOCK = 4096
_NOTES = frozenset({"direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED", "INSTALLER"})
"""What installers write into a ``.dist-info`` for themselves."""


@dataclass(frozen=True)
class Built:
    """An environment that was made.

    Attributes:
        digest: Its name.
        record: Its head.
        buffers: The object, in order.
    """

    digest: str
    record: EnvironmentRecord
    buffers: list[Buffer]


def add_copied(distribution: Distribution, folder: Path) -> None:
    """Put the installed files of a distribution into a folder of packages."""
    for name, path in distribution.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())


def without(folder: Path, provided: frozenset[str]) -> None:
    """Remove the distributions with these names from a folder of packages."""
    for info in sorted(folder.glob("*.dist-info")):
        if canonical(info.name.partition("-")[0]) in provided:
            for row in (info / "RECORD").read_text(encoding="utf-8").splitlines():
                name = row.rsplit(",", 2)[0].strip('"')
                if not name.startswith(("..", "/")):
                    (folder / name).unlink(missing_ok=True)


def build(folder: Path, platform: Platform) -> Built:
    """Make one object of a folder of packages.

    Raises:
        EnvironmentTooLarge: if it does not fit on a worker's disk.
    """
    import zipfile

    _compile(folder, platform)
    files = dict(_files(folder))
    sizes = {name: -(-path.stat().st_size // _BLOCK) * _BLOCK for name, path in files.items()}
    folders = {parent for name in files for parent in Path(name).parents}
    nbytes = sum(sizes.values()) + _BLOCK * len(folders)
    if nbytes > platform.disk_mb * 10**6:
        raise EnvironmentTooLarge(nbytes, platform.disk_mb * 10**6, _biggest(sizes))
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            if name.endswith(".dist-info/RECORD"):
                content = _of_these(content, files.keys())
            entry = zipfile.ZipInfo(name)
            mode = _FOLDER if os.access(path, os.X_OK) else _FILE
            entry.create_system, entry.external_attr = 3, mode << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    record = EnvironmentRecord(
        VERSION, platform.python, platform.tag, _packages(folder), _modules(files.keys()), nbytes
    )
    buffers = envelope.seal(record, [body.getbuffer()])
    return Built(keys.digest(*buffers), record, buffers)


def _compile(folder: Path, platform: Platform) -> None:
    """Make bytecode for what workers are likely to import, in one process and in order, for the same bytes again.

    It is taken as it is, whatever the time of the source file: both come out of the same object.
    """
    for old in folder.rglob("*.pyc"):
        old.unlink()
    if platform.python != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    words = ("-q", "-x", r"[/\\]tests?[/\\]", "--invalidation-mode", "unchecked-hash", "-s", str(folder))
    command = [sys.executable, "-I", "-S", "-m", "compileall", *words, str(folder)]
    # A file that does not compile, such as a template, is none that is imported.
    subprocess.run(command, capture_output=True, check=False)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        inside = name.partition("/")[0]
        if not path.is_file():
            continue
        if inside in {"bin", ".lock"} or (inside.endswith(".dist-info") and path.name in _NOTES):
            continue
        yield name, path


def _of_these(record: bytes, names: object) -> bytes:
    """Return a ``RECORD`` of the files that are there only."""
    rows = record.decode("utf-8").splitlines()
    kept = [row for row in rows if row.rsplit(",", 2)[0].strip('"') in names]  # type: ignore[operator]
    return "".join(f"{row}\n" for row in sorted(kept)).encode()


def _packages(folder: Path) -> tuple[str, ...]:
    """Return ``name==version`` of all distributions in a folder."""
    from importlib import metadata

    found = (each for each in metadata.distributions(path=[str(folder)]) if each.metadata["Name"])
    return tuple(sorted({Distribution(each).pin for each in found}))


def _modules(names: object) -> tuple[str, ...]:
    """Return the names that files can be imported as."""
    tops = set()
    for name in names:  # type: ignore[attr-defined]
        top, slash, _ = name.partition("/")
        if slash or name.endswith((".py", ".so")):
            tops.add(top.partition(".")[0] if not slash else top)
    return tuple(sorted(top for top in tops if top.isidentifier()))


def _biggest(sizes: dict[str, int]) -> tuple[str, ...]:
    tops: Counter[str] = Counter()
    for name, nbytes in sizes.items():
        tops[name.partition("/")[0].removesuffix(".libs")] += nbytes
    return tuple(f"{top} ({nbytes / 1e6:.0f} MB)" for top, nbytes in tops.most_common(4))
