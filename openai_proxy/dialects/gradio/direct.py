"""Calls without a queue: one request and its answer, and gradio_client 0.6.1's WebSocket, there for one event."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.calls import Calls
from openai_proxy.dialects.gradio.described import Called
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.messages import Telling, output
from openai_proxy.dialects.gradio.outputs import written
from openai_proxy.errors import EdgeError, describe
from openai_proxy.sockets import Talk
from openai_proxy.wire import Incoming, Reply, fault_headers

FIRST: dict[str, Any] = {"msg": "estimation", "rank": 0, "queue_size": 1, "rank_eta": None}


class Direct:
    """The answers."""

    def __init__(self, edge: Edge, calls: Calls) -> None:
        self.edge = edge
        self.calls = calls

    async def called(self, name: str | None, incoming: Incoming) -> Reply:
        """Wait for the last output. A client that leaves stops its event."""
        event = await self.calls.made(incoming, await self.calls.read(incoming), name)
        self.calls.begin(event)
        try:
            if event.task is not None:
                await asyncio.wait([event.task])
        finally:
            event.cancel()
        if event.fault is not None:
            body = msgspec.json.encode({"error": event.fault.message})
            return Reply(body, event.fault.status, tuple(fault_headers(event.fault)))
        return Reply(b"".join(written(output(event))))

    async def converse(self, talk: Talk) -> None:
        """One event: the client is asked for its session, then for the arguments."""
        timeouts, callers = self.edge.config.timeouts, self.calls.callers
        if await callers.has_shown(talk.incoming()):
            talk.allow_large()
        await say(talk, {"msg": "send_hash"})
        await decode(await talk.hear(timeouts.body_first), Called)
        await say(talk, FIRST)
        await say(talk, {"msg": "send_data"})
        incoming = talk.incoming(await talk.hear(timeouts.body))
        try:
            event = await self.calls.made(incoming, await self.calls.read(incoming))
        except EdgeError as error:
            fault = describe(error, incoming.request_id)
            talk.state["outcome"] = fault.code
            await say(talk, {"msg": "process_completed", "output": {"error": fault.message}, "success": False})
            return
        self.calls.begin(event)
        try:
            with talk.watched():
                await self._tell(talk, event)
        finally:
            event.cancel()

    async def _tell(self, talk: Talk, event: Event) -> None:
        telling, changed = Telling(event), asyncio.Event()
        event.watch(changed)
        while not telling.done:
            changed.clear()
            for message in telling.news():
                await say(talk, message)
            if telling.behind:
                await asyncio.sleep(max(telling.wait(), 0.0))
            elif not telling.done:
                await changed.wait()


async def say(talk: Talk, message: dict[str, Any]) -> None:
    """A message of the queue."""
    await talk.say(written(message))
