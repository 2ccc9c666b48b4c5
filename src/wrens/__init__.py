"""wrens: run a Python function over data, on machines that nobody has to keep.

Decides the public names, and loads each only when it is asked for, so that importing wrens is cheap.

>>> import wrens
>>> with wrens.Executor("inline") as ex:
...     list(ex.map(abs, [-1, 2]))
[1, 2]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wrens.version import __version__  # noqa: F401 - where everybody looks for it

if TYPE_CHECKING:
    from wrens.core.attach import attach as attach
    from wrens.core.executor import Executor as Executor
    from wrens.core.executor import Shared as Shared
    from wrens.core.future import Future as Future
    from wrens.core.job import Job as Job
    from wrens.core.outcomes import Progress as Progress
    from wrens.core.policy import Backup as Backup
    from wrens.core.policy import Options as Options
    from wrens.core.policy import Packing as Packing
    from wrens.core.policy import Resources as Resources
    from wrens.core.policy import Retry as Retry
    from wrens.environments.wanted import Environment as Environment
    from wrens.models.bsp.messages import Inbox as Inbox
    from wrens.models.bsp.results import Run as Run
    from wrens.models.bsp.running import bsp as bsp
    from wrens.models.bsp.superstep import Superstep as Superstep
    from wrens.models.exchange.policies import Chosen as Chosen
    from wrens.models.exchange.policies import Packed as Packed
    from wrens.models.exchange.policies import Redis as Redis
    from wrens.models.exchange.policies import TwoLevel as TwoLevel
    from wrens.models.mapreduce.aggregating import group_by as group_by
    from wrens.models.mapreduce.functions import map_reduce as map_reduce
    from wrens.models.mapreduce.gathering import gather as gather
    from wrens.models.partitions.partition import Partition as Partition
    from wrens.models.partitions.partition import partition as partition
    from wrens.models.sort.sorting import sort as sort
    from wrens.worker.context import current_task as current_task
    from wrens.worker.streams import seed_sequence as seed_sequence

_HOMES = {
    "Backup": "wrens.core.policy",
    "Chosen": "wrens.models.exchange.policies",
    "Environment": "wrens.environments.wanted",
    "Executor": "wrens.core.executor",
    "Future": "wrens.core.future",
    "Inbox": "wrens.models.bsp.messages",
    "Job": "wrens.core.job",
    "Options": "wrens.core.policy",
    "Packed": "wrens.models.exchange.policies",
    "Packing": "wrens.core.policy",
    "Partition": "wrens.models.partitions.partition",
    "Progress": "wrens.core.outcomes",
    "Redis": "wrens.models.exchange.policies",
    "Resources": "wrens.core.policy",
    "Retry": "wrens.core.policy",
    "Run": "wrens.models.bsp.results",
    "Shared": "wrens.core.executor",
    "Superstep": "wrens.models.bsp.superstep",
    "TwoLevel": "wrens.models.exchange.policies",
    "attach": "wrens.core.attach",
    "bsp": "wrens.models.bsp.running",
    "current_task": "wrens.worker.context",
    "gather": "wrens.models.mapreduce.gathering",
    "group_by": "wrens.models.mapreduce.aggregating",
    "map_reduce": "wrens.models.mapreduce.functions",
    "partition": "wrens.models.partitions.partition",
    "seed_sequence": "wrens.worker.streams",
    "sort": "wrens.models.sort.sorting",
}

_FOLDERS = ("errors", "kv")

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return import_module(f"wrens.{name}")
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'wrens' has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__", *_FOLDERS]
