"""What things on AWS are called.

Decides the names of function, role and log group, which Pythons there are, and what tells our things from
those of others. Makes no request.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from wrens.errors import BadOption, BadStoreURL, CannotDeploy
from wrens.store.addresses import bucket_and_settings

HANDLER = "wrens.backends.aws_lambda.handler.handle"
"""What Lambda calls for each invocation."""
OURS = "wrens"
"""The tag, with the value ``1``, on everything that wrens has made."""
KEY_VARIABLE = "WRENS_SIGNING_KEY"
"""The environment variable in which a function finds the key that payloads are signed with."""
VERSION_VARIABLE, PYTHON_VARIABLE = "WRENS_VERSION", "WRENS_PYTHON"
"""The environment variables of a function that tell a client what it holds."""
FUNCTION_VARIABLE = "WRENS_LAMBDA_FUNCTION"
"""The environment variable that names the function to use, in the place of the default."""
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
"""The Pythons that Lambda offers and wrens runs on."""
# Python 3.11 still runs on Amazon Linux 2, the others on Amazon Linux 2023.
GLIBC = {(3, 11): 26}
"""The minor version of glibc 2 that a Python has in Lambda, where it is not the newest."""
NEWEST_GLIBC = 34
GLIBC_VARIABLE = "WRENS_GLIBC"
"""Says in a function's environment which glibc it has, such as ``2.36``, where its image is not one of Lambda's."""
WORKER_HAS = frozenset({"wrens", "cloudpickle", "msgspec", "obstore"})
"""The packages of a function's own code: what a worker imports. What these need comes with them."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


def python_version(version: tuple[int, int] | None = None) -> str:
    """Return a Python as people write it; by default that of this process.

    >>> python_version((3, 12))
    '3.12'
    """
    major, minor = version or sys.version_info[:2]
    return f"{major}.{minor}"


def default_function(name: str = "") -> str:
    """Return the name of the function for this Python.

    Args:
        name: Tells functions side by side apart, as ``wrens deploy aws --name`` does.

    Raises:
        BadOption: if the name cannot be a part of the names of AWS.

    >>> default_function() == f"wrens-py3{sys.version_info[1]}"
    True
    >>> default_function("big").endswith("-big")
    True
    """
    if name and not _NAME.fullmatch(name):
        raise BadOption(
            f"--name {name}",
            "cannot be part of a function's name",
            "Use up to 24 small letters, digits and '-', with a letter or digit at both ends.",
        )
    base = f"wrens-py{sys.version_info[0]}{sys.version_info[1]}"
    return f"{base}-{name}" if name else base


def chosen_function() -> str:
    """Return the function that is used when none is named.

    It is ``WRENS_LAMBDA_FUNCTION``, or inside a function that very one, or the one that ``wrens deploy aws`` makes
    for this Python.
    """
    return (
        os.environ.get(FUNCTION_VARIABLE) or os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or default_function()
    )


def runtime() -> str:
    """Return Lambda's name for the Python of this process.

    Raises:
        CannotDeploy: if Lambda does not offer it.
    """
    here = sys.version_info[:2]
    if here not in PYTHONS:
        offered = ", ".join(map(python_version, PYTHONS))
        raise CannotDeploy(
            f"make a function for Python {python_version()}",
            f"Lambda offers Python {offered}, and functions travel only between equal versions.",
            "Use one of these on this computer too, or an image of your own: wrens deploy aws --image URI.",
        )
    return f"python{python_version()}"


def libc(python: str, said: str = "") -> str:
    """Return which wheels a function can use, as a platform tag.

    Args:
        python: Its Python, such as ``"3.11"``.
        said: Its glibc, where that is known; by default what Lambda has for this Python.

    >>> libc("3.11"), libc("3.12"), libc("3.12", "2.36")
    ('manylinux_2_17', 'manylinux_2_34', 'manylinux_2_36')
    """
    minor = (3, int(python.partition(".")[2]))
    glibc = int(said.partition(".")[2]) if said else GLIBC.get(minor, NEWEST_GLIBC)
    # The resolver knows 2.17, 2.28 and from 2.31 on each.
    known = glibc if glibc >= 31 else 28 if glibc >= 28 else 17
    return f"manylinux_2_{known}"


@dataclass(frozen=True)
class Place:
    """Where on AWS things are, and what they are called.

    Args:
        region: Of the function.
        account: Twelve digits.
        function: The function's name.
        bucket: The store's bucket.
        prefix: The store's prefix in it, without a ``/`` at either end; empty for the whole bucket.
        partition: ``aws``, or another in China and for governments.

    >>> place = Place("eu-central-1", "123456789012", "wrens-py311", "lab", "jobs")
    >>> place.role_arn
    'arn:aws:iam::123456789012:role/wrens-py311-eu-central-1'
    >>> place.objects("pages/*")
    'arn:aws:s3:::lab/jobs/pages/*'
    """

    region: str
    account: str
    function: str
    bucket: str
    prefix: str = ""
    partition: str = "aws"

    @property
    def function_arn(self) -> str:
        """The function."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{self.function}"

    @property
    def role(self) -> str:
        """The role's name; roles are not of a region, so it names the region."""
        return f"{self.function}-{self.region}"

    @property
    def role_arn(self) -> str:
        """The role that the function acts in."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role}"

    @property
    def log_group(self) -> str:
        """The name of the group of logs that Lambda writes for the function."""
        return f"/aws/lambda/{self.function}"

    @property
    def log_group_arn(self) -> str:
        """The group of logs."""
        return f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:{self.log_group}"

    @property
    def bucket_arn(self) -> str:
        """The bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def store(self) -> str:
        """The store's URL."""
        return f"s3://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def key(self, key: str) -> str:
        """Return where a key of the store lies in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def objects(self, pattern: str = "*") -> str:
        """Return the ARN of the store's objects with such keys."""
        return f"{self.bucket_arn}/{self.key(pattern)}"


@dataclass(frozen=True)
class Address:
    """The bucket and prefix of a store on S3, and what its URL sets.

    >>> address_of("s3://lab/jobs/?region=eu-west-1")
    Address(bucket='lab', prefix='jobs', settings={'region': 'eu-west-1'})
    """

    bucket: str
    prefix: str
    settings: Mapping[str, str] = field(default_factory=dict)


def address_of(url: str) -> Address:
    """Return what the URL of a store on S3 says.

    Raises:
        BadStoreURL: if it is none of S3.
    """
    if not url.lower().startswith("s3://"):
        raise BadStoreURL("open", "", url, "workers on Lambda need a store on S3: s3://bucket/prefix")
    clean, settings = bucket_and_settings("s3", url)
    bucket, _, prefix = clean.removeprefix("s3://").partition("/")
    return Address(bucket, prefix, settings)


def is_ours(tags: Mapping[str, str]) -> bool:
    """Tell whether wrens has made what has these tags."""
    return tags.get(OURS) == "1"
