"""Delegated subscriptions: checked, kept, and worked on at their intervals; what comes of it goes to a file.

Nothing is sent to a chain. Delivery to a contract would take the place of `Deliveries`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.dialects import Edge
from openai_proxy.dialects.infernet import signatures
from openai_proxy.dialects.infernet.chains import Chains, Failed, Work
from openai_proxy.dialects.infernet.containers import check, known
from openai_proxy.dialects.infernet.deliveries import Deliveries, Delivery
from openai_proxy.dialects.infernet.inputs import kept
from openai_proxy.dialects.infernet.refusals import malformed, not_served
from openai_proxy.dialects.infernet.subscription_bodies import DelegatedRequest, OldSubscription, delegated_request
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.shelf import Errand
from openai_proxy.settings.protocols import Infernet

ORIGIN = "infernet.subscription"
RUNNING = ("running",)
# When subscriptions are switched off for a while, the next look at one is so many seconds later.
LATER = 60.0

log = logging.getLogger("openai_proxy.infernet")


class Plan(Struct, frozen=True, kw_only=True):
    """What is kept of a subscription. Intervals are counted from 0; `next` is the one to come."""

    owner: str
    nonce: int
    expiry: int
    active_at: int
    period: int
    frequency: int
    containers: tuple[str, ...]
    data: bytes
    next: int = 0

    def begins(self, interval: int) -> float:
        """When it does, in Unix seconds."""
        return float(self.active_at + interval * self.period)

    def at(self, now: float) -> int:
        """The interval at this time: those that were missed are not made up for, as a chain would not take them."""
        if self.period == 0:
            return self.next
        return max(self.next, int((now - self.active_at) // self.period))

    @property
    def intervals(self) -> int:
        """How many there are: without a period one."""
        return min(self.frequency, 1) if self.period == 0 else self.frequency


class Subscriptions:
    """All subscriptions. Nobody sees them in the lists of jobs."""

    def __init__(self, edge: Edge, chains: Chains, deliveries: Deliveries) -> None:
        self.edge = edge
        self.chains = chains
        self.deliveries = deliveries
        self.errands = edge.jobs.errands
        self.errands.run_by(ORIGIN, self._run)
        self._hashes: tuple[frozenset[str], Mapping[str, tuple[str, ...]]] = (frozenset(), {})

    async def count(self) -> int:
        """How many are to be worked on yet. Raises StoreFailed."""
        return await self.errands.count(ORIGIN, None, RUNNING)

    # They come

    async def take(self, value: Any, address: str, what: str) -> None:
        """Check a subscription and keep it for good. Raises Refused or StoreFailed."""
        settings = self.edge.config.infernet
        try:
            request = delegated_request(value)
        except ValueError as error:
            raise malformed(what, error) from error
        if settings.chain_id is None or settings.coordinator is None:
            raise not_served("Chain not enabled", delegated_subscription=value)
        if request.signature.expiry < time.time():
            raise not_served("Signature expired", expiry=request.signature.expiry)
        containers = await self._containers(request, settings)
        check(settings, containers, address, bool(request.requires_proof))
        errand = _errand(request, containers)
        if errand.id in await self.errands.find([errand.id]):
            raise not_served("Nonce already used", nonce=request.signature.nonce)
        await self._check_signer(request, settings)
        if not await self.errands.save(errand):
            raise not_served("Nonce already used", nonce=request.signature.nonce)

    async def _containers(self, request: DelegatedRequest, settings: Infernet) -> Sequence[str]:
        """Raises Refused for a hash that is none of this node's containers."""
        subscription = request.subscription
        if isinstance(subscription, OldSubscription):
            return [name.strip() for name in subscription.container_id.split(",") if name.strip()]
        names = frozenset(known(settings))
        if self._hashes[0] != names:
            self._hashes = names, await asyncio.to_thread(signatures.hashes, sorted(names))
        found = self._hashes[1].get(subscription.digest)
        if found is None:
            raise not_served("Container not supported", container=subscription.containers)
        return found

    async def _check_signer(self, request: DelegatedRequest, settings: Infernet) -> None:
        """Raises Refused unless it was signed by who signs for its owner."""
        assert settings.chain_id is not None
        assert settings.coordinator is not None
        delegated = await self._signer(request.subscription.owner, settings)
        recovered = await asyncio.to_thread(signatures.recovered, request, settings.chain_id, settings.coordinator)
        if delegated is None or recovered is None or delegated.lower() != recovered.lower():
            raise not_served("Subscription signer mismatch", recovered=recovered, delegated=delegated)

    async def _signer(self, owner: str, settings: Infernet) -> str | None:
        told = {each.lower(): signer for each, signer in settings.signers.items()}.get(owner.lower())
        if told is not None or settings.rpc_url is None:
            return told
        try:
            return await asyncio.to_thread(signatures.asked_signer, settings.rpc_url, owner)
        except (OSError, ValueError) as error:
            log.warning("the chain's node does not tell who signs for %s: %s", owner, error)
            raise malformed("Internal server error", "the signer of the subscription's owner is not known") from error

    # They are worked on

    async def _run(self, errand: Errand) -> None:
        """The interval that it is time for, then wait for the next."""
        plan = msgspec.msgpack.decode(errand.data, type=Plan)
        interval = plan.at(time.time())
        if self.edge.config.infernet.chain_id is None:
            errand.due = time.time() + LATER
        elif interval >= plan.intervals:
            await self._finish(errand, plan)
            return
        else:
            await self.deliveries.keep(await self._made(errand, plan, interval))
            if interval + 1 >= plan.intervals:
                await self._finish(errand, plan)
                return
            errand.due = plan.begins(interval + 1)
            errand.data = msgspec.msgpack.encode(msgspec.structs.replace(plan, next=interval + 1))
        await self.errands.save(errand)

    async def _finish(self, errand: Errand, plan: Plan) -> None:
        """Its nonce stays taken as long as its signature would be."""
        errand.state, errand.due = "done", None
        errand.until = max(plan.expiry, time.time()) + self.edge.config.jobs.keep
        await self.errands.save(errand)

    async def _made(self, errand: Errand, plan: Plan, interval: int) -> Delivery:
        id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"infernet:{errand.id}/{interval}"))
        work = Work(id=id, containers=plan.containers, data=plan.data, owner=f"infernet {plan.owner}")
        output, failed = None, None
        try:
            output = await self.chains.run(work)
        except Failed as failure:
            failed = failure.why
        except StoreFailed:
            raise
        except Exception:
            log.exception("subscription %s, interval %d failed", errand.id, interval)
            failed = "The server had an internal error."
        return Delivery(plan.owner, plan.nonce, interval, plan.containers[-1], output, failed, time.time())


def _errand(request: DelegatedRequest, containers: Sequence[str]) -> Errand:
    signature, subscription = request.signature, request.subscription
    owner = subscription.owner.lower()
    plan = Plan(
        owner=owner,
        nonce=signature.nonce,
        expiry=signature.expiry,
        active_at=subscription.active_at,
        period=subscription.period,
        frequency=subscription.frequency,
        containers=tuple(containers),
        data=kept(request.data),
        next=0,
    )
    return Errand(
        id=f"{owner}/{signature.nonce}",
        origin=ORIGIN,
        owner=owner,
        state="running",
        data=msgspec.msgpack.encode(plan),
        created=time.time(),
        due=plan.begins(0),
    )
