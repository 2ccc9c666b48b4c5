"""What a function holds: a small record inside its code, which the function and the doctor can report.

Decides the record and where it lies. Cheap to import, because the function does.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, json

from wrens.wire import decoders
from wrens.wire.records import VERSION as RECORDS

FILE = "wrens-worker.json"
"""Where it lies: beside the packages, at the top of the code."""


class Stamp(Struct, frozen=True):
    """What was packed.

    Args:
        wrens: Its version.
        records: The version of the records that it reads and writes.
        python: The Python that it was packed for, such as ``"3.12"``.
        arch: The processor, as AWS calls it.
        packages: Each package and its version.
        content: Digest of all files but this one, SHA-256 in hexadecimal.
    """

    wrens: str
    records: int
    python: str
    arch: str
    packages: dict[str, str]
    content: str

    def encoded(self) -> bytes:
        r"""Return it as the bytes of the file, equal for equal stamps.

        >>> Stamp("0.1.0", 1, "3.12", "arm64", {"b": "2", "a": "1"}, "").encoded().count(b"\n")
        11
        """
        return json.format(json.encode(self, order="sorted"), indent=1) + b"\n"


def read_stamp(folder: Path | str | None = None) -> Stamp | None:
    """Return what the code in a folder says of itself, or ``None`` when it says nothing.

    Args:
        folder: Where to look; by default where this very wrens was loaded from.
    """
    place = Path(__file__).parents[3] if folder is None else Path(folder)
    try:
        return decoders.from_json(Stamp, (place / FILE).read_bytes())
    except (OSError, ValueError):
        return None


__all__ = ["FILE", "RECORDS", "Stamp", "read_stamp"]
