"""The program of docs/howto/k-means.md also does from a centre that nobody is near to."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from follow import execute
from pages import ROOT, blocks


def test_a_centre_without_points_stays_where_it_is() -> None:
    (block,) = (one for one in blocks(ROOT / "docs/howto/k-means.md") if one.kind == "python")
    lines = block.text.splitlines()
    (place,) = (i for i, line in enumerate(lines) if line.startswith("start = "))
    lines[place] = "start = np.array([[3.0, 3.0], [9.0, 3.0], [3.0, 40.0]])"
    namespace: dict[str, object] = {"__name__": "__main__"}
    execute(replace(block, text="\n".join(lines)), "k-means.md", namespace)
    centres = namespace["centres"]
    assert isinstance(centres, np.ndarray)
    assert np.isfinite(centres).all()
    assert centres[2].tolist() == [3.0, 40.0]
    assert centres[:2].round().tolist() == [[1.0, 3.0], [9.0, 1.0]]
