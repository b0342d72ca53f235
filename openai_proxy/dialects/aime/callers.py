"""Who calls: by a key in the head, by `key` among the parameters, or by a login."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai_proxy.auth import STRANGER, Caller, presented
from openai_proxy.dialects import Edge
from openai_proxy.dialects.aime.endpoints import Endpoint
from openai_proxy.dialects.aime.faults import NotAuthorized, NotLoggedIn, NotRegistered
from openai_proxy.dialects.aime.parameters import text_of
from openai_proxy.keys import digest_of
from openai_proxy.logins import Login
from openai_proxy.wire import Incoming


class Callers:
    """The keys and logins of a server."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def login(self, incoming: Incoming, given: Mapping[str, Any], endpoint: Endpoint | None) -> str:
        """A login for who holds the key that was given; where everybody may call, for everybody.

        Raises NotLoggedIn or NotAuthorized.
        """
        key = text_of(given, "key")
        if self.edge.keys:
            caller = await self.seek(incoming, {"key": key}, None)
            if caller is None:
                raise NotLoggedIn
            self._found(incoming, caller, endpoint)
            key = key if incoming.caller is STRANGER else presented(incoming.scope["state"]["head"])
        return self.edge.logins.new(Login(digest_of(key or ""), "" if endpoint is None else endpoint.name))

    async def find(self, incoming: Incoming, given: Mapping[str, Any], endpoint: Endpoint | None = None) -> Caller:
        """Who calls, also told to the log. Raises NotRegistered, or NotAuthorized for another endpoint's login."""
        caller = await self.seek(incoming, given, endpoint)
        if caller is None:
            raise NotRegistered
        self._found(incoming, caller, endpoint)
        return caller

    async def seek(self, incoming: Incoming, given: Mapping[str, Any], endpoint: Endpoint | None) -> Caller | None:
        """Who calls; None where no credential was given that is good."""
        if not self.edge.keys or incoming.caller is not STRANGER:
            return incoming.caller
        key, session = text_of(given, "key"), text_of(given, "client_session_auth_key")
        caller = None if key is None else self.edge.keys.find(key)
        if caller is not None or session is None:
            return caller
        login = await self._login(session)
        if login is None:
            return None
        caller = self.edge.keys.holder(login.key)
        if caller is not None and endpoint is not None and login.endpoint not in ("", endpoint.name):
            raise NotAuthorized(endpoint.name)
        return caller

    async def _login(self, session: str) -> Login | None:
        found = self.edge.logins.find(session)
        if found is None and self.edge.fleet is not None:
            found = await self.edge.fleet.login(session)
        return found

    def _found(self, incoming: Incoming, caller: Caller, endpoint: Endpoint | None) -> None:
        """Tell the log who calls, and see whether they may."""
        incoming.scope["state"]["caller"] = caller
        if endpoint is not None and self.edge.keys and not endpoint.open_to(caller.name):
            raise NotAuthorized(endpoint.name)
