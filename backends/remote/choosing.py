"""Which of the upstreams that could take a request gets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import ceil, log
from typing import TypeAlias

from msgspec import Struct

from backends.remote.options import StrategyName
from backends.remote.upstream import REQUEST, Upstream

SLACK = 1.25  # how much more than its even share a prefix's own upstream may hold
MASK = (1 << 64) - 1
SPAN = 1 << 52  # of the numbers that a float between 0 and 1 tells apart, both excluded


class Hints(Struct, frozen=True):
    """What is known of a request: an estimate of its tokens, the beginning of its prompt and the session it is of.

    Of the prompt some kilobytes are enough: as much as requests that share a cache have in common.
    """

    tokens: int = 0
    prefix: bytes = b""
    session: bytes = b""


Choose: TypeAlias = Callable[[Sequence[Upstream], Hints], Upstream]


def least(candidates: Sequence[Upstream], hints: Hints) -> Upstream:
    """The one with the least outstanding work for its weight; of several the one that had its last request first."""
    work = REQUEST + hints.tokens
    best = candidates[0]
    lowest = (best.work + work) / best.share
    for upstream in candidates[1:]:
        load = (upstream.work + work) / upstream.share
        if load < lowest or (load == lowest and upstream.last < best.last):
            best, lowest = upstream, load
    return best


def weighted(candidates: Sequence[Upstream], hints: Hints) -> Upstream:
    """In turn by weight, evenly mixed: nginx's smooth weighted round robin (nginx commit 52327e0627f4)."""
    total = 0.0
    best = candidates[0]
    for upstream in candidates:
        upstream.credit += upstream.share
        total += upstream.share
        if upstream.credit > best.credit:
            best = upstream
    best.credit -= total
    return best


def session(candidates: Sequence[Upstream], hints: Hints) -> Upstream:
    """Always the same for one session while it can take work, then always the same second one.

    Rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
    """
    return _highest(candidates, digest(hints.session)) if hints.session else least(candidates, hints)


def prefix(candidates: Sequence[Upstream], hints: Hints) -> Upstream:
    """The same for one beginning of a prompt, whose cache is there, unless it has far more to do than the others.

    Consistent hashing with bounded loads: Mirrokni, Thorup and Zadimoghaddam, 2016 (arXiv:1608.01350). The next to ask
    follows from rendezvous hashing: no ring of points is needed, and what flows over does not all go to one
    neighbour (Chen, Coleman and Shrivastava, "Revisiting consistent hashing with bounded loads", 2021).
    """
    if not hints.prefix:
        return least(candidates, hints)
    roomy = [upstream for upstream in candidates if not upstream.full] or candidates
    total, shares = 1, 0.0
    for upstream in roomy:
        total += upstream.outstanding + upstream.waiting
        shares += upstream.share
    allowed = SLACK * total / shares
    within = [each for each in roomy if each.outstanding + each.waiting < ceil(allowed * each.share)]
    return _highest(within, digest(hints.prefix))


STRATEGIES: Mapping[StrategyName, Choose] = {
    "least": least,
    "weighted": weighted,
    "prefix": prefix,
    "session": session,
}


def digest(key: bytes) -> int:
    """64 bits, the same in every process."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little")


def _highest(candidates: Sequence[Upstream], key: int) -> Upstream:
    """The first of `key`'s order of all upstreams that is among these; each comes first in proportion to its weight.

    Mixes as splitmix64 does, in line because a call costs as much as the mixing.
    """
    best, highest = candidates[0], 0.0
    for upstream in candidates:
        number = key ^ upstream.seed
        number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
        score = -upstream.weight / log(((number >> 12) + 0.5) / SPAN)
        if score > highest:
            best, highest = upstream, score
    return best
