"""How an invocation ended, from lines as Lambda writes them."""

from __future__ import annotations

import pytest

from wrens.backends.aws_lambda.evidence import ending

ID = "3f6e8f0a-8d5a-4a0e-9d61-6f1f3e1a2b3c"
FIRST = "wrens attempt 00000002.0-fbc80071 of job squares, tasks 6 to 8"
END = f"END RequestId: {ID}"


def report(duration_ms: float, used_mb: int, *more: str) -> str:
    fields = [
        f"REPORT RequestId: {ID}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {duration_ms:.0f} ms",
        "Memory Size: 128 MB",
        f"Max Memory Used: {used_mb} MB",
        *more,
    ]
    return "\t".join(fields) + "\t"


TIMED_OUT = f"2026-11-22T13:56:18.123Z {ID} Task timed out after 3.00 seconds"
KILLED = f"RequestId: {ID} Error: Runtime exited with error: signal: killed"
EXITED = f"RequestId: {ID} Error: Runtime exited with error: exit status 1"
SEGFAULT = f"RequestId: {ID} Error: Runtime exited with error: signal: segmentation fault (core dumped)"
LIMIT, MEMORY = "the platform ended it at its time limit", "the platform ended it for want of memory"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([FIRST, END, report(3000, 40, "Status: timeout")], LIMIT),
        ([FIRST, END, report(3000, 40, "Init Duration: 151.20 ms"), TIMED_OUT, ""], LIMIT),
        ([FIRST, TIMED_OUT, "", END, report(3000, 40)], LIMIT),
        (
            [FIRST, END, report(1200, 128, "Status: error", "Error Type: Runtime.OutOfMemory")],
            MEMORY,
        ),
        ([FIRST, END, report(1200, 128), f"{KILLED}\nRuntime.ExitError\n"], MEMORY),
        ([FIRST, f"{KILLED}\nRuntime.ExitError\n", END, report(1200, 90)], MEMORY),
        ([FIRST, END, report(1200, 128), EXITED, "Runtime.ExitError"], MEMORY),
        (
            [FIRST, EXITED, "Runtime.ExitError", END, report(12, 40)],
            "its runtime ended: Runtime exited with error: exit status 1",
        ),
        (
            [FIRST, END, report(12, 40), SEGFAULT, "Runtime.ExitError"],
            "its runtime ended: Runtime exited with error: signal: segmentation fault (core dumped)",
        ),
        (
            [FIRST, END, report(12, 40), f"RequestId: {ID} Process exited before completing request"],
            "its runtime ended: Process exited before completing request",
        ),
        ([FIRST, END, report(12, 40)], ""),
    ],
)
def test_the_platforms_lines_name_the_cause(lines: list[str], reason: str) -> None:
    found = ending(lines)
    assert found.reason == reason
    assert found.begun
    assert found.over
    assert found.out_of_memory == (reason == MEMORY)
    assert found.memory_limit_mb == 128
    assert found.ran_s > 0


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.CalledProcessError: Command 'false' returned non-zero exit status 1.",
        "torch.cuda.OutOfMemoryError: CUDA out of memory.",
        "the other service said: Task timed out after 3.00 seconds",
        "retrying: Runtime exited with error: signal: killed",
        "Max Memory Used: 9999 MB",
    ],
)
def test_what_a_task_prints_is_no_cause(line: str) -> None:
    found = ending([FIRST, line, END, report(12, 40)])
    assert found.reason == ""
    assert found.log == line
    assert found.memory_mb == 40


def test_an_invocation_that_runs_is_not_over() -> None:
    found = ending([FIRST, "hello"])
    assert (found.begun, found.over, found.reason, found.log) == (True, False, "", "hello")


def test_nothing_is_said_of_one_that_left_no_line() -> None:
    assert not ending([]).begun


def test_lines_of_the_next_invocation_in_the_same_place_are_not_its_own() -> None:
    following = [
        f"START RequestId: {ID[::-1]} Version: $LATEST",
        "wrens attempt 7.b of job squares, tasks 9 to 9",
        "not mine",
        f"{KILLED}\nRuntime.ExitError",
        f"REPORT RequestId: {ID[::-1]}\tDuration: 9.00 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t",
    ]
    ended = ending([FIRST, "mine", END, report(12, 40), *following])
    assert (ended.reason, ended.log, ended.memory_mb) == ("", "mine", 40)
    vanished = ending([FIRST, "mine", *following])
    assert vanished.over
    assert (vanished.reason, vanished.log, vanished.memory_mb) == ("", "mine", 0)


def test_only_the_last_of_what_it_wrote_is_kept() -> None:
    assert ending([FIRST, "x" * 100, "last words"], tail=10).log == "last words"
