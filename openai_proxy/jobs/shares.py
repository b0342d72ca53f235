"""What has to go where all together have more than there is room for: the oldest of those who have most.

So nobody loses anything to others who has no more than an equal share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias, TypeVar


class Owned(Protocol):
    """A file, or a job with all that it made."""

    @property
    def owner(self) -> str: ...
    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Owned)
Weigh: TypeAlias = Callable[[Owned], int]


def one(_: Owned) -> int:
    """Each counts the same."""
    return 1


def size(thing: Owned) -> int:
    """By its bytes."""
    return thing.size


def held(things: Iterable[Owned], weigh: Weigh) -> Counter[str]:
    """What each owner has."""
    totals: Counter[str] = Counter()
    for each in things:
        totals[each.owner] += weigh(each)
    return totals


def share(totals: Iterable[int], most: int) -> int:
    """What each may have of `most`: who has less leaves the rest to the others."""
    left, ordered = most, sorted(totals)
    for number, each in enumerate(ordered):
        fair = left // (len(ordered) - number)
        if each > fair:
            return fair
        left -= each
    return most


def beyond(things: Iterable[T], totals: Mapping[str, int], most: int, weigh: Weigh) -> list[T]:
    """Which of these go, the oldest first, where owners who have these totals may have `most` together."""
    left, fair, over = dict(totals), share(totals.values(), most), sum(totals.values()) - most
    gone: list[T] = []
    for each in things:
        if over > 0 and left[each.owner] > fair:
            gone.append(each)
            left[each.owner] -= weigh(each)
            over -= weigh(each)
    return gone
