"""Where the credentials for AWS come from.

Decides between four sources, in the order of AWS's own tools:

1. the environment's keys: read by obstore itself, as on Lambda, where nothing else is looked at;
2. a role, single sign-on or program that the profile names: resolved by botocore, which the extra
   ``wrens[aws]`` brings;
3. the profile's own keys: read here;
4. none of these: a web identity, a container or the instance gives them, to obstore itself.

Credentials that expire are fetched again in time. Nothing of them is kept in a URL, a log or an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from wrens.clock import SystemClock
from wrens.errors import BadStoreURL, StoreDenied
from wrens.store.profiles import Profile, read_profile

Credential = dict[str, Any]
Provider = Callable[[], Credential]

GOOD_FOR_S = 600.0
"""Credentials are asked for again at the latest after this. obstore asks five minutes before, and botocore does
not hand out any that end within ten."""

_RESOLVED = ("role_arn", "sso_session", "sso_start_url", "web_identity_token_file")
_GIVERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
ADVICE = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or make a profile with 'aws configure' and name it by "
    "AWS_PROFILE"
)
_RESOLVED_LAST = ("credential_process", "login_session")


def find_provider(environment: Mapping[str, str], profile: Profile) -> Provider | None:
    """Return what gives credentials; ``None`` when obstore finds them by itself.

    Args:
        environment: Such as ``os.environ``.
        profile: What the configuration files say.

    Raises:
        BadStoreURL: if the environment has one half of a pair of keys.
        StoreDenied: if the profile needs botocore and that is not installed, or there is nobody left to ask.

    >>> find_provider({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, Profile("default")) is None
    True
    """
    key, secret = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
    if bool(environment.get(key)) != bool(environment.get(secret)):
        there, missing = (key, secret) if environment.get(key) else (secret, key)
        raise BadStoreURL("open", "", "", f"{there} is set and {missing} is not; both are needed")
    if environment.get(key):
        return None
    values = profile.values
    if not _own_keys(profile) or any(values.get(name) for name in _RESOLVED):
        asked = [name for name in (*_RESOLVED, *_RESOLVED_LAST) if values.get(name)]
        if asked:
            return _resolved(profile, asked[0])
        if _nobody_to_ask(environment):
            raise StoreDenied("open", "", "", f"no credentials are set: {ADVICE}")
        return None
    return _FileKeys(environment)


def _nobody_to_ask(environment: Mapping[str, str]) -> bool:
    alone = environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    return alone and not any(environment.get(name) for name in _GIVERS)


def _own_keys(profile: Profile) -> bool:
    return bool(profile.values.get("aws_access_key_id") and profile.values.get("aws_secret_access_key"))


def _resolved(profile: Profile, setting: str) -> Provider:
    if find_spec("botocore") is None:
        files = " and ".join(map(str, profile.files))
        told = (
            f"profile {profile.name!r} of {files} gets its credentials by {setting}, for which botocore is "
            "needed: pip install 'wrens[aws]'"
        )
        raise StoreDenied("open", "", "", told)
    return _Chain()


class _FileKeys:
    """The keys that stand in the files; read anew each time, because other tools replace them there."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def __call__(self) -> Credential:
        values = read_profile(self._environment).values
        return {
            "access_key_id": values.get("aws_access_key_id", ""),
            "secret_access_key": values.get("aws_secret_access_key", ""),
            "token": values.get("aws_session_token") or None,
            "expires_at": _soon(),
        }


class _Chain:
    """AWS's own chain. botocore is imported with the first request, and renews what expires."""

    def __init__(self) -> None:
        self._found: Any = None

    def __call__(self) -> Credential:
        if self._found is None:
            self._found = import_module("botocore.session").get_session().get_credentials()
        if self._found is None:
            raise LookupError("the profile gives no credentials")
        keys = self._found.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": _soon(),
        }


def _soon() -> datetime:
    return datetime.fromtimestamp(SystemClock().wall() + GOOD_FOR_S, UTC)
