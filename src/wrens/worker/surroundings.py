"""What tasks may have changed about their process, put back when another client's work comes.

A worker that its platform keeps warm serves one client after another. Within one executor what an initializer or a
task sets is there for later tasks, as they may expect. But nobody shall meet what somebody else's left: a variable
that names an account, a directory that is gone, a mask that makes new files unreadable. Decides what is put back.
Modules are kept apart by :mod:`wrens.serialize.worlds`.
"""

from __future__ import annotations

import contextlib
import os
import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM, signal.SIGHUP, signal.SIGPIPE)


class Surroundings:
    """The surroundings of this process as they are now, to come back to; for the main thread.

    >>> import os
    >>> mine = Surroundings()
    >>> mine.are_of("one"), os.environ.update(COLOUR="red"), mine.are_of("one"), os.environ["COLOUR"]
    (False, None, False, 'red')
    >>> mine.are_of("two"), "COLOUR" in os.environ
    (True, False)
    """

    def __init__(self) -> None:
        self._driver = ""
        self._variables = dict(os.environ)
        self._folder = os.getcwd()  # noqa: PTH109 - pathlib costs a worker 5 ms to import
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}

    def are_of(self, driver: str) -> bool:
        """Have the surroundings for this driver's work; tell whether they were another's and have been put back."""
        before, self._driver = self._driver, driver
        if before in ("", driver):
            return False
        os.environ.clear()
        os.environ.update(self._variables)
        os.umask(self._mask)
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        for number, handler in self._handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        return True
