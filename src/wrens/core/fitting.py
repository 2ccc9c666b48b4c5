"""Whether what the user asks for can be had from the backend, looked at before anything is stored.

Decides which wishes are refused because the platform can never fulfil them, and what to do instead. Does not
decide whether an option makes sense by itself (:mod:`wrens.core.policy`).
"""

from __future__ import annotations

from wrens.backends.base import Limits
from wrens.core.policy import Options
from wrens.errors import BadOption


def check_store(url: str, limits: Limits, backend: str) -> None:
    """Refuse a store that workers cannot see.

    Raises:
        BadOption: saying which store to use.
    """
    if url.startswith("memory:") and not limits.in_process:
        raise BadOption(
            f"store={url!r}",
            f"is private to this process, and the workers of {backend!r} are other processes",
            "Use a directory, a bucket, or Executor('inline').",
        )
    if url.startswith("file:") and not limits.sees_files:
        raise BadOption(
            f"store={url!r}",
            f"is a folder of this computer, and the workers of {backend!r} are elsewhere",
            "Use a bucket: store='s3://BUCKET/PREFIX', or set WRENS_STORE to it.",
        )


def check_options(options: Options, limits: Limits, backend: str) -> None:
    """Refuse limits of the user's beyond those of the platform.

    Raises:
        BadOption: naming both.

    >>> from wrens.backends.base import Limits
    >>> check_options(Options(timeout=3600), Limits(8, time_s=900.0), "lambda")
    Traceback (most recent call last):
        ...
    wrens.errors.BadOption: timeout=3600 is longer than the 900 s after which 'lambda' ends a worker
      Allow less and make tasks smaller, or use a backend or function that runs longer.
    """
    if options.timeout is not None and limits.time_s is not None and options.timeout > limits.time_s:
        raise BadOption(
            f"timeout={options.timeout:g}",
            f"is longer than the {limits.time_s:g} s after which {backend!r} ends a worker",
            "Allow less and make tasks smaller, or use a backend or function that runs longer.",
        )
    wanted = options.resources.memory_mb
    if wanted is not None and limits.memory_mb is not None and wanted > limits.memory_mb:
        raise BadOption(
            f"Resources(memory_mb={wanted})",
            f"is more than the {limits.memory_mb} MB that a worker of {backend!r} has",
            "Ask for less, or use a backend or function with more memory.",
        )
