"""The worker's code for Lambda: as a zip, and as what a container image is built from.

Decides what goes in and in which form, so that equal versions (Python's own included) give equal bytes: names in
order, one moment and one mode for all files, nothing that an installation adds, bytecode that no clock gets into. Does not speak to AWS. The packages are wheels for the
function's platform, whatever this computer is; the one function that asks for them is :func:`fetch`.
"""

from __future__ import annotations

import hashlib
import io
import marshal
import re
import sys
import tempfile
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path, PurePosixPath

from wrens.backends.aws_lambda.naming import (
    GLIBC,
    HANDLER,
    NEWEST_GLIBC,
    WORKER_HAS,
    python_version,
    runtime,
)
from wrens.backends.aws_lambda.stamp import FILE, RECORDS, Stamp
from wrens.environments.installer import start
from wrens.errors import BadOption, CannotDeploy
from wrens.wire import decoders

ARCHS = {"x86_64": "x86_64", "arm64": "aarch64"}
"""The processors that Lambda offers, and what wheels call them."""
ZIP_LIMIT = 50 * 1024**2
"""Bytes of a zip that can be given to Lambda directly; a larger one passes through the bucket."""
UNPACKED_LIMIT = 250 * 1024**2
"""Bytes of all files together, however they got there."""
# uv knows no platform for glibc 2.26. With 2.17 it finds what runs for certain; what it does not find there it
# looks for in 2.28, and then each wheel's own tag decides.
_PLATFORMS = {(3, 11): ("manylinux_2_17", "manylinux_2_28")}
TASK_ROOT = "/var/task"
"""Where Lambda unpacks the code."""
_MOMENT = (1980, 1, 1, 0, 0, 0)
_FILE_MODE, _LIBRARY_MODE = 0o100644, 0o100755
_LOADED = (".py", ".so", ".json", ".typed", ".txt", ".pem")
# What an installation writes beside what was in the wheel; it names paths and differs from run to run.
_INSTALLED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_WORKER_ONLY = frozenset({"cli", "plan", "report"})
"""Parts of wrens that no worker imports."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Package:
    """A zip for Lambda.

    Args:
        data: The zip.
        stamp: What is in it.
        unpacked: Bytes of all its files.
    """

    data: bytes
    stamp: Stamp
    unpacked: int

    @property
    def sha256(self) -> str:
        """The digest of the zip as Lambda tells it, in base64."""
        return b64encode(hashlib.sha256(self.data).digest()).decode()

    @property
    def fits(self) -> bool:
        """Whether it can be given to Lambda directly."""
        return len(self.data) <= ZIP_LIMIT


def build(version: str, arch: str = "x86_64") -> Package:
    """Return the worker's code as a zip, for the Python of this process.

    Args:
        version: That of wrens, for the stamp.
        arch: ``"x86_64"`` or ``"arm64"``.

    Raises:
        BadOption: if Lambda has no such processor.
        CannotDeploy: if Lambda has no such Python, there is no wheel, it is too large, or uv is not there.
    """
    runtime()
    files = gather(version, arch)
    unpacked = sum(map(len, files.values()))
    if unpacked > UNPACKED_LIMIT:
        raise CannotDeploy(
            "deploy the worker as a zip",
            f"its files have {unpacked:,} bytes, and Lambda takes {UNPACKED_LIMIT:,} at most.",
            "Use an image: wrens deploy aws --image-context DIR. Nothing was changed.",
        )
    return Package(zipped(files), read(files), unpacked)


def gather(version: str, arch: str) -> Files:
    """Return all files of the worker by their path: its packages, wrens, and the stamp."""
    with tempfile.TemporaryDirectory(prefix="wrens-package-") as folder:
        fetch(Path(folder), requirements(), checked(arch))
        files = dict(_files_of(Path(folder)))
        packages = {found.name: found.version for found in metadata.distributions(path=[folder])}
    files.update(own_files())
    files.update(dict(compiled(name, data) for name, data in files.items() if name.endswith(".py")))
    content = _digest(files)
    stamp = Stamp(version, RECORDS, python_version(), arch, packages, content)
    return files | {FILE: stamp.encoded()}


def checked(arch: str) -> str:
    """Return a processor when Lambda has it.

    Raises:
        BadOption: if it has not.
    """
    if arch not in ARCHS:
        raise BadOption(f"--arch {arch}", "is none that Lambda has", f"Use {' or '.join(ARCHS)}.")
    return arch


def compiled(name: str, source: bytes) -> tuple[str, bytes]:
    """Return where Python looks for the bytecode of a module, and the bytecode.

    A cold worker cannot write its code folder, and would compile everything that it imports, each time. The bytes
    are the same for the same source and Python: no time is in them, and marshal's second version, unlike the later
    ones, does not depend on who else refers to a string. Python does not compare them with the source.

    >>> compiled("wrens/clock.py", b"NOW = 1")[0] == f"wrens/__pycache__/clock.{sys.implementation.cache_tag}.pyc"
    True
    """
    path = PurePosixPath(name)
    code = compile(source, f"{TASK_ROOT}/{name}", "exec", dont_inherit=True, optimize=0)
    unchecked = (1).to_bytes(4, "little")
    data = MAGIC_NUMBER + unchecked + source_hash(source) + marshal.dumps(code, 2)
    return str(path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"), data


def read(files: Mapping[str, bytes]) -> Stamp:
    """Return the stamp among files."""
    return decoders.from_json(Stamp, files[FILE])


def own_files() -> Files:
    """Return the files of wrens itself, as far as a worker can use them."""
    house = Path(__file__).parents[2]
    found = {}
    for path in sorted(house.rglob("*.py")):
        name = path.relative_to(house.parent).as_posix()
        if PurePosixPath(name).parts[1] not in _WORKER_ONLY:
            found[name] = path.read_bytes()
    return found


def requirements() -> list[str]:
    """Return what a worker needs, at the very versions that this client has.

    >>> [one.partition("==")[0] for one in requirements()]
    ['cloudpickle', 'msgspec', 'obstore']
    """
    return [f"{name}=={metadata.version(name)}" for name in sorted(WORKER_HAS - {"wrens"})]


def fetch(folder: Path, wanted: Iterable[str], arch: str) -> None:
    """Install packages into a folder, as wheels for Lambda's platform and this process's Python.

    What the wanted packages need in turn is taken in the version that the client has, if it has it.

    Args:
        folder: Where to; it is empty.
        wanted: Requirements, such as ``"msgspec==0.20.0"``.
        arch: One of :data:`ARCHS`.

    Raises:
        CannotDeploy: if there is no wheel, the index cannot be reached, or uv is not there.
    """
    here = sys.version_info[:2]
    glibc = GLIBC.get(here, NEWEST_GLIBC)
    told = ""
    for platform in _PLATFORMS.get(here, (f"manylinux_2_{NEWEST_GLIBC}",)):
        told = _install(folder, wanted, f"{ARCHS[arch]}-{platform}")
        if not told:
            break
    else:
        raise CannotDeploy(
            f"fetch the worker's packages for {arch} and Python {python_version()}",
            f"uv says:\n{told}",
            "Look at the network and the package index, or try the other --arch. Nothing was changed.",
        )
    for wheel in sorted(folder.glob("*.dist-info/WHEEL")):
        if not runs_with(wheel.read_text(encoding="utf-8"), glibc):
            raise CannotDeploy(
                f"use {wheel.parent.name.removesuffix('.dist-info')} on Lambda's Python {python_version()}",
                f"Its wheel for {arch} needs a newer system than that runtime has (glibc 2.{glibc}).",
                "Use Python 3.12 or newer on this computer, or the other --arch. Nothing was changed.",
            )


def _install(folder: Path, wanted: Iterable[str], platform: str) -> str:
    """Let uv install wheels; return what it says when it cannot."""
    pins = folder.with_name(f"{folder.name}.constraints")
    pins.write_text("\n".join(_installed_versions()), encoding="utf-8")
    command = ["pip", "install", "--quiet", "--no-progress", "--target", str(folder)]
    command += ["--python", sys.executable, "--python-version", python_version()]
    command += ["--python-platform", platform, "--only-binary", ":all:", "--link-mode", "copy"]
    try:
        done = start(*command, "--constraints", str(pins), *wanted)
    finally:
        pins.unlink()
    return "" if done.returncode == 0 else done.stderr.strip()[-2000:] or f"exit code {done.returncode}"


def _installed_versions() -> list[str]:
    """Return what the client has, for what comes in besides; what has a local version is in no index."""
    found = {one.name: one.version for one in metadata.distributions() if one.name}
    return sorted(
        f"{name}=={version}" for name, version in found.items() if "+" not in version and name != "wrens"
    )


def runs_with(wheel: str, glibc: int) -> bool:
    r"""Tell whether a wheel with this ``WHEEL`` file runs on a Linux with glibc 2.``glibc``.

    >>> runs_with("Tag: cp311-abi3-manylinux_2_24_aarch64\n", 26)
    True
    >>> runs_with("Tag: cp311-cp311-manylinux_2_28_x86_64\n", 26)
    False
    """
    tags = re.findall(r"^Tag: \S+-\S+-(\S+)$", wheel, re.MULTILINE)
    for tag in tags:
        if tag == "any" or tag.startswith(("manylinux1_", "manylinux2010_", "manylinux2014_")):
            return True
        found = re.match(r"manylinux_2_(\d+)_", tag)
        if found and int(found.group(1)) <= glibc:
            return True
    return not tags


def _files_of(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Yield path and bytes of what a worker needs of the installed packages."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or "__pycache__" in parts or parts[0] in {"bin", ".lock"}:
            continue
        about = parts[0].endswith(".dist-info")
        if (about and path.name not in _INSTALLED) or (not about and path.suffix in _LOADED):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _digest(files: Mapping[str, bytes]) -> str:
    state = hashlib.sha256()
    for name in sorted(files):
        state.update(f"{name}\0{len(files[name])}\0".encode())
        state.update(files[name])
    return state.hexdigest()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files as a zip, the same bytes for the same files.

    >>> zipped({"b": b"2", "a": b"1"}) == zipped({"a": b"1", "b": b"2"})
    True
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _MOMENT)
            # Without these two the archive would tell on which system it was made.
            info.create_system = 3
            info.external_attr = (_LIBRARY_MODE if name.endswith(".so") else _FILE_MODE) << 16
            archive.writestr(info, files[name], zipfile.ZIP_DEFLATED, compresslevel=6)
    return made.getvalue()


# --- for a container image ---

_DOCKERFILE = """\
# The worker of wrens {wrens} for Python {python} on {arch}. Written by 'wrens deploy aws --image-context'.
# Your own packages go into packages.txt, and system libraries into a RUN line below. Then:
#     docker build --platform linux/{docker} --provenance=false -t IMAGE .
#     docker push IMAGE
#     wrens deploy aws --store URL --arch {arch} --image IMAGE
FROM public.ecr.aws/lambda/python:{python}-{arch}

