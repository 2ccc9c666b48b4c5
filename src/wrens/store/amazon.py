"""From what a URL, the environment and AWS's files say to the configuration of a client of S3.

Decides who has the last word: the URL, then the environment, then the profile; and which of it belongs into the
store's URL, because workers elsewhere have neither the environment nor the files. Makes no request and imports
no client. Credentials are :mod:`wrens.store.credentials`' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wrens.errors import BadStoreURL
from wrens.store.credentials import Provider, find_provider
from wrens.store.profiles import Profile, read_profile

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_NAMES = {
    "sse": "server_side_encryption",
    "kms_key": "sse_kms_key_id",
    "bucket_key": "sse_bucket_key_enabled",
    "requester_pays": "request_payer",
}
"""What a URL calls an option, and what obstore calls it, where that differs."""
_CONDITIONAL_COPY = "AWS_COPY_IF_NOT_EXISTS"


@dataclass(frozen=True)
class Access:
    """How to speak to a bucket of S3.

    Args:
        settings: What the store's URL has to say: what was given, and what only the files of this computer say.
        config: For obstore.
        provider: Gives credentials; ``None`` when obstore finds them by itself.
    """

    settings: Mapping[str, str]
    config: Mapping[str, str]
    provider: Provider | None


def find_access(settings: Mapping[str, str], environment: Mapping[str, str]) -> Access:
    """Return how to speak to a bucket.

    Args:
        settings: What the URL's query sets.
        environment: Such as ``os.environ``.

    Raises:
        BadStoreURL: if what is set contradicts itself.
        StoreDenied: if the profile needs a package that is not installed.

    >>> access = find_access({"sse": "aws:kms"}, {"AWS_REGION": "eu-west-1", "AWS_CONFIG_FILE": "/none"})
    >>> dict(access.config)["server_side_encryption"], dict(access.settings)
    ('aws:kms', {'sse': 'aws:kms'})
    """
    known = _with_profile(dict(settings), environment, profile := read_profile(environment))
    if "kms_key" in known and not known.get("sse", "").startswith("aws:kms"):
        if "sse" in known:
            raise BadStoreURL("open", "", "", f"kms_key=... goes with sse=aws:kms, not sse={known['sse']}")
        known["sse"] = "aws:kms"
    config = {_NAMES.get(name, name): value for name, value in known.items()}
    if known.get("requester_pays") == "false":
        del config["request_payer"]
    if not environment.get(_CONDITIONAL_COPY):
        config["copy_if_not_exists"] = "multipart"
    signs = known.get("skip_signature") != "true" and environment.get("AWS_SKIP_SIGNATURE") != "true"
    provider = find_provider(environment, profile) if signs else None
    return Access(known, config, provider)


def endpoint_of(settings: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Return where the service is; empty for AWS's own.

    >>> endpoint_of({"region": "eu-west-1"}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"})
    'http://127.0.0.1:9000'
    """
    return settings.get("endpoint") or _first(environment, _ENDPOINTS)


def _with_profile(known: dict[str, str], environment: Mapping[str, str], profile: Profile) -> dict[str, str]:
    """Add what the files say and nobody before them has said."""
    region = profile.values.get("region")
    if region and not known.get("region") and not _first(environment, _REGIONS):
        known["region"] = region
    endpoint = profile.endpoint or profile.values.get("endpoint_url", "")
    ignored = "true" in (
        environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower(),
        profile.values.get("ignore_configured_endpoint_urls", "").lower(),
    )
    if endpoint and not ignored and not known.get("endpoint") and not _first(environment, _ENDPOINTS):
        known["endpoint"] = endpoint
    return known


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
