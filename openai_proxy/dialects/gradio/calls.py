"""A call of an API name, however it comes: who makes it, its arguments, and the event that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from openai_proxy.auth import Caller, peer_of
from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.callers import Callers
from openai_proxy.dialects.gradio.described import SIGNATURES, Called, numbered
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.literals import read_dict
from openai_proxy.dialects.gradio.outputs import Room
from openai_proxy.dialects.gradio.works import FALSE, Works
from openai_proxy.errors import EdgeError, InvalidRequest, NotFound, describe
from openai_proxy.wire import Incoming


class Calls:
    """Makes events of calls, and has them worked on."""

    def __init__(self, edge: Edge, callers: Callers) -> None:
        self.edge = edge
        self.callers = callers
        self.works = Works(edge)
        self.room = Room(lambda: edge.config.gradio.output_bytes)

    async def read(self, incoming: Incoming) -> Called:
        """Raises InvalidJson or InvalidRequest."""
        body, _ = await decode(incoming.body, Called)
        return body

    async def made(self, incoming: Incoming, body: Called, name: str | None = None) -> Event:
        """An event that may `begin`, of the API name or the number of one in the body. An argument that cannot be read
        is told by the event. Raises what `Callers.find` raises, and then NotFound.
        """
        name = name or numbered(body.fn_index)
        wrong: EdgeError | None = None
        given: dict[str, Any] = {}
        try:
            given = await self._given(name, body.data or [])
        except InvalidRequest as error:
            wrong = error
        caller = await self._caller(incoming, name, given)
        if name is None:
            raise NotFound("There is no such API name.")
        event = Event(name, given, caller, peer_of(incoming.scope), self.room)
        event.streams = name != "submit_nochat_plain_api" and given.get("stream_output") not in FALSE
        event.session = body.session_hash or ""
        if wrong is not None:
            event.fail(describe(wrong, event.id))
        return event

    def begin(self, event: Event) -> None:
        """Have it worked on, unless it failed already."""
        if not event.over:
            event.begin(self.works.named[event.name])

    async def _given(self, name: str | None, arguments: list[Any]) -> dict[str, Any]:
        """What a call says by name, in the dict or beside it; without an API name there may be a dict all the same."""
        if name is None:
            return await read_dict(arguments[0] if arguments else None)
        arguments = complete(name, arguments)
        if name in Works.dicts:
            return await read_dict(arguments[0])
        return {each.name: value for each, value in zip(SIGNATURES[name].parameters, arguments, strict=True)}

    async def _caller(self, incoming: Incoming, name: str | None, given: Mapping[str, Any]) -> Caller:
        if name in Works.open and not self.edge.accounts.closed:
            return incoming.caller
        return await self.callers.find(incoming, given)


def complete(name: str, arguments: list[Any]) -> list[Any]:
    """The arguments, with defaults for those at the end that are missing. Raises InvalidRequest."""
    parameters = SIGNATURES[name].parameters
    missing = parameters[len(arguments) :]
    if len(arguments) > len(parameters) or any(each.default is UNSET for each in missing):
        names = ", ".join(each.name for each in parameters) or "nothing"
        raise InvalidRequest(f"The arguments of {name} are: {names}.", param="data")
    return [*arguments, *(each.default for each in missing)]
