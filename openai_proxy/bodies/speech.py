"""The body of `POST /v1/audio/speech` -> SpeechRequest."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from backends.requests import Form, SpeechRequest
from openai_proxy.bodies.checks import able, at_most_characters
from openai_proxy.bodies.speech_body import FORWARDED, Manner, SpeechBody, can_be_said
from openai_proxy.bodies.voices import Voices
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest
from openai_proxy.served import Served


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
    kept["response_format"] = Raw(msgspec.json.encode(how.format))
    if voice is None:
        kept.pop("voice", None)
    else:
        kept["voice"] = Raw(msgspec.json.encode(voice))
    return Form(kept)
