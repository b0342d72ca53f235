"""How many wrong passwords are taken: so many of each peer, and for each name, in a while, by all processes."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from openai_proxy.errors import TooManyTries

SECONDS = 60.0
# Of a peer and for a name: for that more, else anybody could lock its owner out from one place.
OF_PEER, FOR_NAME = LIMITS = 10, 30
KNOWN = 10_000


class Tries:
    """Those of the last minute. A try counts from its beginning, so that many at once are as many; a right password
    takes it back. What was not tried for the longest time is forgotten first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def begin(self, peer: str, name: str) -> None:
        """Count a try. Raises TooManyTries where there were too many."""
        now = self._clock()
        found = [(place, *self._of(place, now)) for place in places(peer, name)]
        for (_, count, began), limit in zip(found, LIMITS, strict=True):
            if count >= limit:
                raise TooManyTries(retry_after=began + SECONDS - now)
        for place, count, began in found:
            self._made[place] = count + 1, began
            self._made.move_to_end(place)
        while len(self._made) > KNOWN:
            self._made.popitem(last=False)

    def check(self, peer: str, name: str, elsewhere: Iterable[tuple[int, int] | None]) -> None:
        """Take a try back, and raise TooManyTries, where with those elsewhere there are too many: each process counts
        first and then asks, so that none is overlooked.
        """
        made = [self.made(peer, name), *filter(None, elsewhere)]
        if any(sum(counts) > limit for counts, limit in zip(zip(*made, strict=True), LIMITS, strict=True)):
            self.forgive(peer, name)
            raise TooManyTries(retry_after=SECONDS)

    def made(self, peer: str, name: str) -> tuple[int, int]:
        """How many there were of a peer, and for a name."""
        now = self._clock()
        of_peer, of_name = (self._of(place, now)[0] for place in places(peer, name))
        return of_peer, of_name

    def forgive(self, peer: str, name: str) -> None:
        """Take a try back: its password was right, or nobody looked at it."""
        for place in places(peer, name):
            count, began = self._made.get(place, (0, 0.0))
            if count > 1:
                self._made[place] = count - 1, began
            else:
                self._made.pop(place, None)

    def _of(self, place: tuple[str, str], now: float) -> tuple[int, float]:
        count, began = self._made.get(place, (0, now))
        return (count, began) if now < began + SECONDS else (0, now)


def places(peer: str, name: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Where a try is counted."""
    return ("peer", network(peer)), ("name", name)


def network(peer: str) -> str:
    """Whose address it is: of IPv6 everybody has a whole network."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return peer if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
