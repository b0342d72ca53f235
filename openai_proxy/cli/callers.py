"""Who may call a server, in words."""

from __future__ import annotations

from openai_proxy.config import AccountSettings, Server
from openai_proxy.origins import is_loopback


def who_may_call(number: int, server: Server, accounts: AccountSettings) -> str:
    """What so many keys mean for a server that listens where `server` says."""
    closed = accounts.file is not None and accounts.access == "closed"
    if number:
        may_call = "1 key may call" if number == 1 else f"{number} keys may call"
        return f"{may_call}, with an account" if closed else may_call
    if closed and (server.allow_unauthenticated or is_loopback(server.host)):
        return "none, but who calls needs an account"
    if server.allow_unauthenticated:
        return "none, so EVERYBODY who reaches this port may call"
    if is_loopback(server.host):
        return "none, so everybody on this machine may call"
    return f"none, so `openai-proxy serve` will not listen on {server.host}"
