"""Which IP addresses are public: each special network, its first and last address, and the ones beside it."""

from __future__ import annotations

import ipaddress

import pytest

from openai_proxy.fetching.reach import reachable

SPECIAL = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/3", "168.63.129.16/32", "::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16"),
    *("3fff::/20", "64:ff9b::/96", "::ffff:0:0/96", "fc00::/7", "fe80::/10", "ff00::/8", "100::/64", "5f00::/16"),
]
PUBLIC = [
    *("1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255"),
    *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17"),
    *("2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700::1111", "2a00:1450:4001::200e", "3ffe::1"),
]


@pytest.mark.parametrize("text", SPECIAL)
def test_special_networks(text: str) -> None:
    network = ipaddress.ip_network(text)
    for ip in (network[0], network[-1], network[network.num_addresses // 2]):
        assert not reachable(str(ip), ())


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses(ip: str) -> None:
    assert reachable(ip, ())


@pytest.mark.parametrize("ip", ["2607:f8b0::5efe:7f00:1", "2607:f8b0::200:5efe:a00:1", "fe80::1%lo", "x", "", "1.2.3"])
def test_addresses_that_hide_another_one_or_are_none(ip: str) -> None:
    assert not reachable(ip, ())


def test_networks_that_are_named() -> None:
    networks = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")]
    assert all(reachable(ip, networks) for ip in ("10.1.0.0", "10.1.255.255", "fd12::1", "8.8.8.8"))
    assert not any(reachable(ip, networks) for ip in ("10.0.255.255", "10.2.0.0", "::ffff:10.1.0.1", "fc00::1"))
