"""`POST /v1/audio/speech`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial

import audio
from backends import Model
from backends.errors import Unsupported
from backends.events import Event
from backends.requests import SpeechRequest
from openai_proxy.bodies.checks import able, check_kind, model_of_kind
from openai_proxy.bodies.speech import speech_request
from openai_proxy.bodies.speech_body import Manner, SpeechBody, manner
from openai_proxy.decode import Given, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.sounds import LONGEST_PIECE, RELAYED_PIECE, as_events, files, sentences
from openai_proxy.served import Served
from openai_proxy.sounds import Encoding, stretched, whole
from openai_proxy.wire import SSE, Flow, Headers, Incoming, Reply


class Speech:
    """Says a text aloud."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply | Flow:
        body, fields = await decode(incoming.body, SpeechBody)
        limits = self.edge.config.limits
        served, name = model_of_kind(self.edge.router, body.model, "speech", limits)
        incoming.note_model(served.name)
        how = manner(body, fields)
        request = speech_request(body, fields, how, served, name, limits)
        events = self.edge.router.run(request, partial(self._for_another, body, fields, how, served))
        speed = body.speed or 1.0
        if request.form is None and request.speed != speed:
            events = stretched(events, speed)
        headers = _headers(body, how, served.model)
        if how.way == "whole":
            return Reply(await whole(events, how.format), headers=headers)
        if how.way in ("sentences", "files"):
            events = sentences(events, RELAYED_PIECE if served.model.relays else LONGEST_PIECE)
        return Flow(_pieces(events, how), headers)

    async def _for_another(
        self, body: SpeechBody, fields: Given, how: Manner, first: Served, served: Served
    ) -> SpeechRequest:
        """The same request for another model. Raises InvalidRequest or Unsupported where it cannot take that.

        What was already decided holds for it too: whether its sound is stretched, and what the headers say.
        """
        check_kind(served, "speech")
        for field in ("speed", "instructions"):
            if field in fields and field in first.model.parameters:
                able(served.model, field)
            elif field in fields and field in served.model.parameters:
                raise Unsupported(param=field)
        return speech_request(body, fields, how, served, served.name, self.edge.config.limits)


def _headers(body: SpeechBody, how: Manner, model: Model) -> Headers:
    """Of the answer. A stream of h2oGPT's has the type that its clients read the format from."""
    if how.way == "events":
        headers = SSE
    elif how.way in ("sentences", "files"):
        headers = ((b"content-type", f"audio/{how.format}".encode()),)
    else:
        headers = ((b"content-type", audio.SPOKEN[how.format].encode()),)
    without_effect = body.instructions and "instructions" not in model.parameters
    return (*headers, (b"x-ignored-fields", b"instructions")) if without_effect else headers


def _pieces(events: AsyncGenerator[Event, None], how: Manner) -> AsyncGenerator[bytes, None]:
    """The answer as it is made."""
    match how.way:
        case "events":
            return as_events(events, how.format)
        case "files":
            return files(events, how.format)
        case _:
            return Encoding(how.format).pieces(events)
