"""``wrens deploy aws`` and ``wrens undeploy aws``: workers on AWS Lambda, put there and removed.

Decides the options and what is printed. What is requested of AWS is decided in
:mod:`wrens.backends.aws_lambda`, whose modules are imported when a command needs them.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wrens.cli.screen import as_json, data, note
from wrens.errors import BadOption, ServiceError
from wrens.store.signing_keys import signing_key
from wrens.version import __version__
from wrens.wire.records import VERSION as RECORDS

if TYPE_CHECKING:
    from wrens.backends.aws_lambda.account import Aws
    from wrens.backends.aws_lambda.deployed import Found
    from wrens.backends.aws_lambda.deploying import Wish
    from wrens.backends.aws_lambda.naming import Place

deploy = typer.Typer(no_args_is_help=True, help="Put what workers need on a service; 'wrens deploy aws'.")
undeploy = typer.Typer(no_args_is_help=True, help="Remove it again; 'wrens undeploy aws'.")

StoreOption = Annotated[
    str | None, typer.Option("--store", help="s3://bucket/prefix; by default WRENS_STORE.")
]
NameOption = Annotated[
    str, typer.Option("--name", help="Tells functions side by side apart: wrens-py311-NAME.")
]
RegionOption = Annotated[
    str | None, typer.Option("--region", help="AWS's region; by default that of AWS's own tools.")
]
MemoryOption = Annotated[
    int | None, typer.Option("--memory", help="MB of each worker; 1769 when it is made: one processor.")
]
TimeoutOption = Annotated[
    int | None, typer.Option("--timeout", help="Seconds that a worker may run; 900 when it is made.")
]
EphemeralOption = Annotated[
    int | None, typer.Option("--ephemeral", help="MB of disk of each worker; 512 when it is made.")
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option("--concurrency", help="Workers at most, reserved for this; 0: no such limit."),
]
ArchOption = Annotated[str | None, typer.Option("--arch", help="x86_64 or arm64; x86_64 when it is made.")]
ImageOption = Annotated[
    str | None, typer.Option("--image", help="URI of a container image to use instead of a zip.")
]
ContextOption = Annotated[
    Path | None,
    typer.Option("--image-context", help="Only write what such an image is built from to this directory."),
]
ReadOption = Annotated[
    list[str] | None,
    typer.Option(
        "--read", help="s3://bucket/prefix of data that tasks may read too; repeatable. none: nothing."
    ),
]
WriteOption = Annotated[
    list[str] | None,
    typer.Option(
        "--write", help="s3://bucket/prefix that tasks may write results to; repeatable. none: nothing."
    ),
]
PoliciesOption = Annotated[
    bool, typer.Option("--print-policies", help="Only print who has to be allowed what, as JSON.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done, and print the policies.")
]
PLACEHOLDER = "123456789012"
"""Stands for the account in policies that are printed without credentials."""


@deploy.callback()
def _deploy() -> None:
    """Put what workers need on a service."""


@undeploy.callback()
def _undeploy() -> None:
    """Remove what workers needed from a service."""


@deploy.command("aws")
def deploy_aws(
    store: StoreOption = None,
    name: NameOption = "",
    memory: MemoryOption = None,
    timeout: TimeoutOption = None,
    ephemeral: EphemeralOption = None,
    concurrency: ConcurrencyOption = None,
    arch: ArchOption = None,
    image: ImageOption = None,
    image_context: ContextOption = None,
    read: ReadOption = None,
    write: WriteOption = None,
    region: RegionOption = None,
    print_policies: PoliciesOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Put workers on AWS Lambda, or bring them up to date: bucket, role, logs, function."""
    if image_context is not None:
        _write_context(image_context, arch or "x86_64")
        return
    url = _store(store)
    reads, writes = _places(read), _places(write)
    if print_policies:
        _print_policies(url, name, region, reads or (), writes or ())
        return
    from wrens.backends.aws_lambda import deployed, deploying, steps

    aws, place = _open(url, name, region)
    found = deployed.look(aws, place)
    chosen = arch or (found.function or {}).get("Architectures", ["x86_64"])[0]
    wish = replace(
        _wish(place, found, chosen, image),
        memory_mb=memory,
        timeout_s=timeout,
        ephemeral_mb=ephemeral,
        concurrency=concurrency,
        reads=reads,
        writes=writes,
    )
    planned = deploying.plan(wish, found)
    _say_what(wish)
    if dry_run:
        for step in planned:
            data(f"would {step.text}")
        as_json(_policies(place, reads or (), writes or ()))
    else:
        steps.carry_out(aws, planned, told=lambda text: data(f"done: {text}"))
    if not planned:
        data("Nothing to change: all is as it should be.")
    elif not dry_run:
        data(f"Ready. See that it works: wrens doctor --store {url}{_option(name, region)}")


