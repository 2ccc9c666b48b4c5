"""What the address of a store may say, and what to write instead of one that says something else.

Decides by the text alone; nothing is opened, made or asked here. What looks like a slip is refused, also where
a system would take it: a directory called ``C:`` or ``~nobody`` is hardly ever meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from wrens.errors import BadStoreURL

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ALIASES = {
    "s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az", "abfs": "az", "abfss": "az", "adl": "az",
    "wasb": "az", "mem": "memory", "dir": "file", "local": "file",
}  # fmt: skip
_SETTINGS = ("endpoint", "region", "virtual_hosted_style_request", "skip_signature", "account_name", "signed")
"""What a URL's query may say. Nothing secret: URLs are shown, logged and sent to workers."""
_SETTINGS_OF = {"s3": (*_SETTINGS, "sse", "kms_key", "bucket_key", "requester_pays")}
_VALUES = {
    "sse": ("AES256", "aws:kms", "aws:kms:dsse"),
    "bucket_key": ("true", "false"),
    "requester_pays": ("true", "false"),
}
_WISHES = {"yes": True, "no": False}
# More than the vendors allow today: old buckets have capitals and underscores, Azure has $root.
_BUCKET = re.compile(r"[A-Za-z0-9$_-][A-Za-z0-9$._-]*")
_NEARLY = re.compile(r"\s*(file|memory|s3|gs|az):/*(.*?)\s*", re.DOTALL | re.IGNORECASE)
_WINDOWS = re.compile(r"/?[A-Za-z]:[\\/]|\\\\")


def checked_path(path: str) -> str:
    """Return a path of a directory with the user's home in the place of ``~``.

    Raises:
        BadStoreURL: if it cannot be one, or is hardly meant as one.

    >>> checked_path("./C:/data")
    './C:/data'
    >>> checked_path("s3:/bucket/x")
    Traceback (most recent call last):
        ...
    wrens.errors.BadStoreURL: cannot open s3:/bucket/x: this URL names no store
      did you mean s3://bucket/x?
    ...
    """
    nearly = _NEARLY.fullmatch(path)
    if nearly:
        scheme, rest = nearly.group(1).lower(), nearly.group(2)
        raise _bad(path, f"did you mean {scheme}:{'///' if scheme == 'file' else '//'}{rest}?")
    bare = path.strip()
    if not bare:
        raise _bad(path, "it is empty; leave the store out for the default, or name a directory")
    if path[0].isspace() and (bare[0] in "/~" or SCHEME.match(bare)):
        raise _bad(path, f"it begins with a space; did you mean {bare}?")
    if "\0" in path:
        raise _bad(path, "a path cannot hold a NUL character; leave it out")
    if _WINDOWS.match(path):
        raise _bad(path, f"this is a path of Windows; here write /data/jobs, or ./{path} if you mean it so")
    expanded = os.path.expanduser(path)  # noqa: PTH111 - tells an unknown user by leaving it
    if expanded.startswith("~"):
        user = path[1:].partition("/")[0]
        raise _bad(
            path, f"there is no user {user!r} here; write the whole path, or ./{path} if you mean it so"
        )
    return expanded


def signing_of(address: str) -> tuple[str, bool | None]:
    """Return an address without its wish to be signed, and the wish, ``None`` when it has none.

    Raises:
        BadStoreURL: if the wish is neither ``yes`` nor ``no``.

    >>> signing_of("s3://lab/jobs?region=eu-west-1&signed=no"), signing_of("/data/what?signed=no")
    (('s3://lab/jobs?region=eu-west-1', False), ('/data/what?signed=no', None))
    """
    bare, mark, query = address.partition("?")
    if not mark or SCHEME.match(address) is None:
        return address, None
    wish, others = None, []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name != "signed":
            others.append(part)
        elif value in _WISHES:
            wish = _WISHES[value]
        else:
            raise _bad(bare, f"write signed=yes or signed=no, not signed={value}")
    if wish is None:
        return address, None
    return bare + mark * bool(others) + "&".join(others), wish


def with_signing(url: str, *, signed: bool) -> str:
    """Return a URL with the wish that the store is signed, or is not.

    >>> with_signing("file:///data", signed=True), with_signing("s3://lab?region=x", signed=False)
    ('file:///data?signed=yes', 's3://lab?region=x&signed=no')
    """
    bare, _ = signing_of(url)
    return f"{bare}{'&' if '?' in bare else '?'}signed={'yes' if signed else 'no'}"


