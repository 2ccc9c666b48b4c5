"""How many processors this process may really use.

The number of processors in the machine is the wrong answer inside a container or a batch job: the affinity
mask and the quota of the control group say what there is to be had. Decides how these are combined.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("sys/fs/cgroup")


def usable_cpus(root: Path = Path("/")) -> int:
    """Return how many processors this process may use, at least 1.

    It is the size of the affinity mask, or less when a control group (version 1 or 2) of this process or
    one above it allows less processor time; a part of a processor counts as a whole one.

    Args:
        root: Where ``proc`` and ``sys`` are, for tests.

    >>> usable_cpus() >= 1
    True
    """
    return max(1, min(_affinity(), quota(root) or _affinity()))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = Path("/")) -> int | None:
    """Return what the control groups allow, rounded up; ``None`` when they set no limit.

    Args:
        root: Where ``proc`` and ``sys`` are, for tests.
    """
    limits = [limit for limit in (*_quotas_v2(root), *_quotas_v1(root)) if limit is not None]
    return min(limits, default=None)


def _quotas_v2(root: Path) -> Iterator[int | None]:
    group = _groups(root).get("")
    if group is not None:
        for folder in _upwards(root / _CGROUPS, group):
            allowed, _, period = _text(folder / "cpu.max").partition(" ")
            yield _whole(allowed, period)


def _quotas_v1(root: Path) -> Iterator[int | None]:
    group = _groups(root).get("cpu")
    if group is not None:
        for name in ("cpu", "cpu,cpuacct"):
            for folder in _upwards(root / _CGROUPS / name, group):
                yield _whole(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))


def _groups(root: Path) -> dict[str, str]:
    """Return the path of this process's control group by controller; that of version 2 has the name ``""``."""
    found = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path.strip("/")
    return found


def _upwards(top: Path, group: str) -> Iterator[Path]:
    """Yield the folder of a group and of those above it.

    Inside a container the group's own path may not be visible, but what is mounted at the top then is it.
    """
    folder = top / group
    while folder != top:
        yield folder
        folder = folder.parent
    yield top


def _whole(allowed: str, period: str) -> int | None:
    """Return a quota as a number of processors.

    >>> _whole("150000", "100000"), _whole("max", "100000"), _whole("-1", "100000")
    (2, None, None)
    """
    try:
        share, per = int(allowed), int(period)
    except ValueError:
        return None
    return -(-share // per) if share > 0 and per > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
