"""``wrens key``: the key that signs what crosses a shared store.

Decides that only its fingerprint and its place are shown, unless the key itself is asked for by name.
"""

from __future__ import annotations

from typing import Annotated

import typer

from wrens.cli.screen import data, note
from wrens.store.signing_keys import VARIABLE, signing_key


def key(
    export: Annotated[
        bool, typer.Option("--export", help="Print the key itself, for another computer of yours.")
    ] = False,
) -> None:
    """Show which key signs your objects, and where it is; make it if there is none."""
    found = signing_key()
    if export:
        note(f"Whoever has this can sign in your name. On the other computer it is the value of {VARIABLE}.")
        data(found.export())
        return
    data(f"fingerprint  {found.fingerprint}")
    data(f"from         {found.place}")