def path_of(url: str) -> str:
    """Return the path that a URL of a file names, once its wish to be signed is taken off.

    Raises:
        BadStoreURL: if it names a computer, or is not absolute.

    >>> path_of("file:///data/my%20jobs")
    '/data/my jobs'
    """
    parts = urlsplit(url)
    given = f"{parts.netloc}{parts.path}"
    if parts.netloc not in ("", "localhost"):
        absolute = "" if parts.netloc[0] in ".~" else f", or file:///{given}"
        raise _bad(url, f"a file URL has three slashes; did you mean {given} without 'file://'{absolute}?")
    if not parts.path or parts.query or parts.fragment:
        told = "a file URL is file:///, then a path, with '%3F' for a '?' in it and '%23' for a '#'"
        raise _bad(url, f"{told}; only ?signed=yes or ?signed=no may follow")
    if parts.path.startswith("/~"):
        raise _bad(
            url, f"a file URL knows no '~'; write {parts.path[1:]} without 'file://', or the whole path"
        )
    return os.fsdecode(unquote_to_bytes(parts.path))


def bucket_and_settings(scheme: str, url: str) -> tuple[str, dict[str, str]]:
    """Return the URL of a bucket without its query, and what the query sets.

    Raises:
        BadStoreURL: if there can be no such bucket, or the query sets what it cannot.

    >>> bucket_and_settings("s3", "S3://lab/jobs/?region=eu-west-1")
    ('s3://lab/jobs', {'region': 'eu-west-1'})
    """
    parts = urlsplit(url)
    bucket, path = parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
    clean = f"{scheme}://{bucket}{path}"
    if "@" in parts.netloc or parts.fragment:
        raise _bad(clean, "a URL carries no user name, password or '#'")
    if not bucket:
        raise _bad(clean, f"the name of the bucket is missing: {scheme}://bucket/prefix")
    if re.fullmatch(r".*:\d+", bucket):
        raise _bad(
            clean, f"a service of your own is a setting: {scheme}://bucket/prefix?endpoint=http://{bucket}"
        )
    if not _BUCKET.fullmatch(bucket):
        raise _bad(clean, f"{bucket!r} is no name of a bucket: use letters, digits, '.', '-' and '_'")
    parts_of_path = path.split("/")[1:]
    if {"", ".", ".."} & set(parts_of_path):
        good = "/".join([bucket, *(part for part in parts_of_path if part not in ("", ".", ".."))])
        raise _bad(clean, f"a prefix has no '..', no '.' and no '//' in it; write it out: {scheme}://{good}")
    return clean, _settings(clean, parts.query, _SETTINGS_OF.get(scheme, _SETTINGS))


def _settings(clean: str, query: str, allowed: Sequence[str]) -> dict[str, str]:
    settings = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in settings.items():
        if name not in allowed:
            near = get_close_matches(name, allowed, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise _bad(
                clean,
                f"a URL cannot set {name!r}{hint} (it can set {', '.join(allowed)}; credentials come "
                "from the environment)",
            )
        if not value:
            raise _bad(clean, f"it sets {name!r} to nothing; write {name}=... or leave it out")
        if name in _VALUES and value not in _VALUES[name]:
            raise _bad(clean, f"{name}={value} cannot be; {name} is one of {', '.join(_VALUES[name])}")
    return settings


def unknown(scheme: str, url: str, known: Sequence[str]) -> BadStoreURL:
    """Return the error for a scheme that nobody opens, with the likely one."""
    rest = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    shown = f"{scheme}://{rest}"
    if scheme in ("http", "https"):
        host = rest.partition("/")[0]
        return _bad(shown, f"a service is named like this: s3://bucket/prefix?endpoint={scheme}://{host}")
    near = _ALIASES.get(scheme) or next(iter(get_close_matches(scheme, known, n=1, cutoff=0.5)), None)
    hint = f"; did you mean {near}://{rest}?" if near else ""
    return _bad(shown, f"{scheme!r} is not a kind of store{hint}")


def _bad(address: str, reason: str) -> BadStoreURL:
    return BadStoreURL("open", "", address or "''", reason)
