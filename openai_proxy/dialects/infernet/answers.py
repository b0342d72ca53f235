"""What a node answers, as its clients type it."""

from __future__ import annotations

from msgspec import Struct


class ContainerInfo(Struct):
    """One container. An external one may be the first of a job."""

    id: str
    image: str
    description: str
    external: bool


class Pending(Struct):
    """How many jobs, and how many subscriptions, are not done."""

    offchain: int
    onchain: int


class ChainInfo(Struct):
    """Whether subscriptions are taken; `address` is a node's wallet, and this one has none."""

    enabled: bool
    address: str


class NodeInfo(Struct):
    """What the node is."""

    version: str
    containers: list[ContainerInfo]
    pending: Pending
    chain: ChainInfo


class Accepted(Struct):
    """A job that was taken."""

    id: str
