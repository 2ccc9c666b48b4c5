"""From the log lines of an invocation to how it ended.

The runtime and the service leave lines of their own around what a function writes: ``START``, ``END``,
``REPORT`` with the status and the memory used, and before or after that line sentences for a time-out or a runtime
that died. Decides which of them name the cause of a loss; what the function itself has written never does, whatever
it says. Pure; the log is read by :mod:`wrens.backends.aws_lambda.service`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_REPORT = "REPORT RequestId: "
_NEXT = "START RequestId: "
_OF_THE_PLATFORM = re.compile(
    r"(START|END|REPORT) RequestId: |INIT_(START|REPORT) |RequestId: \S+ (Error: |Process exited)"
    r"|Runtime\.\w+$|\S+Z [0-9a-f-]{36} Task timed out after "
)
_OF_THE_HANDLER = "wrens "
_USED = re.compile(r"\tMax Memory Used: (\d+) MB")
_SIZE = re.compile(r"\tMemory Size: (\d+) MB")
_BILLED = re.compile(r"\tBilled Duration: ([\d.]+) ms")
_DURATION = re.compile(r"\tDuration: ([\d.]+) ms")
_OUT_OF_TIME = re.compile(r"Task timed out after |\tStatus: timeout")
_OUT_OF_MEMORY = re.compile(r"Runtime\.OutOfMemory|signal: killed")
_EXITED = re.compile(r"(?:Runtime|Process) exited.*")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an invocation ended, as far as its log tells.

    Args:
        begun: It had begun: it has left lines.
        over: It has ended.
        reason: Why, in words; empty when the log names no cause.
        memory_mb, memory_limit_mb: What it used and could use; zero when not told.
        ran_s: How long it ran, in seconds.
        billed_s: The part of it that is billed, with what came before.
        out_of_memory: The cause was memory.
        log: What the function itself wrote last.
    """

    begun: bool = False
    over: bool = False
    reason: str = ""
    memory_mb: float = 0.0
    memory_limit_mb: float = 0.0
    ran_s: float = 0.0
    billed_s: float = 0.0
    out_of_memory: bool = False
    log: str = ""


def ending(lines: Sequence[str], tail: int = 4096) -> Ending:
    r"""Say how an invocation ended.

    Args:
        lines: Its log, from its first line on; lines of later invocations may follow.
        tail: How many characters of its own words are kept.

    >>> ending(["wrens attempt 7.a", "REPORT RequestId: 1\tDuration: 3000.00 ms\tStatus: timeout"]).reason
    'the platform ended it at its time limit'
    >>> ending([]).begun
    False
    """
    mine, report, over = _of_one(lines)
    if not mine:
        return Ending()
    said = [line for line in mine if _OF_THE_PLATFORM.match(line)]
    text = "\n".join(said)
    used, size = _number(_USED, report), _number(_SIZE, report)
    exited = _EXITED.search(text)
    memory = bool(_OUT_OF_MEMORY.search(text)) or bool(size and used >= size and exited)
    if memory:
        reason = "the platform ended it for want of memory"
    elif _OUT_OF_TIME.search(text):
        reason = "the platform ended it at its time limit"
    elif exited:
        reason = f"its runtime ended: {exited.group(0).strip()}"
    else:
        reason = ""
    own = [line for line in mine if line not in said and not line.startswith(_OF_THE_HANDLER)]
    return Ending(
        begun=True,
        over=over,
        reason=reason,
        memory_mb=used,
        memory_limit_mb=size,
        ran_s=_number(_DURATION, report) / 1000,
        billed_s=_number(_BILLED, report) / 1000,
        out_of_memory=memory,
        log="\n".join(own).strip("\n")[-tail:],
    )


def _of_one(events: Sequence[str]) -> tuple[list[str], str, bool]:
    """Return the lines of the first invocation, its report, and whether it has ended."""
    mine: list[str] = []
    report = ""
    for line in _split(events):
        if line.startswith(_NEXT) and mine:
            return mine, report, True  # the same place has begun another one
        # A sentence about its end may follow the report.
        if report and not _OF_THE_PLATFORM.match(line):
            break
        mine.append(line)
        if line.startswith(_REPORT):
            report = line
    return mine, report, bool(report)


def _split(events: Sequence[str]) -> Iterator[str]:
    for event in events:
        yield from (line for line in event.splitlines() if line)


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    return float(found.group(1)) if found else 0.0
