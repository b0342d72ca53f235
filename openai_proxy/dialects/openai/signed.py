"""Who calls by what a body says: h2oGPT's clients send `user` as "name:password", and a key as `h2ogpt_key`.

Both are taken out: nobody behind sees a password or a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs
from starlette.types import Scope

from openai_proxy.auth import CHALLENGE, STRANGER, Caller
from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.errors import EdgeError, MissingKey, Unauthorized
from openai_proxy.form_fields import taken_out
from openai_proxy.forms import boundary_of
from openai_proxy.wire import Flow, Handle, Incoming, Reply, Stream

KEY, IN_BODY = "h2ogpt_key", b"h2ogpt_key"
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

    def __call__(self, incoming: Incoming) -> Awaitable[Reply | Stream | Flow]:
        known = incoming.caller is not STRANGER and not self.edge.accounts
        if known and IN_BODY not in incoming.body:
            return self.handle(incoming)
        return self._asked(incoming)

    async def _asked(self, incoming: Incoming) -> Reply | Stream | Flow:
        caller = incoming.caller
        try:
            body, said = await self._read(incoming)
        except EdgeError:
            if caller is STRANGER:
                raise MissingKey(headers=CHALLENGE) from None
            raise
        if caller is STRANGER:
            caller = self._holder(said.h2ogpt_key)
        peer = incoming.scope["client"][0] if incoming.scope.get("client") else ""
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
        names = frozenset({KEY, "user"} if self.edge.accounts else {KEY})
        if boundary is not None:
            body, found = await asyncio.to_thread(taken_out, incoming.body, boundary, names)
            return body, Credentials(found.get("user"), found.get(KEY))
        said, given = await decode(incoming.body, Credentials)
        return msgspec.json.encode({name: value for name, value in given.items() if name not in names}), said


def invited(paths: frozenset[str], scope: Scope, head: Mapping[bytes, bytes]) -> Caller | None:
    """Who may come in without a key in the head: who sends a small body, which may have it."""
    if scope["method"] != "POST" or scope["path"] not in paths:
        return None
    kind = head.get(b"content-type", b"").partition(b";")[0].strip().lower()
    length = head.get(b"content-length", b"")
    small = length.isdigit() and 0 < int(length) <= UNKNOWN_BODY
    return STRANGER if small and kind == b"application/json" else None
