"""How many wrong passwords are taken: so many of each peer, and for each name, in a while."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from openai_proxy.errors import TooManyTries

SECONDS = 60.0
# For a name more than for a peer: else anybody could lock its owner out from one place.
LIMITS: Mapping[str, int] = {"peer": 10, "name": 30}
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
        places = (("peer", network(peer)), ("name", name))
        found = [self._of(place, now) for place in places]
        for (kind, _), (count, began) in zip(places, found, strict=True):
            if count >= LIMITS[kind]:
                raise TooManyTries(retry_after=began + SECONDS - now)
        for place, (count, began) in zip(places, found, strict=True):
            self._made[place] = count + 1, began
            self._made.move_to_end(place)
        while len(self._made) > KNOWN:
            self._made.popitem(last=False)

    def forgive(self, peer: str, name: str) -> None:
        """Take a try back: its password was right, or nobody looked at it."""
        for place in (("peer", network(peer)), ("name", name)):
            count, began = self._made.get(place, (0, 0.0))
            if count > 1:
                self._made[place] = count - 1, began
            else:
                self._made.pop(place, None)

    def _of(self, place: tuple[str, str], now: float) -> tuple[int, float]:
        count, began = self._made.get(place, (0, now))
        return (count, began) if now < began + SECONDS else (0, now)


def network(peer: str) -> str:
    """Whose address it is: of IPv6 everybody has a whole network."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return peer if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
