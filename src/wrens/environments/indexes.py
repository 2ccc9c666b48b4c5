"""Where uv looks for packages, when the user has told only pip.

uv does not read pip's configuration. Whoever has told pip of a company's mirror expects packages to come from
there, so what pip knows is passed on as environment variables of uv, unless uv has been told of an index itself.
Decides what is passed on; keeps no address, which may hold a password.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

_TOLD = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")
_WORDS = ("index", "find-links")
_PIP_S = 30.0


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell uv what pip knows; none when uv has been told itself.

    Args:
        environment: The variables of this process.
    """
    if any(environment.get(name) for name in _TOLD) or _told_by_file(environment):
        return {}
    return translated(pip_configuration())


def pip_configuration() -> dict[str, str]:
    """Return pip's settings by their names, the more special ones having the last word; empty without pip."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
            capture_output=True,
            text=True,
            timeout=_PIP_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, str] = {}
    special = {"global": 0, "install": 1, ":env:": 2}
    rows = [line.partition("=") for line in done.stdout.splitlines() if "=" in line]
    named = [(*name.rpartition(".")[::2], value) for name, _, value in rows]
    for section, name, value in sorted(named, key=lambda row: special.get(row[0], -1)):
        if section in special:
            found[name] = _unquoted(value)
    return found


def translated(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what these settings of pip are called in uv's variables.

    Folders that are not there are left out, as pip does; uv would stop.

    >>> translated({"index-url": "https://mirror.example/simple", "extra-index-url": "file:///nowhere"})
    {'UV_DEFAULT_INDEX': 'https://mirror.example/simple'}
    """
    found = {
        "UV_DEFAULT_INDEX": _there(settings.get("index-url", "")),
        "UV_INDEX": _there(settings.get("extra-index-url", "")),
        # uv wants commas here, and spaces in the line before.
        "UV_FIND_LINKS": ",".join(_there(settings.get("find-links", "")).split()),
        "UV_INSECURE_HOST": settings.get("trusted-host", ""),
        "SSL_CERT_FILE": settings.get("cert", ""),
    }
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        found["UV_NO_INDEX"] = "1"
    if found["UV_INDEX"] or found["UV_FIND_LINKS"]:
        # As pip does: the best version, whichever index has it.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in found.items() if value}


def _there(addresses: str) -> str:
    """Return the addresses that are not those of folders that are missing."""
    return " ".join(
        each
        for each in addresses.split()
        if (path := _path(each)) is None or Path(path).expanduser().exists()
    )


def _path(address: str) -> str | None:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return unquote(parts.path)
    return None if parts.scheme else address


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (SyntaxError, ValueError):
        return value


def _told_by_file(environment: Mapping[str, str]) -> bool:
    """Tell whether one of uv's own files speaks of an index."""
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    files = [Path(home).expanduser() / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    if named := environment.get("UV_CONFIG_FILE"):
        files.append(Path(named))
    here = Path.cwd()
    for folder in (here, *here.parents):
        files += [folder / "uv.toml", folder / "pyproject.toml"]
    return any(_speaks_of_indexes(file) for file in files)


def _speaks_of_indexes(file: Path) -> bool:
    import tomllib

    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if file.name == "pyproject.toml":
        content = content.get("tool", {}).get("uv", {})
    sections = (content, content.get("pip", {}))
    return any(word in name for section in sections for name in section for word in _WORDS)
