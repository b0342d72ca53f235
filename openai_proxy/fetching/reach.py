"""Which IP addresses may be connected to: public ones, and those of networks that the operator has named.

Sources: the registries of special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry/ and
https://www.iana.org/assignments/iana-ipv6-special-registry/. Python's own `is_global` lets multicast, 6to4 and NAT64
pass, behind which any IPv4 address can hide, and changes with its version.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.address import Address
from openai_proxy.fetching.lookup import LookUp

Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # what Azure's machines ask about themselves
    )
)
# All that is given out as global unicast; IPv4-mapped addresses, NAT64, ULA, link-local and multicast are outside.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # Teredo, benchmarking, ORCHID and other protocols' own
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
# The last 64 bits of ISATAP begin so, before an IPv4 address.
ISATAP = (0x00005EFE, 0x02005EFE)


async def checked(address: Address, look_up: LookUp, networks: Iterable[str], seconds: float) -> list[str]:
    """The IP addresses to try: of each family the first. Raises NotFetched if any of them all is out of bounds."""
    try:
        async with asyncio.timeout(seconds):
            found: Sequence[str] = await look_up(address.host, address.port)
    except TimeoutError:
        raise NotFetched("timed_out", "the resolver did not answer in time") from None
    listed = [ipaddress.ip_network(each) for each in networks]
    for ip in found:
        if not reachable(ip, listed):
            raise NotFetched("blocked", f"{ip} is not public")
    if not found:
        raise NotFetched("no_such_name", "has no address")
    first: dict[bool, str] = {}
    for ip in found:
        first.setdefault(":" in ip, ip)
    return list(first.values())


def reachable(text: str, networks: Iterable[Network]) -> bool:
    """Whether an address may be connected to, as it is written here: one inside of another counts as the outer one."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(ip in network for network in networks) or is_public(ip)


def is_public(ip: Ip) -> bool:
    """Whether it is a global unicast address that holds no other one."""
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in NOT_PUBLIC)
    hidden = (int(ip) >> 32) & 0xFFFFFFFF in ISATAP
    return ip in GLOBAL_UNICAST and not hidden and not any(ip in network for network in NOT_PUBLIC_6)
