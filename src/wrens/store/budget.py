"""How many requests a client may repeat.

Decides when repeating has to end although each single call would still be patient: a service that is overloaded
is not helped by clients that ask it everything eight times. Pure: no clock, no I/O. Does not decide how long to
wait between tries, nor what is worth one; :mod:`wrens.store.retrying` does.
"""

from __future__ import annotations

from threading import Lock


class Budget:
    """Tokens: a repetition costs one, and a call that succeeds earns some back.

    Whatever happens, there are at most ``reserve`` + ``earned`` × successes repetitions.

    Args:
        reserve: How many tokens there are at the beginning, and at most.
        earned: What a success gives back.

    >>> budget = Budget(reserve=2, earned=0.5)
    >>> [budget.spend() for _ in range(3)]
    [True, True, False]
    >>> budget.earn(), budget.spend(), budget.earn(), budget.spend()
    (None, False, None, True)
    """

    def __init__(self, reserve: float, earned: float) -> None:
        self._reserve = reserve
        self._earned = earned
        self._left = float(reserve)
        self._lock = Lock()

    def spend(self) -> bool:
        """Take the token of a repetition; returns whether there was one."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def earn(self) -> None:
        """Note that a call has succeeded."""
        if self._left >= self._reserve:
            return  # nearly always, and then without the lock
        with self._lock:
            self._left = min(self._reserve, self._left + self._earned)

    def __repr__(self) -> str:
        return f"Budget({self._left:g} of {self._reserve:g} left)"
