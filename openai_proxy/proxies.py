"""The proxies in front of us that are believed when they say whom they speak for."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Proxies:
    """A set of addresses and networks. Raises ValueError for what is neither."""

    def __init__(self, listed: Iterable[str]) -> None:
        self.listed = tuple(listed)
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in self.listed)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def caller(self, peer: str, forwarded: bytes | None) -> str:
        """The address of who really calls: the last one in X-Forwarded-For that is not a trusted proxy itself."""
        address = peer
        for hop in reversed((forwarded or b"").split(b",")):
            if address not in self:
                break
            claimed = hop.strip().decode("latin-1")
            try:
                address = str(ipaddress.ip_address(claimed))
            except ValueError:
                break
        return address
