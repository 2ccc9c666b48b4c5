"""Whether anybody but the user can write to a directory.

Decides by owner and mode of the directory and of those above it, as they are now. What others could still
write to inside it, because of a careless umask, is not looked for.
"""

from __future__ import annotations

import os
import stat

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def is_private(directory: str) -> bool:
    """Tell whether only the user (and the superuser) can write to a directory, or put another in its place.

    Args:
        directory: An existing directory.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as mine:
    ...     before = is_private(mine)
    ...     os.chmod(mine, 0o777)
    ...     before, is_private(mine)
    (True, False)
    """
    me = os.geteuid()
    status = os.stat(directory)  # noqa: PTH116 - strings here, for speed
    if status.st_uid not in (0, me) or status.st_mode & OTHERS:
        return False
    absolute = os.path.abspath(directory)  # noqa: PTH100 - keeps symbolic links, which may be exchanged
    above = {*_above(absolute), *_above(os.path.realpath(directory))}
    return all(_keeps_its_entries(os.stat(folder), me) for folder in above)  # noqa: PTH116


def _above(path: str) -> list[str]:
    found = []
    while (parent := os.path.dirname(path)) != path:  # noqa: PTH120
        found.append(parent)
        path = parent
    return found


def _keeps_its_entries(status: os.stat_result, me: int) -> bool:
    """Tell whether nobody else can rename what is in a directory: in a sticky one, only the owner can."""
    mine = status.st_uid in (0, me)
    return mine and not (status.st_mode & OTHERS and not status.st_mode & stat.S_ISVTX)
