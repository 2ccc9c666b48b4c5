"""What the configuration files of AWS say: ``~/.aws/config`` and ``~/.aws/credentials``.

Decides where the files are, which profile counts, and how its values are read, as AWS's own tools document it.
What follows from the values is decided in :mod:`wrens.store.amazon` and :mod:`wrens.store.credentials`.
"""

from __future__ import annotations

from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path

from wrens.errors import BadStoreURL


@dataclass(frozen=True)
class Profile:
    """One profile, from both files together.

    Args:
        name: ``default``, or what ``AWS_PROFILE`` names.
        values: Its settings; the credentials file has the last word.
        endpoint: Where its services say that S3 is; empty when they do not.
        files: Those that were read.
    """

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"Profile({self.name!r}, {sorted(self.values)})"  # the values may be secrets


def read_profile(environment: Mapping[str, str]) -> Profile:
    """Return the profile that the environment chooses.

    Args:
        environment: Such as ``os.environ``.

    Raises:
        BadStoreURL: if a file cannot be read or understood, or the environment names a profile that is nowhere.

    >>> read_profile({"AWS_CONFIG_FILE": "/no/such/file", "AWS_SHARED_CREDENTIALS_FILE": "/nor/this"})
    Profile('default', [])
    """
    config_file = _path(environment, "AWS_CONFIG_FILE", "~/.aws/config")
    keys_file = _path(environment, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    chosen = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    name = chosen or "default"
    config = _sections(config_file, named="AWS_CONFIG_FILE" in environment)
    keys = _sections(keys_file, named="AWS_SHARED_CREDENTIALS_FILE" in environment)
    values = dict(config.get(f"profile {name}") or (config.get(name, {}) if name == "default" else {}))
    values |= keys.get(name, {})
    if chosen and not values:
        known = sorted({section.removeprefix("profile ") for section in config} | set(keys))
        there = f"those that exist: {', '.join(known)}" if known else "there is none at all"
        told = f"AWS_PROFILE={chosen} names no profile of {config_file} or {keys_file}; {there}"
        raise BadStoreURL("open", "", "", told)
    services = config.get(f"services {values.get('services', '')}", {})
    endpoint = _nested(services.get("s3", "")).get("endpoint_url", "")
    files = tuple(file for file, found in ((config_file, config), (keys_file, keys)) if found)
    return Profile(name, values, endpoint, files)


def _path(environment: Mapping[str, str], variable: str, default: str) -> Path:
    path = Path(environment.get(variable) or default)
    try:
        return path.expanduser()
    except RuntimeError:
        return path  # a user without a home, as in some containers, has no such file


def _sections(path: Path, *, named: bool) -> dict[str, dict[str, str]]:
    """Return the sections of a file; none of one that is not there, or in a home that is not ours."""
    parser = RawConfigParser(default_section="", strict=False, delimiters=("=",), allow_no_value=True)
    try:
        text = path.read_text(encoding="utf-8")
        parser.read_string(text, source=str(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        if not named:
            return {}
        raise BadStoreURL("open", "", "", f"{path} cannot be read: {error.strerror}") from None
    except (OSError, UnicodeError, ConfigError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        # The text of a parser's error may quote the line, and that may hold a secret.
        raise BadStoreURL("open", "", "", f"{path} cannot be read: {reason}") from None
    return {
        " ".join(section.split()).strip('"').replace('profile "', "profile "): {
            name: value or "" for name, value in parser.items(section)
        }
        for section in parser.sections()
    }


def _nested(value: str) -> dict[str, str]:
    """Return the settings that stand indented below another."""
    lines = (line.partition("=") for line in value.splitlines())
    return {name.strip(): setting.strip() for name, found, setting in lines if found}
