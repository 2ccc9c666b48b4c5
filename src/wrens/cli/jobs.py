"""``wrens jobs``, ``show``, ``logs`` and ``resume``: what became of jobs, and going on with one.

Decides the commands' options and what is printed. The numbers come from :mod:`wrens.report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer

from wrens.cli.costs import cost_facts, show_cost
from wrens.cli.screen import as_json, data, note, table
from wrens.clock import SystemClock
from wrens.core import reading
from wrens.core.attach import attach
from wrens.core.verdicts import evidence_line
from wrens.errors import (
    BadOption,
    BadSignature,
    DamagedObject,
    ForeignRecord,
    ObjectMissing,
    UnknownJob,
    VersionMismatch,
)
from wrens.plan import prices
from wrens.report import failures, texts
from wrens.report.cost import bill, spending
from wrens.report.summary import Summary, summarize
from wrens.store import default_store_url, open_store
from wrens.store.port import Store
from wrens.wire.records import Verdict

StoreOption = Annotated[
    str | None, typer.Option("--store", help="URL or directory of the store; by default that of Executor().")
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id or name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXAMPLE_LINES = 12
_STATES: dict[type, str] = {DamagedObject: "damaged", VersionMismatch: "other version"}
"""Of jobs that cannot be read; those that are left are not trusted."""


def store_at(url: str | None) -> Store:
    """Open the store of a command; a directory that is not there is not made."""
    return open_store(url if url is not None else default_store_url(), create=False, check=True)


def jobs(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the jobs in a store."""
    opened = store_at(store)
    now = SystemClock().wall()
    found = [_facts_or_damage(opened, job_id, now) for job_id in reading.list_jobs(opened)]
    facts = [fact for fact in found if fact]
    if json:
        as_json(facts)
        return
    if not facts:
        note(f"There are no jobs in {opened.url}. Jobs that are neither named nor kept are deleted when their "
             "executor closes.")  # fmt: skip
        return
    rows = [
        (
            str(fact["job"]),
            str(fact["function"]),
            _state(fact, now),
            f"{fact['tasks']:,}" + ("" if fact["ended"] else "+"),
            f"{fact['ok']:,}",
            f"{fact['failed'] + fact['cancelled']:,}",
            texts.moment(fact["made_at"]) if fact["made_at"] else "?",
            str(fact["made_by"]),
        )
        for fact in facts
    ]
    table(["job", "function", "state", ">tasks", ">ok", ">failed", "made at", "by"], rows)


