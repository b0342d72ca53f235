"""Whom X-Forwarded-For makes the caller."""

from __future__ import annotations

import pytest

from openai_proxy.proxies import Proxies

TRUSTED = Proxies(["10.0.0.0/8", "::1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("10.0.0.1", b"203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", b"6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", b"6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::1", b"2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", b"not an address", "10.0.0.1"),
        ("10.0.0.1", b"\xff", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("192.0.2.1", b"203.0.113.9", "192.0.2.1"),
        ("nonsense", b"203.0.113.9", "nonsense"),
    ],
)
def test_callers(peer: str, forwarded: bytes | None, caller: str) -> None:
    assert TRUSTED.caller(peer, forwarded) == caller


def test_nobody_is_trusted_by_default() -> None:
    assert not Proxies([])
    assert "127.0.0.1" not in Proxies([])


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="proxy"):
        Proxies(["proxy"])
