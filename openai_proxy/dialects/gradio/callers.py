"""Who calls: by a key in the head or in the dict, by a name and a password there, or by the cookie of a login."""

from __future__ import annotations

from collections.abc import Mapping
from http import cookies
from typing import Any

import msgspec
from msgspec import structs

from openai_proxy.accounts import excused
from openai_proxy.auth import CHALLENGE, STRANGER, Caller, peer_of
from openai_proxy.dialects import Edge, place_of
from openai_proxy.errors import EdgeError, InvalidRequest, MissingKey, Unauthorized, WrongAccount
from openai_proxy.forms import read_fields
from openai_proxy.keys import digest_of
from openai_proxy.logins import Login
from openai_proxy.wire import Flow, Handle, Incoming, Reply, Stream

COOKIE = "access-token"
# Bytes of a body that are read of somebody who has not shown a key yet.
UNKNOWN_BODY = 262_144
NO_KEY = "No API key was given: send it as h2ogpt_key, as `Authorization: Bearer KEY`, or log in with it."
NOT_LOGGED_IN = {"detail": "Not authenticated"}
INCORRECT = {"detail": "Incorrect credentials."}


class Callers:
    """The keys, accounts and logins of a server."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def seek(self, incoming: Incoming) -> Caller | None:
        """Who calls by head and cookie; None where that says nothing and something has to. An account's login stands
        for no key.
        """
        login, caller = await self._login(incoming), incoming.caller
        if login is not None and not login.user:
            caller = self.edge.keys.holder(login.key) or caller
        if caller is STRANGER and self.edge.keys:
            return None
        caller, state = self._named(login, caller), incoming.scope["state"]
        if state["caller"] is incoming.caller:
            state["caller"] = caller
        return caller

    async def known(self, incoming: Incoming) -> Caller | None:
        """Who calls by head and cookie, where that is enough to be served."""
        caller = await self.seek(incoming)
        return None if caller is None or (self.edge.accounts.closed and not excused(caller)) else caller

    async def find(self, incoming: Incoming, given: Mapping[str, Any]) -> Caller:
        """Who calls, also told to the log. Raises MissingKey, Unauthorized or another EdgeError."""
        state, accounts = incoming.scope["state"], self.edge.accounts
        caller = await self.seek(incoming)
        if caller is None:
            caller = state["caller"] = self._by_key(given.get("h2ogpt_key"))
            caller = self._named(await self._login(incoming), caller)
        if incoming.caller is STRANGER:  # of whom HTTP Basic was not looked at
            caller = await accounts.of_head(state["head"], peer_of(incoming.scope), caller)
        caller = state["caller"] = await accounts.of_user(given.get("user"), peer_of(incoming.scope), caller)
        return caller

    def _by_key(self, key: object) -> Caller:
        if not isinstance(key, str) or not key:
            raise MissingKey(NO_KEY, headers=CHALLENGE)
        caller = self.edge.keys.find(key)
        if caller is None:
            raise Unauthorized(headers=CHALLENGE)
        return caller

    async def has_shown(self, incoming: Incoming) -> bool:
        """Whether there is a key beside the body, or an account where all need one and there are no keys."""
        caller = await self.seek(incoming)
        return caller is not None and (bool(self.edge.keys) or not self.edge.accounts.closed or excused(caller))

    def guarded(self, handle: Handle) -> Handle:
        """Who has shown no key is told of nothing but that, whatever else was wrong."""

        async def answer(incoming: Incoming) -> Reply | Stream | Flow:
            try:
                return await handle(incoming)
            except EdgeError as error:
                found = incoming.scope["state"]["caller"]  # maybe by a key in the dict
                shown = found is not STRANGER or await self.seek(incoming) is not None
                if shown or isinstance(error, Unauthorized):
                    raise
                raise MissingKey(NO_KEY, headers=CHALLENGE) from error

        return answer

    async def may_look(self, incoming: Incoming) -> bool:
        """Whether this caller may be told what there is to call: everybody, unless all need an account."""
        if not self.edge.accounts.closed or await self.known(incoming) is not None:
            return True
        return excused(self._named(await self._login(incoming), STRANGER))

    # Logins

    async def login(self, incoming: Incoming) -> Reply | Stream | Flow:
        """A cookie for a name and its password, or for a key in place of that; others' logins are passed on."""
        given = await self._fields(incoming)
        if given is None:
            return await self.edge.passed_on(incoming)
        name, password = given
        login = await self._entitled(incoming, name, password)
        if login is None:
            return Reply(msgspec.json.encode(INCORRECT), 400)
        headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
        if login.key or login.user:
            session = self.edge.sessions.new(login, sign=not login.user)
            headers.append((b"set-cookie", self._cookie(incoming, session)))
        return Reply(msgspec.json.encode({"success": True}), headers=tuple(headers))

    async def _fields(self, incoming: Incoming) -> tuple[str, str] | None:
        """The name and password; None where this is no login of Gradio's."""
        body = incoming.body
        try:
            if b"json" in incoming.content_type.lower():
                given = msgspec.json.decode(body, type=dict[str, Any])
            else:
                given = dict(read_fields(body, incoming.content_type, self.edge.config.limits))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidRequest):
            return None
        name, password = given.get("username"), given.get("password")
        mine = isinstance(name, str) and isinstance(password, str) and "endpoint_name" not in given
        return (str(name), str(password)) if mine else None

    async def _entitled(self, incoming: Incoming, name: str, password: str) -> Login | None:
        """What a login gives; None where name and password are wrong. Raises TooManyTries."""
        edge = self.edge
        if edge.keys and edge.keys.find(password) is not None:
            return Login(digest_of(password))
        if edge.accounts:
            mark = edge.accounts.mark(name)
            try:
                caller = await edge.accounts.check(name, password, peer_of(incoming.scope), incoming.caller)
            except WrongAccount:
                return None
            return Login(mark or b"", user=caller.name)
        return None if edge.keys else Login(b"")

    async def _login(self, incoming: Incoming) -> Login | None:
        """The login whose cookie a request brings, looked for once."""
        state = incoming.scope["state"]
        if "login" not in state:
            session = cookie_of(state["head"])
            state["login"] = None if session is None else await self._found(session)
        login: Login | None = state["login"]
        return login

    async def _found(self, session: str) -> Login | None:
        login = self.edge.sessions.find(session)
        return login or next(filter(None, await self.edge.others("session", session)), None)

    def _named(self, login: Login | None, caller: Caller) -> Caller:
        """`caller` as the account that logged in, if one did and still has that password."""
        if login is None or not login.user or self.edge.accounts.mark(login.user) != login.key:
            return caller
        return structs.replace(caller, name=login.user)

    def _cookie(self, incoming: Incoming, session: str) -> bytes:
        config = self.edge.config
        morsel: cookies.Morsel[str] = cookies.Morsel()
        morsel.set(COOKIE, session, session)
        morsel["path"] = (place_of("gradio", config) or "") + "/"
        morsel["httponly"] = True
        morsel["samesite"] = "Strict"
        morsel["max-age"] = int(config.gradio.login_idle)
        if incoming.root(config.server.public_url).startswith("https:"):
            morsel["secure"] = True
        return morsel.OutputString().encode()


def has_cookie(edge: Edge, head: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes with the login of a key. Another process's may have ended: it is not asked yet."""
    session = cookie_of(head)
    if session is None or not edge.sessions.signed(session):
        return False
    return edge.fleet is not None or edge.sessions.find(session) is not None


def cookie_of(head: Mapping[bytes, bytes]) -> str | None:
    """The session that a request brings."""
    for pair in head.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and value:
            return value
    return None