def show(job: JobArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show what the store knows of one job."""
    opened = store_at(store)
    summary = summarize(opened, job)
    spent = spending(opened, summary)
    costs = bill(spent, prices.current())
    now = SystemClock().wall()
    if json:
        used = summary.used()
        causes = [_cause_facts(cause) for cause in failures.causes(summary.verdicts)]
        as_json(
            _facts(summary, now)
            | {
                "manifest": msgspec.to_builtins(summary.manifest),
                "pages": summary.pages,
                "batches_settled": len(summary.verdicts),
                "causes": causes,
                "losses": msgspec.to_builtins(list(summary.losses)),
                "retried": summary.retried,
                "used": {name: getattr(used, name) for name in used.__slots__},
                "slowest": [_attempt_facts(verdict) for verdict in summary.slowest()],
                "cost": cost_facts(spent, costs),
            }
        )
        return
    _show_manifest(summary, now)
    _show_used(summary)
    show_cost(spent, costs)
    show_failures(summary)
    if summary.losses:
        data(f"\nlost attempts: {len(summary.losses)}")
        for loss in summary.losses:
            data(f"  {loss.attempt}  {evidence_line(loss)}")
    if summary.state(now) == "unfinished":
        data(f"\nNobody works on it. To complete it: wrens resume {job}{_store_again(store)}")


def logs(
    job: JobArgument,
    task: Annotated[
        int | None, typer.Argument(metavar="[TASK]", help="Only what concerns this task.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Print the last output of a job's tasks, of settled batches and of lost attempts."""
    summary = summarize(store_at(store), job)
    if task is not None:
        _check_task(summary, task)
    shown = 0
    for loss in summary.losses:
        if loss.log and task in {None, loss.task}:
            data(f"=== lost attempt {loss.attempt}, {evidence_line(loss)}")
            data(loss.log.rstrip("\n"))
            shown += 1
    for verdict in summary.verdicts:
        mine = task is None or verdict.start <= task < verdict.start + verdict.count
        if verdict.log and mine:
            last = verdict.start + verdict.count - 1
            data(f"=== tasks {verdict.start}-{last}, {verdict.where}, attempt {verdict.attempt}")
            data(verdict.log.rstrip("\n"))
            shown += 1
    if not shown:
        of = "the job" if task is None else f"task {task}"
        note(f"No output of {of} is stored. Only the last output of each batch is kept.")


def resume(
    job: JobArgument,
    store: StoreOption = None,
    backend: Annotated[
        str | None, typer.Option(help="Where to run; by default where it was made to.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers.")] = None,
) -> None:
    """Run what is left of a job, wait for its end, and print how it ended."""
    opened = store_at(store)
    before = summarize(opened, job)
    note(
        f"Job {job}: {texts.count(before.settled, 'task')} of {before.tasks:,}"
        f"{'' if before.ended else ' or more'} settled before."
    )
    attached = attach(job, store=opened, backend=backend, max_workers=workers)
    attached.wait()
    after = summarize(opened, job)
    if after.settled < after.tasks:
        # It was broken off: asking for the results raises what broke it.
        attached.results()
    data(
        f"{texts.count(after.tasks, 'task')}: {after.ok:,} ok, {after.failed:,} failed, "
        f"{after.cancelled:,} cancelled; {after.settled - before.settled:,} settled now."
    )
    show_failures(after)
    if not after.ended:
        data("The client that made the job died before it had stored every input. Map the rest again.")
    if not after.complete or after.failed or after.cancelled:
        raise typer.Exit(1)


def show_failures(summary: Summary) -> None:
    """Print the failures of a job by cause, each with one example."""
    for cause in failures.causes(summary.verdicts):
        where = f" at {cause.place}" if cause.place else ""
        which = f"task{'s' if cause.count > 1 else ''} {failures.spans(cause.tasks)}"
        data(f"\n{cause.count:,} × {cause.type_name}{where}: {which}")
        lines = (cause.example.traceback or cause.example.message).rstrip().splitlines()
        if cause.kind == "system":
            lines = cause.example.message.splitlines()
        data(f"  for example task {cause.tasks[0]}:")
        for line in lines[-EXAMPLE_LINES:]:
            data(f"    {line}")
        for told in cause.example.notes:
            data(f"    {told}")


def _show_manifest(summary: Summary, now: float) -> None:
    manifest = summary.manifest
    policy = manifest.policy
    open_tasks = summary.tasks - summary.settled
    counts = (
        f"{summary.tasks:,}{'' if summary.ended else ' or more'}: {summary.ok:,} ok, "
        f"{summary.failed:,} failed, {summary.cancelled:,} cancelled, {open_tasks:,} open"
    )
    rules = (
        f"timeout {'none' if policy.timeout_s is None else texts.duration(policy.timeout_s)}, "
        f"retry on {', '.join(policy.retry_on) or 'nothing'} up to {policy.tries} calls, "
        f"up to {manifest.lost_tries} lost workers"
    )
    trouble = (
        f"{texts.count(summary.retried, 'call')} repeated after an exception, "
        f"{texts.count(len(summary.losses), 'attempt')} lost"
    )
    rows = [
        ("job", manifest.job + (" (kept)" if manifest.keep else " (deleted when its executor closes)")),
        ("function", f"{manifest.function}, by {manifest.kind}"),
        ("state", _state(_facts(summary, now), now)),
        ("tasks", counts),
        ("batches", f"{len(summary.verdicts):,} settled; inputs in {texts.count(summary.pages, 'page')}"),
        ("trouble", trouble),
        ("made", f"{texts.moment(manifest.made_at)} by {manifest.made_by}"),
        ("with", f"wrens {manifest.wrens}, Python {manifest.python}, backend {manifest.backend}"),
        ("policy", rules),
    ]
    for name, text in rows:
        data(f"{name:<10}{text}")


def _show_used(summary: Summary) -> None:
    used = summary.used()
    if not used.wall_s:
        return
    phases = (
        f"{texts.duration(used.setup_s)} to fetch functions and inputs, {texts.duration(used.tasks_s)} in tasks; "
        f"{texts.duration(used.wall_s)} of workers' time together"
    )
    rows = [
        ("took", f"{texts.duration(used.span_s)} from the first attempt to the last"),
        ("phases", phases),
        ("processor", texts.duration(used.cpu_s)),
        (
            "memory",
            f"{used.peak_memory_mb:,.0f} MB at most in a worker" if used.peak_memory_mb else "not known",
        ),
        ("bytes", f"{texts.size(used.bytes_read)} read, {texts.size(used.bytes_written)} written by workers"),
    ]
    for name, text in rows:
        data(f"{name:<10}{text}")
    _show_slowest(summary.slowest())


def _show_slowest(verdicts: Sequence[Verdict]) -> None:
    """Print what the slowest attempts used."""
    data(f"\nthe slowest {texts.count(len(verdicts), 'batch', 'batches')}:")
    rows = []
    for verdict in verdicts:
        used = verdict.usage
        longest = max(used.task_s, default=0.0)
        task = f"{verdict.start + used.task_s.index(longest)} ({texts.duration(longest)})" if longest else "?"
        rows.append(
            (
                verdict.batch,
                failures.spans(range(verdict.start, verdict.start + verdict.count)),
                texts.duration(used.wall_s),
                texts.duration(used.cpu_s),
                f"{used.peak_memory_mb:,.0f} MB" if used.peak_memory_mb else "?",
                texts.size(used.bytes_read),
                texts.size(used.bytes_written),
                task,
            )
        )
    table(["batch", "tasks", ">took", ">processor", ">memory", ">read", ">written", ">slowest task"], rows)


def _attempt_facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "batch": verdict.batch,
        "attempt": verdict.attempt,
        "start": verdict.start,
        "count": verdict.count,
        "where": verdict.where,
        "usage": msgspec.to_builtins(verdict.usage),
    }


