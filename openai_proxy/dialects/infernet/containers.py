"""Containers: the names by which a node's clients ask for work. Here each is a door to one model, or to all."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from openai_proxy.dialects.infernet.refusals import Refused, not_served
from openai_proxy.settings.protocols import Container, Infernet

# The container of Ritual's examples, and what it is called beside that.
DEFAULT = "openai-inference-0.0.1"
ALIASES = ("openai-inference", "openai-inference-streaming-0.0.1")
ONE = Container(description="Chat, completions, embeddings, images, speech and transcriptions by any model here")

# Containers of one job, each a job of its own.
LONGEST_CHAIN = 16


def shown(settings: Infernet) -> Mapping[str, Container]:
    """The containers as clients are told them."""
    return settings.containers or {DEFAULT: ONE}


def known(settings: Infernet) -> Mapping[str, Container]:
    """Every name that is taken."""
    return settings.containers or dict.fromkeys((DEFAULT, *ALIASES), ONE)


def check(settings: Infernet, names: Sequence[str], address: str, proof: bool) -> None:
    """Whether somebody at `address` may have these containers work, one after another. Raises Refused."""
    if not names:
        raise not_served("No containers specified")
    if len(names) > LONGEST_CHAIN:
        raise Refused(400, f"At most {LONGEST_CHAIN} containers are taken at once", {})
    there = known(settings)
    for name in names:
        if name not in there:
            raise not_served("Container not supported", container=name)
    if not there[names[0]].external:
        raise not_served("First container must be external", first_container=names[0])
    for name in names:
        allowed = there[name].allowed_ips
        if allowed and not within(address, allowed):
            raise not_served("Container not allowed for address", container=name, address=address)
    if proof:
        raise not_served("Container does not generate proof", container=names[0])


def within(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of these networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network) for network in networks)


def plain(address: str) -> str:
    """The same address in one spelling: an IPv4 one that came over an IPv6 socket as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
