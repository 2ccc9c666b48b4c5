"""Usable processors, on made-up file systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wrens.backends.cpus import quota, usable_cpus


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V2 = "0::/work/job"
V1 = "12:memory:/x\n4:cpu,cpuacct:/work/job\n0::/"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": V2}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/work/job/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/work/job/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/work/cpu.max": "100000 100000"}, 1),
        (
            {
                "proc/self/cgroup": V2,
                "sys/fs/cgroup/work/job/cpu.max": "400000 100000",
                "sys/fs/cgroup/work/cpu.max": "300000 100000",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/work/job/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu/work/job/cpu.cfs_period_us": "100000",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
        ({"proc/self/cgroup": "nonsense", "sys/fs/cgroup/cpu.max": "what is this"}, None),
    ],
)
def test_quota(tmp_path, files, expected):
    assert quota(write(tmp_path, files)) == expected


def test_the_smallest_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cpus(tmp_path) == 8
    root = write(tmp_path, {"proc/self/cgroup": V2, "sys/fs/cgroup/work/cpu.max": "300000 100000"})
    assert usable_cpus(root) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert usable_cpus(root) == 1
