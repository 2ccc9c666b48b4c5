"""What workers are, for packages that are to run there.

Decides which facts of a platform matter; a backend states them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """What workers are that do not run on the client's own installation.

    Packages that a function needs are built for it; see :mod:`wrens.environments`.

    Args:
        python: The workers' minor version, such as ``"3.11"``.
        machine: ``"x86_64"`` or ``"aarch64"``.
        libc: Which wheels they can use: a tag of PEP 600, such as ``"manylinux_2_34"``.
        provided: Distributions that the workers have already, with what these need; never shipped.
        disk_mb: Megabytes (10**6 bytes) that unpacked packages may take up in a worker.

    >>> Platform("3.11", "aarch64").tag
    'aarch64-manylinux_2_34'
    """

    python: str
    machine: str
    libc: str = "manylinux_2_34"
    provided: frozenset[str] = frozenset()
    disk_mb: int = 400

    @property
    def tag(self) -> str:
        """The platform as packagers call it."""
        return f"{self.machine}-{self.libc}"
