"""How much memory this process uses.

Decides where the number is read; it is evidence, never an input to a decision.
"""

from __future__ import annotations

import os
import sys

_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNIT = {"darwin": 1}.get(sys.platform, 1024)


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes.

    On Linux it is what is resident now, elsewhere the most that has been.
    """
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - cheaper than a Path
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Kilobytes everywhere but on macOS.
        return most * _UNIT
