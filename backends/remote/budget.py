"""How many retries all requests together may cost, so that retries never make an overload worse.

After Finagle's RetryBudget (twitter.github.io/finagle/guide/Clients.html#retries): each request earns a share of a
retry, each retry costs one, what is not used in time is lost, and a reserve is there for those who send little.
"""

from __future__ import annotations

from math import inf

RESERVE = 10
EXPIRES = 10.0  # seconds: at least half of it, at most all of it
PARTS = 1000  # of a retry: counting them in whole numbers stays exact


class Budget:
    """At no time more retries than `share` of all requests, and `RESERVE`. With a share of 0 there are none."""

    __slots__ = ("_earned", "_kept", "_most_kept", "_new", "_old", "_turns")

    def __init__(self, share: float) -> None:
        self._earned = round(share * PARTS)
        self._most_kept = self._kept = RESERVE * PARTS if self._earned else 0
        self._new = self._old = 0
        self._turns = -inf

    @property
    def retries(self) -> int:
        """How many could be paid now."""
        return (self._new + self._old + self._kept) // PARTS

    def earn(self, now: float) -> None:
        """A request is sent for the first time."""
        if now >= self._turns:
            self._turn(now)
        self._new += self._earned

    def spend(self, now: float) -> bool:
        """Pay for a retry. False, and nothing paid, when it is too much."""
        if now >= self._turns:
            self._turn(now)
        if not self.retries:
            return False
        price = PARTS
        self._old, price = max(0, self._old - price), max(0, price - self._old)
        self._new, price = max(0, self._new - price), max(0, price - self._new)
        self._kept -= price
        return True

    def _turn(self, now: float) -> None:
        """What was earned in the time before the last fills the reserve up, and the rest of it is lost."""
        half = EXPIRES / 2
        for _ in range(2 if now >= self._turns + half else 1):
            self._kept = min(self._most_kept, self._kept + self._old)
            self._old, self._new = self._new, 0
        self._turns = now + half
