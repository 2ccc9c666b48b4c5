"""The key with which a user's objects are signed: where it comes from, and that it stays a secret.

    WRENS_SIGNING_KEY                  64 hexadecimal digits, where somebody sets it
    ~/.config/wrens/signing-key        the same in a file ($XDG_CONFIG_HOME/wrens/…), made on first use

Decides these places, that a file which others may read is refused, and how a key is told from another one: by a
fingerprint, which is no secret. The key itself is never put into a store, a URL, a record, an error or a
``repr``, and does not pickle. What is signed with it is decided in :mod:`wrens.store.signed`.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from pathlib import Path
from typing import NoReturn

from wrens.errors import BadSigningKey

VARIABLE = "WRENS_SIGNING_KEY"
"""The environment variable that holds the key, before any file."""
SECRET_BYTES = 32
FINGERPRINT_DIGITS = 16
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}")


class SigningKey:
    """A key, which shows its fingerprint only.

    Args:
        secret: 32 bytes that nobody else knows.
        place: Where it was found.

    >>> SigningKey(bytes(32), "an example")
    <SigningKey 2c3767eca98640cc from an example>
    """

    __slots__ = ("_begun", "_secret", "fingerprint", "place")

    def __init__(self, secret: bytes, place: str) -> None:
        self._secret = secret
        self._begun = hmac.new(secret, digestmod="sha256")
        self.fingerprint = hmac.digest(secret, b"fingerprint", "sha256").hex()[:FINGERPRINT_DIGITS]
        self.place = place

    def begin(self) -> hmac.HMAC:
        """Return a new HMAC-SHA256 under this key, of nothing yet."""
        return self._begun.copy()

    def export(self) -> str:
        """Return the key itself, as :data:`VARIABLE` has it: for another computer, never for a log."""
        return self._secret.hex()

    def __repr__(self) -> str:
        return f"<SigningKey {self.fingerprint} from {self.place}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key does not travel")


def signing_key(*, make: bool = True) -> SigningKey:
    """Return the user's key.

    Args:
        make: Make one when there is none. Workers do not: theirs has to be the client's.

    Raises:
        BadSigningKey: if it is malformed, others may read it, there is none, or none can be made.

    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", {VARIABLE: 64 * "0"}):
    ...     signing_key()
    <SigningKey 2c3767eca98640cc from the variable WRENS_SIGNING_KEY>
    """
    text = os.environ.get(VARIABLE)
    if text:
        return decoded(text, f"the variable {VARIABLE}")
    path = key_file()
    try:
        return _read(path)
    except FileNotFoundError:
        if not make:
            raise BadSigningKey(
                str(path),
                f"is not there, and {VARIABLE} is not set",
                f"Give this worker the key of its client: 'wrens key --export' prints it there, {VARIABLE} "
                "takes it here.",
            ) from None
    except OSError as error:
        raise BadSigningKey(str(path), f"cannot be read: {error.strerror}", _OTHERWISE) from error
    try:
        _make(path)
        return _read(path)
    except OSError as error:
        raise BadSigningKey(str(path), f"cannot be made: {error.strerror}", _OTHERWISE) from error


_OTHERWISE = f"Or set {VARIABLE} to 64 hexadecimal digits of your own ('openssl rand -hex 32' prints some)."


def key_file() -> Path:
    """Return where the key's file is, or would be made.

    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", XDG_CONFIG_HOME="/home/me/.config"):
    ...     str(key_file())
    '/home/me/.config/wrens/signing-key'
    """
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    # The convention says to ignore a relative path.
    config = named if named.is_absolute() else Path(os.path.expanduser("~/.config"))  # noqa: PTH111 - never raises
    return config / "wrens" / "signing-key"


def _read(path: Path) -> SigningKey:
    fd = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(fd)
        text = os.read(fd, 4 * SECRET_BYTES).decode("ascii", "replace")
    finally:
        os.close(fd)
    if status.st_uid != os.geteuid():
        raise BadSigningKey(
            str(path), f"belongs to user {status.st_uid}, not to you", f"Move it away. {_OTHERWISE}"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise BadSigningKey(
            str(path),
            f"is no secret: others may use the file (mode {mode:o})",
            f"If nobody has read it: chmod 600 {path}. Else delete it, and a new one is made; what was signed with "
            "the old one is refused then.",
        )
    return decoded(text, str(path))


def decoded(text: str, place: str) -> SigningKey:
    """Return the key that a text is.

    Args:
        text: 64 hexadecimal digits.
        place: Where it was found.

    Raises:
        BadSigningKey: if it is something else.
    """
    text = text.strip()
    if not _HEX.fullmatch(text):
        # Without the text: it may be nearly the key.
        raise BadSigningKey(
            place, f"is not {2 * SECRET_BYTES} hexadecimal digits", "'wrens key --export' prints one that is."
        )
    return SigningKey(bytes.fromhex(text), place)


def _make(path: Path) -> None:
    """Make a key's file, whole or not at all; of several processes that do so at once, one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.urandom(8).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, os.urandom(SECRET_BYTES).hex().encode() + b"\n")
        os.fsync(fd)
        draft.chmod(0o600)
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        os.close(fd)
        draft.unlink()
