"""The queue: events are handed in, told of in one stream a session, and canceled.

Events are separated by blank lines of LF alone, and nothing else is between them: gradio_client ends with an error at a
comment, as at CRLF.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.callers import NOT_LOGGED_IN, Callers
from openai_proxy.dialects.gradio.calls import Calls
from openai_proxy.dialects.gradio.outputs import written
from openai_proxy.dialects.gradio.sessions import NOBODY, Place, Sessions
from openai_proxy.dialects.gradio.streams import HEARTBEAT, LOOK, told
from openai_proxy.errors import InvalidRequest, MissingKey, NotFound
from openai_proxy.wire import Flow, Headers, Incoming, Reply

EVENTS: Headers = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
# Seconds that a stream stays without an event: its client may just be handing in another.
LINGER = 0.3
PAIRS = 16
# Characters of a session's name.
LONGEST = 128
BEAT = b"".join(written(HEARTBEAT, b"data: ", b"\n\n"))
# What a stream of one call says, by the message of the queue.
KINDS = {"process_generating": b"generating", "process_completed": b"complete", "heartbeat": b"heartbeat"}


class Queue:
    """The answers."""

    def __init__(self, edge: Edge, callers: Callers, calls: Calls) -> None:
        self.edge = edge
        self.callers = callers
        self.calls = calls
        self.sessions = Sessions(lambda: edge.config, calls.room, self._leaving, partial(edge.others, "gradio"))
        edge.answering["gradio"] = self.sessions.answer

    def _leaving(self) -> bool:
        return self.edge.lifecycle.phase == "draining"

    # Sessions

    async def join(self, incoming: Incoming) -> Reply:
        """Begin an event, whose id is the answer."""
        body = await self.calls.read(incoming)
        event = await self.calls.made(incoming, body)
        self.sessions.join(await self._place(incoming, session_of(body.session_hash)), event)
        self.calls.begin(event)
        return reply({"event_id": event.id})

    async def data(self, incoming: Incoming) -> Flow:
        """The messages of a session."""
        try:
            query = dict(parse_qsl(incoming.scope["query_string"].decode("latin-1"), max_num_fields=PAIRS))
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        place = owner, _ = await self._place(incoming, session_of(query.get("session_hash")))
        if owner == NOBODY and not await self.sessions.has(place):
            raise NotFound("There is no such session.")
        return Flow(self._framed(place), EVENTS)

    async def _framed(self, place: Place) -> AsyncGenerator[bytes, None]:
        together = self.edge.fleet is not None
        async with aclosing(told(self.sessions, place, LINGER, together=together)) as messages:
            async for message in messages:
                for piece in frame(message):
                    yield piece

    async def cancel(self, incoming: Incoming) -> Reply:
        """Stop an event of a session, all of them where none is named."""
        body = await self.calls.read(incoming)
        if body.session_hash is None:  # gradio_client sends this a moment after the same with a session
            return reply({"success": False})
        found = await self.sessions.cancel(await self._place(incoming, session_of(body.session_hash)), body.event_id)
        return reply({"success": found})

    async def heartbeat(self, incoming: Incoming) -> Reply | Flow:
        """Nothing, as long as the client wants to hear it: gradio_client 1.0.2 asks again as soon as that ends, but not
        once it was cut, as it is for who has shown no key.
        """
        if not await self.callers.may_look(incoming):
            return Reply(msgspec.json.encode(NOT_LOGGED_IN), 401)
        return Flow(self._beats(known=await self.callers.known(incoming) is not None), EVENTS)

    async def _beats(self, *, known: bool) -> AsyncGenerator[bytes, None]:
        ping = self.edge.config.timeouts.ping
        said = -ping
        while self.edge.lifecycle.phase == "serving":
            if time.monotonic() >= said + ping:
                said = time.monotonic()
                yield BEAT
            if not known:
                raise MissingKey
            await asyncio.sleep(LOOK)

    # Calls: an event each, known by its id

    async def call(self, name: str | None, incoming: Incoming) -> Reply:
        """Begin an event, whose id is the answer."""
        event = await self.calls.made(incoming, await self.calls.read(incoming), name)
        self.sessions.join(await self._place(incoming, f"call {event.id}"), event)
        self.calls.begin(event)
        return reply({"event_id": event.id})

    async def called(self, incoming: Incoming) -> Flow:
        """The outputs of that event."""
        place = await self._place(incoming, f"call {incoming.scope['path_params']['event_id']}")
        if not await self.sessions.has(place):
            raise NotFound("There is no such event, or it was told already.")
        return Flow(self._call(place), EVENTS)

    async def _call(self, place: Place) -> AsyncGenerator[bytes, None]:
        together = self.edge.fleet is not None
        async with aclosing(told(self.sessions, place, 0.0, together=together)) as messages:
            async for message in messages:
                kind = KINDS.get(message["msg"])
                if kind is not None:
                    for piece in of_call(kind, message):
                        yield piece

    async def _place(self, incoming: Incoming, name: str) -> Place:
        """Where a caller's session is. Who has a key only in the dict is known by the session's name alone."""
        caller = await self.callers.known(incoming)
        return (NOBODY if caller is None else caller.name), name


def session_of(name: str | None) -> str:
    """What a client calls its session. Raises InvalidRequest."""
    if not name or len(name) > LONGEST:
        raise InvalidRequest(f"session_hash must have 1 to {LONGEST} characters.", param="session_hash")
    return name


def of_call(kind: bytes, message: dict[str, Any]) -> Iterator[bytes]:
    """A message as an event of a call's stream."""
    if message.get("success") is False:
        kind, told = b"error", message["output"]
    else:
        told = message["output"]["data"] if "output" in message else None
    return written(told, b"event: " + kind + b"\ndata: ", b"\n\n")


def frame(message: object) -> Iterator[bytes]:
    """A message as a server-sent event."""
    return written(message, b"data: ", b"\n\n")


def reply(value: object) -> Reply:
    """JSON."""
    return Reply(msgspec.json.encode(value))
