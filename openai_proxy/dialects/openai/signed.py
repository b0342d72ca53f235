"""Who calls by what a body says: h2oGPT's clients send `user` as "name:password", and a key as `h2ogpt_key`.

Both are taken out, with accounts or without: nobody behind sees a password or a key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs
from starlette.types import Scope

from openai_proxy.auth import BODY_KEY, BODY_USER, CHALLENGE, STRANGER, Caller, peer_of, without_credentials
from openai_proxy.decode import beside, decode
from openai_proxy.dialects import Edge
from openai_proxy.errors import EdgeError, MissingKey, Unauthorized
from openai_proxy.form_fields import taken_out
from openai_proxy.forms import boundary_of
from openai_proxy.wire import Flow, Handle, Incoming, Reply, Stream

# What may be a login in JSON, if only somewhere within; a letter that is written as a number may hide a name.
LOGIN = re.compile(rb'"user"\s*:\s*"[^"]*[:\\]')
NAMES = frozenset({BODY_KEY, BODY_USER})
HIDDEN = (BODY_KEY.encode(), rb"\u006", rb"\u007")
# Bytes of a body that are read of somebody who has not shown a key yet.
UNKNOWN_BODY = 262_144


class Credentials(Struct):
    """The part of a body that says who calls."""

    user: Any = None
    h2ogpt_key: Any = None


class Signed:
    """Asks who calls, then has `handle` answer."""

    def __init__(self, edge: Edge, handle: Handle) -> None:
        self.edge = edge
        self.handle = handle

    async def __call__(self, incoming: Incoming) -> Reply | Stream | Flow:
        asked = incoming.caller is STRANGER or bool(self.edge.accounts)
        if asked or await beside(incoming.body, _may_say, incoming):
            return await self._asked(incoming)
        return await self.handle(incoming)

    async def _asked(self, incoming: Incoming) -> Reply | Stream | Flow:
        caller, peer = incoming.caller, peer_of(incoming.scope)
        try:
            body, said = await self._read(incoming)
        except EdgeError:
            if caller is STRANGER:
                raise MissingKey(headers=CHALLENGE) from None
            raise
        if caller is STRANGER:
            caller = self._holder(said.h2ogpt_key)
            caller = await self.edge.accounts.of_head(incoming.scope["state"]["head"], peer, caller)
        caller = await self.edge.accounts.of_user(said.user, peer, caller)
        incoming.scope["state"]["caller"] = caller
        return await self.handle(structs.replace(incoming, caller=caller, body=body))

    def _holder(self, key: object) -> Caller:
        if not isinstance(key, str) or not key:
            raise MissingKey(headers=CHALLENGE)
        caller = self.edge.keys.find(key)
        if caller is None:
            raise Unauthorized(headers=CHALLENGE)
        return caller

    async def _read(self, incoming: Incoming) -> tuple[bytes, Credentials]:
        """The body without its credentials, and they. Raises InvalidRequest."""
        boundary = boundary_of(incoming.content_type)
        if boundary is not None:
            body, found = await asyncio.to_thread(taken_out, incoming.body, boundary, NAMES, _is_credential)
            return body, Credentials(found.get(BODY_USER), found.get(BODY_KEY))
        said, given = await decode(incoming.body, Credentials)
        rest = without_credentials({**given, BODY_USER: said.user} if BODY_USER in given else given)
        return await beside(incoming.body, msgspec.json.encode, rest), said


def _is_credential(name: str, value: str) -> bool:
    return not without_credentials({name: value})


def _may_say(incoming: Incoming) -> bool:
    """Whether a body may say who calls: if not, it need not be taken apart."""
    body = incoming.body
    if boundary_of(incoming.content_type) is not None:
        return BODY_USER.encode() in body or BODY_KEY.encode() in body
    return LOGIN.search(body) is not None or any(each in body for each in HIDDEN)


def invited(paths: frozenset[str], scope: Scope, head: Mapping[bytes, bytes]) -> Caller | None:
    """Who may come in without a key in the head: who sends a small body, which may have it."""
    if scope["method"] != "POST" or scope["path"] not in paths:
        return None
    kind = head.get(b"content-type", b"").partition(b";")[0].strip().lower()
    length = head.get(b"content-length", b"")
    small = length.isdigit() and 0 < int(length) <= UNKNOWN_BODY
    return STRANGER if small and kind == b"application/json" else None
