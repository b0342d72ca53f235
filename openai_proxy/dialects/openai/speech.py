"""`POST /v1/audio/speech`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from msgspec import Raw

import audio
from backends import Model
from backends.errors import Unsupported
from backends.events import Event
from backends.requests import Form, SpeechRequest
from openai_proxy.config import Limits
from openai_proxy.decode import Given, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.answers import encode
from openai_proxy.dialects.openai.checks import able, at_most_characters, check_kind, model_of_kind
from openai_proxy.dialects.openai.sounds import (
    LONGEST_PIECE,
    RELAYED_PIECE,
    Encoding,
    as_events,
    files,
    sentences,
    stretched,
    whole,
)
from openai_proxy.dialects.openai.speech_body import FORWARDED, Manner, SpeechBody, can_be_said, manner
from openai_proxy.dialects.openai.voices import Voices
from openai_proxy.errors import InvalidRequest
from openai_proxy.served import Served
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


def speech_request(
    body: SpeechBody, fields: Given, how: Manner, served: Served, name: str, limits: Limits
) -> SpeechRequest:
    """The body as the engine is asked that knows the model by `name`.

    Raises InvalidRequest or Unsupported, each naming the field.
    """
    at_most_characters(body.input, limits.speech_characters, "input")
    at_most_characters(body.instructions or "", limits.speech_characters, "instructions")
    if not can_be_said(body.input):
        raise InvalidRequest("There is nothing to say in input: it needs letters or digits.", param="input")
    model = served.model
    extra: dict[str, Any] = {}
    if body.script is not None:
        able(model, "script")
        extra["script"] = body.script
    voice = Voices(served.known(name), served.config.voices).of(body, how)
    return SpeechRequest(
        model=name,
        text=body.input,
        voice=voice,
        speed=(body.speed or 1.0) if "speed" in model.parameters else 1.0,
        instructions=(body.instructions or "") if "instructions" in model.parameters else "",
        extra=extra,
        form=_form(fields, how, voice) if model.relays and not how.h2ogpt else None,
    )


def _form(fields: Given, how: Manner, voice: str | None) -> Form:
    """OpenAI's fields with what this server decided: not every server has OpenAI's defaults, nor its voices."""
    kept = {name: value for name, value in fields.items() if name in FORWARDED}
    kept["response_format"] = Raw(encode(how.format))
    if voice is None:
        kept.pop("voice", None)
    else:
        kept["voice"] = Raw(encode(voice))
    return Form(kept)


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
