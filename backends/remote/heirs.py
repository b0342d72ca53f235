"""Which upstreams of a new pool are those of the one before, so that a reload forgets nothing of who stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from backends.remote.options import UpstreamOptions
from backends.remote.upstream import Upstream


def pairs(upstreams: Sequence[Upstream], formers: Sequence[Upstream]) -> Iterator[tuple[Upstream, Upstream]]:
    """Each that was there before, with what it was then: the same address, and the same name where several have it."""
    left = list(formers)
    for upstream in upstreams:
        same = [each for each in left if each.options.address == upstream.options.address]
        former = next((each for each in same if each.name == upstream.name), same[0] if same else None)
        if former is not None:
            left.remove(former)
            yield upstream, former


def asked_alike(one: UpstreamOptions, other: UpstreamOptions) -> bool:
    """Whether both are asked in the same way, so that what went wrong there would go wrong again."""
    share = {"weight": one.weight, "name": one.name, "slots": one.slots, "drained": one.drained}
    return structs.replace(other, url=one.url, **share) == one
