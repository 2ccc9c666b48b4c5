"""A store with scripted faults, by URL, so that worker processes open it too.

    faulty+file:///data/jobs?script=/data/faults.json
    faulty+s3://bucket/prefix?script=/data/faults.json

The schemes are offered through the entry point group ``wrens.stores`` and are otherwise unknown to the
library. Decides how a script is spelled in a file. Each store that is opened counts its own calls.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from wrens.errors import BadStoreURL
from wrens.store import Fault, FaultyStore, Store, open_store
from wrens.wire import decoders

PREFIX = "faulty+"


def faulty_url(directory: str | os.PathLike[str], faults: Sequence[Fault]) -> str:
    """Write a script beside a directory and return the URL that opens it with these faults.

    Args:
        directory: The directory that holds the objects.
        faults: What goes wrong in each process that opens the URL.

    Returns:
        A URL for :func:`wrens.store.open_store`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     url = faulty_url(root + "/jobs", [Fault("put", nth=1, kind="lost_reply")])
    ...     store = open_faulty(url)
    ...     store.url == url
    True
    """
    root = Path(directory).absolute()
    root.parent.mkdir(parents=True, exist_ok=True)
    url = open_store(root).url
    script = root.with_name(root.name + ".faults.json")
    script.write_bytes(msgspec.json.encode(list(faults)))
    return f"{PREFIX}{url}{'&' if '?' in url else '?'}script={quote(str(script))}"


def open_faulty(url: str, *, create: bool = True) -> Store:
    """Open a URL that :func:`faulty_url` has made; the opener of its scheme.

    Raises:
        BadStoreURL: if it names no script that can be read.
    """
    address, mark, named = url.removeprefix(PREFIX).rpartition("script=")
    if not mark:
        raise BadStoreURL("open", "", url, f"write {PREFIX}file:///directory?script=/path/to/faults.json")
    try:
        faults = decoders.from_json(list[Fault], Path(unquote(named)).read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise BadStoreURL("open", "", url, f"the script does not read: {error}") from error
    store = FaultyStore(open_store(address.rstrip("?&"), create=create), faults)
    store.url = url  # whoever opens it again shall meet the faults too
    store.trusted = True  # whether it is signed was decided when the store inside was opened
    return store
