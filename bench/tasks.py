"""The functions that the scripts hand to the systems; importable, so that every system can ship them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def noop(x: Any) -> Any:
    """Return the input, so that a lost or misplaced result shows."""
    return x


def raise_level(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a new array of the same size; little work beside moving it."""
    return array + 1.0


def last_for(seconds: float) -> float:
    """Take so long without using the processor, and return it."""
    time.sleep(seconds)  # noqa: TID251 - the length of the task is what is measured
    return seconds
