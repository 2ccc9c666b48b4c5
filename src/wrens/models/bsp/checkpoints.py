"""Records of a run with a name: one board for each superstep, created once and replaced by nobody.

The first claims the name, and each next one decides what its superstep begins with: should two clients go on with the same
run, the one that comes second reads what the first has written. Decides nothing about supersteps.
"""

from __future__ import annotations

from wrens.errors import AlreadyExists, BadOption
from wrens.models.bsp.board import Board
from wrens.models.bsp.messages import packed
from wrens.serialize import Pack
from wrens.store.port import Store
from wrens.wire import keys


def claim(store: Store, run: str, board: Board) -> None:
    """Write the first record of a run.

    Raises:
        BadOption: if the store holds a run of this name.
    """
    try:
        store.put(keys.superstep(run, board.number), packed(board, "the run"))
    except AlreadyExists as error:
        raise taken(store, run) from error


def record(store: Store, run: str, board: Board) -> Board:
    """Write the record of a superstep; return it, or the one that another client has written."""
    key = keys.superstep(run, board.number)
    try:
        store.put(key, packed(board, "the run"))
    except AlreadyExists:
        return _read(store, key)
    return board


def last(store: Store, run: str) -> Board | None:
    """Return the last record of a run; ``None`` if there is none."""
    found = list(store.list(keys.supersteps(run)))
    return _read(store, found[-1]) if found else None


def is_taken(store: Store, run: str) -> bool:
    """Tell whether there is a run or a job of this name; states alone are of a client that died before it had one."""
    last_of = next(iter(store.list(keys.supersteps(run))), None)
    return last_of is not None or keys.manifest(run) in store.list(keys.job(run))


def taken(store: Store, run: str) -> BadOption:
    """Return what is said when a name is taken."""
    return BadOption(
        f"name={run!r}",
        f"is taken: {store.url} holds a run or a job of this name, and it was left as it is",
        f"Go on with it with wrens.bsp(..., name={run!r}, resume=True), remove it with 'wrens clean --job {run}', or "
        "choose another name.",
    )


def _read(store: Store, key: str) -> Board:
    board: Board = Pack(store.get(key), key=key).item(0)
    return board
