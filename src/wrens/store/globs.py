"""Which names a pattern means, the same for files and for objects in a bucket.

``*`` and ``?`` stay within one part of a name, ``[...]`` is one of some letters, and ``**`` is any number of directories.
A name that begins with ``_`` or ``.`` is meant only by a part that begins so too: with data, such names are those of
markers, manifests and what is still being written. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

_MAGIC = "*?["


def has_magic(pattern: str) -> bool:
    """Tell whether a name has letters that make it a pattern.

    >>> has_magic("logs/*.txt"), has_magic("logs/a.txt")
    (True, False)
    """
    return any(letter in pattern for letter in _MAGIC)


def is_hidden(name: str) -> bool:
    """Tell whether a part of a name is left out where it is not named.

    >>> is_hidden("_SUCCESS"), is_hidden("words.txt")
    (True, False)
    """
    return name.startswith(("_", "."))


def parted(pattern: str) -> tuple[str, list[str]]:
    """Return the directory in which all matches lie, with a ``/`` at its end, and the parts of the pattern below it.

    >>> parted("logs/2024/*/a-*.txt"), parted("*.txt"), parted("logs/**")
    (('logs/2024/', ['*', 'a-*.txt']), ('', ['*.txt']), ('logs/', ['**', '*']))
    """
    if pattern.endswith("/"):
        pattern += "**"
    parts = pattern.split("/")
    if parts[-1] == "**":
        parts.append("*")
    first = next(i for i, part in enumerate(parts) if has_magic(part))
    return "".join(f"{part}/" for part in parts[:first]), parts[first:]


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether the parts of a name are what the parts of a pattern mean.

    >>> [matches(name.split("/"), ["**", "*.txt"]) for name in ("a.txt", "b/c/a.txt", "b/_c/a.txt", "_a.txt")]
    [True, True, False, False]
    """
    if not pattern or not parts:
        return not pattern and not parts
    if pattern[0] == "**":
        deeper = len(parts) > 1 and not is_hidden(parts[0]) and matches(parts[1:], pattern)
        return deeper or matches(parts, pattern[1:])
    return _fits(parts[0], pattern[0]) and matches(parts[1:], pattern[1:])


def leads_on(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether something in a directory with these parts can be what a pattern means.

    >>> leads_on(["2024"], ["20*", "a.txt"]), leads_on(["2024"], ["20*"]), leads_on(["a", "b"], ["**", "x"])
    (True, False, True)
    """
    if not pattern or not parts:
        return bool(pattern)
    if pattern[0] == "**":
        deeper = not is_hidden(parts[0]) and leads_on(parts[1:], pattern)
        return deeper or leads_on(parts, pattern[1:])
    return _fits(parts[0], pattern[0]) and leads_on(parts[1:], pattern[1:])


def _fits(name: str, part: str) -> bool:
    return (is_hidden(part) or not is_hidden(name)) and fnmatchcase(name, part)