# For example: RUN {installer} install -y libgomp

COPY requirements.txt packages.txt ${{LAMBDA_TASK_ROOT}}/
RUN pip install --no-cache-dir -r ${{LAMBDA_TASK_ROOT}}/requirements.txt -r ${{LAMBDA_TASK_ROOT}}/packages.txt
COPY worker/ ${{LAMBDA_TASK_ROOT}}/

CMD ["{handler}"]
"""
_PACKAGES = "# Your functions' packages, one a line and with versions: numpy==2.2.1\n"
OWN_FILE = "packages.txt"
"""The one file of a context that belongs to the user: written once, then left alone."""


def image_context(version: str, arch: str = "x86_64") -> Files:
    """Return the files from which a container image of the worker is built.

    Args:
        version: That of wrens, for the stamp.
        arch: ``"x86_64"`` or ``"arm64"``.
    """
    runtime()
    files = gather(version, arch)
    stamp = read(files)
    docker = _DOCKERFILE.format(
        wrens=version,
        python=python_version(),
        arch=arch,
        docker={"x86_64": "amd64"}.get(arch, arch),
        installer="yum" if sys.version_info[:2] in GLIBC else "dnf",
        handler=HANDLER,
    )
    pinned = "".join(f"{name}=={stamp.packages[name]}\n" for name in sorted(stamp.packages))
    own = {f"worker/{name}": data for name, data in files.items() if name.startswith("wrens")}
    return {
        "Dockerfile": docker.encode(),
        "requirements.txt": pinned.encode(),
        OWN_FILE: _PACKAGES.encode(),
        **own,
    }


def write_context(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write a build context, and return which of its files are new or other than before.

    A folder that holds something else is refused; the user's own file in it is left alone.

    Raises:
        CannotDeploy: if the folder is not empty and no context of wrens.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "worker" / FILE).exists():
        raise CannotDeploy(
            f"write a build context to {folder}",
            "it is not empty, and what is in it was not made by wrens.",
            "Name a folder that is empty or does not exist. Nothing was written.",
        )
    gone = {p for p in (folder / "worker").rglob("*") if p.is_file()} - {folder / name for name in files}
    for path in gone:
        path.unlink()
    changed = []
    for name in sorted(files):
        path = folder / name
        if path.exists() and (name == OWN_FILE or path.read_bytes() == files[name]):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
        changed.append(name)
    return changed
