"""The `options` table of a model on Ray: which backend, how many replicas, and what each of them needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from backends import Setup
from backends.options import read_options

Positive: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Amount: TypeAlias = Annotated[float, Meta(ge=0, le=100_000)]
Share: TypeAlias = Annotated[float, Meta(gt=0, le=100_000)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86_400)]

MISSING = "Ray is not installed: pip install 'openai-proxy[ray]'"
NO_CLIENT = (
    "Ray's client (ray://) cannot stream answers: make this machine a node "
    '(ray start --address HEAD:6379 --num-cpus 0) and let the address be "auto"'
)
CALM_SHARE = 0.75


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for a model of the backend `ray`."""

    backend: Annotated[str, Meta(description="the backend that each replica runs")]
    options: Annotated[Mapping[str, Any], Meta(description="that backend's own options")] = {}
    address: Annotated[str, Meta(description='the cluster; "auto": that of this machine, "local": one of our own')] = (
        "auto"
    )
    replicas: Annotated[Positive, Meta(description="how many engines; with max_replicas how many at least")] = 1
    max_replicas: Annotated[Positive | None, Meta(description="as many when there is work for them")] = None
    target: Annotated[
        Share | None, Meta(description="requests a replica that make another worth it; 3/4 of its slots")
    ] = None
    up_after: Annotated[Seconds, Meta(description="of more work, after which there are more replicas")] = 10.0
    down_after: Annotated[Seconds, Meta(description="of less work, after which there are fewer")] = 300.0
    cpus: Annotated[Amount, Meta(description="cores that a replica reserves")] = 1.0
    gpus: Annotated[Amount, Meta(description="GPUs that a replica gets; a part of one is possible")] = 0.0
    memory: Annotated[Bytes | None, Meta(description="bytes that a replica reserves")] = None
    resources: Annotated[Mapping[str, Amount], Meta(description="Ray's own resources: place = 1 puts it there")] = {}
    per_node: Annotated[Positive | None, Meta(description="replicas that one machine may have")] = None
    beat: Annotated[
        float, Meta(ge=0, le=1, description="seconds whose events travel together under load; 0: none wait")
    ] = 0.02

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> Options:
        """The options of model `name`. Raises ValueError with one clear sentence."""
        if "backend" not in table:
            raise ValueError(f"model {name}: ray needs the option 'backend': what each replica runs")
        options = read_options(cls, f"model {name}", "ray", table)
        options.check(name)
        return options

    def check(self, name: str) -> None:
        """Raises ValueError for what the types alone allow."""
        if self.backend in ("ray", "backends.ray:Ray"):
            raise ValueError(f"model {name}: the option 'backend' of ray must be another one than ray")
        if self.address.startswith("ray://"):
            raise ValueError(f"model {name}: {NO_CLIENT}")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(f"model {name}: max_replicas is {self.max_replicas}, less than replicas")
        if self.max_replicas is None and self.target is not None:
            raise ValueError(f"model {name}: target has no use without max_replicas")

    @property
    def most(self) -> int:
        """The number of replicas there may be."""
        return self.max_replicas or self.replicas

    def wrapped(self, setup: Setup) -> Setup:
        """What one replica's backend is built from; it has its share of the model's slots."""
        share = None if setup.slots is None else ceil(setup.slots / self.most)
        return msgspec.structs.replace(setup, options=self.options, slots=share, changed=nobody)

    def actor(self) -> dict[str, Any]:
        """What Ray has to find for a replica, in its words."""
        needs = {"num_cpus": self.cpus, "num_gpus": self.gpus, "resources": dict(self.resources)}
        return needs if self.memory is None else {**needs, "memory": self.memory}

    def scale(self, slots: int) -> dict[str, Any]:
        """How many replicas, in Ray Serve's words."""
        if self.max_replicas is None:
            return {"num_replicas": self.replicas}
        scaling = {
            "min_replicas": self.replicas,
            "initial_replicas": self.replicas,
            "max_replicas": self.max_replicas,
            "target_ongoing_requests": self.target or max(1.0, CALM_SHARE * slots),
            "upscale_delay_s": self.up_after,
            "downscale_delay_s": self.down_after,
            "metrics_interval_s": 1.0,
            "look_back_period_s": 2.0,
        }
        return {"autoscaling_config": scaling}


def nobody() -> None:
    """Nobody is told of a change: the engine is elsewhere."""


def installed() -> bool:
    """Whether Ray Serve could be imported; nothing is."""
    return importlib.util.find_spec("ray") is not None
