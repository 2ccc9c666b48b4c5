"""Puts a program's input where its workers will read it: one task for each object.

Decides the objects' names, and that input of the same size which is there already is used again.
"""

from __future__ import annotations

from collections.abc import Callable

from wrens.core.executor import Executor
from wrens.errors import AlreadyExists
from wrens.models.sort.target import target_of
from wrens.programs.catalogue import Program
from wrens.store import open_store
from wrens.store.data import open_data, place_of
from wrens.store.port import sizes

OBJECT = 16 * 2**20
"""Bytes of one object of input, about."""


def make(executor: Executor, program: Program, place: str, nbytes: int) -> tuple[str, int]:
    """Make a program's input, unless it is there.

    Args:
        executor: Makes the objects.
        program: What for.
        place: The address below which input of every size has a directory.
        nbytes: How much there shall be, about.

    Returns:
        The address of the input, and how many bytes there are.

    Raises:
        StoreError: if the place cannot be written to.
    """
    source = f"{place.rstrip('/')}/{nbytes}"
    count = max(1, -(-nbytes // OBJECT))
    wanted = [(name, number) for name in program.tables for number in range(count)]
    url, prefix = place_of(source)
    there = {key for name in program.tables for key, _ in sizes(open_data(url), f"{prefix}/{name}/")}
    missing = [one for one in wanted if f"{prefix}/{_name(*one)}" not in there]
    # Written by a store of their own: that of all files has its drafts where few may write, perhaps on another disk.
    target = target_of(source)
    list(executor.map(_maker(program, target.store, target.prefix, nbytes // count), missing))
    found = (n for name in program.tables for _, n in sizes(open_data(url), f"{prefix}/{name}/"))
    return source, sum(found)


def _name(table: str, number: int) -> str:
    return f"{table}/part-{number:05}.txt"


def _maker(program: Program, url: str, prefix: str, nbytes: int) -> Callable[[tuple[str, int]], None]:
    """Return the task that makes one object."""
    tables = program.tables

    def make_one(one: tuple[str, int]) -> None:
        table, number = one
        blocks = list(tables[table](number, nbytes))
        try:
            open_store(url, decided=True).put(f"{prefix}{_name(table, number)}", blocks)
        except AlreadyExists:
            return  # another attempt has made the same

    return make_one
