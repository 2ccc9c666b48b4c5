"""``wrens clean``: deleting what is old.

Decides the options and what is printed. What may be deleted is decided in :mod:`wrens.report.cleaning`. It
asks nothing, because it is run by cron as well; ``--dry-run`` is the question.
"""

from __future__ import annotations

from typing import Annotated

import typer

from wrens.cli.jobs import StoreOption, store_at
from wrens.cli.screen import data, note, table
from wrens.clock import SystemClock
from wrens.report import cleaning, texts
from wrens.report.texts import parse_duration


def clean(
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Delete jobs made at least so long ago: 7d, 12h, 30m.")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", help="Delete this job, whatever its age.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list; delete nothing.")] = False,
    store: StoreOption = None,
) -> None:
    """Delete old jobs, and the functions, shared values and packages that only they needed."""
    older_than_s = None if older_than is None else parse_duration(older_than, "--older-than")
    opened = store_at(store)
    clock = SystemClock()
    chosen, kept = cleaning.choose(opened, now=clock.wall(), older_than_s=older_than_s, job=job)
    for spared in kept:
        note(f"kept {spared.job}: {spared.reason}")
    if chosen:
        rows = [
            (
                one.job,
                one.state,
                texts.moment(one.made_at) if one.made_at else "?",
                f"{one.objects:,}",
                _size(one.nbytes),
            )
            for one in chosen
        ]
        table(["job", "state", "made at", ">objects", ">size"], rows)
    gone: list[cleaning.Chosen] = []
    for one in chosen:
        reason = "" if dry_run else cleaning.delete(opened, one.job, now=clock.wall())
        if reason:
            note(f"kept {one.job}: {reason}")
        else:
            gone.append(one)
    swept = cleaning.sweep(opened, now=clock.wall(), without={one.job for one in gone} if dry_run else ())
    if swept.reason:
        note(f"kept all functions, shared values and packages: {swept.reason}")
    if not dry_run:
        opened.delete([*swept.keys, *swept.signs, *swept.uploads])
    objects = sum(one.objects for one in gone) + len(swept.keys) + len(swept.uploads)
    sizes = [one.nbytes for one in gone] + [swept.nbytes if swept.keys else 0] + [None] * len(swept.uploads)
    known = [size for size in sizes if size is not None]
    total = f", {texts.size(sum(known))}" if len(known) == len(sizes) else ""
    data(
        f"{'Would delete' if dry_run else 'Deleted'} {texts.count(len(gone), 'job')} and "
        f"{texts.count(len(swept.keys), 'object', 'objects')} that nothing refers to: "
        f"{texts.count(objects, 'object')} in all{total}."
    )
    if job is not None and kept:
        raise typer.Exit(1)


def _size(nbytes: int | None) -> str:
    return "?" if nbytes is None else texts.size(nbytes)
