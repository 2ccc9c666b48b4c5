"""Files are written whole, whatever their contents are made of."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wrens.store.files import WRITTEN, write_all

LENGTHS = st.sampled_from([0, 1, 100, WRITTEN - 1, WRITTEN, WRITTEN + 1, 3 * WRITTEN + 7])


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(LENGTHS, max_size=12), small=st.integers(0, 1500))
def test_buffers_are_written_one_after_the_other(tmp_path: Path, lengths: list[int], small: int) -> None:
    buffers: list[bytes | memoryview] = [bytes([n % 251]) * length for n, length in enumerate(lengths)]
    buffers += [memoryview(bytes([n % 253])) for n in range(small)]
    path = tmp_path / "file"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(fd, buffers)
    finally:
        os.close(fd)
    assert path.read_bytes() == b"".join(buffers)