@undeploy.command("aws")
def undeploy_aws(
    name: NameOption = "",
    role: Annotated[
        bool, typer.Option("--role", help="Remove its role too, unless another function uses it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    region: RegionOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove the function and its logs. No bucket is touched, nor anything in one."""
    from wrens.backends.aws_lambda import deployed, removing, steps

    aws, place = _open(None, name, region)
    found = deployed.look(aws, place)
    users = removing.users_of(aws, place.role_arn) if role else None
    removal = removing.plan_removal(place, found, users=users)
    for kept in removal.kept:
        note(f"kept {kept}")
    note("kept every bucket and all that is in it: 'wrens clean' deletes jobs")
    if not removal.steps:
        data(f"Nothing to remove: there is no function {place.function} in {place.region}.")
        return
    if dry_run or not yes:
        for step in removal.steps:
            data(f"would {step.text}")
    if dry_run:
        return
    if not yes and not typer.confirm("Remove this?", err=True):
        raise typer.Exit(1)
    steps.carry_out(aws, removal.steps, told=lambda text: data(f"done: {text}"))


# --- what both need ---


def _places(said: list[str] | None) -> tuple[str, ...] | None:
    """Return addresses beside the store; ``None`` when nothing was said, and none for the word "none"."""
    return None if said is None else tuple(one for one in said if one != "none")


def _store(store: str | None) -> str:
    url = store or os.environ.get("WRENS_STORE", "")
    if not url:
        raise BadOption(
            "--store", "is missing: workers on AWS need a store on S3", "Write --store s3://bucket/prefix."
        )
    return url


def _open(store: str | None, name: str, region: str | None) -> tuple[Aws, Place]:
    """Return AWS in the right region, and where things are there."""
    from wrens.backends.aws_lambda.account import Aws
    from wrens.backends.aws_lambda.deployed import locate
    from wrens.backends.aws_lambda.naming import address_of, default_function

    function = default_function(name)
    aws = Aws(region or (address_of(store).settings.get("region") if store else None))
    return aws, locate(aws, function, store)


def _wish(place: Place, found: Found, arch: str, image: str | None) -> Wish:
    """Return the function that is to be there, with its code."""
    from wrens.backends.aws_lambda import packaging, permissions
    from wrens.backends.aws_lambda.deploying import Wish
    from wrens.backends.aws_lambda.naming import (
        PYTHON_VARIABLE,
        VERSION_VARIABLE,
        python_version,
        runtime,
    )

    was_image = (found.function or {}).get("PackageType") == "Image"
    if image is None and was_image:
        image = found.code.get("ImageUri")
    return Wish(
        place,
        permissions.tags(__version__, RECORDS, getpass.getuser()),
        package=None if image else packaging.build(__version__, arch),
        image=image,
        versions={} if image else {VERSION_VARIABLE: __version__, PYTHON_VARIABLE: python_version()},
        runtime="" if image else runtime(),
        arch=arch,
        signing_key=signing_key().export(),
    )


def _say_what(wish: Wish) -> None:
    place, package = wish.place, wish.package
    note(f"account {place.account}, region {place.region}, function {place.function}, store {place.store}")
    if package is not None:
        stamp = package.stamp
        held = ", ".join(f"{name} {version}" for name, version in sorted(stamp.packages.items()))
        note(
            f"code: wrens {stamp.wrens} for Python {stamp.python} on {stamp.arch}, with {held}: "
            f"{len(package.data) / 1e6:.1f} MB, content {stamp.content[:12]}"
        )


def _option(name: str, region: str | None) -> str:
    from wrens.backends.aws_lambda.naming import default_function

    function = f" --function {default_function(name)}" if name else ""
    return function + (f" --region {region}" if region else "")


def _policies(place: Place, reads: Sequence[str], writes: Sequence[str]) -> dict[str, object]:
    from wrens.backends.aws_lambda import permissions

    found: dict[str, object] = {
        who: permissions.document(made(place)) for who, made in permissions.POLICIES.items()
    }
    beside = (*permissions.data(place, reads), *permissions.results(place, writes))
    return found | ({"data": permissions.document(beside)} if beside else {})


def _print_policies(
    url: str, name: str, region: str | None, reads: Sequence[str], writes: Sequence[str]
) -> None:
    """Print the policies; the account's number is only known when there are credentials."""
    from wrens.backends.aws_lambda.naming import Place, address_of, default_function

    address = address_of(url)
    try:
        _, place = _open(url, name, region)
    except ServiceError as error:
        told = region or address.settings.get("region") or os.environ.get("AWS_REGION") or "us-east-1"
        place = Place(told, PLACEHOLDER, default_function(name), address.bucket, address.prefix)
        note(f"the account is not known ({error.code}): {PLACEHOLDER} stands for it, {told} for the region")
    as_json(_policies(place, reads, writes))


def _write_context(folder: Path, arch: str) -> None:
    from wrens.backends.aws_lambda import packaging

    changed = packaging.write_context(folder, packaging.image_context(__version__, arch))
    for name in changed:
        if not name.startswith("worker/"):
            data(f"wrote {folder / name}")
    if changed:
        data(f"{len(changed)} files written. The Dockerfile says how to build the image and use it.")
    else:
        data("Nothing to change: all is as it should be.")