def _check_task(summary: Summary, task: int) -> None:
    """Refuse the number of a task that the job does not have."""
    if 0 <= task < summary.tasks:
        return
    known = f"tasks 0 to {summary.tasks - 1}" if summary.tasks else "no tasks"
    more = "" if summary.ended else ", and its inputs have not ended"
    raise BadOption(f"task {task}", f"does not exist: job {summary.job} has {known}{more}")


def _state(fact: dict[str, Any], now: float) -> str:
    """Return a job's state; one that rests on a sign of life says how old that is."""
    state = str(fact["state"])
    if state not in {"running", "unfinished"}:
        return state
    return f"{state} (last sign of life {texts.duration(max(0.0, now - fact['signs_at']))} ago)"


def _facts(summary: Summary, now: float) -> dict[str, Any]:
    manifest = summary.manifest
    return {
        "job": manifest.job,
        "name": manifest.name,
        "function": manifest.function,
        "state": summary.state(now),
        "signs_at": summary.alive_at or summary.signs_at,
        "tasks": summary.tasks,
        "ended": summary.ended,
        "ok": summary.ok,
        "failed": summary.failed,
        "cancelled": summary.cancelled,
        "made_at": manifest.made_at,
        "made_by": manifest.made_by,
    }


def _facts_or_damage(store: Store, job_id: str, now: float) -> dict[str, Any]:
    """Return a job's facts; one that cannot be read does not hide the others, one that vanishes has none."""
    try:
        return _facts(summarize(store, job_id), now)
    except ObjectMissing:
        return {}  # its executor has closed while we looked
    except UnknownJob:
        state = "remains"
    except (DamagedObject, VersionMismatch, BadSignature, ForeignRecord) as error:
        note(f"wrens: {error}")
        state = _STATES.get(type(error), "not trusted")
    unknown = {"name": None, "function": "?", "ended": False, "made_at": 0.0, "made_by": "?"}
    return {"job": job_id, "state": state, "tasks": 0, "ok": 0, "failed": 0, "cancelled": 0} | unknown


def _cause_facts(cause: failures.Cause) -> dict[str, Any]:
    return {
        "kind": cause.kind,
        "type": cause.type_name,
        "place": cause.place,
        "count": cause.count,
        "tasks": list(cause.tasks),
        "message": cause.example.message,
        "traceback": cause.example.traceback,
    }


def _store_again(store: str | None) -> str:
    return f" --store {store}" if store else ""
