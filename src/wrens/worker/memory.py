"""How much memory this process uses.

Decides where the number is read; it is evidence, never an input to a decision.
"""

from __future__ import annotations

import os
import sys

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 when the system does not tell.

    On Linux it is what is resident now, elsewhere the most that has been.
    """
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - cheaper than a Path
                return int(file.read().split()[1]) * _PAGE
        except OSError:
            return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
